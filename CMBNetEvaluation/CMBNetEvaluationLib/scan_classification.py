"""Scans called positive or negative by their count of microbleeds, and candidates by their score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .estimates import Estimate, SubjectBootstrap, divide, wilson_interval
from .froc import gather_candidates
from .scan_result import ScanResult

THRESHOLDS = (1, 3, 5, 11)
N_BINS = 10


def classification_metrics(
    results: Sequence[ScanResult], bootstrap: SubjectBootstrap, thresholds: Sequence[int] = THRESHOLDS
) -> list[dict[str, Any]]:
    """For each threshold t: a scan is positive with t or more microbleeds.

    Sensitivity is the share of **positive** scans that are called positive, specificity the share of negative scans
    called negative.
    """
    predicted = np.array([result.n_predicted for result in results])
    reference = np.array([result.n_reference for result in results])
    return [_at(predicted >= t, reference >= t, t, bootstrap) for t in thresholds]


def _at(called: np.ndarray, positive: np.ndarray, threshold: int, bootstrap: SubjectBootstrap) -> dict[str, Any]:
    tp, fp = (called & positive).astype(float), (called & ~positive).astype(float)
    fn, tn = (~called & positive).astype(float), (~called & ~positive).astype(float)
    return {
        "threshold": threshold,
        "tp": int(tp.sum()), "fp": int(fp.sum()), "fn": int(fn.sum()), "tn": int(tn.sum()),
        "sensitivity": bootstrap.ratio(tp, tp + fn, kind="proportion"),
        "specificity": bootstrap.ratio(tn, tn + fp, kind="proportion"),
        "ppv": bootstrap.ratio(tp, tp + fp, kind="proportion"),
        "npv": bootstrap.ratio(tn, tn + fn, kind="proportion"),
        "f1": bootstrap.ratio(2 * tp, 2 * tp + fp + fn),
        "accuracy": bootstrap.ratio(tp + tn, np.ones(len(tp)), kind="proportion"),
    }  # fmt: skip


def scan_auc(results: Sequence[ScanResult], bootstrap: SubjectBootstrap) -> Estimate | None:
    """Area under the ROC of the highest score of a scan against having any lesion; None without scores."""
    candidates = gather_candidates(results)
    positive = np.array([result.n_reference > 0 for result in results])
    if candidates is None or positive.all():
        return None
    highest = np.zeros(len(results))
    # A candidate on an ignored lesion says nothing about a scan that counts as having none.
    counted = candidates.true | candidates.false
    np.maximum.at(highest, candidates.scan[counted], candidates.scores[counted])
    return bootstrap.weighted(lambda weights: roc_area(highest, positive, weights), len(results))


def roc_area(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(B,) chance that a positive scores above a negative, ties half; NaN without both.

    ``weights`` (B, S) count each scan so many times.
    """
    w = np.ones((1, len(scores))) if weights is None else weights.astype(float)
    up, down = w * positive, w * ~positive
    wins = (scores[:, None] > scores[None, :]) + 0.5 * (scores[:, None] == scores[None, :])
    return divide(((up @ wins) * down).sum(axis=1), up.sum(axis=1) * down.sum(axis=1))


def calibration_metrics(results: Sequence[ScanResult], bootstrap: SubjectBootstrap) -> dict[str, Any] | None:
    """Does a score of 0.8 mean that 8 of 10 such candidates are microbleeds? None where there are no scores.

    Returns
    -------
    dict
        ``brier``, ``expected_calibration_error`` and ``mean_score_minus_share_true`` (`Estimate`; above 0 where
        scores promise too much), and ``bins``: for each tenth of the scores the candidates, their mean score and the
        share of true ones with its Wilson interval. Excused candidates are left out.
    """
    candidates = gather_candidates(results)
    if candidates is None or not (candidates.true | candidates.false).any():
        return None
    kept = candidates.true | candidates.false
    scores, true, scan = candidates.scores[kept], candidates.true[kept], candidates.scan[kept]
    if scores.min() < 0 or scores.max() > 1:
        return None
    bins = np.minimum((scores * N_BINS).astype(int), N_BINS - 1)
    squares, gaps = (np.bincount(scan, term, minlength=len(results)) for term in ((scores - true) ** 2, scores - true))
    counted = np.bincount(scan, minlength=len(results)).astype(float)
    errors = [calibration_error(scores, true, bins, weight[scan]) for weight in bootstrap.weights]
    error = calibration_error(scores, true, bins, np.ones(len(scores)))
    return {
        "brier": bootstrap.ratio(squares, counted),
        "mean_score_minus_share_true": bootstrap.ratio(gaps, counted),
        "expected_calibration_error": Estimate(error, *bootstrap.interval(np.array(errors)), len(scores)),
        "bins": [_bin(number, scores[bins == number], true[bins == number]) for number in range(N_BINS)],
    }


def calibration_error(scores: np.ndarray, true: np.ndarray, bins: np.ndarray, weights: np.ndarray) -> float:
    """Mean over candidates of the gap between score and share of true ones in their bin; NaN without any."""
    gaps = np.abs(np.bincount(bins, weights * (scores - true), minlength=N_BINS))
    total = weights.sum()
    return float(gaps.sum() / total) if total else float("nan")


def _bin(number: int, scores: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    low, high = wilson_interval(float(true.sum()), len(true)) or (None, None)
    return {
        "from": number / N_BINS,
        "to": (number + 1) / N_BINS,
        "n": len(scores),
        "mean_score": float(scores.mean()) if len(scores) else None,
        "share_true": float(true.mean()) if len(true) else None,
        "wilson_low": low,
        "wilson_high": high,
    }
