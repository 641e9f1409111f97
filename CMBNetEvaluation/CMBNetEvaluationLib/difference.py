"""A difference of two models with its paired interval and the p of a permutation test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Difference:
    """How much the second model differs from the first.

    Attributes
    ----------
    first, second, difference
        Values of the two, and second minus first.
    low, high
        95 % interval of the difference by paired bootstrap over subjects.
    p
        Two-sided permutation test that swaps the two models subject by subject; None where it was not made.
    """

    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None

    def as_dict(self) -> dict[str, float | None]:
        """JSON form."""
        return {name: getattr(self, name) for name in ("first", "second", "difference", "low", "high", "p")}


def permutation_p(observed: float, permuted: np.ndarray) -> float:
    """Two-sided p: share of the permutations, the observed one among them, that differ as much or more.

    Permutations in which a figure is not defined (NaN) are left out. The observed order counts as one permutation,
    so p is never 0 (Phipson and Smyth 2010).
    """
    defined = permuted[np.isfinite(permuted)]
    # The tolerance keeps permutations that equal the observed difference but for rounding.
    extreme = int((np.abs(defined) >= abs(observed) - 1e-12).sum())
    return (extreme + 1) / (len(defined) + 1)
