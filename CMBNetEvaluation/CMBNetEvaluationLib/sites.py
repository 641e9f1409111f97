"""Places that raters marked on one case, joined where they mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from .reading_files import Reading


@dataclass(frozen=True, eq=False)
class Sites:
    """The marked places of one case.

    Attributes
    ----------
    case_id
        The case.
    raters
        Names of the R raters.
    centers_ras
        (I, 3) mean of the marks of each place, RAS mm.
    ratings
        (I, R) 1 a microbleed, 0 not (said so, or marked nothing there), NaN unsure.
    """

    case_id: str
    raters: tuple[str, ...]
    centers_ras: np.ndarray
    ratings: np.ndarray

    def of(self, raters: Sequence[str]) -> np.ndarray:
        """(I, n) ratings of some of the raters."""
        return self.ratings[:, [self.raters.index(name) for name in raters]]


def join_marks(readings: Sequence[Reading], limit_mm: float) -> Sites:
    """Join the marks of the raters of one case to places.

    Nearest marks are joined first; a place never holds two marks of one rater, nor two marks farther apart than
    ``limit_mm``. The order of the raters does not matter.
    """
    positions = np.concatenate([np.zeros((0, 3)), *(reading.positions_ras for reading in readings)])
    votes = np.concatenate([np.zeros(0), *(reading.votes for reading in readings)])
    rater = np.repeat(np.arange(len(readings)), [len(reading.votes) for reading in readings])
    # Equal distances are then settled by where the marks lie, not by whose they are.
    order = np.lexsort(np.round(positions, 6).T[::-1])
    positions, votes, rater = positions[order], votes[order], rater[order]
    place = _clusters(positions, rater, limit_mm)
    centers = [positions[place == number].mean(axis=0) for number in range(place.max(initial=-1) + 1)]
    ratings = np.zeros((len(centers), len(readings)))
    ratings[place, rater] = votes
    names = tuple(reading.rater for reading in readings)
    return Sites(readings[0].case_id, names, np.array(centers).reshape(-1, 3), ratings)


def _clusters(positions: np.ndarray, rater: np.ndarray, limit_mm: float) -> np.ndarray:
    """(N,) number of the place of each mark."""
    distance = cdist(positions, positions) if len(positions) else np.zeros((0, 0))
    near = np.triu((distance <= limit_mm) & (rater[:, None] != rater[None]), 1)
    first, second = np.nonzero(near)
    key = np.argsort(np.round(distance[first, second], 9), kind="stable")
    members = [[number] for number in range(len(positions))]
    place = np.arange(len(positions))
    for a, b in zip(first[key], second[key], strict=True):
        one, other = members[place[a]], members[place[b]]
        if place[a] == place[b] or set(rater[one]) & set(rater[other]):
            continue
        if distance[np.ix_(one, other)].max() <= limit_mm:
            kept, gone = place[a], place[b]
            place[other] = kept
            members[kept], members[gone] = one + other, []
    return np.unique(place, return_inverse=True)[1].ravel() if len(place) else place
