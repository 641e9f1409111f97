"""Sensitivity against false positives a scan at every threshold, and average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .estimates import Estimate, SubjectBootstrap
from .scan_result import Ranking, ScanResult

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
BAND_RATES = tuple(float(rate) for rate in 2.0 ** np.arange(-4, 3.01, 0.125))  # where the curve has an interval


@dataclass(frozen=True, eq=False)
class Candidates:
    """All candidates of all scans by falling score.

    Attributes
    ----------
    scores, true, false
        (C,) as in `Ranking`.
    scan
        (C,) number of the scan.
    last
        (T,) where a run of equal scores ends: only there is a threshold.
    lesions
        (S,) counted reference lesions of each scan.
    """

    scores: np.ndarray
    true: np.ndarray
    false: np.ndarray
    scan: np.ndarray
    last: np.ndarray
    lesions: np.ndarray


@dataclass(frozen=True, eq=False)
class FrocCurve:
    """One point for each threshold, from the highest; false positives a scan over all scans."""

    thresholds: np.ndarray
    false_positives_per_scan: np.ndarray
    sensitivity: np.ndarray

    def as_dict(self) -> dict[str, list[float]]:
        """JSON form: three lists of one length."""
        return {
            "thresholds": self.thresholds.tolist(),
            "false_positives_per_scan": self.false_positives_per_scan.tolist(),
            "sensitivity": self.sensitivity.tolist(),
        }


def gather_candidates(results: Sequence[ScanResult]) -> Candidates | None:
    """The candidates of all scans; None if a prediction came without scores, or there is no lesion to find.

    A scan without any prediction has no candidates.
    """
    if any(result.ranking is None and not result.missing_prediction for result in results):
        return None
    if not any(result.n_reference for result in results):
        return None
    empty = Ranking(np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0, dtype=bool))
    rankings = [result.ranking or empty for result in results]
    scan = np.repeat(np.arange(len(rankings)), [len(ranking.scores) for ranking in rankings])
    scores, true, false = (
        np.concatenate([getattr(ranking, name) for ranking in rankings]) for name in ("scores", "true", "false")
    )
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True)) if len(scores) else np.zeros(0, dtype=np.int64)
    lesions = np.array([result.n_reference for result in results])
    return Candidates(scores, true[order], false[order], scan[order], last, lesions)


def unscored_among_scored(results: Sequence[ScanResult]) -> list[str]:
    """Scans whose prediction has no scores, where others have some: they are why there is no FROC."""
    if not any(result.ranking is not None and len(result.ranking.scores) for result in results):
        return []
    return [result.scan_id for result in results if result.ranking is None and not result.missing_prediction]


def froc_curve(candidates: Candidates, weights: np.ndarray | None = None) -> FrocCurve:
    """The curve; ``weights`` (S,) counts each scan so many times."""
    weights = np.ones(len(candidates.lesions)) if weights is None else weights
    weight = weights[candidates.scan]
    true = np.cumsum(weight * candidates.true)[candidates.last]
    false = np.cumsum(weight * candidates.false)[candidates.last]
    lesions = float((weights * candidates.lesions).sum())
    sensitivity = true / lesions if lesions else np.full(len(true), np.nan)
    return FrocCurve(candidates.scores[candidates.last], false / weights.sum(), sensitivity)


def sensitivity_at(curve: FrocCurve, rate: float) -> float:
    """The largest sensitivity reached with at most ``rate`` false positives a scan; no interpolation.

    0 if even the highest threshold gives more; a curve that ends before ``rate`` gives its last sensitivity.
    """
    return float(sensitivities_at(curve, [rate])[0])


def sensitivities_at(curve: FrocCurve, rates: Sequence[float]) -> np.ndarray:
    """`sensitivity_at` of several rates."""
    reached = np.searchsorted(curve.false_positives_per_scan, np.asarray(rates) + 1e-12, side="right")
    return np.append(0.0, curve.sensitivity)[reached]


def average_precision(candidates: Candidates, weights: np.ndarray | None = None) -> float:
    """Sum over thresholds of precision times the rise of sensitivity; lesions never proposed keep it below 1."""
    weights = np.ones(len(candidates.lesions)) if weights is None else weights
    weight = weights[candidates.scan]
    true = np.cumsum(weight * candidates.true)[candidates.last]
    false = np.cumsum(weight * candidates.false)[candidates.last]
    lesions = float((weights * candidates.lesions).sum())
    if not lesions:
        return float("nan")
    rises = np.diff(true, prepend=0.0) / lesions
    total = true + false
    precision = np.divide(true, total, out=np.zeros_like(true, dtype=float), where=total > 0)
    return float((rises * precision).sum())


def froc_metrics(results: Sequence[ScanResult], bootstrap: SubjectBootstrap) -> dict[str, Any] | None:
    """Sensitivity at `RATES`, their mean, average precision, and the curve; None where there are no scores.

    ``band`` holds the 95 % interval of the curve at `BAND_RATES`, point by point.
    """
    candidates = gather_candidates(results)
    if candidates is None:
        return None
    curve = froc_curve(candidates)
    point = froc_summary(candidates)
    draws = np.array([froc_summary(candidates, weight) for weight in bootstrap.weights])
    lesions = int(candidates.lesions.sum())
    estimates = [
        Estimate(float(value), *bootstrap.interval(draws[:, column]), lesions) for column, value in enumerate(point)
    ]
    return {
        "sensitivity_at": {f"{rate:g}": estimate for rate, estimate in zip(RATES, estimates, strict=False)},
        "mean_sensitivity": estimates[-2],
        "average_precision": estimates[-1],
        "most_false_positives_per_scan": float(curve.false_positives_per_scan[-1]) if len(curve.sensitivity) else 0.0,
        "curve": curve,
        "band": _band(candidates, bootstrap),
    }


def froc_summary(candidates: Candidates, weights: np.ndarray | None = None) -> list[float]:
    """Sensitivities at `RATES`, their mean, average precision; ``weights`` (S,) counts each scan so many times."""
    curve = froc_curve(candidates, weights)
    at_rates = sensitivities_at(curve, RATES).tolist()
    return [*at_rates, float(np.mean(at_rates)), average_precision(candidates, weights)]


def _band(candidates: Candidates, bootstrap: SubjectBootstrap) -> dict[str, Any]:
    """Rates, and the interval of the sensitivity at each; None where it cannot be made."""
    draws = [sensitivities_at(froc_curve(candidates, weight), BAND_RATES) for weight in bootstrap.weights]
    intervals = [bootstrap.interval(column) for column in np.array(draws).T]
    low, high = ([interval[side] for interval in intervals] for side in (0, 1))
    return {"rates": BAND_RATES, "low": low, "high": high}
