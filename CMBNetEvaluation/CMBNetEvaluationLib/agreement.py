"""Chance-corrected agreement of raters on the same items: Cohen, Fleiss, and Gwet's AC1, for two answers."""

from __future__ import annotations

import numpy as np

from .estimates import divide


def cohen_kappa(tables: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Cohen's kappa of two raters.

    Parameters
    ----------
    tables
        (S, 2, 2) items of each case by the answer (no, yes) of the first and of the second rater.
    weights
        (B, S) how often each case counts; once if left out.

    Returns
    -------
    array (B,)
        NaN where chance alone explains all.
    """
    table = _summed(tables, weights)
    share = divide(table, table.sum(axis=(1, 2), keepdims=True))
    observed = share[:, 0, 0] + share[:, 1, 1]
    chance = (share.sum(axis=2) * share.sum(axis=1)).sum(axis=1)
    return divide(observed - chance, _zero_if_tiny(1.0 - chance))


def rating_sums(ratings: np.ndarray) -> np.ndarray:
    """What `fleiss_kappa` and `gwet_ac1` need of one case.

    Parameters
    ----------
    ratings
        (I, R) 1 yes, 0 no, NaN not rated, of I items by R raters.

    Returns
    -------
    array (4,)
        Items with at least two ratings; the sum of their shares of agreeing pairs; items with any rating; the sum
        of their shares of yes.
    """
    yes, no = (ratings == 1).sum(axis=1), (ratings == 0).sum(axis=1)
    n = yes + no
    pairs = divide(yes * (yes - 1) + no * (no - 1), n * (n - 1))
    share = divide(yes, n)
    return np.array([(n >= 2).sum(), np.nansum(pairs), (n >= 1).sum(), np.nansum(share)], dtype=float)


def fleiss_kappa(sums: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(B,) Fleiss' kappa (1971), for numbers of raters that may differ between items (Gwet 2014).

    ``sums`` is (S, 4), `rating_sums` of each case. NaN where all answers are the same.
    """
    observed, yes = _observed_and_yes(sums, weights)
    chance = yes**2 + (1.0 - yes) ** 2
    return divide(observed - chance, _zero_if_tiny(1.0 - chance))


def gwet_ac1(sums: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(B,) Gwet's AC1 (2008) of two or more raters; it does not fall where nearly all answers are the same."""
    observed, yes = _observed_and_yes(sums, weights)
    chance = 2.0 * yes * (1.0 - yes)
    return divide(observed - chance, 1.0 - chance)


def _observed_and_yes(sums: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(B,) share of agreeing pairs of raters, and share of yes."""
    compared, agreeing, rated, yes = _summed(sums, weights).T
    return divide(agreeing, compared), divide(yes, rated)


def _summed(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if weights is None:
        return values.sum(axis=0, keepdims=True)
    return np.tensordot(np.atleast_2d(weights).astype(float), values, axes=1)


def _zero_if_tiny(value: np.ndarray) -> np.ndarray:
    """Rounding leaves about 1e-16 where chance explains all; a quotient of that would be noise."""
    return np.where(np.abs(value) > 1e-12, value, 0.0)
