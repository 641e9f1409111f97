"""The findings of a case in the order in which a reader meets them, kept until something changes."""

from __future__ import annotations

from .errors import InputError
from .reading_events import candidate_key
from .reading_state import Finding, ReadingState
from .review_candidates import CandidateSource

FILTERS = ("all", "undecided", "microbleed", "not", "unsure", "added")


class FindingList:
    """Candidates in the source's order, then added findings.

    With 300 candidates a walk through all of them takes 10 ms, and a key press would need several; states never
    change, so that what was listed for one holds until the next.

    Parameters
    ----------
    source : CandidateSource
    """

    def __init__(self, source: CandidateSource) -> None:
        self._source = source
        self._keys = [candidate_key(number) for number in source.shown_ids]
        self._state: ReadingState | None = None
        self._lists: dict[tuple[str, bool], list[str]] = {}
        self._completed: dict[str, tuple[Finding | None, Finding]] = {}

    def listed(self, state: ReadingState, name: str, *, candidates: bool) -> list[str]:
        """Return the keys that a filter lets through; without `candidates` only of what the reader added.

        Raises
        ------
        InputError
            Unknown filter.
        """
        if name not in FILTERS:
            raise InputError(f"Unknown filter '{name}'. Choose one of: {', '.join(FILTERS)}.")
        if state is not self._state:
            self._state, self._lists = state, {}
        if (name, candidates) not in self._lists:
            keys = list(self._keys) if candidates else []
            keys += [found.key for found in state.findings.values() if found.candidate is None]
            findings = ((key, self._said(state, key)) for key in keys)
            self._lists[name, candidates] = [key for key, found in findings if found.present and _passes(found, name)]
        return list(self._lists[name, candidates])

    def complete(self, state: ReadingState, key: str) -> Finding:
        """Return a finding with the position and outline of its source where the reader said nothing."""
        said = state.findings.get(key)
        kept = self._completed.get(key)
        if kept is None or kept[0] is not said:
            kept = self._completed[key] = said, self._source.complete(state.finding(key))
        return kept[1]

    def _said(self, state: ReadingState, key: str) -> Finding:
        return state.findings.get(key) or self.complete(state, key)


def _passes(found: Finding, name: str) -> bool:
    if name == "all":
        return True
    if name == "undecided":
        return not found.decided
    if name == "added":
        return found.candidate is None
    return found.verdict == name
