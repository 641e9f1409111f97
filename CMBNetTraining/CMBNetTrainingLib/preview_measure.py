"""How the preview model does on whole synthetic scans: detection curve, operating points, strata by slice thickness."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from CMBNetLib.bundle import Bundle, OperatingPoint
from CMBNetLib.detection import DetectionSettings, detect
from CMBNetLib.volume import read_labels, read_volume

# One-to-one within this distance between centres, the rule most papers follow.
MATCH_MM = 5.0
# Mean false positives a scan that the operating points aim at.
TARGETS = {"sensitive": 6.0, "balanced": 4.0, "specific": 1.0}


@dataclass(frozen=True)
class Measured:
    """One scan: score of each visible microbleed (NaN: missed), of each false candidate, Dice of the hits."""

    name: str
    sequence: str
    slice_mm: float
    diameters_mm: list[float]
    hits: list[float]
    false_scores: list[float]
    dice: list[float]


def measure_folder(bundle: Bundle, folder: Path) -> Iterator[Measured]:
    """Detect in every scan that `whole_scans` wrote to ``folder`` and compare with its truth."""
    for path in sorted(folder.glob("*_scan.nii.gz")):
        yield measure_scan(bundle, path)


def measure_scan(bundle: Bundle, path: Path) -> Measured:
    """Detect in one synthetic scan and match one to one; what lies on an invisible microbleed counts neither way."""
    stem = path.name.removesuffix("_scan.nii.gz")
    described = json.loads((path.parent / f"{stem}.json").read_text())
    result = detect(read_volume(path), bundle, DetectionSettings(threshold=bundle.floor_threshold))
    truth = read_labels(path.parent / f"{stem}_truth.nii.gz").array
    lesions = sorted(described["lesions"], key=lambda lesion: not lesion["visible"])
    visible = [lesion for lesion in lesions if lesion["visible"]]
    pairs = _match([lesion["center_ras"] for lesion in lesions], [c.center_ras for c in result.candidates])
    hits, dice = [float("nan")] * len(visible), []
    for row, column in pairs:
        if row < len(visible):
            hits[row] = result.candidates[column].score
            dice.append(_dice(truth == visible[row]["id"], result.labels.array == result.candidates[column].id))
    matched = {column for _, column in pairs}
    false = [c.score for n, c in enumerate(result.candidates) if n not in matched]
    protocol = described["protocol"]
    sizes = [lesion["diameter_mm"] for lesion in visible]
    return Measured(stem, protocol["sequence"], protocol["slice_spacing_mm"], sizes, hits, false, dice)


def choose_points(scans: list[Measured], measured_on: str) -> dict[str, OperatingPoint]:
    """Thresholds at which the mean number of false positives a scan is at most that of `TARGETS`."""
    points = {}
    for name, target in TARGETS.items():
        false = sorted((score for scan in scans for score in scan.false_scores), reverse=True)
        allowed = int(target * len(scans))
        # Just above the first false positive that is too many.
        threshold = round(min(0.99, (false[allowed] if allowed < len(false) else 0.05) + 0.001), 3)
        points[name] = OperatingPoint(
            threshold, round(sensitivity(scans, threshold), 3), round(false_positives(scans, threshold), 2), measured_on
        )
    return points


def sensitivity(scans: Iterable[Measured], threshold: float) -> float:
    """Share of all visible microbleeds found at ``threshold``; NaN without microbleeds."""
    hits = np.array([score for scan in scans for score in scan.hits])
    return float(np.mean(hits >= threshold)) if hits.size else float("nan")


def false_positives(scans: Iterable[Measured], threshold: float) -> float:
    """Mean number of false positives over all scans at ``threshold``."""
    return float(np.mean([sum(score >= threshold for score in scan.false_scores) for scan in scans]))


def interval(
    scans: list[Measured], figure: Callable[[list[Measured]], float], *, draws: int = 1000
) -> tuple[float, float]:
    """95 % bootstrap interval of a figure over scans."""
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(scans), (draws, len(scans)))
    values = [figure([scans[i] for i in pick]) for pick in picks]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def strata(scans: list[Measured]) -> dict[str, list[Measured]]:
    """The scans by slice spacing and by sequence; groups without a scan are left out."""
    groups = {
        "slices under 2 mm": [s for s in scans if s.slice_mm < 2],
        "slices of 2 to under 4 mm": [s for s in scans if 2 <= s.slice_mm < 4],
        "slices of 4 mm and more": [s for s in scans if s.slice_mm >= 4],
        "SWI": [s for s in scans if s.sequence == "SWI"],
        "T2*": [s for s in scans if s.sequence == "T2*"],
    }
    return {name: group for name, group in groups.items() if group}


def _match(references: list[list[float]], candidates: list[tuple[float, float, float]]) -> list[tuple[int, int]]:
    if not references or not candidates:
        return []
    distance = np.linalg.norm(np.asarray(references)[:, None] - np.asarray(candidates)[None], axis=2)
    # As many pairs as possible first, then the nearest: a pair out of reach costs more than all others together.
    cost = np.where(distance <= MATCH_MM, distance, 1e6)
    rows, columns = linear_sum_assignment(cost)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if distance[r, c] <= MATCH_MM]


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.sum(a & b) / max(np.sum(a) + np.sum(b), 1))
