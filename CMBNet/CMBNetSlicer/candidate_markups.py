"""The points of a detection: one for each candidate, those that are no microbleeds hidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk

from CMBNetSlicer.detection_record import DetectionRecord
from CMBNetSlicer.microbleed_terminology import region_name

# Points carry this before the candidate's id, so that they are found again after a user removed some.
_PREFIX = "C"
_COLOUR = (1.0, 1.0, 0.0)
_CROSS_MM = 14.0  # the gap is a third of it: larger than most microbleeds


def make_points(node: Any, record: DetectionRecord) -> None:
    """Fill the fiducial list ``node`` with all candidates, in its own coordinates, and lock it."""
    modifying = node.StartModify()
    node.RemoveAllControlPoints()
    for candidate in record.candidates:
        index = node.AddControlPoint(vtk.vtkVector3d(*record.center(candidate)))
        node.SetNthControlPointLabel(index, f"{_PREFIX}{candidate.id}")
        node.SetNthControlPointDescription(index, f"score {candidate.score:.2f}, {region_name(candidate)}")
    node.SetLocked(True)
    _style(node)
    node.EndModify(modifying)


def show_points(node: Any, n_microbleeds: int) -> None:
    """Show the points of the microbleeds, which are the candidates 1 to ``n_microbleeds``, and hide the others."""
    modifying = node.StartModify()
    for index in range(node.GetNumberOfControlPoints()):
        number = _candidate_id(node, index)
        if number is not None:
            node.SetNthControlPointVisibility(index, number <= n_microbleeds)
    node.EndModify(modifying)


def point_position(node: Any, candidate_id: int) -> np.ndarray | None:
    """RAS position in the world, (3,) mm, with all transforms applied; None if the point was removed."""
    for index in range(node.GetNumberOfControlPoints()):
        if _candidate_id(node, index) == candidate_id:
            return np.array(node.GetNthControlPointPositionWorld(index))
    return None


def _candidate_id(node: Any, index: int) -> int | None:
    label = node.GetNthControlPointLabel(index)
    number = label.removeprefix(_PREFIX)
    return int(number) if label.startswith(_PREFIX) and number.isdigit() else None


def _style(node: Any) -> None:
    """Crosses with a gap in the middle and without a label: the lesion must stay visible, the table has the numbers."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetGlyphType(slicer.vtkMRMLMarkupsDisplayNode.Cross2D)
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(_CROSS_MM)
    display.SetColor(*_COLOUR)
    display.SetSelectedColor(*_COLOUR)
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
