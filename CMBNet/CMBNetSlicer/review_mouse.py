"""Mouse in the slice views: clicks, strokes and wheel go to the tool in hand, all else to Slicer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from vtk import vtkCommand

Point = tuple[float, float, float]
# Before Slicer's own interaction, which has priority 0.
_PRIORITY = 10.0


class Hand(Protocol):
    """What takes the mouse; every method returns whether it used what happened."""

    def press(self, point_ras: Point, normal_ras: Point, projected: bool) -> bool: ...
    def drag(self, point_ras: Point, normal_ras: Point) -> bool: ...
    def release(self) -> bool: ...
    def wheel(self, clicks: float) -> bool: ...


class SliceMouse:
    """Observes the interactors of slice views while the room is open."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self._observed: list[tuple[Any, int]] = []

    def attach(self, interactor: Any, slice_node: Any) -> None:
        """Listen to one view, once."""
        if any(interactor is known for known, _tag in self._observed):
            return
        # The second of two fast clicks comes as a double click instead of a press; with a tool in hand it is a dab too.
        for event in ("LeftButtonPressEvent", "LeftButtonDoubleClickEvent"):
            self._listen(interactor, event, lambda: self._pressed(interactor, slice_node))
        self._listen(interactor, "MouseMoveEvent", lambda: self._hand.drag(*place(interactor, slice_node)))
        self._listen(interactor, "LeftButtonReleaseEvent", self._hand.release)
        self._listen(interactor, "MouseWheelForwardEvent", lambda: self._hand.wheel(1.0))
        self._listen(interactor, "MouseWheelBackwardEvent", lambda: self._hand.wheel(-1.0))

    def detach(self) -> None:
        """Listen no more."""
        for interactor, tag in self._observed:
            interactor.RemoveObserver(tag)
        self._observed.clear()

    def _pressed(self, interactor: Any, slice_node: Any) -> bool:
        return self._hand.press(*place(interactor, slice_node), bool(slice_node.GetSlabReconstructionEnabled()))

    def _listen(self, interactor: Any, event: str, act: Callable[[], bool]) -> None:
        tags: list[int] = []

        def happened(*_: Any) -> None:
            if act():
                interactor.GetCommand(tags[0]).AbortFlagOn()

        tags.append(interactor.AddObserver(getattr(vtkCommand, event), happened, _PRIORITY))
        self._observed.append((interactor, tags[0]))


def place(interactor: Any, slice_node: Any) -> tuple[Point, Point]:
    """Return the RAS position of the mouse in a slice view, and the normal of the slice."""
    x, y = interactor.GetEventPosition()
    ras = slice_node.GetXYToRAS().MultiplyPoint((x, y, 0.0, 1.0))
    matrix = slice_node.GetSliceToRAS()
    normal = tuple(matrix.GetElement(row, 2) for row in range(3))
    return (ras[0], ras[1], ras[2]), (normal[0], normal[1], normal[2])
