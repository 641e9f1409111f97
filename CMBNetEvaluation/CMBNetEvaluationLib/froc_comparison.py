"""Whether two models differ in their FROC: paired intervals, and a permutation test over subjects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .difference import Difference, permutation_p
from .estimates import SubjectBootstrap
from .froc import RATES, Candidates, froc_curve, froc_summary, gather_candidates
from .scan_result import ScanResult

_CHUNK = 500  # permutations at a time, so that memory does not grow with their number


def froc_differences(
    first: Sequence[ScanResult], second: Sequence[ScanResult], bootstrap: SubjectBootstrap, swaps: np.ndarray
) -> dict[str, Difference]:
    """Differences of the mean sensitivity, of the sensitivity at each of `RATES`, and of the average precision.

    Parameters
    ----------
    first, second
        Results of both models on the same scans in the same order.
    swaps
        (N, S) in which permutation the two change places on a scan.

    Returns
    -------
    dict
        Empty where a model has no scores. There is no permutation test of the average precision.
    """
    a, b = gather_candidates(first), gather_candidates(second)
    if a is None or b is None:
        return {}
    values = np.array([froc_summary(a), froc_summary(b)])
    draws = np.array([np.subtract(froc_summary(b, w), froc_summary(a, w)) for w in bootstrap.weights])
    permuted = permuted_differences(a, b, swaps)
    names = [*(f"sensitivity_at_{rate:g}" for rate in RATES), "mean_sensitivity", "average_precision"]
    found = {}
    for column, name in enumerate(names):
        difference = float(values[1, column] - values[0, column])
        p = permutation_p(difference, permuted[:, column]) if column < permuted.shape[1] else None
        interval = bootstrap.interval(draws[:, column])
        found[name] = Difference(float(values[0, column]), float(values[1, column]), difference, *interval, p)
    return {name: found[name] for name in ("mean_sensitivity", *names[: len(RATES)], "average_precision")}


def permuted_differences(first: Candidates, second: Candidates, swaps: np.ndarray) -> np.ndarray:
    """(N, 8) differences (second minus first) of the sensitivity at `RATES` and of their mean in each permutation.

    Scores of two models need not mean the same, and raw scores of both in one ranking would compare their scales.
    Every candidate is therefore ranked by the false positives a scan at which its own model reaches it; the FROC of
    neither model changes by that.
    """
    levels = np.unique(np.concatenate([np.zeros(1), reached_at(first), reached_at(second)]))
    true_a, false_a = _found_by_level(first, levels)
    true_b, false_b = _found_by_level(second, levels)
    lesions = float(first.lesions.sum())
    parts = []
    for start in range(0, len(swaps), _CHUNK):
        chosen = swaps[start : start + _CHUNK].astype(float)
        moved_true, moved_false = chosen @ (true_b - true_a), chosen @ (false_b - false_a)
        one = _sensitivities(true_a.sum(axis=0) + moved_true, false_a.sum(axis=0) + moved_false, len(first.lesions))
        other = _sensitivities(true_b.sum(axis=0) - moved_true, false_b.sum(axis=0) - moved_false, len(first.lesions))
        parts.append((other - one) / lesions)
    differences = np.concatenate(parts)
    return np.column_stack([differences, differences.mean(axis=1)])


def reached_at(candidates: Candidates) -> np.ndarray:
    """(C,) false positives a scan of the whole set at the threshold of each candidate's own score."""
    if not len(candidates.scores):
        return np.zeros(0)
    rates = froc_curve(candidates).false_positives_per_scan
    run = np.searchsorted(candidates.last, np.arange(len(candidates.scores)))
    return rates[run]


def _found_by_level(candidates: Candidates, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two (S, L) arrays: finds and false positives of each scan down to each level."""
    place = np.searchsorted(levels, reached_at(candidates))
    tables = []
    for kind in (candidates.true, candidates.false):
        table = np.zeros((len(candidates.lesions), len(levels)))
        np.add.at(table, (candidates.scan, place), kind.astype(float))
        tables.append(np.cumsum(table, axis=1))
    return tables[0], tables[1]


def _sensitivities(true: np.ndarray, false: np.ndarray, n_scans: int) -> np.ndarray:
    """(N, 7) finds at each of `RATES` from (N, L) finds and false positives that grow along the levels."""
    columns = []
    for rate in RATES:
        # The first level is that of no false positive, so that one level at least is within every rate.
        reached = (false <= rate * n_scans + 1e-9).sum(axis=1)
        columns.append(np.take_along_axis(true, reached[:, None] - 1, axis=1)[:, 0])
    return np.stack(columns, axis=1)
