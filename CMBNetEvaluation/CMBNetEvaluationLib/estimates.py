"""A measured value with its 95 % interval: bootstrap over subjects; Wilson's for proportions, Garwood's for rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaincinv

REPLICATES = 2000
SEED = 20260101
Z95 = 1.959963984540054
# With fewer usable replicates the percentiles describe chance.
_LEAST_USABLE_SHARE = 0.5


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes
    ----------
    value
        None where it is not defined (no prediction: no precision).
    low, high
        95 % interval by bootstrap over subjects; None where it cannot be made.
    n
        How many scans, lesions or pairs it rests on.
    wilson
        95 % Wilson interval of a proportion; it takes the lesions or scans as independent.
    poisson
        95 % exact interval of a rate of events; it takes the events as independent.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    wilson: tuple[float, float] | None = None
    poisson: tuple[float, float] | None = None

    @property
    def by_counts(self) -> tuple[float, float] | None:
        """The interval from the counts alone, where there is one: Wilson's, or that of a rate."""
        return self.wilson or self.poisson

    def as_dict(self) -> dict[str, Any]:
        """JSON form; intervals from counts only where they are defined."""
        content: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high, "n": self.n}
        for name in ("wilson", "poisson"):
            interval = getattr(self, name)
            if interval is not None:
                content[f"{name}_low"], content[f"{name}_high"] = interval
        return content


def wilson_interval(successes: float, trials: float) -> tuple[float, float] | None:
    """95 % score interval of a proportion (Wilson 1927); None without trials."""
    if trials <= 0:
        return None
    share, z2 = successes / trials, Z95 * Z95
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def poisson_interval(events: float, units: float) -> tuple[float, float] | None:
    """95 % exact interval of the rate of ``events`` in so many ``units`` (Garwood 1936); None without units."""
    if units <= 0:
        return None
    low = float(gammaincinv(events, 0.025)) if events > 0 else 0.0
    return low / units, float(gammaincinv(events + 1, 0.975)) / units


class SubjectBootstrap:
    """Draws subjects with replacement; all scans of a subject go together.

    Parameters
    ----------
    subjects
        (S,) subject of each scan.
    replicates, seed
        Number of draws, and what makes them the same every time.

    Attributes
    ----------
    weights
        (B, S) how often each scan occurs in each draw.
    """

    def __init__(self, subjects: Sequence[str], replicates: int = REPLICATES, seed: int = SEED) -> None:
        names, number = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
        self.n_subjects = len(names)
        generator = np.random.default_rng(seed)
        draws = generator.integers(0, max(len(names), 1), size=(replicates, len(names)))
        counts = np.zeros((replicates, max(len(names), 1)), dtype=np.int32)
        np.add.at(counts, (np.arange(replicates)[:, None], draws), 1)
        self.weights = counts[:, number.ravel()]

    def interval(self, replicates: np.ndarray) -> tuple[float | None, float | None]:
        """2.5th and 97.5th percentile of the (B,) values of the draws; NaN draws are left out.

        None where draws say nothing: a single subject, mostly undefined values, or the same value in all draws that
        matter (no false positive anywhere, say), which would pass for certainty.
        """
        usable = replicates[np.isfinite(replicates)]
        if self.n_subjects < 2 or len(usable) < _LEAST_USABLE_SHARE * len(replicates):
            return None, None
        low, high = np.percentile(usable, [2.5, 97.5])
        return (float(low), float(high)) if high - low > 1e-12 else (None, None)

    def ratio(self, part: np.ndarray, whole: np.ndarray, *, kind: str = "") -> Estimate:
        """The sum of the (S,) ``part`` over the sum of the (S,) ``whole``.

        ``kind`` is ``proportion`` where the part is some of the whole, ``rate`` where it counts events; either adds
        the interval from counts.
        """
        part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
        low, high = self.interval(divide(self.weights @ part, self.weights @ whole))
        total = float(whole.sum())
        value = float(part.sum()) / total if total else None
        wilson = wilson_interval(part.sum(), total) if kind == "proportion" else None
        poisson = poisson_interval(part.sum(), total) if kind == "rate" else None
        return Estimate(value, low, high, round(total), wilson, poisson)

    def mean(self, values: np.ndarray) -> Estimate:
        """Mean of the (S,) values of the scans; NaN where a scan has none."""
        defined = np.isfinite(values)
        filled = np.where(defined, values, 0.0)
        estimate = self.ratio(filled, defined.astype(float))
        return Estimate(estimate.value, estimate.low, estimate.high, int(defined.sum()))

    def median(self, values: np.ndarray) -> Estimate:
        """Median of the (S,) values of the scans; NaN where a scan has none."""
        defined = np.flatnonzero(np.isfinite(values))
        if not len(defined):
            return Estimate(None)
        order = defined[np.argsort(values[defined], kind="stable")]
        low, high = self.interval(_weighted_medians(values[order], self.weights[:, order]))
        return Estimate(float(np.median(values[defined])), low, high, len(defined))

    def weighted(self, function: Callable[[np.ndarray], np.ndarray], n: int) -> Estimate:
        """Any statistic: ``function`` takes (B, S) weights of the scans and returns (B,) values."""
        value = float(function(np.ones((1, self.weights.shape[1])))[0])
        interval = self.interval(function(self.weights))
        return Estimate(value if np.isfinite(value) else None, *interval, n)


class CrossedBootstrap(SubjectBootstrap):
    """Draws readers and, apart from them, subjects: intervals for other readers and other cases at once.

    Parameters
    ----------
    subjects, readers
        (S,) of each reading.
    """

    def __init__(
        self, subjects: Sequence[str], readers: Sequence[str], replicates: int = REPLICATES, seed: int = SEED
    ) -> None:
        super().__init__(subjects, replicates, seed)
        self.weights = self.weights * SubjectBootstrap(readers, replicates, seed + 2).weights


def divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotient, NaN where ``whole`` is 0."""
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole != 0)


def _weighted_medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B,) median of the rising (S,) ``values``, each repeated as often as the (B, S) ``weights`` say."""
    reached = np.cumsum(weights, axis=1)
    total = reached[:, -1:]
    lower = (reached > (total - 1) // 2).argmax(axis=1)
    upper = (reached > total // 2).argmax(axis=1)
    medians = (values[lower] + values[upper]) / 2.0
    return np.where(total[:, 0] > 0, medians, np.nan)
