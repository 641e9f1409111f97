"""A lesion goes to Slicer's Segment Editor and comes back: its grid, its undo, and what happens on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from review_driver import ReviewDriver
from vtk.util import numpy_support

from CMBNetLib.review_outlines import CURRENT
from CMBNetLib.worklist import Worklist
from CMBNetSlicer.review_volumes import image_of, matrix_of
from review_cases import a_worklist, dots_of, worklist_in


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    a_worklist(folder, 3)
    return folder


@pytest.fixture
def room(scans: Path, tmp_path: Path) -> Iterator[ReviewDriver]:
    """The second case is open, with two candidates; the lesion of the first is in the editor."""
    cases = tuple(replace(case, folder=tmp_path / case.case_id) for case in worklist_in(scans, 3).cases)
    driver = ReviewDriver(dots_of)
    driver.open(Worklist(cases, tmp_path))
    driver.desk.open("case-02")
    driver.press("segment_editor")
    yield driver
    driver.close()


def editor(room: ReviewDriver) -> Any:
    return room.panel.editor.editor


def labelmap(room: ReviewDriver, segment: int = 0) -> Any:
    return room.desk.lesion.node.GetSegmentation().GetNthSegment(segment).GetRepresentation("Binary labelmap")


def paint(room: ReviewDriver, *, fill: bool) -> None:
    """What an effect does: save the state, change voxels, tell."""
    editor(room).saveStateForUndo()
    image = labelmap(room)
    voxels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    voxels[:] = 1 if fill else 0
    if not fill:
        voxels[voxels.size // 2] = 1
    image.Modified()
    segmentation = room.desk.lesion.node.GetSegmentation()
    segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)


def replace_segment(room: ReviewDriver, matrix: np.ndarray, extent: tuple[int, ...] = (0, 2, 0, 2, 0, 2)) -> None:
    """Put a cube on another grid into the segment."""
    image, _array = image_of(np.ones((3, 3, 3), np.uint8), slicer.vtkOrientedImageData)
    own = slicer.vtkOrientedImageData()
    own.DeepCopy(image)
    own.SetExtent(*extent)
    own.SetGeometryFromImageToWorldMatrix(matrix_of(matrix))
    segment = room.desk.lesion.node.GetSegmentation().GetNthSegment(0)
    segment.AddRepresentation("Binary labelmap", own)


def test_the_editor_gets_the_lesion_on_the_scan_with_keys_and_undo(room: ReviewDriver) -> None:
    assert editor(room).segmentationNode() is room.desk.lesion.node
    node = editor(room).mrmlSegmentEditorNode()
    assert node.GetSourceVolumeNode() is room.desk.case_scene.scan
    assert node.GetSelectedSegmentID() == "lesion"
    assert editor(room).shortcuts_installed
    assert editor(room).views_observed
    assert room.ui.editorFrame.visible
    assert room.ui.editorButton.checked


def test_what_an_effect_did_comes_back_and_one_undo_takes_it_away(room: ReviewDriver) -> None:
    before = room.review.finding("c1").mask
    paint(room, fill=True)
    room.press("segment_editor")
    assert room.found().mask.n_voxels == np.prod(before.shape_ijk) > before.n_voxels
    assert room.found().mask.method == "imported"
    assert room.label_at("c1") == CURRENT
    assert not editor(room).shortcuts_installed
    assert not editor(room).views_observed
    assert not room.ui.editorFrame.visible
    room.press("undo")
    assert room.found().mask is None
    assert int((room.desk.case_scene.outlines.map.labels == CURRENT).sum()) == before.n_voxels


def test_undo_inside_the_editor_is_that_of_mrml(room: ReviewDriver) -> None:
    paint(room, fill=False)
    assert room.desk.lesion.masks()[0].n_voxels == 1
    editor(room).undo()
    room.press("segment_editor")
    assert room.found().mask is None, "the outline is what it was, so nothing is written"


def test_going_on_takes_the_lesion_back_first(room: ReviewDriver) -> None:
    paint(room, fill=True)
    room.panel.run("toggle_crosshair")
    assert room.desk.lesion is not None, "looking around leaves it in the editor"
    room.panel.run("next_candidate")
    assert room.desk.lesion is None
    assert room.review.current == "c2"
    assert room.state().finding("c1").mask.method == "imported"


def test_single_letters_belong_to_the_editor_while_it_is_open(room: ReviewDriver) -> None:
    visible = room.desk.crosshair_visible
    room.key("X")
    room.key("M")
    assert room.desk.crosshair_visible == visible
    assert room.state().findings == {}
    room.press("segment_editor")
    room.key("M")
    assert room.found().verdict == "microbleed"


def test_leaving_the_module_takes_the_lesion_back(room: ReviewDriver) -> None:
    paint(room, fill=True)
    room.panel.exit()
    assert room.state().finding("c1").mask.method == "imported"
    assert not editor(room).shortcuts_installed


def test_an_emptied_segment_removes_the_outline(room: ReviewDriver) -> None:
    numpy_support.vtk_to_numpy(labelmap(room).GetPointData().GetScalars())[:] = 0
    room.press("segment_editor")
    assert room.found().outline_removed


def test_segments_made_by_islands_become_findings_of_their_own(room: ReviewDriver) -> None:
    segmentation = room.desk.lesion.node.GetSegmentation()
    second = slicer.vtkSegment()
    second.SetName("lesion_2")
    second.DeepCopy(segmentation.GetNthSegment(0))
    segmentation.AddSegment(second, "lesion_2")
    room.press("segment_editor")
    assert len([found for found in room.state().findings.values() if found.mask is not None]) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda matrix: matrix @ np.diag([0.5, 0.5, 1.0, 1.0]),
        lambda matrix: matrix @ np.array([[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    ],
    ids=["finer", "half a voxel off"],
)
def test_a_lesion_on_another_grid_is_refused_not_resampled(room: ReviewDriver, change: Any) -> None:
    replace_segment(room, change(room.desk.room.loaded.scan.ijk_to_ras))
    for action in ("segment_editor", "next_candidate", "next_case"):
        room.panel.run(action)
        assert "not resampled" in room.ui.readingMessage.text
        assert room.background()[0] == "case-02"
    room.ui.discardButton.click()
    qt.QApplication.processEvents()
    assert room.desk.lesion is None
    assert room.found().mask is None
    assert room.label_at("c1") == CURRENT
    room.press("next_candidate")
    assert room.review.current == "c2"


def test_a_grid_shifted_by_whole_voxels_is_the_same_grid(room: ReviewDriver) -> None:
    matrix = np.array(room.desk.room.loaded.scan.ijk_to_ras)
    matrix[:3, 3] = (matrix @ np.array([10.0, 11.0, 5.0, 1.0]))[:3]
    replace_segment(room, matrix)
    room.press("segment_editor")
    assert room.found().mask.offset_ijk == (10, 11, 5)


def test_outside_the_scan_is_refused(room: ReviewDriver) -> None:
    matrix = np.array(room.desk.room.loaded.scan.ijk_to_ras)
    matrix[:3, 3] = (matrix @ np.array([-2.0, 0.0, 0.0, 1.0]))[:3]
    replace_segment(room, matrix)
    room.press("segment_editor")
    assert "outside the scan" in room.ui.readingMessage.text


def test_nothing_stays_in_the_scene(room: ReviewDriver) -> None:
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    for _ in range(6):
        room.press("segment_editor")
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    room.panel.close_worklist()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode") == 0
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_a_rejected_finding_stays_locked(room: ReviewDriver) -> None:
    room.ui.discardButton.click()
    qt.QApplication.processEvents()
    room.press("mimic_1")
    room.press("segment_editor")
    assert "locked" in room.ui.readingMessage.text
    assert room.desk.lesion is None
