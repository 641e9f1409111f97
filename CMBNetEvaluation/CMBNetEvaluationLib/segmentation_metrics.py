"""How well the outlines agree: on the lesions that were found, and on the whole scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .estimates import Estimate, SubjectBootstrap
from .scan_result import Call, ScanResult


def matched_metrics(results: Sequence[ScanResult], bootstrap: SubjectBootstrap) -> dict[str, Estimate] | None:
    """Agreement on found lesions; None where none has two masks.

    Means are over lesions. ``dice_pooled`` is over all voxels of found lesions; ``volume_error_mm3`` is prediction
    minus reference; ``relative_volume_error`` is the pooled error over the pooled reference volume.
    """
    found = [[call for call in result.calls if call.outcome == "TP" and call.dice is not None] for result in results]
    if not any(found):
        return None

    def sums(value: str) -> np.ndarray:
        return np.array([sum(_value(call, value) for call in calls) for calls in found])

    lesions = np.array([len(calls) for calls in found], dtype=float)
    count = int(lesions.sum())
    volumes = sums("prediction_mm3") + sums("reference_mm3")
    means = {name: bootstrap.ratio(sums(name), lesions) for name in _MEANS}
    return {
        **means,
        "dice_pooled": replace(bootstrap.ratio(2 * sums("common_mm3"), volumes), n=count),
        "relative_volume_error": replace(bootstrap.ratio(sums("volume_error_mm3"), sums("reference_mm3")), n=count),
    }


_MEANS = (
    "dice", "iou", "distance_mm", "volume_error_mm3", "absolute_volume_error_mm3", "surface_mm", "hausdorff95_mm",
)  # fmt: skip


def _value(call: Call, name: str) -> float:
    prediction, reference = call.prediction_mm3 or 0.0, call.reference_mm3 or 0.0
    if name == "volume_error_mm3":
        return prediction - reference
    if name == "absolute_volume_error_mm3":
        return abs(prediction - reference)
    if name == "common_mm3":
        return 0.5 * (call.dice or 0.0) * (prediction + reference)
    return float(getattr(call, name) or 0.0)


def whole_scan_metrics(results: Sequence[ScanResult], bootstrap: SubjectBootstrap) -> dict[str, Estimate] | None:
    """Agreement of all voxels of a scan; None where no scan has two masks.

    ``dice_mean`` is over scans with a voxel on either side (0 where only one side has any), ``dice_positive_mean``
    over scans with reference voxels; volume errors are over all scans, surface distances over scans with both.
    """
    overlaps = [result.overlap for result in results]
    if all(overlap is None for overlap in overlaps):
        return None

    def column(name: str) -> np.ndarray:
        values = [None if overlap is None else getattr(overlap, name) for overlap in overlaps]
        return np.array([np.nan if value is None else value for value in values], dtype=float)

    dice, predicted, reference = column("dice"), column("prediction_mm3"), column("reference_mm3")
    total = np.nan_to_num(predicted + reference)
    return {
        "dice_mean": bootstrap.mean(dice),
        "dice_median": bootstrap.median(dice),
        "dice_positive_mean": bootstrap.mean(np.where(reference > 0, dice, np.nan)),
        "dice_pooled": replace(bootstrap.ratio(2 * np.nan_to_num(column("common_mm3")), total), n=len(results)),
        "volume_error_mm3": bootstrap.mean(predicted - reference),
        "absolute_volume_error_mm3": bootstrap.mean(np.abs(predicted - reference)),
        "absolute_volume_error_mm3_median": bootstrap.median(np.abs(predicted - reference)),
        "surface_mm": bootstrap.mean(column("surface_mm")),
        "hausdorff95_mm": bootstrap.mean(column("hausdorff95_mm")),
    }
