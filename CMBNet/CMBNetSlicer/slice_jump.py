"""Moving all slice views to a point, at the same magnification in every scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from CMBNetSlicer.scene_nodes import nodes_of_class

FIELD_OF_VIEW_MM = 60.0  # shorter side of a view: a lesion of 5 mm is a twelfth of it, its surroundings show


def jump_to(scene: Any, ras: Sequence[float], field_of_view_mm: float = FIELD_OF_VIEW_MM) -> None:
    """Centre every slice view of the scene on a RAS position (mm, world).

    Works on the slice nodes, so it does the same without any window.
    """
    for node in nodes_of_class(scene, "vtkMRMLSliceNode"):
        set_field_of_view(node, field_of_view_mm)
        node.JumpSliceByCentering(*(float(value) for value in ras))


def set_field_of_view(node: Any, millimetres: float) -> None:
    """Give the shorter side of a slice view this length; the view keeps its proportions."""
    width, height, _depth = node.GetDimensions()
    shorter = max(min(width, height), 1)
    _x, _y, depth = node.GetFieldOfView()
    node.SetFieldOfView(millimetres * width / shorter, millimetres * height / shorter, depth)


def show_scan(scene: Any, scan: Any) -> None:
    """Show a volume in all slice views that do not show it yet."""
    for node in nodes_of_class(scene, "vtkMRMLSliceCompositeNode"):
        if scan.GetID() not in (node.GetBackgroundVolumeID(), node.GetForegroundVolumeID()):
            node.SetBackgroundVolumeID(scan.GetID())
