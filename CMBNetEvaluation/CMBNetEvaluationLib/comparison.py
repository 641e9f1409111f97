"""Two models on the same scans: differences with paired intervals, and whether chance explains them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from CMBNetLib.errors import InputError

from .detection_metrics import per_scan_values
from .difference import Difference, permutation_p
from .estimates import SEED, SubjectBootstrap, divide
from .froc import FrocCurve, froc_curve, gather_candidates
from .froc_comparison import froc_differences
from .scan_result import ScanResult, counts_of

PERMUTATIONS = 9999


def compare_models(
    first: Sequence[ScanResult],
    second: Sequence[ScanResult],
    *,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
    make_bootstrap: Callable[[list[ScanResult]], SubjectBootstrap] | None = None,
) -> dict[str, Any]:
    """Compare two models on the scans both were evaluated on.

    Parameters
    ----------
    make_bootstrap
        How the common scans are drawn; by subject if left out.

    Returns
    -------
    dict
        ``scans`` and ``subjects`` (numbers), ``metrics`` (name -> `Difference`), ``lesions``: how many reference
        lesions both, either or none found, with McNemar's exact test (which takes lesions as independent), and
        ``curves``: the FROC of both, None where one has no scores.

    Raises
    ------
    InputError
        No scan is common to both.
    """
    pairs = _common(first, second)
    if not pairs:
        raise InputError("The two models share no evaluated scan, so they cannot be compared.")
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    subjects = [result.subject_id for result in a]
    bootstrap = make_bootstrap(a) if make_bootstrap else SubjectBootstrap(subjects)
    swaps = _swaps(subjects, permutations, seed)
    counts = counts_of(a), counts_of(b)
    metrics = {name: _difference(*sums, counts, bootstrap, swaps) for name, sums in _RATIOS.items()}
    metrics |= froc_differences(a, b, bootstrap, swaps)
    return {
        "scans": len(pairs),
        "subjects": bootstrap.n_subjects,
        "metrics": metrics,
        "lesions": _lesions_found(a, b),
        "curves": _curves(a, b),
    }


Columns = Callable[[np.ndarray], np.ndarray]


def _mean_f1_part(counts: np.ndarray) -> np.ndarray:
    return np.nan_to_num(per_scan_values(counts)["f1"])


def _mean_f1_whole(counts: np.ndarray) -> np.ndarray:
    return np.isfinite(per_scan_values(counts)["f1"]).astype(float)


# Every figure is a sum over scans divided by another, so swapping scans only moves terms between two sums.
_RATIOS: dict[str, tuple[Columns, Columns]] = {
    "precision": (lambda c: c[:, 0], lambda c: c[:, 0] + c[:, 1]),
    "sensitivity": (lambda c: c[:, 0], lambda c: c[:, 0] + c[:, 2]),
    "f1": (lambda c: 2 * c[:, 0], lambda c: 2 * c[:, 0] + c[:, 1] + c[:, 2]),
    "f1_mean_of_scans": (_mean_f1_part, _mean_f1_whole),
    "false_positives_per_scan": (lambda c: c[:, 1], lambda c: np.ones(len(c))),
}


def _difference(
    part: Columns,
    whole: Columns,
    counts: tuple[np.ndarray, np.ndarray],
    bootstrap: SubjectBootstrap,
    swaps: np.ndarray,
) -> Difference:
    (part_a, whole_a), (part_b, whole_b) = ((part(c), whole(c)) for c in counts)
    value_a, value_b = _quotient(part_a, whole_a), _quotient(part_b, whole_b)
    draws = bootstrap.weights
    differences = divide(draws @ part_b, draws @ whole_b) - divide(draws @ part_a, draws @ whole_a)
    if not np.isfinite(value_a) or not np.isfinite(value_b):
        return Difference(_finite(value_a), _finite(value_b), None, None, None, None)
    observed = value_b - value_a
    moved_part, moved_whole = swaps @ (part_b - part_a), swaps @ (whole_b - whole_a)
    permuted = divide(part_b.sum() - moved_part, whole_b.sum() - moved_whole) - divide(
        part_a.sum() + moved_part, whole_a.sum() + moved_whole
    )
    return Difference(value_a, value_b, observed, *bootstrap.interval(differences), permutation_p(observed, permuted))


def _curves(a: list[ScanResult], b: list[ScanResult]) -> list[FrocCurve] | None:
    candidates = [gather_candidates(side) for side in (a, b)]
    return None if None in candidates else [froc_curve(side) for side in candidates if side is not None]


def _lesions_found(a: list[ScanResult], b: list[ScanResult]) -> dict[str, Any]:
    # scipy.stats takes half a second to load, which an evaluation of one model need not wait for.
    from scipy.stats import binomtest

    found_a, all_a = _found(a)
    found_b, all_b = _found(b)
    every = all_a & all_b
    only_a, only_b = len((found_a - found_b) & every), len((found_b - found_a) & every)
    both = len(found_a & found_b)
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else None
    missed = len(every) - both - only_a - only_b
    return {"both": both, "only_first": only_a, "only_second": only_b, "none": missed, "mcnemar_p": p}


def _found(results: list[ScanResult]) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """Reference lesions that were found, and all."""
    found, every = set(), set()
    for result in results:
        for call in result.calls:
            if call.reference_id is not None:
                every.add((result.scan_id, call.reference_id))
                if call.outcome == "TP":
                    found.add((result.scan_id, call.reference_id))
    return found, every


def _common(first: Sequence[ScanResult], second: Sequence[ScanResult]) -> list[tuple[ScanResult, ScanResult]]:
    by_name = {result.scan_id: result for result in second}
    return [(result, by_name[result.scan_id]) for result in first if result.scan_id in by_name]


def _swaps(subjects: Sequence[str], permutations: int, seed: int) -> np.ndarray:
    """(N, S) bool: in which permutation the two models change places on a scan."""
    names, number = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    generator = np.random.default_rng(seed + 1)
    return generator.integers(0, 2, size=(permutations, len(names)), dtype=np.int8).astype(float)[:, number.ravel()]


def _quotient(part: np.ndarray, whole: np.ndarray) -> float:
    total = float(whole.sum())
    return float(part.sum()) / total if total else float("nan")


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
