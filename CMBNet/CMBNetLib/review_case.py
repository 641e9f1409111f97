"""One case under review: which finding is shown, what can be decided on it, and what that writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .errors import InputError
from .reading_clock import ReadingClock
from .reading_events import Event, Part, Point, candidate_key, candidate_of
from .reading_mask import ReadingMask
from .reading_state import Finding
from .readings import ReadingsNotSavedError, ReadingStore
from .review_candidates import NO_CANDIDATES, CandidateSource, ReviewCandidate
from .review_listing import FindingList
from .review_terms import ReviewTerms

# A glance shorter than this while paging through is not worth a line in the file.
SHORTEST_VISIT_S = 0.2
# A reader's own mark this close to a candidate is the same lesion (STRIVE: a microbleed is at most 10 mm wide).
SAME_LESION_MM = 5.0


class CaseReview:
    """The reading of one case.

    Parameters
    ----------
    store : ReadingStore
        Where every act goes; its mode decides what is shown: *blinded* shows the candidates only once the case is
        finished, *second reader* when `reveal` asks for them, *concurrent* from the start.
    source : CandidateSource
        The candidates.
    terms : ReviewTerms
        Words to choose from.
    clock : ReadingClock
        Measures the time for each finding.
    locate : callable, optional
        RAS point -> region or structure, to pre-fill the region of findings whose source does not say.

    Attributes
    ----------
    current : str or None
        Key of the finding on show.
    filter : str
        One of `review_listing.FILTERS`.
    trouble : str or None
        Why the last decisions are only in memory; the reading goes on meanwhile.

    Raises
    ------
    InputError
        The readings were made on candidates of another source.
    """

    def __init__(
        self,
        store: ReadingStore,
        source: CandidateSource = NO_CANDIDATES,
        terms: ReviewTerms | None = None,
        clock: ReadingClock | None = None,
        locate: Callable[[Point], str | None] | None = None,
    ) -> None:
        self.store = store
        self.source = source
        self.terms = terms or ReviewTerms.default()
        self.clock = clock or ReadingClock()
        self.filter = "all"
        self.current: str | None = None
        self.trouble: str | None = None
        self._locate = locate
        self._list = FindingList(source)
        if store.mode == "blinded" and store.state.revealed:
            store.mode = "second reader"  # what follows is no longer blind
        self._check_source()
        keys = self.listed()
        self.current = keys[0] if keys else None

    # ---- what is there ----

    @property
    def shows_candidates(self) -> bool:
        """True if the mode lets the reader see the candidates now."""
        return self.store.mode == "concurrent" or self.store.state.revealed

    def listed(self, name: str | None = None) -> list[str]:
        """Return the findings that a filter lets through: candidates in the source's order, then added ones."""
        return self._list.listed(self.store.state, name or self.filter, candidates=self.shows_candidates)

    def finding(self, key: str) -> Finding:
        """Return a finding with the position, outline and region of its source where the reader said nothing."""
        found = self.outlined(key)
        return found if found.region is not None else replace(found, region=self._likely_region(found))

    def outlined(self, key: str) -> Finding:
        """Return a finding as `finding` does, without looking for its region: for drawing hundreds of them."""
        return self._list.complete(self.store.state, key)

    def score(self, key: str) -> float | None:
        """Return the score of a candidate; None for added findings and sources without scores."""
        candidate = self._candidate(key)
        return candidate.score if candidate is not None else None

    def counts(self) -> tuple[int, int]:
        """(decided, all) findings that are shown."""
        keys = self.listed("all")
        return len(keys) - len(self.listed("undecided")), len(keys)

    # ---- going from one to the next ----

    def go(self, key: str) -> None:
        """Show a finding; :class:`InputError` if it is not there."""
        if key not in self.listed("all"):
            raise InputError(f"The finding {key} is not in this case.")
        if key != self.current:
            self._leave()
        self.current = key

    def step(self, by: int) -> bool:
        """Show the next (1) or previous (-1) finding of the filter; False at the end of the list."""
        keys = self.listed()
        if not keys:
            return False
        if self.current in keys:
            index = keys.index(self.current) + by
        else:
            index = self._place_among(keys, by)
        if not 0 <= index < len(keys):
            return False
        self.go(keys[index])
        return True

    def next_undecided(self) -> bool:
        """Show the next finding without a verdict, beginning anew at the end; False if all are decided."""
        undecided = self.listed("undecided")
        if not undecided:
            return False
        order = self.listed("all")
        place = order.index(self.current) if self.current in order else -1
        after = [key for key in undecided if order.index(key) > place]
        self.go((after or undecided)[0])
        return True

    # ---- deciding ----

    def decide(self, verdict: str, *, certainty: str | None = None, mimic: str | None = None) -> None:
        """Give the current finding a verdict; a *not* needs its mimic, other verdicts a certainty (the first term)."""
        found = self.finding(self._need_current())
        if verdict == "not":
            mimic = self.terms.mimic(mimic).id if mimic else None
        else:
            certainty = self.terms.certainty_term(certainty or found.certainty).id
        certainty = None if verdict == "not" else certainty
        self._act("decide", verdict=verdict, certainty=certainty, mimic=mimic, region=found.region)

    def set_certainty(self, certainty: str) -> None:
        """Change how sure the verdict is; without a verdict yet it becomes a microbleed of that certainty."""
        found = self.finding(self._need_current())
        if found.verdict == "not":
            raise InputError("A rejected candidate has no certainty. Call it a microbleed or unsure first.")
        self.decide(found.verdict or "microbleed", certainty=certainty)

    def set_region(self, region: str) -> None:
        """Say where the current finding lies."""
        self._act("region", region=self.terms.taxonomy.site(region).id)

    def step_region(self, by: int) -> None:
        """Take the next (1) or previous (-1) region of the list."""
        sites = [site.id for site in self.terms.taxonomy.sites]
        region = self.finding(self._need_current()).region
        index = sites.index(region) + by if region in sites else (0 if by > 0 else -1)
        self._act("region", region=sites[index % len(sites)])

    def comment(self, text: str) -> None:
        """Write a comment on the current finding; an empty one removes it."""
        self._act("comment", comment=text.strip())

    # ---- editing ----

    def add(self, point_ras: Point, mask: ReadingMask | None = None) -> str:
        """Add a finding that the reader saw, as a microbleed, and show it; returns its key."""
        event = Event(
            "add",
            point_ras=_plain(point_ras),
            verdict="microbleed",
            certainty=self.terms.taxonomy.certainty[0].id,
            region=self._region_at(_plain(point_ras)),
            mask=mask,
            seconds=self.clock.take(),
        )
        stored = self._append(event)
        self.current = stored.key
        return str(stored.key)

    def move(self, point_ras: Point) -> None:
        """Move the current finding; where the source put it is kept."""
        self._act("move", moved_to_ras=_plain(point_ras))

    def set_mask(self, mask: ReadingMask | None) -> None:
        """Give the current finding an outline, or take its outline away."""
        self.check_editable()
        self._act("mask", mask=mask)

    def split(self, stays: ReadingMask, parts: Sequence[Part]) -> None:
        """Leave ``stays`` to the current finding and make the parts findings of their own."""
        self.check_editable()
        self._act("split", mask=stays, parts=tuple(parts))

    def merge(self, others: Sequence[str], mask: ReadingMask) -> None:
        """Take other findings into the current one, whose outline becomes ``mask``."""
        self.check_editable()
        self._act("merge", others=tuple(others), mask=mask)

    def delete(self) -> None:
        """Take an added finding away again and show its neighbour."""
        key = self._need_current()
        if candidate_of(key) is not None:
            raise InputError("A candidate is rejected as a mimic, not deleted: say what it is.")
        keys = self.listed("all")
        place = keys.index(key) if key in keys else 0
        self._act("delete")
        left = self.listed("all")
        self.current = left[min(place, len(left) - 1)] if left else None

    def check_editable(self) -> None:
        """Refuse to outline what is no microbleed: the row would contradict itself (:class:`InputError`)."""
        if self.finding(self._need_current()).verdict == "not":
            raise InputError("This finding was rejected, so its outline is locked. Take the verdict back first.")

    # ---- the session ----

    def undo(self) -> Event | None:
        """Take back the last act and show what it was about; None if there is nothing to undo."""
        return self._reverse(self.store.state.undoable, self.store.undo)

    def redo(self) -> Event | None:
        """Bring back the act undone last and show it; None if there is nothing to redo."""
        return self._reverse(self.store.state.redoable, self.store.redo)

    def reveal(self) -> int:
        """Show the candidates and join them with the reader's own marks; returns how many were joined.

        Raises
        ------
        InputError
            In a blinded reading before the case is finished.
        """
        if self.store.mode == "blinded" and not self.store.state.finished:
            raise InputError("This reading is blinded: finish the case first, then the detector can be shown.")
        if self.shows_candidates:
            return 0
        self._append(Event("reveal", seconds=self.clock.take()))
        if self.store.mode == "blinded":
            self.store.mode = "second reader"
        return self._join_own_marks()

    def finish(self) -> None:
        """Declare the case done; microbleeds decided before the anatomy was known get the region shown for them."""
        for found in self.store.state.microbleeds():
            region = self.finding(found.key).region
            if found.region is None and region is not None:
                self._append(Event("region", target=found.key, candidate=found.candidate, region=region))
        self._append(Event("finish", target=self.current, seconds=self.clock.take()))

    def reopen(self) -> None:
        """Go on with a case that was declared done."""
        self._append(Event("reopen"))

    def close(self) -> None:
        """Store the time of the finding on show and close the file."""
        self._leave()
        self.store.close()

    # ---- inside ----

    def _act(self, kind: str, **fields: Any) -> Event:
        key = self._need_current()
        candidate = self._candidate(key)
        point = candidate.point_ras if candidate is not None else None
        number = candidate.id if candidate is not None else None
        return self._append(
            Event(kind, target=key, candidate=number, point_ras=point, seconds=self.clock.take(), **fields)
        )

    def _append(self, event: Event) -> Event:
        self._store(lambda: self.store.append(event))
        self._follow()
        return self.store.events[-1]

    def _store(self, act: Callable[[], object]) -> None:
        """Do what writes to the store; a disk that refuses is told by `trouble` and does not stop the reader."""
        try:
            act()
        except ReadingsNotSavedError as error:
            self.trouble = str(error)
        else:
            self.trouble = None

    def _follow(self) -> None:
        """Choose another finding where the one on show is gone."""
        keys = self.listed("all")
        if self.current not in keys:
            self.current = keys[0] if keys else None

    def _leave(self) -> None:
        seconds = self.clock.take()
        if self.current is not None and seconds >= SHORTEST_VISIT_S:
            self._append(Event("visit", target=self.current, seconds=seconds))

    def _reverse(self, numbers: tuple[int, ...], act: Callable[[float], object]) -> Event | None:
        if not numbers:
            return None
        event = self.store.events[numbers[-1] - 1]
        self._store(lambda: act(self.clock.take()))
        if event.key in self.listed("all"):
            self.current = event.key
        self._follow()
        return event

    def _need_current(self) -> str:
        if self.current is None:
            raise InputError("No finding is chosen. Go to a candidate, or add one by a click.")
        return self.current

    def _candidate(self, key: str) -> ReviewCandidate | None:
        number = candidate_of(key)
        return self.source.by_id.get(number) if number is not None else None

    def _place_among(self, keys: list[str], by: int) -> int:
        """Where to go from a finding that the filter hides: to its nearest neighbour in that direction."""
        order = self.listed("all")
        place = order.index(self.current) if self.current in order else -1
        before = sum(order.index(key) < place for key in keys)
        return before if by > 0 else before - 1

    def _likely_region(self, found: Finding) -> str | None:
        candidate = self._candidate(found.key)
        if candidate is not None and candidate.anatomy is not None:
            return self.terms.region_of(candidate.anatomy)
        return self._region_at(found.position_ras) if found.position_ras is not None else None

    def _region_at(self, point: Point) -> str | None:
        anatomy = self._locate(point) if self._locate is not None else None
        return self.terms.region_of(anatomy) if anatomy is not None else None

    def _check_source(self) -> None:
        stored = self.store.state.source
        about = any(found.candidate is not None for found in self.store.state.findings.values())
        if stored is not None and stored != self.source.name and about:
            raise InputError(
                f"The readings of {self.store.header.case_id} were made on the candidates of '{stored}', not of "
                f"'{self.source.name}'. Bring back those candidates, or read the case in a new round."
            )
        if stored != self.source.name:
            self._append(Event("source", source=self.source.name))

    def _join_own_marks(self) -> int:
        joined = 0
        for own in self.store.state.added():
            close = [key for key in self._candidates_at(own) if self.store.state.finding(key).present]
            masks = [mask for mask in (own.mask, *(self.finding(key).mask for key in close)) if mask is not None]
            if close and masks:
                self._append(Event("merge", target=own.key, others=tuple(close), mask=masks[0]))
                joined += len(close)
        return joined

    def _candidates_at(self, own: Finding) -> list[str]:
        assert own.position_ras is not None
        return [
            candidate_key(candidate.id)
            for candidate in self.source.candidates
            if _distance(candidate.point_ras, own.position_ras) <= SAME_LESION_MM
        ]


def _plain(point: Point) -> Point:
    x, y, z = point
    return round(float(x), 4), round(float(y), 4), round(float(z), 4)


def _distance(first: Point, second: Point) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5)
