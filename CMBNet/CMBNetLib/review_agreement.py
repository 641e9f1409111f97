"""How well readers agree: two by two, over all lesions that either of them marked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .review_consensus import Lesion


@dataclass(frozen=True)
class Agreement:
    """Two readers on the same cases; *unsure* counts as no microbleed.

    Attributes
    ----------
    first, second : str
    n_cases : int
        Cases that both finished.
    both, only_first, only_second, neither : int
        Lesions that both, one or none of them call a microbleed. *Neither* counts only places that at least one of
        the two marked, as a candidate rejected or an unsure finding: there is no number of places without anything.
    """

    first: str
    second: str
    n_cases: int
    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def n_lesions(self) -> int:
        """All lesions compared."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def positive_agreement(self) -> float | None:
        """2 both / (2 both + only_first + only_second), the F1 score of one reader against the other."""
        whole = 2 * self.both + self.only_first + self.only_second
        return 2 * self.both / whole if whole else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa over the lesions (Cohen 1960, doi:10.1177/001316446002000104); None where it is not defined."""
        n = self.n_lesions
        if not n:
            return None
        observed = (self.both + self.neither) / n
        yes = (self.both + self.only_first) * (self.both + self.only_second)
        no = (self.neither + self.only_second) * (self.neither + self.only_first)
        expected = (yes + no) / n**2
        return (observed - expected) / (1 - expected) if expected < 1 else None


def agreements(cases: Iterable[Sequence[Lesion]]) -> list[Agreement]:
    """Return the agreement of every pair of readers over the cases both read.

    Parameters
    ----------
    cases : iterable of sequences of Lesion
        One sequence a case, as `review_consensus.lesions_of` gives it; an empty one tells nothing about readers.
    """
    cases = [list(lesions) for lesions in cases]
    readers = sorted({reader for lesions in cases for lesion in lesions for reader in lesion.readers})
    pairs = (_agreement(first, second, cases) for first, second in itertools.combinations(readers, 2))
    return [pair for pair in pairs if pair.n_cases]


def _agreement(first: str, second: str, cases: Sequence[Sequence[Lesion]]) -> Agreement:
    counts = dict.fromkeys(((True, True), (True, False), (False, True), (False, False)), 0)
    n_cases = 0
    for lesions in cases:
        shared = [lesion for lesion in lesions if first in lesion.readers and second in lesion.readers]
        n_cases += bool(shared)
        for lesion in shared:
            if first in lesion.said or second in lesion.said:
                said = (lesion.verdict_of(first) == "microbleed", lesion.verdict_of(second) == "microbleed")
                counts[said] += 1
    order = ((True, True), (True, False), (False, True), (False, False))
    return Agreement(first, second, n_cases, *(counts[key] for key in order))
