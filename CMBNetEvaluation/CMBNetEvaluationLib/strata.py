"""Detection by kind of scan and by kind of lesion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from CMBNetLib.burden import BURDEN_NAMES, burden_name

from .detection_metrics import pooled_metrics
from .estimates import SubjectBootstrap
from .scan_result import Call, ScanResult, counts_of

UNKNOWN = "unknown"
SCAN_STRATA = ("dataset", "sequence", "field_strength_t", "slice_thickness_mm", "burden")
LESION_STRATA = ("zone", "region", "size", "shape")
_THICKNESS_MM = (1.0, 2.0, 4.0)
_DIAMETER_MM = (2.0, 3.5, 5.0, 10.0)
_ELONGATION = (0.4, 0.6, 0.8)


def stratified_metrics(
    results: Sequence[ScanResult], bootstrap: SubjectBootstrap, extra: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Pooled figures by stratum: key -> stratum -> figures (`Estimate`) with ``tp``, ``fp``, ``fn``, ``scans``.

    ``extra`` names further attributes of the scans. A key of which nothing is known is left out. A lesion counts in
    the stratum of the **reference**; a false positive in its own; so a hit whose two regions differ stays one hit.
    """
    strata = {key: _by_scan(results, key, bootstrap) for key in (*SCAN_STRATA, *extra)}
    strata |= {key: _by_lesion(results, key, bootstrap) for key in LESION_STRATA}
    return {key: groups for key, groups in strata.items() if groups and set(groups) != {UNKNOWN}}


def scan_stratum(result: ScanResult, key: str) -> str:
    """Name of the stratum of a scan."""
    if key == "burden":
        return burden_name(result.n_reference)
    value = result.attributes.get(key)
    if value in (None, ""):
        return UNKNOWN
    if key == "slice_thickness_mm":
        return _interval_name(_as_number(value), _THICKNESS_MM, "mm")
    if key == "field_strength_t":
        number = _as_number(value)
        return f"{number:g} T" if np.isfinite(number) else str(value)
    return str(value)


def lesion_stratum(call: Call, key: str) -> str:
    """Name of the stratum of a lesion."""
    if key in ("zone", "region"):
        return getattr(call, key) or UNKNOWN
    if key == "size":
        return _interval_name(np.nan if call.diameter_mm is None else call.diameter_mm, _DIAMETER_MM, "mm")
    return _interval_name(np.nan if call.elongation is None else call.elongation, _ELONGATION, "")


def false_positive_causes(results: Sequence[ScanResult]) -> dict[str, int]:
    """False positives by what they are known to be, the most frequent first; ``unknown`` last."""
    causes = Counter(call.cause or UNKNOWN for result in results for call in result.calls if call.outcome == "FP")
    unknown = causes.pop(UNKNOWN, 0)
    ordered = dict(sorted(causes.items(), key=lambda item: (-item[1], item[0])))
    return {**ordered, UNKNOWN: unknown} if unknown else ordered


def place_disagreements(results: Sequence[ScanResult], key: str) -> dict[str, dict[str, int]]:
    """True positives by the zone (or region) of the reference and of the prediction, where both name one."""
    table: dict[str, Counter[str]] = {}
    for call in (call for result in results for call in result.calls if call.outcome == "TP"):
        reference, predicted = getattr(call, key), getattr(call, f"predicted_{key}")
        if reference and predicted:
            table.setdefault(reference, Counter())[predicted] += 1
    return {name: dict(sorted(row.items())) for name, row in sorted(table.items())}


def _by_scan(results: Sequence[ScanResult], key: str, bootstrap: SubjectBootstrap) -> dict[str, Any]:
    names = np.array([scan_stratum(result, key) for result in results])
    counts = counts_of(results)
    return {name: _figures(counts, names == name, bootstrap) for name in _in_order(set(names.tolist()), key)}


def _figures(counts: np.ndarray, members: np.ndarray, bootstrap: SubjectBootstrap) -> dict[str, Any]:
    kept = np.flatnonzero(members)
    part = _Part(bootstrap, kept)
    return {**_totals(counts[kept], len(kept)), **pooled_metrics(counts[kept], part)}


def _by_lesion(results: Sequence[ScanResult], key: str, bootstrap: SubjectBootstrap) -> dict[str, Any]:
    calls = [call for result in results for call in result.calls if call.outcome in ("TP", "FP", "FN")]
    if all(lesion_stratum(call, key) == UNKNOWN for call in calls if call.outcome != "FP"):
        return {}
    names = _in_order({lesion_stratum(call, key) for call in calls}, key)
    return {name: _lesion_figures(results, key, name, bootstrap) for name in names}


def _lesion_figures(results: Sequence[ScanResult], key: str, name: str, bootstrap: SubjectBootstrap) -> dict[str, Any]:
    def count(result: ScanResult, outcome: str) -> int:
        return sum(call.outcome == outcome and lesion_stratum(call, key) == name for call in result.calls)

    counts = np.array([[count(result, kind) for kind in ("TP", "FP", "FN")] for result in results], dtype=float)
    figures = pooled_metrics(counts, bootstrap)
    # "Negative" would mean scans without a lesion of this stratum, which is not what readers take it for.
    figures.pop("false_positives_per_negative_scan")
    return {**_totals(counts, len(results)), **figures}


def _totals(counts: np.ndarray, n_scans: int) -> dict[str, int]:
    tp, fp, fn = counts.sum(axis=0).astype(int).tolist()
    return {"scans": n_scans, "tp": tp, "fp": fp, "fn": fn}


class _Part(SubjectBootstrap):
    """The same draws, seen by some of the scans only."""

    def __init__(self, whole: SubjectBootstrap, kept: np.ndarray) -> None:
        self.weights = whole.weights[:, kept]
        # Scans drawn together in every draw are of one subject.
        self.n_subjects = len(np.unique(self.weights[: min(len(self.weights), 64)], axis=1).T)


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _interval_name(value: float, edges: Sequence[float], unit: str) -> str:
    if not np.isfinite(value):
        return UNKNOWN
    place = int(np.searchsorted(edges, value, side="right"))
    suffix = f" {unit}" if unit else ""
    if place == 0:
        return f"< {edges[0]:g}{suffix}"
    if place == len(edges):
        return f">= {edges[-1]:g}{suffix}"
    return f"{edges[place - 1]:g} to < {edges[place]:g}{suffix}"


def _in_order(names: set[str], key: str) -> list[str]:
    """Intervals by their numbers, other names by the alphabet, unknown last."""
    if key == "burden":
        return [name for name in BURDEN_NAMES if name in names]

    def rank(name: str) -> tuple[int, float, str]:
        if name == UNKNOWN:
            return 2, 0.0, name
        number = _as_number(name.split()[0]) if name[0].isdigit() else np.nan
        low = -1.0 if name.startswith("<") else 1e9 if name.startswith(">=") else number
        return (0, low, name) if np.isfinite(low) else (1, 0.0, name)

    return sorted(names, key=rank)
