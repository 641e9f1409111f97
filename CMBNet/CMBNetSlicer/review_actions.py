"""What each key of the review room does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from CMBNetLib.errors import InputError
from CMBNetLib.wording import number_of

if TYPE_CHECKING:
    from CMBNetSlicer.review_desk import ReviewDesk


class ReviewActions:
    """The actions of the key table, carried out on a desk; the desk stores, shows and tells what comes of them.

    Parameters
    ----------
    desk : ReviewDesk
    """

    def __init__(self, desk: ReviewDesk) -> None:
        self._desk = desk
        self._asked_to_finish: tuple[object, int] | None = None

    def _step_case(self, by: int) -> None:
        case_id = self._desk.room.neighbour(by)
        if case_id is None:
            raise InputError("This is the last case of the list." if by > 0 else "This is the first case of the list.")
        self._desk.go_to(case_id)

    def _step(self, by: int) -> None:
        if not self._desk.open_review().step(by):
            hint = self._desk.keys.key("next_case" if by > 0 else "previous_case")
            raise InputError(f"There is no further finding in this case; {hint} goes on.")

    def _next_undecided(self) -> None:
        if not self._desk.open_review().next_undecided():
            raise InputError(f"All findings are decided. {self._desk.keys.key('finish_case')} finishes the case.")

    def _finish(self) -> None:
        review = self._desk.open_review()
        asked = review, len(review.listed("undecided"))
        if asked[1] and asked != self._asked_to_finish:
            # In a consensus a candidate without a verdict would count as one that nobody marked.
            self._asked_to_finish = asked
            raise InputError(
                f"{asked[1]} findings have no verdict yet; {self._desk.keys.key('next_undecided')} goes there. "
                f"{self._desk.keys.key('finish_case')} again finishes the case all the same."
            )
        self._asked_to_finish = None
        review.finish()
        self._desk.room.refresh()
        if self._desk.room.setup.mode != "blinded" and self._desk.room.neighbour(1) is not None:
            self._step_case(1)

    def _reveal(self) -> None:
        review = self._desk.open_review()
        if self._desk.room.stale:
            self._desk.go_to(review.store.header.case_id, target=review.current)
            review = self._desk.open_review()
        joined = review.reveal()
        if review.current is None or review.finding(review.current).decided:
            review.next_undecided()
        self._desk.message = (
            f"The detector shows {number_of(len(review.source.candidates), 'candidate')}, {joined} of them yours."
        )

    def _not(self) -> None:
        review = self._desk.open_review()
        if review.current is None:
            raise InputError("No finding is chosen.")
        if self._desk.asks_for_mimic:
            self._desk.asks_for_mimic = False
            review.decide("not", mimic=self._desk.mimic)
            return
        self._desk.asks_for_mimic = True
        mimics = self._desk.room.setup.terms.mimics
        first = ", ".join(f"{self._desk.keys.key(f'mimic_{n}')} {m.name}" for n, m in enumerate(mimics[:9], start=1))
        last = self._desk.room.setup.terms.mimic(self._desk.mimic).name
        self._desk.message = f"What is it? {first}. {self._desk.keys.key('not')} again: {last}."

    def _mimic(self, number: int) -> None:
        mimics = self._desk.room.setup.terms.mimics
        if number > len(mimics):
            raise InputError(f"The list has only {len(mimics)} mimics.")
        self._desk.mimic = mimics[number - 1].id
        self._desk.asks_for_mimic = False
        self._desk.open_review().decide("not", mimic=self._desk.mimic)

    def _certainty(self, number: int) -> None:
        terms = self._desk.room.setup.terms.taxonomy.certainty
        if number > len(terms):
            raise InputError(f"The scale has only {len(terms)} certainty terms.")
        self._desk.open_review().set_certainty(terms[number - 1].id)

    def _toggle_outline(self) -> None:
        self._desk.outline_visible = not self._desk.outline_visible

    def _toggle_crosshair(self) -> None:
        self._desk.crosshair_visible = not self._desk.crosshair_visible

    def _next_volume(self) -> None:
        if (
            self._desk.case_scene is not None
            and self._desk.case_scene.second is None
            and self._desk.case_scene.prior is None
        ):
            raise InputError("This case has no second volume and no prior.")
        shown = self._desk.views.show_next()
        self._desk.message = f"Shown: {shown.GetName()}" if shown is not None else ""

    def _toggle_minip(self) -> None:
        self._desk.views.set_projection(not self._desk.views.projects)

    def _toggle_beside(self) -> None:
        if not self._desk.views.set_beside(not self._desk.views.beside):
            raise InputError("This window has no layout that could be changed.")
        self._desk.show()

    def _take(self, tool: str) -> None:
        tools = self._desk.open_tools()
        if tool in ("brush", "erase") and self._desk.views.projects and tools.tool != tool:
            raise InputError("There is no drawing on a projection. Show the slices first.")
        tools.take(tool)

    def _hand_out(self) -> None:
        if self._desk.case_scene is None or self._desk.editing:
            return
        review = self._desk.open_review()
        review.check_editable()
        self._desk.open_tools().take("none")
        self._desk.case_scene.hand_out(review)

    def _said(self, event: object, nothing: str) -> None:
        if event is None:
            raise InputError(nothing)

    def table(self) -> dict[str, Callable[[], object]]:
        """Action id of the key table -> what it does."""
        review, tools = self._desk.open_review, self._desk.open_tools
        acts: dict[str, Callable[[], object]] = {
            "next_candidate": lambda: self._step(1),
            "previous_candidate": lambda: self._step(-1),
            "next_undecided": self._next_undecided,
            "next_case": lambda: self._step_case(1),
            "previous_case": lambda: self._step_case(-1),
            "finish_case": self._finish,
            "reveal": self._reveal,
            "microbleed": lambda: review().decide("microbleed"),
            "not": self._not,
            "unsure": lambda: review().decide("unsure"),
            "certainty_1": lambda: self._certainty(1),
            "certainty_2": lambda: self._certainty(2),
            "next_region": lambda: review().step_region(1),
            "previous_region": lambda: review().step_region(-1),
            "comment": lambda: None,
            "undo": lambda: self._said(review().undo(), "Nothing to undo."),
            "redo": lambda: self._said(review().redo(), "Nothing to redo."),
            "toggle_outline": self._toggle_outline,
            "toggle_crosshair": self._toggle_crosshair,
            "toggle_second": self._next_volume,
            "toggle_minip": self._toggle_minip,
            "toggle_beside": self._toggle_beside,
            "zoom_in": lambda: self._desk.views.zoom(1),
            "zoom_out": lambda: self._desk.views.zoom(-1),
            "no_tool": lambda: tools().take("none"),
            "regrow": lambda: tools().regrow(),
            "grow": lambda: tools().resize(1),
            "shrink": lambda: tools().resize(-1),
            "split": lambda: tools().split(),
            "merge": lambda: tools().merge_nearest(),
            "delete": lambda: tools().delete(),
            "segment_editor": self._hand_out,
        }
        acts.update({f"mimic_{n}": lambda n=n: self._mimic(n) for n in range(1, 10)})  # type: ignore[misc]
        acts.update({name: lambda name=name: self._take(name) for name in ("add", "move", "brush", "erase")})  # type: ignore[misc]
        return acts
