"""Agreement of two counts of the same scans: intraclass correlation, Bland-Altman, ranks, burden classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from .estimates import SubjectBootstrap
from .scan_result import ScanResult

# 0, 1-4, 5-9, 10 and more: the classes of ARIA-H, with none as a class of its own.
BURDEN_FROM = (0, 1, 5, 10)
BURDEN_NAMES = ("0", "1-4", "5-9", "10+")


def counting_metrics(results: Sequence[ScanResult], bootstrap: SubjectBootstrap) -> dict[str, Any]:
    """Agreement of the predicted with the reference count of each scan."""
    predicted = np.array([result.n_predicted for result in results], dtype=float)
    reference = np.array([result.n_reference for result in results], dtype=float)
    return agreement_of_counts(predicted, reference, bootstrap)


def agreement_of_counts(first: np.ndarray, second: np.ndarray, bootstrap: SubjectBootstrap) -> dict[str, Any]:
    """All measures of agreement of two (S,) counts; differences are first minus second."""
    n = len(first)
    pair_statistics = {
        "icc_agreement": lambda a, b: icc(a, b)[0],
        "icc_consistency": lambda a, b: icc(a, b)[1],
        "spearman": spearman,
        "kappa_quadratic": lambda a, b: weighted_kappa(burden_class(a), burden_class(b), 4, power=2),
        "kappa_linear": lambda a, b: weighted_kappa(burden_class(a), burden_class(b), 4, power=1),
        "limit_low": lambda a, b: bland_altman(a, b)[1],
        "limit_high": lambda a, b: bland_altman(a, b)[2],
    }
    estimates: dict[str, Any] = {
        name: bootstrap.statistic(lambda index, f=function: f(first[index], second[index]), n)  # type: ignore[misc]
        for name, function in pair_statistics.items()
    }
    estimates["bias"] = bootstrap.mean(first - second)
    estimates["absolute_error_mean"] = bootstrap.mean(np.abs(first - second))
    estimates["absolute_error_median"] = bootstrap.median(np.abs(first - second))
    same = (burden_class(first) == burden_class(second)).astype(float)
    estimates["same_burden_class"] = bootstrap.ratio(same, np.ones(n), proportion=True)
    estimates["burden_table"] = burden_table(first, second)
    return estimates


def icc(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """ICC(A,1) and ICC(C,1) of two measurements: two-way, single measurement (McGraw and Wong 1996).

    NaN where the scans do not differ at all or there are fewer than two.
    """
    n = len(first)
    if n < 2:
        return float("nan"), float("nan")
    table = np.stack([first, second], axis=1)
    mean = table.mean()
    rows = 2 * ((table.mean(axis=1) - mean) ** 2).sum() / (n - 1)
    columns = n * ((table.mean(axis=0) - mean) ** 2).sum()
    total = ((table - mean) ** 2).sum()
    error = max(0.0, (total - rows * (n - 1) - columns) / (n - 1))
    agreement = rows + error + 2 * (columns - error) / n
    consistency = rows + error
    return (
        (rows - error) / agreement if agreement > 0 else float("nan"),
        (rows - error) / consistency if consistency > 0 else float("nan"),
    )


def bland_altman(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Bias (first minus second) and the limits of agreement, bias -/+ 1.96 standard deviations."""
    difference = first - second
    bias = float(difference.mean())
    if len(difference) < 2:
        return bias, float("nan"), float("nan")
    half = 1.959963984540054 * float(difference.std(ddof=1))
    return bias, bias - half, bias + half


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation with mean ranks for ties; NaN where one side is constant."""
    a, b = rankdata(first), rankdata(second)
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else float("nan")


def burden_class(counts: np.ndarray) -> np.ndarray:
    """Number of the burden class (0 / 1-4 / 5-9 / 10+) of each count."""
    return np.searchsorted(BURDEN_FROM, counts, side="right") - 1


def burden_table(first: np.ndarray, second: np.ndarray) -> list[list[int]]:
    """Scans by class: rows are the classes of ``second`` (reference), columns of ``first`` (prediction)."""
    table = np.zeros((len(BURDEN_FROM), len(BURDEN_FROM)), dtype=int)
    np.add.at(table, (burden_class(second), burden_class(first)), 1)
    return table.tolist()


def weighted_kappa(first: np.ndarray, second: np.ndarray, n_classes: int, *, power: int) -> float:
    """Cohen's kappa with weights |i - j| ** ``power``; 0 for power 0 means unweighted. NaN if chance explains all."""
    table = np.zeros((n_classes, n_classes))
    np.add.at(table, (first, second), 1.0)
    table /= table.sum()
    steps = np.abs(np.subtract.outer(np.arange(n_classes), np.arange(n_classes)))
    weights = (steps > 0).astype(float) if power == 0 else steps.astype(float) ** power
    expected = np.outer(table.sum(axis=1), table.sum(axis=0))
    chance = float((weights * expected).sum())
    return 1.0 - float((weights * table).sum()) / chance if chance > 0 else float("nan")
