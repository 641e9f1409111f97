"""How well lesions were found: pooled over all scans, and scan by scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .estimates import Estimate, SubjectBootstrap, divide
from .scan_result import ScanResult, counts_of


def detection_metrics(results: Sequence[ScanResult], bootstrap: SubjectBootstrap) -> dict[str, Any]:
    """Counts, pooled figures, and means and medians over scans.

    Returns
    -------
    dict
        ``counts`` (int), ``pooled``, ``per_scan_mean`` and ``per_scan_median`` (`Estimate`). A scan without
        predictions has no precision and one without lesions no sensitivity; they are left out of those means (`n`
        tells how many are in). F1 is 2 TP / (2 TP + FP + FN): 0, not undefined, where only false calls were made;
        ``f1_scans_with_lesions`` leaves those scans out, as VALDO's code does.
    """
    counts = counts_of(results)
    values = per_scan_values(counts)
    with_lesions = counts[:, 0] + counts[:, 2] > 0
    values["f1_scans_with_lesions"] = np.where(with_lesions, values["f1"], np.nan)
    values["false_positives"] = values.pop("false_positives")  # the last row of a table
    return {
        "counts": detection_counts(results),
        "pooled": pooled_metrics(counts, bootstrap),
        "per_scan_mean": {name: bootstrap.mean(value) for name, value in values.items()},
        "per_scan_median": {name: bootstrap.median(value) for name, value in values.items()},
    }


def pooled_metrics(counts: np.ndarray, bootstrap: SubjectBootstrap) -> dict[str, Estimate]:
    """Figures of the sums over all scans.

    Parameters
    ----------
    counts
        (S, 3) TP, FP, FN of each scan.

    Returns
    -------
    dict
        ``precision``, ``sensitivity``, ``f1``; ``false_positives_per_scan`` over **all** scans;
        ``false_positives_per_negative_scan`` over scans without a lesion; ``false_positives_per_microbleed``: false
        positives for each reference lesion, which others have printed as false positives a scan.
    """
    tp, fp, fn = counts.T
    scans = np.ones(len(counts))
    negative = (tp + fn == 0).astype(float)
    return {
        "precision": bootstrap.ratio(tp, tp + fp, kind="proportion"),
        "sensitivity": bootstrap.ratio(tp, tp + fn, kind="proportion"),
        "f1": replace(bootstrap.ratio(2 * tp, 2 * tp + fp + fn), n=round(counts.sum())),
        "false_positives_per_scan": bootstrap.ratio(fp, scans, kind="rate"),
        "false_positives_per_negative_scan": bootstrap.ratio(fp * negative, negative, kind="rate"),
        "false_positives_per_microbleed": bootstrap.ratio(fp, tp + fn, kind="rate"),
    }


def per_scan_values(counts: np.ndarray) -> dict[str, np.ndarray]:
    """(S,) precision, sensitivity, F1 and false positives of each scan; NaN where not defined."""
    tp, fp, fn = counts.T
    return {
        "precision": divide(tp, tp + fp),
        "sensitivity": divide(tp, tp + fn),
        "f1": divide(2 * tp, 2 * tp + fp + fn),
        "false_positives": fp,
    }


def detection_counts(results: Sequence[ScanResult]) -> dict[str, int]:
    """What was counted, and what a one-to-one rule would otherwise hide."""
    calls = [call for result in results for call in result.calls]
    relations = [call.relation for call in calls]
    return {
        "scans": len(results),
        "subjects": len({result.subject_id for result in results}),
        "scans_with_lesions": sum(result.n_reference > 0 for result in results),
        "scans_without_lesions": sum(result.n_reference == 0 for result in results),
        "scans_without_prediction": sum(result.missing_prediction for result in results),
        "reference_lesions": sum(result.n_reference for result in results),
        "predictions": sum(result.n_predicted for result in results),
        "true_positives": sum(result.tp for result in results),
        "false_positives": sum(result.fp for result in results),
        "false_negatives": sum(result.fn for result in results),
        "duplicates": relations.count("duplicate"),
        "fragments": relations.count("fragment"),
        "merges": relations.count("merge"),
        "missed_in_a_merge": relations.count("missed in a merge"),
        "ignored_reference_lesions": sum(result.n_ignored for result in results),
        "ignored_predictions": sum(call.outcome == "ignored" for call in calls),
    }
