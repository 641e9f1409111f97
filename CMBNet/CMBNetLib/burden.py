"""How many microbleeds a scan is likely to have, from the scores of all its candidates.

A count at a threshold takes what is just above it for certain and leaves out what is just below. Where scores are
calibrated they are probabilities, and the number of microbleeds among the candidates has a distribution
(Poisson-binomial, as if candidates were independent). What has no candidate is in none of these numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# 0, 1-4, 5-9, 10 and more: the classes of ARIA-H, with none as a class of its own.
BURDEN_FROM = (0, 1, 5, 10)
BURDEN_NAMES = ("0", "1-4", "5-9", "10+")
# Share of the distribution between `low` and `high`.
INTERVAL = 0.9


@dataclass(frozen=True)
class Burden:
    """The likely number of microbleeds.

    Attributes
    ----------
    expected : float
        Mean of the distribution.
    low, high : int
        Ends of the central interval of `INTERVAL`.
    classes : dict
        Probability of each of `BURDEN_NAMES`.
    """

    expected: float
    low: int
    high: int
    classes: dict[str, float]

    @property
    def likeliest(self) -> str:
        """Name of the class with the highest probability."""
        return max(self.classes, key=lambda name: self.classes[name])


def burden_name(count: int) -> str:
    """The class of a count."""
    return BURDEN_NAMES[int(np.searchsorted(BURDEN_FROM, count, side="right")) - 1]


def burden_of(scores: Iterable[float]) -> Burden:
    """The burden by calibrated scores (0..1) of all candidates of a scan."""
    scores = list(scores)
    chances = _distribution(scores)
    below = np.cumsum(chances)
    low, high = (int(np.searchsorted(below, share)) for share in (0.5 - INTERVAL / 2, 0.5 + INTERVAL / 2))
    parts = np.split(chances, [least for least in BURDEN_FROM[1:] if least < len(chances)])
    shares = [float(part.sum()) for part in parts] + [0.0] * (len(BURDEN_NAMES) - len(parts))
    classes = {name: round(share, 4) for name, share in zip(BURDEN_NAMES, shares, strict=True)}
    return Burden(round(float(sum(scores)), 2), low, min(high, len(scores)), classes)


def burden_text(burden: Burden) -> str:
    """A sentence for people."""
    name = burden.likeliest
    return (
        f"By the scores of all candidates, whatever the threshold, {burden.expected:.1f} microbleeds are expected "
        f"({INTERVAL:.0%} between {burden.low} and {burden.high}); class {name} with a probability of "
        f"{burden.classes[name]:.0%}."
    )


def _distribution(scores: Iterable[float]) -> np.ndarray:
    """Probability of 0, 1, ... microbleeds."""
    chances = np.ones(1)
    for score in scores:
        chances = np.convolve(chances, [1 - score, score])
    return chances
