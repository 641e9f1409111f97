"""A cross-hair with a gap in the middle, as wide as the lesion needs, so that it never covers it."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk

from CMBNetSlicer.review_volumes import add_owned, remove_nodes
from CMBNetSlicer.scene_nodes import nodes_of_class

ARM_MM = 400.0
LEAST_GAP_MM = 4.0
_COLOR = (0.35, 0.85, 1.0)


class GapCrosshair:
    """Four arms in each slice view, drawn in the view's own plane.

    Slicer's own cross-hair has a gap of a few pixels whatever the magnification, too small for a lesion of 5 mm.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._models: dict[str, Any] = {}
        self.visible = True

    def show(self, point_ras: tuple[float, float, float], gap_mm: float = LEAST_GAP_MM) -> None:
        """Put the centre of the gap at a point (RAS, mm); ``gap_mm`` is from the centre to the arms."""
        for view in nodes_of_class(self._scene, "vtkMRMLSliceNode"):
            model = self._models.get(view.GetID()) or self._add(view)
            model.SetAndObserveMesh(_arms(view, np.asarray(point_ras), max(gap_mm, LEAST_GAP_MM)))
            model.GetDisplayNode().SetVisibility(self.visible)

    def set_visible(self, visible: bool) -> None:
        """Show or hide it."""
        self.visible = visible
        for model in self._models.values():
            model.GetDisplayNode().SetVisibility(visible)

    def remove(self) -> None:
        """Take it out of the scene."""
        remove_nodes(self._scene, list(self._models.values()))
        self._models.clear()

    def _add(self, view: Any) -> Any:
        model = add_owned(self._scene, "vtkMRMLModelNode", f"Cross-hair {view.GetName()}")
        model.SetHideFromEditors(True)
        model.CreateDefaultDisplayNodes()
        display = model.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetColor(*_COLOR)
        display.SetVisibility2D(True)
        display.SetVisibility3D(False)
        display.SetSliceDisplayModeToProjection()
        display.SetSliceIntersectionThickness(1)
        display.AddViewNodeID(view.GetID())
        self._models[view.GetID()] = model
        return model


def _arms(view: Any, point: np.ndarray, gap_mm: float) -> Any:
    matrix = view.GetSliceToRAS()
    points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
    for axis in (0, 1):
        direction = np.array([matrix.GetElement(row, axis) for row in range(3)])
        for sign in (1.0, -1.0):
            ends = [points.InsertNextPoint(*(point + sign * reach * direction)) for reach in (gap_mm, ARM_MM)]
            lines.InsertNextCell(2, ends)
    arms = vtk.vtkPolyData()
    arms.SetPoints(points)
    arms.SetLines(lines)
    return arms
