"""What others do to the scene while a case is open: other volumes in the views, nodes that are deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import slicer
from review_driver import ReviewDriver

from CMBNetLib.worklist import Worklist
from CMBNetSlicer import slice_jump
from CMBNetSlicer.review_volumes import owned_nodes
from review_cases import a_worklist, dots_of


@pytest.fixture
def worklist(tmp_path: Path) -> Worklist:
    return a_worklist(tmp_path, 1)


@pytest.fixture
def room() -> Iterator[ReviewDriver]:
    driver = ReviewDriver(dots_of)
    yield driver
    driver.close()


def main_backgrounds() -> set[str]:
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return {node.GetBackgroundVolumeID() for node in composites if node.GetLayoutName() in ("Red", "Yellow", "Green")}


def test_a_volume_that_something_else_shows_is_replaced_by_the_case_at_the_next_key(
    room: ReviewDriver, worklist: Worklist
) -> None:
    room.open(worklist)
    scan, other = room.desk.case_scene.scan, slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "dropped")
    slice_jump.show_scan(slicer.mrmlScene, other)
    assert main_backgrounds() == {other.GetID()}
    room.key("M")
    assert main_backgrounds() == {scan.GetID()}
    slice_jump.show_scan(slicer.mrmlScene, other)
    room.panel.exit()
    room.panel.enter()
    assert main_backgrounds() == {scan.GetID()}


@pytest.mark.parametrize("which", ["scan", "outlines"])
def test_a_node_of_the_case_that_was_deleted_comes_back(room: ReviewDriver, worklist: Worklist, which: str) -> None:
    room.open(worklist)
    room.key("M")
    scene = room.desk.case_scene
    slicer.mrmlScene.RemoveNode(scene.scan if which == "scan" else scene.outlines.node)
    room.key("N")
    assert room.desk.case_scene.complete
    assert main_backgrounds() == {room.desk.case_scene.scan.GetID()}
    assert "removed from the scene" in room.ui.readingMessage.text
    assert room.raised == []
    room.panel.close_worklist()
    assert owned_nodes(slicer.mrmlScene) == []


def test_label_layers_are_there_again_after_the_room(room: ReviewDriver, worklist: Worklist) -> None:
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    composite.SetLabelVolumeID(labels.GetID())
    room.open(worklist)
    assert composite.GetLabelVolumeID() is None
    room.panel.close_worklist()
    assert composite.GetLabelVolumeID() == labels.GetID()
