"""The review room without its furniture: worklist, the case that is open, and where the reader stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import InputError
from .reading_clock import ReadingClock
from .reading_events import MODES, Point
from .reading_session import SessionPosition, load_position, save_position, session_path
from .readings import ReadingHeader, ReadingStore, readings_path
from .review_case import CaseReview
from .review_listing import FILTERS as FINDING_FILTERS
from .review_loading import CaseLoader, LoadedCase
from .review_terms import ReviewTerms
from .worklist import Case, Worklist
from .worklist_status import FILTERS, CaseStatus, case_status, count_candidates, filter_statuses, status_of


@dataclass(frozen=True)
class ReadingSetup:
    """Who reads, how, and with which words."""

    reader: str
    round: int = 1
    mode: str = "concurrent"
    terms: ReviewTerms = field(default_factory=ReviewTerms.default)
    anatomy: bool = True

    def __post_init__(self) -> None:
        ReadingHeader("", self.reader, self.round)
        if self.mode not in MODES:
            raise InputError(f"Unknown reading mode '{self.mode}'. Choose one of: {', '.join(MODES)}.")


class ReviewRoom:
    """Opens one case of a worklist after the other and keeps the neighbours at hand.

    Parameters
    ----------
    worklist : Worklist
    setup : ReadingSetup
    loader : CaseLoader, optional
        Reads the files.
    clock : ReadingClock, optional
        Measures the time; pause it while the window is away.

    Attributes
    ----------
    review : CaseReview or None
        The case that is open.
    loaded : LoadedCase or None
        Its files.
    filter, search : str
        What narrows the worklist.
    stale : bool
        The open case has candidates now that it had not when it was opened.
    """

    def __init__(
        self,
        worklist: Worklist,
        setup: ReadingSetup,
        loader: CaseLoader | None = None,
        clock: ReadingClock | None = None,
    ) -> None:
        self.worklist = worklist
        self.setup = setup
        self.loader = loader or CaseLoader()
        self.clock = clock or ReadingClock()
        self.review: CaseReview | None = None
        self.loaded: LoadedCase | None = None
        self.filter = "all"
        self.search = ""
        self.stale = False
        self._rows = {case.case_id: self._look_up(case) for case in worklist.cases}

    # ---- the table ----

    def rows(self) -> list[CaseStatus]:
        """The rows of the worklist that filter and search let through."""
        return filter_statuses(self._rows.values(), self.filter, self.search)

    def row(self, case_id: str) -> CaseStatus:
        """The row of a case."""
        return self._rows[case_id]

    def refresh(self, case_id: str | None = None) -> None:
        """Look the status of a case up again; by default that of the open one, without touching the disk."""
        if self.review is not None and self.loaded is not None and case_id in (None, self.loaded.case.case_id):
            case_id = self.loaded.case.case_id
            self._rows[case_id] = status_of(case_id, self.setup.reader, self.review.store.state, self._known())
        elif case_id is not None:
            self._rows[case_id] = self._look_up(self.worklist.cases[self.worklist.index(case_id)])

    # ---- opening and closing ----

    def open(self, case_id: str, *, target: str | None = None, force: bool = False) -> LoadedCase:
        """Close the open case and open another one.

        Parameters
        ----------
        target : str, optional
            Key of the finding to begin with.
        force : bool
            Take over a readings file that another program seems to have open.

        Raises
        ------
        InputError
            The scan cannot be read, or the readings do not fit it; the case that was open stays open.
        LockedError
            Another program has the readings file of the case open.
        """
        case = self.worklist.cases[self.worklist.index(case_id)]
        if self.loaded is not None and self.loaded.case == case and not self.stale:
            return self.loaded
        loaded = self.loader.get(case)
        if self.stale:
            self.close()  # else the readings file of the same case would be open already
        review = self._review(loaded, force)
        self.close()
        self.review, self.loaded = review, loaded
        if target in review.listed("all"):
            review.current = target
        self.loader.keep(self._around(case))
        if self._needs_anatomy(loaded):
            self.loader.begin_anatomy(loaded)
        self.refresh()
        return loaded

    def neighbour(self, by: int) -> str | None:
        """Return the case ``by`` rows on in the table as it is filtered; None at its end."""
        if self.loaded is None:
            rows = self.rows()
            return rows[0].case_id if rows else None
        order = [case.case_id for case in self.worklist.cases]
        shown = {row.case_id for row in self.rows() if row.status != "missing"}
        place = order.index(self.loaded.case.case_id)
        later = order[place + 1 :] if by > 0 else order[:place][::-1]
        left = [case_id for case_id in later if case_id in shown]
        return left[abs(by) - 1] if len(left) >= abs(by) else None

    def close(self) -> None:
        """Close the open case; its unsaved decisions, if the disk refused them, go with it."""
        if self.review is not None and self.loaded is not None:
            self.review.close()
            self.refresh()
        self.review = self.loaded = None
        self.stale = False

    def renew(self, case_id: str) -> None:
        """Read the files of a case again, in the background: the detector has made its candidates."""
        self.loader.forget(case_id)
        if self.loaded is not None and self.loaded.case.case_id == case_id:
            self.stale = True
        if self.loaded is not None:
            self.loader.keep(self._around(self.loaded.case))
        self.refresh(case_id)

    def leave(self) -> None:
        """Close everything."""
        self.close()
        self.loader.close()

    # ---- where the reader stopped ----

    def remember(self, view: Mapping[str, Any] | None = None) -> None:
        """Write down case, finding, filters and view; :class:`InputError` if the folder cannot be written."""
        if self.loaded is None or self.review is None:
            return
        kept = {"search": self.search, "finding_filter": self.review.filter, **(view or {})}
        position = SessionPosition(self.loaded.case.case_id, self.review.current, self.filter, kept)
        save_position(session_path(self.worklist.output_folder, self.setup.reader), position)

    def resume(self) -> Mapping[str, Any]:
        """Open the case and finding where the reader stopped, or the first case; returns the view to restore."""
        position = load_position(session_path(self.worklist.output_folder, self.setup.reader))
        known = {case.case_id for case in self.worklist.cases}
        if position is None or position.case_id not in known:
            first = next((row.case_id for row in self.rows() if row.status not in ("missing", "damaged")), None)
            if first is not None:
                self.open(first)
            return {}
        self.filter = position.filter if position.filter in FILTERS else "all"
        self.search = str(position.view.get("search", ""))
        self.open(position.case_id, target=position.target)
        wanted = position.view.get("finding_filter")
        if self.review is not None and wanted in FINDING_FILTERS:
            self.review.filter = str(wanted)
        return position.view

    def _needs_anatomy(self, loaded: LoadedCase) -> bool:
        """Whether regions will be asked for that the source of the candidates does not tell.

        It takes seconds of a core, so it is not found for a case whose candidates have their regions; the first
        finding that a reader adds there begins it.
        """
        candidates = loaded.source.candidates
        told = bool(candidates) and all(candidate.anatomy is not None for candidate in candidates)
        return self.setup.anatomy and not (told and self.setup.mode == "concurrent")

    def _look_up(self, case: Case) -> CaseStatus:
        setup = self.setup
        return case_status(case, setup.reader, setup.round, blinded=setup.mode == "blinded")

    def _known(self) -> int | None:
        """How many candidates the open case has, as far as its reader may know."""
        assert self.loaded is not None
        assert self.review is not None
        if self.setup.mode == "blinded" and not self.review.shows_candidates:
            return None
        count = len(self.loaded.source.candidates)
        return count if count or self.loaded.case.candidates else count_candidates(self.loaded.case)

    def _review(self, loaded: LoadedCase, force: bool) -> CaseReview:
        setup, case = self.setup, loaded.case
        header = ReadingHeader(case.case_id, setup.reader, setup.round, loaded.fingerprint)
        path = readings_path(case.folder, setup.reader, setup.round)
        store = ReadingStore(path, header, mode=setup.mode, force=force)
        locate: Callable[[Point], str | None] | None = None
        if setup.anatomy:
            locate = lambda point: self.loader.locate(loaded, point)  # noqa: E731
        try:
            return CaseReview(store, loaded.source, setup.terms, self.clock, locate)
        except InputError:
            store.close()
            raise

    def _around(self, case: Case) -> list[Case]:
        """The case, then the ones a key press away."""
        cases = [case]
        for by in (1, -1):
            case_id = self._neighbour_of(case, by)
            if case_id is not None:
                cases.append(self.worklist.cases[self.worklist.index(case_id)])
        return cases

    def _neighbour_of(self, case: Case, by: int) -> str | None:
        return self.neighbour(by) if self.loaded is not None and self.loaded.case == case else None
