"""What the slice views show of a case: scan, second volume, one point, one field of view in mm, a projection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import vtk

from CMBNetLib.review_tools import PROJECTION_MM
from CMBNetSlicer.scene_nodes import nodes_of_class
from CMBNetSlicer.slice_jump import FIELD_OF_VIEW_MM, jump_to, set_field_of_view

MAIN_VIEWS = ("Red", "Yellow", "Green")
LEAST_FIELD_MM, LARGEST_FIELD_MM = 15.0, 240.0
_ZOOM = 1.25


class ReviewViews:
    """The slice views of a scene, as the review room sets them.

    The views called Red, Yellow and Green show the scan, or another volume of the case above it when it is asked
    for. Any other slice view (the lower row of the layout three over three) shows the other volume at the same place,
    or where the case has none the minimum of a slab of the scan.

    Attributes
    ----------
    field_of_view_mm : float
        Shorter side of every view: a lesion has the same size in every case.
    shown : int
        0 where the scan is shown, n where the n-th other volume of the case covers it.
    projects : bool
        Whether the main views show the minimum of a slab.
    beside : bool
        Whether a lower row of views was asked for.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self.field_of_view_mm = FIELD_OF_VIEW_MM
        self.shown = 0
        self.projects = False
        self.beside = False
        self._scan: Any = None
        self._others: list[Any] = []
        self._before = self._snapshot()
        self._layout_before: int | None = None

    def show_volumes(self, scan: Any, others: Sequence[Any] = ()) -> None:
        """Show the volumes of a case; with them the view goes back to the scan itself."""
        self._scan, self._others = scan, list(others)
        for node in nodes_of_class(self._scene, "vtkMRMLSliceCompositeNode"):
            main = node.GetLayoutName() in MAIN_VIEWS
            node.SetBackgroundVolumeID(scan.GetID() if main or not others else others[0].GetID())
            node.SetLabelVolumeID(None)
        self.show_other(0)
        self.set_projection(self.projects)

    def jump(self, point_ras: tuple[float, float, float]) -> None:
        """Centre all views on a point."""
        jump_to(self._scene, point_ras, self.field_of_view_mm)

    def zoom(self, steps: int) -> None:
        """Come closer (positive) or go farther."""
        wanted = self.field_of_view_mm * _ZOOM**-steps
        self.set_field(min(max(wanted, LEAST_FIELD_MM), LARGEST_FIELD_MM))

    def set_field(self, millimetres: float) -> None:
        """Give the shorter side of all views this length."""
        self.field_of_view_mm = float(millimetres)
        for node in nodes_of_class(self._scene, "vtkMRMLSliceNode"):
            set_field_of_view(node, self.field_of_view_mm)

    def show_other(self, number: int) -> int:
        """Show the n-th other volume over the scan, or with 0 the scan; returns what is shown."""
        self.shown = number if 0 < number <= len(self._others) else 0
        for node in nodes_of_class(self._scene, "vtkMRMLSliceCompositeNode"):
            if node.GetLayoutName() in MAIN_VIEWS:
                other = self._others[self.shown - 1] if self.shown else None
                node.SetForegroundVolumeID(other.GetID() if other is not None else None)
                node.SetForegroundOpacity(1.0 if self.shown else 0.0)
        return self.shown

    def show_next(self) -> Any:
        """Show the next volume of the case, after the last one the scan; returns the node over the scan, or None."""
        number = self.show_other(self.shown + 1)
        return self._others[number - 1] if number else None

    def set_projection(self, on: bool, thickness_mm: float = PROJECTION_MM) -> None:
        """Show the minimum of a slab around each slice, or the slice itself."""
        self.projects = on
        for node in nodes_of_class(self._scene, "vtkMRMLSliceNode"):
            lower = node.GetLayoutName() not in MAIN_VIEWS
            node.SetSlabReconstructionType(vtk.VTK_IMAGE_SLAB_MIN)
            node.SetSlabReconstructionThickness(thickness_mm)
            node.SetSlabReconstructionEnabled(on if not lower else self._scan is not None and not self._others)

    def set_beside(self, on: bool) -> bool:
        """Show a second row of views or only one row; returns whether the window could be changed."""
        layout = self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if layout is None:
            return False
        if on and not self.beside:
            self._layout_before = layout.GetViewArrangement()
            layout.SetViewArrangement(layout.SlicerLayoutThreeOverThreeView)
        elif self.beside and not on and self._layout_before is not None:
            layout.SetViewArrangement(self._layout_before)
        self.beside = on
        self.refresh()  # the row may have brought new views
        return True

    @property
    def taken(self) -> bool:
        """Whether somebody else put another volume into a main view, or took the scan from it."""
        wanted = self._scan.GetID() if self._scan is not None else None
        return wanted is not None and any(
            node.GetBackgroundVolumeID() != wanted
            for node in nodes_of_class(self._scene, "vtkMRMLSliceCompositeNode")
            if node.GetLayoutName() in MAIN_VIEWS
        )

    def refresh(self) -> None:
        """Show in views that came since what the others show."""
        shown = self.shown
        if self._scan is not None:
            self.show_volumes(self._scan, self._others)
            self.show_other(shown)

    def state(self) -> dict[str, Any]:
        """Return what a later session needs to show the same."""
        return {
            "field_of_view_mm": self.field_of_view_mm,
            "shown": self.shown,
            "projection": self.projects,
            "beside": self.beside,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Show what `state` said."""
        field = state.get("field_of_view_mm", FIELD_OF_VIEW_MM)
        if isinstance(field, int | float) and LEAST_FIELD_MM <= field <= LARGEST_FIELD_MM:
            self.set_field(float(field))
        shown = state.get("shown", 0)
        self.show_other(shown if isinstance(shown, int) else 0)
        self.set_projection(bool(state.get("projection", False)))
        self.set_beside(bool(state.get("beside", False)))

    def give_back(self) -> None:
        """Show in all views what they showed before the room was opened."""
        self.set_beside(False)
        self._scan = None
        self.set_projection(False)
        usual = next(iter(self._before.values()), (None, None, None, 0.0))  # for views that came since
        for node in nodes_of_class(self._scene, "vtkMRMLSliceCompositeNode"):
            label, background, foreground, opacity = self._before.get(node.GetID(), usual)
            node.SetLabelVolumeID(label)
            node.SetBackgroundVolumeID(background)
            node.SetForegroundVolumeID(foreground)
            node.SetForegroundOpacity(opacity)

    def _snapshot(self) -> dict[str, tuple[Any, Any, Any, float]]:
        return {
            node.GetID(): (
                node.GetLabelVolumeID(),
                node.GetBackgroundVolumeID(),
                node.GetForegroundVolumeID(),
                node.GetForegroundOpacity(),
            )
            for node in nodes_of_class(self._scene, "vtkMRMLSliceCompositeNode")
        }
