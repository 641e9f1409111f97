"""The reader's desk: worklist, open case, scene, tool; every key of the room is an action of it. No Qt here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from CMBNetLib.errors import CMBNetError, InputError
from CMBNetLib.review_case import CaseReview
from CMBNetLib.review_keys import KeyBindings
from CMBNetLib.review_room import ReviewRoom
from CMBNetLib.review_tools import ReviewTools
from CMBNetSlicer.review_scene import CaseScene
from CMBNetSlicer.review_views import ReviewViews

Point = tuple[float, float, float]
# Actions that leave an outline being grown as it is; all others store it first.
_KEEP_PREVIEW = {
    "grow", "shrink", "toggle_outline", "toggle_crosshair", "toggle_second", "toggle_minip", "zoom_in", "zoom_out",
}  # fmt: skip


class ReviewDesk:
    """Carries out actions on the open case and shows the result in the scene.

    Parameters
    ----------
    scene
        The MRML scene.
    room : ReviewRoom
    keys : KeyBindings
        For the hints in messages.
    on_change : callable
        Called after every action; the panel then reads `message` and what it shows.

    Attributes
    ----------
    message : str
        What to tell the reader about the last action.
    mimic : str
        Id of the mimic that *not* takes when it is pressed twice.
    asks_for_mimic : bool
        *Not* was pressed, and what the finding is instead is still to be said.
    """

    def __init__(
        self,
        scene: Any,
        room: ReviewRoom,
        keys: KeyBindings | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.room = room
        self.keys = keys or KeyBindings()
        self.views = ReviewViews(scene)
        self.case_scene: CaseScene | None = None
        self.tools: ReviewTools | None = None
        self.message = ""
        self.mimic = room.setup.terms.mimics[0].id
        self.asks_for_mimic = False
        self.outline_visible = True
        self.crosshair_visible = True
        self._scene = scene
        self._on_change = on_change
        self._acts = self._table()

    @property
    def review(self) -> CaseReview | None:
        """The reading of the open case."""
        return self.room.review

    # ---- cases ----

    def resume(self) -> None:
        """Open the case, finding and view where the reader stopped."""
        self._guarded(self._resume)

    def open(self, case_id: str, *, force: bool = False) -> None:
        """Open a case; a problem is told and the open case stays."""
        self._guarded(lambda: self._open(case_id, force))

    def close(self) -> None:
        """Close the case and the room; the scene is as it was before."""
        if self.tools is not None:
            self.tools.commit()
        self._remember()
        self._clear()
        self.room.leave()
        self.views.give_back()

    # ---- actions ----

    def act(self, action_id: str) -> None:
        """Carry out the action of a key."""
        if action_id not in self._acts:
            raise InputError(f"There is no action '{action_id}'.")
        self._guarded(self._acts[action_id], commit=action_id not in _KEEP_PREVIEW)

    def decide(self, verdict: str, mimic: str | None = None) -> None:
        """Give the finding on show a verdict."""
        if mimic is not None:
            self.mimic = mimic
        self._guarded(lambda: self._open_review().decide(verdict, mimic=mimic))

    def change(self, act: Callable[[CaseReview], object]) -> None:
        """Do something to the open case, such as a choice in a list of the panel."""
        self._guarded(lambda: act(self._open_review()))

    def edit(self, act: Callable[[ReviewTools], object]) -> bool:
        """Do something with the tool; returns what it returned."""
        result: list[object] = []

        def run() -> None:
            if self.tools is None:
                raise InputError("No case is open.")
            result.append(act(self.tools))

        self._guarded(run, commit=False)
        return bool(result and result[0])

    def detected(self, case_id: str) -> None:
        """The detector has finished a case."""
        self.room.renew(case_id)
        if self.room.stale:
            self.message = f"The detector has finished this case; {self.keys.key('reveal')} shows its candidates."
        self._on_change()

    # ---- the mouse ----

    def press(self, point_ras: Point, normal_ras: Point) -> bool:
        """A click in a slice view."""
        if self.tools is None or self.tools.tool == "none":
            return False
        self.edit(lambda tools: tools.press(point_ras, normal_ras))
        return True

    def drag(self, point_ras: Point, normal_ras: Point) -> bool:
        """A stroke goes on."""
        if self.tools is None or not self.tools.drawing:
            return False
        return self.edit(lambda tools: tools.drag(point_ras, normal_ras))

    def release(self) -> bool:
        """A stroke ends."""
        if self.tools is None or not self.tools.drawing:
            return False
        return self.edit(lambda tools: tools.release())

    def wheel(self, clicks: float) -> bool:
        """The wheel turns while an outline is grown."""
        if self.tools is None or not self.tools.growing:
            return False
        return self.edit(lambda tools: tools.wheel(clicks))

    # ---- inside ----

    def show(self, *, center: bool = True) -> None:
        """Show the finding on show."""
        if self.case_scene is None or self.review is None:
            return
        preview = self.tools.preview if self.tools is not None else None
        self.case_scene.outlines.visible = self.outline_visible
        self.case_scene.crosshair.visible = self.crosshair_visible
        self.case_scene.show(self.review, center=center, preview=preview)

    def _guarded(self, act: Callable[[], object], *, commit: bool = True) -> None:
        self.message = ""
        before = self._place()
        try:
            if commit and self.tools is not None:
                self.tools.commit()
            act()
        except CMBNetError as error:
            self.message = str(error)
            done = False
        else:
            done = True
        now = self._place()
        if done or now != before:
            self.show(center=now != before)
        if now[:2] != before[:2]:
            self.asks_for_mimic = False
            self._remember()
        if self.review is not None and self.review.trouble:
            self.message = self.review.trouble
        self._on_change()

    def _place(self) -> tuple[CaseReview | None, str | None, Point | None]:
        """Case, finding and position on show."""
        review = self.review
        if review is None or review.current is None:
            return review, None, None
        return review, review.current, review.finding(review.current).position_ras

    def _resume(self) -> None:
        state = dict(self.room.resume())
        self._enter_case()
        self.views.restore(state)
        self.outline_visible = bool(state.get("outline", True))
        self.crosshair_visible = bool(state.get("crosshair", True))

    def _open(self, case_id: str, force: bool = False, target: str | None = None) -> None:
        self.room.open(case_id, force=force, target=target)
        self._enter_case()

    def _enter_case(self) -> None:
        loaded, review = self.room.loaded, self.room.review
        if loaded is None or review is None:
            raise InputError("The worklist holds no case that can be opened.")
        if self.case_scene is not None and self.case_scene.loaded is loaded:
            return
        self._clear()
        self.case_scene = CaseScene(self._scene, loaded, self.views)
        self.tools = ReviewTools(review, loaded.scan)
        self.tools.on_projection = self.views.projects
        problems = [*review.store.problems, *loaded.problems]
        self.message = " ".join(problems)
        self.show()

    def _clear(self) -> None:
        if self.case_scene is not None:
            self.case_scene.close()
        self.case_scene = self.tools = None

    def _step_case(self, by: int) -> None:
        case_id = self.room.neighbour(by)
        if case_id is None:
            raise InputError("This is the last case of the list." if by > 0 else "This is the first case of the list.")
        self._open(case_id)

    def _step(self, by: int) -> None:
        if not self._open_review().step(by):
            hint = self.keys.key("next_case" if by > 0 else "previous_case")
            raise InputError(f"There is no further finding in this case; {hint} goes on.")

    def _next_undecided(self) -> None:
        if not self._open_review().next_undecided():
            raise InputError(f"All findings are decided. {self.keys.key('finish_case')} finishes the case.")

    def _finish(self) -> None:
        self._open_review().finish()
        self.room.refresh()
        if self.room.setup.mode != "blinded" and self.room.neighbour(1) is not None:
            self._step_case(1)

    def _reveal(self) -> None:
        review = self._open_review()
        if self.room.stale:
            self._open(review.store.header.case_id, target=review.current)
            review = self._open_review()
        joined = review.reveal()
        if review.current is None or review.finding(review.current).decided:
            review.next_undecided()
        self.message = f"The detector shows {len(review.source.candidates)} candidates, {joined} of them are yours."

    def _not(self) -> None:
        review = self._open_review()
        if review.current is None:
            raise InputError("No finding is chosen.")
        if self.asks_for_mimic:
            self.asks_for_mimic = False
            review.decide("not", mimic=self.mimic)
            return
        self.asks_for_mimic = True
        mimics = self.room.setup.terms.mimics
        first = ", ".join(f"{self.keys.key(f'mimic_{n}')} {m.name}" for n, m in enumerate(mimics[:9], start=1))
        last = self.room.setup.terms.mimic(self.mimic).name
        self.message = f"What is it? {first}. {self.keys.key('not')} again: {last}."

    def _mimic(self, number: int) -> None:
        mimics = self.room.setup.terms.mimics
        if number > len(mimics):
            raise InputError(f"The list has only {len(mimics)} mimics.")
        self.mimic = mimics[number - 1].id
        self.asks_for_mimic = False
        self._open_review().decide("not", mimic=self.mimic)

    def _certainty(self, number: int) -> None:
        terms = self.room.setup.terms.taxonomy.certainty
        if number > len(terms):
            raise InputError(f"The scale has only {len(terms)} certainty terms.")
        self._open_review().set_certainty(terms[number - 1].id)

    def _toggle_outline(self) -> None:
        self.outline_visible = not self.outline_visible

    def _toggle_crosshair(self) -> None:
        self.crosshair_visible = not self.crosshair_visible

    def _next_volume(self) -> None:
        if self.case_scene is not None and self.case_scene.second is None and self.case_scene.prior is None:
            raise InputError("This case has no second volume and no prior.")
        shown = self.views.show_next()
        self.message = f"Shown: {shown.GetName()}" if shown is not None else ""

    def _toggle_minip(self) -> None:
        self.views.set_projection(not self.views.projects)
        self._open_tools().on_projection = self.views.projects

    def _take(self, tool: str) -> None:
        tools = self._open_tools()
        if tool in ("brush", "erase") and tools.on_projection and tools.tool != tool:
            raise InputError("There is no drawing on a projection. Show the slices first.")
        tools.take(tool)

    def _open_review(self) -> CaseReview:
        if self.review is None:
            raise InputError("No case is open. Open one from the worklist.")
        return self.review

    def _open_tools(self) -> ReviewTools:
        if self.tools is None:
            raise InputError("No case is open. Open one from the worklist.")
        return self.tools

    def _remember(self) -> None:
        view = {**self.views.state(), "outline": self.outline_visible, "crosshair": self.crosshair_visible}
        try:
            self.room.remember(view)
        except InputError as error:
            self.message = f"{self.message} Where you stopped cannot be kept: {error}".strip()

    def _table(self) -> dict[str, Callable[[], object]]:
        review, tools = self._open_review, self._open_tools
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
            "zoom_in": lambda: self.views.zoom(1),
            "zoom_out": lambda: self.views.zoom(-1),
            "no_tool": lambda: tools().take("none"),
            "regrow": lambda: tools().regrow(),
            "grow": lambda: tools().resize(1),
            "shrink": lambda: tools().resize(-1),
            "split": lambda: tools().split(),
            "merge": lambda: tools().merge_nearest(),
            "delete": lambda: tools().delete(),
        }
        acts.update({f"mimic_{n}": lambda n=n: self._mimic(n) for n in range(1, 10)})  # type: ignore[misc]
        acts.update({name: lambda name=name: self._take(name) for name in ("add", "move", "brush", "erase")})  # type: ignore[misc]
        return acts

    def _said(self, event: object, nothing: str) -> None:
        if event is None:
            raise InputError(nothing)
