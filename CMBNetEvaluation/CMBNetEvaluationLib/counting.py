"""Agreement of two counts of the same scans: intraclass correlation, Bland-Altman, ranks, burden classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from CMBNetLib.burden import BURDEN_FROM

from .estimates import Z95, SubjectBootstrap, divide
from .scan_result import ScanResult


def counting_metrics(results: Sequence[ScanResult], bootstrap: SubjectBootstrap) -> dict[str, Any]:
    """Agreement of the predicted with the reference count of each scan."""
    predicted = np.array([result.n_predicted for result in results], dtype=float)
    reference = np.array([result.n_reference for result in results], dtype=float)
    return agreement_of_counts(predicted, reference, bootstrap)


def agreement_of_counts(first: np.ndarray, second: np.ndarray, bootstrap: SubjectBootstrap) -> dict[str, Any]:
    """All measures of agreement of two (S,) counts; differences are first minus second."""
    n = len(first)
    classes = burden_class(first), burden_class(second)
    statistics: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "icc_agreement": lambda weights: icc(first, second, weights)[0],
        "icc_consistency": lambda weights: icc(first, second, weights)[1],
        "spearman": lambda weights: spearman(first, second, weights),
        "kappa_quadratic": lambda weights: weighted_kappa(*classes, 4, power=2, weights=weights),
        "kappa_linear": lambda weights: weighted_kappa(*classes, 4, power=1, weights=weights),
        "limit_low": lambda weights: bland_altman(first, second, weights)[1],
        "limit_high": lambda weights: bland_altman(first, second, weights)[2],
        "slope": lambda weights: slope_of_difference(first, second, weights),
    }
    estimates: dict[str, Any] = {name: bootstrap.weighted(function, n) for name, function in statistics.items()}
    estimates["bias"] = bootstrap.mean(first - second)
    estimates["absolute_error_mean"] = bootstrap.mean(np.abs(first - second))
    estimates["absolute_error_median"] = bootstrap.median(np.abs(first - second))
    same = (classes[0] == classes[1]).astype(float)
    estimates["same_burden_class"] = bootstrap.ratio(same, np.ones(n), kind="proportion")
    estimates["burden_table"] = burden_table(first, second)
    return estimates


def _weights(weights: np.ndarray | None, n: int) -> np.ndarray:
    """(B, S) float weights; one row of ones if none are given."""
    return np.ones((1, n)) if weights is None else np.atleast_2d(weights).astype(float)


def icc(first: np.ndarray, second: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """ICC(A,1) and ICC(C,1) of two measurements: two-way, single measurement (McGraw and Wong 1996).

    Parameters
    ----------
    first, second
        (S,) measurements.
    weights
        (B, S) how often each scan counts, for bootstrap samples.

    Returns
    -------
    two arrays (B,)
        NaN where the scans do not differ at all or there are fewer than two.
    """
    w = _weights(weights, len(first))
    n = w.sum(axis=1)
    means = [divide(w @ side, n) for side in (first, second)]
    mean = (means[0] + means[1]) / 2
    middle = (first + second) / 2
    rows = 2 * divide(w @ middle**2 - n * mean**2, n - 1)
    columns = n * ((means[0] - mean) ** 2 + (means[1] - mean) ** 2)
    total = w @ (first**2 + second**2) - 2 * n * mean**2
    error = np.maximum(0.0, divide(total - rows * (n - 1) - columns, n - 1))
    # Rounding of large sums leaves about 1e-13 where nothing differs.
    some = total > 1e-9
    agreement = np.where(some, rows + error + 2 * divide(columns - error, n), 0.0)
    consistency = np.where(some, rows + error, 0.0)
    return divide(rows - error, agreement), divide(rows - error, consistency)


def bland_altman(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(B,) bias (first minus second) and the limits of agreement, bias -/+ 1.96 standard deviations."""
    w = _weights(weights, len(first))
    difference, n = first - second, w.sum(axis=1)
    bias = divide(w @ difference, n)
    variance = divide(w @ difference**2 - n * bias**2, n - 1)
    half = Z95 * np.sqrt(np.maximum(variance, 0.0))
    return bias, bias - half, bias + half


def slope_of_difference(first: np.ndarray, second: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(B,) slope of the difference on the mean of two counts (Bland and Altman 1999); NaN where the mean is constant.

    0 where the bias does not grow with the burden; with another slope one pair of limits does not fit all scans.
    """
    w = _weights(weights, len(first))
    n = w.sum(axis=1)
    middle, difference = (first + second) / 2, first - second
    x, y = divide(w @ middle, n), divide(w @ difference, n)
    spread = w @ middle**2 - n * x**2
    return divide(w @ (middle * difference) - n * x * y, np.where(spread > 1e-9, spread, 0.0))


def spearman(first: np.ndarray, second: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(B,) rank correlation with mean ranks for ties; NaN where one side is constant."""
    w = _weights(weights, len(first))
    n = w.sum(axis=1, keepdims=True)
    a, b = (_mean_ranks(side, w) - (n + 1) / 2 for side in (first, second))
    norm = np.sqrt((w * a * a).sum(axis=1) * (w * b * b).sum(axis=1))
    return divide((w * a * b).sum(axis=1), np.where(norm > 1e-9, norm, 0.0))


def _mean_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B, S) rank of each scan in each sample, equal values sharing their mean rank."""
    unique, number = np.unique(values, return_inverse=True)
    members = np.zeros((len(values), len(unique)))
    members[np.arange(len(values)), number.ravel()] = 1.0
    counts = weights @ members
    ranks = np.cumsum(counts, axis=1) - (counts - 1) / 2
    return ranks[:, number.ravel()]


def burden_class(counts: np.ndarray) -> np.ndarray:
    """Number of the burden class (0 / 1-4 / 5-9 / 10+) of each count."""
    return np.searchsorted(BURDEN_FROM, counts, side="right") - 1


def burden_table(first: np.ndarray, second: np.ndarray) -> list[list[int]]:
    """Scans by class: rows are the classes of ``second`` (reference), columns of ``first`` (prediction)."""
    table = np.zeros((len(BURDEN_FROM), len(BURDEN_FROM)), dtype=int)
    np.add.at(table, (burden_class(second), burden_class(first)), 1)
    return table.tolist()


def weighted_kappa(
    first: np.ndarray, second: np.ndarray, n_classes: int, *, power: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """(B,) Cohen's kappa with disagreement weights ``|i - j| ** power``; power 0 is the unweighted kappa.

    NaN where chance alone explains all (both sides constant and equal).
    """
    w = _weights(weights, len(first))
    cells = np.zeros((len(first), n_classes * n_classes))
    cells[np.arange(len(first)), first * n_classes + second] = 1.0
    table = divide(w @ cells, w.sum(axis=1, keepdims=True)).reshape(-1, n_classes, n_classes)
    steps = np.abs(np.subtract.outer(np.arange(n_classes), np.arange(n_classes)))
    cost = (steps > 0).astype(float) if power == 0 else steps.astype(float) ** power
    expected = table.sum(axis=2)[:, :, None] * table.sum(axis=1)[:, None, :]
    observed, chance = (table * cost).sum(axis=(1, 2)), (expected * cost).sum(axis=(1, 2))
    return 1.0 - divide(observed, chance)
