"""The reader's desk: worklist, open case, scene, tool; every key of the room is an action of it. No Qt here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from CMBNetLib.errors import CMBNetError, InputError
from CMBNetLib.review_case import CaseReview
from CMBNetLib.review_keys import KeyBindings
from CMBNetLib.review_room import ReviewRoom
from CMBNetLib.review_tools import ReviewTools
from CMBNetSlicer.review_actions import ReviewActions
from CMBNetSlicer.review_lesion_node import LesionNode
from CMBNetSlicer.review_scene import CaseScene
from CMBNetSlicer.review_views import ReviewViews

Point = tuple[float, float, float]
# Actions that leave an outline being grown, or in the Segment Editor's hand, as it is; all others store it first.
_LOOKING = {
    "toggle_outline", "toggle_crosshair", "toggle_second", "toggle_minip", "toggle_beside", "zoom_in", "zoom_out",
}  # fmt: skip
_TOLERANCE = {"grow", "shrink"}


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
    in_view : bool
        The reader is in the room: the views are its own.
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
        self.editing = False
        self.in_view = True
        self._scene = scene
        self._on_change = on_change
        self._acts = ReviewActions(self).table()

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
        self._guarded(lambda: self.go_to(case_id, force))

    def close(self) -> None:
        """Close the case and the room; the scene is as it was before."""
        self.settle()
        self._remember()
        self._clear()
        self.room.leave()
        self.views.give_back()

    # ---- actions ----

    def act(self, action_id: str) -> None:
        """Carry out the action of a key."""
        if action_id not in self._acts:
            raise InputError(f"There is no action '{action_id}'.")
        self.editing = self.lesion is not None
        keeps = action_id in _LOOKING or (action_id in _TOLERANCE and not self.editing)
        self._guarded(self._acts[action_id], commit=not keeps)

    def decide(self, verdict: str, mimic: str | None = None) -> None:
        """Give the finding on show a verdict."""
        if mimic is not None:
            self.mimic = mimic
        self._guarded(lambda: self.open_review().decide(verdict, mimic=mimic))

    def change(self, act: Callable[[CaseReview], object]) -> None:
        """Do something to the open case, such as a choice in a list of the panel."""
        self._guarded(lambda: act(self.open_review()))

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

    @property
    def lesion(self) -> LesionNode | None:
        """What the Segment Editor has in hand."""
        return self.case_scene.lesion if self.case_scene is not None else None

    def settle(self) -> None:
        """Store what is only shown so far: an outline being grown, and what the Segment Editor has in hand."""
        self._guarded(lambda: None)

    def discard_lesion(self) -> None:
        """Take the lesion from the Segment Editor without what was done to it there."""
        if self.case_scene is not None:
            self.case_scene.put_back()
        self.settle()

    # ---- the mouse ----

    def press(self, point_ras: Point, normal_ras: Point, projected: bool = False) -> bool:
        """A click in a slice view; ``projected`` where it shows the minimum of a slab."""
        if self.tools is None or self.tools.tool == "none":
            return False
        self.tools.on_projection = projected
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
        if self.in_view:
            center = self._views_retaken() or center
        preview = self.tools.preview if self.tools is not None else None
        self.case_scene.outlines.visible = self.outline_visible
        self.case_scene.crosshair.visible = self.crosshair_visible
        self.case_scene.show(self.review, center=center, preview=preview)

    def _guarded(self, act: Callable[[], object], *, commit: bool = True) -> None:
        self.message = ""
        before = self._place()
        try:
            if commit:
                self._commit()
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

    def _commit(self) -> None:
        lesion = self.lesion
        if lesion is not None and self.case_scene is not None:
            try:
                masks = lesion.masks()
            except InputError as error:
                raise InputError(f"{error} Undo that in the Segment Editor, or discard the edit.") from error
            self.case_scene.put_back()
            self.open_tools().take_over(masks)
        if self.tools is not None:
            self.tools.commit()

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

    def go_to(self, case_id: str, force: bool = False, target: str | None = None) -> None:
        """Open a case for an action: problems are raised, and told by who asked for it."""
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
        problems = [*review.store.problems, *loaded.problems]
        self.message = " ".join(problems)
        self.show()

    def _views_retaken(self) -> bool:
        """Whether the scene or the views had to be set anew, after what somebody else did to them."""
        # What the Segment Editor has in hand is stored first.
        if not self.case_scene.complete and self.lesion is None:
            self._remake_scene()
            return True
        if self.views.taken:  # by a detection, a file that was dropped, another module
            self.views.refresh()
            return True
        return False

    def _remake_scene(self) -> None:
        """Show the case anew after somebody took a node of it out of the scene: its findings are not in the scene."""
        self.message = "Something of this case was removed from the scene; it is shown anew."
        loaded = self.case_scene.loaded
        self.case_scene.close()
        self.case_scene = CaseScene(self._scene, loaded, self.views)
        self.case_scene.outlines.visible = self.outline_visible

    def _clear(self) -> None:
        if self.case_scene is not None:
            self.case_scene.close()
        self.case_scene = self.tools = None

    def open_review(self) -> CaseReview:
        """Return the reading of the open case; :class:`InputError` without one."""
        if self.review is None:
            raise InputError("No case is open. Open one from the worklist.")
        return self.review

    def open_tools(self) -> ReviewTools:
        """Return the tools of the open case; :class:`InputError` without one."""
        if self.tools is None:
            raise InputError("No case is open. Open one from the worklist.")
        return self.tools

    def _remember(self) -> None:
        view = {**self.views.state(), "outline": self.outline_visible, "crosshair": self.crosshair_visible}
        try:
            self.room.remember(view)
        except InputError as error:
            self.message = f"{self.message} Where you stopped cannot be kept: {error}".strip()
