"""What the view keys of the review room must do, checked in the scene; `test_review_keys_panel` presses them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import slicer
from review_driver import ReviewDriver


def toggle_outline(room: ReviewDriver) -> None:
    display = room.desk.case_scene.outlines.node.GetDisplayNode()
    assert display.GetVisibility() == 1
    room.press("toggle_outline")
    assert display.GetVisibility() == 0
    room.press("next_candidate")
    assert display.GetVisibility() == 0, "hidden outlines stay hidden"
    room.press("toggle_outline")
    assert display.GetVisibility() == 1


def toggle_crosshair(room: ReviewDriver) -> None:
    def shown() -> set[int]:
        models = slicer.util.getNodesByClass("vtkMRMLModelNode")
        return {node.GetDisplayNode().GetVisibility() for node in models if node.GetName().startswith("Cross-hair")}

    assert shown() == {1}
    room.press("toggle_crosshair")
    assert shown() == {0}
    room.press("toggle_crosshair")
    assert shown() == {1}


def toggle_second(room: ReviewDriver) -> None:
    seen = []
    for _ in range(4):
        seen.append(room.background())
        room.press("toggle_second")
    names = [(upper, opacity) for _lower, upper, opacity in seen]
    assert names == [(None, 0.0), ("case-05 second", 1.0), ("case-05 prior", 1.0), (None, 0.0)]
    assert {lower for lower, _upper, _opacity in seen} == {"case-05"}


def toggle_minip(room: ReviewDriver) -> None:
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    room.press("toggle_minip")
    assert {node.GetSlabReconstructionEnabled() for node in nodes} == {True}
    room.press("brush")
    assert "projection" in room.ui.readingMessage.text
    assert room.desk.tools.tool == "none"
    room.press("toggle_minip")
    assert {node.GetSlabReconstructionEnabled() for node in nodes} == {False}


def toggle_beside(room: ReviewDriver) -> None:
    room.press("toggle_beside")
    assert "no layout" in room.ui.readingMessage.text
    layout = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutFourUpView)
    lower = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", "Red+")
    lower.SetLayoutName("Red+")
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode", "Red+")
    composite.SetLayoutName("Red+")

    def shown() -> str:
        return str(slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID()).GetName())

    room.press("toggle_beside")
    assert layout.GetViewArrangement() == layout.SlicerLayoutThreeOverThreeView
    assert (shown(), lower.GetSlabReconstructionEnabled()) == ("case-05 second", False)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(lower.GetSliceToRAS())[:3, 3], room.centers()[0], atol=1e-3)
    room.press("next_case")
    assert (shown(), lower.GetSlabReconstructionEnabled()) == ("case-06", True), "a projection where there is no other"
    room.press("toggle_beside")
    assert layout.GetViewArrangement() == layout.SlicerLayoutFourUpView


def zoom(action_id: str, factor: float) -> Callable[[ReviewDriver], None]:
    def check(room: ReviewDriver) -> None:
        node = slicer.util.getNodesByClass("vtkMRMLSliceNode")[0]
        before = min(node.GetFieldOfView()[:2])
        room.press(action_id)
        assert min(node.GetFieldOfView()[:2]) == pytest.approx(before * factor)
        room.press("next_case")
        assert min(node.GetFieldOfView()[:2]) == pytest.approx(before * factor), "the same in every case"

    return check
