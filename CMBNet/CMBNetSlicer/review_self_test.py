"""The part of the self-test that reads cases in the review room, in Slicer as in the stand-in."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from CMBNetLib.readings import read_readings, readings_path
from CMBNetLib.review_outlines import CURRENT
from CMBNetLib.review_room import ReadingSetup
from CMBNetLib.volume import read_labels
from CMBNetSlicer.event_loop import wait_until
from CMBNetSlicer.review_panel import ReviewPanel
from CMBNetSlicer.scripted_reader import example_worklist, next_action, write_example

N_CASES, N_KILLS, MOST_KEYS = 5, 8, 10
MOST_KEYS_IN_ALL = 60 * N_CASES
READER = "selftest"
_JOB_S = 120.0


def run_review_test(case: Any) -> None:
    """Read generated cases by keys, calm and interrupted; edit; make the results; leave the scene as it was.

    Parameters
    ----------
    case
        The unittest case, for its messages.
    """
    slicer.mrmlScene.Clear()
    slicer.util.selectModule("CMBNet")
    panel = slicer.modules.cmbnet.widgetRepresentation().self().tabs.open_review()
    before = _node_ids()
    with tempfile.TemporaryDirectory(prefix="CMBNet-", dir=slicer.app.temporaryPath) as name:
        folder = Path(name)
        write_example(folder, N_CASES)
        case.delayDisplay("Reading cases")
        _read_on(panel, folder, "calm")
        case.delayDisplay("Reading them again, interrupted")
        _read_interrupted(panel, folder)
        _compare(folder)
        case.delayDisplay("Editing")
        _edit(panel, folder)
        case.delayDisplay("Results of reading")
        _results(panel, folder)
        panel.close_worklist()
    left = _node_ids() - before
    assert not left, f"the review room left nodes in the scene: {left}"


def _node_ids() -> set[str]:
    """The nodes of the scene, without the hierarchy that every scene makes for itself."""
    nodes = (slicer.mrmlScene.GetNthNode(index) for index in range(slicer.mrmlScene.GetNumberOfNodes()))
    return {node.GetID() for node in nodes if not node.IsA("vtkMRMLSubjectHierarchyNode")}


def _open(panel: ReviewPanel, folder: Path, output: str, reader: str = READER) -> None:
    panel.open_worklist(example_worklist(folder, N_CASES, output), ReadingSetup(reader, anatomy=False))
    assert panel.desk is not None, panel.ui.worklistMessage.text


def _read_on(panel: ReviewPanel, folder: Path, output: str, most_keys: int | None = None) -> None:
    """Read until all is finished, or so many keys were pressed."""
    _open(panel, folder, output)
    keys = 0
    while not all(row.status == "finished" for row in panel.desk.room.rows()):
        if most_keys is not None and keys == most_keys:
            return
        action, text = next_action(panel.desk)
        assert panel.shortcuts.press(panel.keys.bindings.key(action)), f"no key for {action}"
        if text:
            panel.desk.change(lambda review, text=text: review.comment(text))
        slicer.app.processEvents()
        keys += 1
        assert keys < MOST_KEYS_IN_ALL, f"the reader comes to no end: {panel.ui.readingMessage.text}"
        _check_scene(panel)


def _read_interrupted(panel: ReviewPanel, folder: Path) -> None:
    """What is on the disk at a random moment is all that a killed Slicer leaves: go on with a copy of it."""
    chance = random.Random(5)
    for number in range(N_KILLS):
        _read_on(panel, folder, f"life-{number}", chance.randint(1, MOST_KEYS))
        copy = folder / f"life-{number + 1}"
        shutil.copytree(folder / f"life-{number}", copy, ignore=shutil.ignore_patterns("*.lock"))
    _read_on(panel, folder, f"life-{N_KILLS}")


def _compare(folder: Path) -> None:
    calm, interrupted = (_said(folder, output) for output in ("calm", f"life-{N_KILLS}"))
    assert calm == interrupted, "an interrupted reader ended with other readings"


def _said(folder: Path, output: str) -> list[Any]:
    names = ("key", "verdict", "certainty", "mimic", "region", "comment", "mode", "mask")
    said = []
    for case in example_worklist(folder, N_CASES, output).cases:
        state = read_readings(readings_path(case.folder, READER)).state
        assert state.finished
        said.append(sorted([getattr(found, name) for name in names] for found in state.findings.values()))
    return said


def _check_scene(panel: ReviewPanel) -> None:
    """The views are at the finding on show, whose outline is drawn."""
    review = panel.desk.review
    found = review.finding(review.current)
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        center = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:3, 3]
        assert np.allclose(center, found.position_ras, atol=0.01), (node.GetName(), center, found.position_ras)
    drawn = (panel.desk.case_scene.outlines.map.labels == CURRENT).any()
    preview = panel.desk.tools.preview
    assert drawn == (found.mask is not None or preview is not None)


def _edit(panel: ReviewPanel, folder: Path) -> None:
    _open(panel, folder, "edits")
    point = panel.desk.review.finding("c1").position_ras
    panel.shortcuts.press("A")
    assert panel.press(point, (0.0, 0.0, 1.0))
    added = panel.desk.review.current
    before = panel.desk.tools.preview.n_voxels
    for _ in range(4):
        assert panel.wheel(1.0)
    assert panel.desk.tools.preview.n_voxels > before
    _to_the_segment_editor_and_back(panel)
    path = panel.desk.review.store.path
    assert read_readings(path).state.finding(added).mask.n_voxels > before
    panel.shortcuts.press("Delete")
    assert read_readings(path).state.finding(added).deleted
    panel.shortcuts.press("Backspace")
    assert not read_readings(path).state.finding(added).deleted


def _to_the_segment_editor_and_back(panel: ReviewPanel) -> None:
    panel.shortcuts.press("Shift+E")
    lesion = panel.desk.lesion
    assert lesion is not None, panel.ui.readingMessage.text
    assert panel.editor.editor.segmentationNode().GetID() == lesion.node.GetID()
    grown = lesion.masks()
    assert len(grown) == 1
    slicer.app.processEvents()  # single letters go to the editor now
    assert not panel.shortcuts.press("M")
    panel.shortcuts.press("Shift+E")
    assert panel.desk.lesion is None
    slicer.app.processEvents()
    assert grown[0].same_voxels(panel.desk.review.finding(panel.desk.review.current).mask)


def _results(panel: ReviewPanel, folder: Path) -> None:
    """Masks, tables and progress of the calm reading, by the child processes of the panel."""
    from CMBNetLib.worklist import read_worklist, write_csv_worklist

    path = write_csv_worklist(folder / "calm.csv", example_worklist(folder, N_CASES, "calm").cases)
    panel.open_worklist(read_worklist(path, folder / "calm"), ReadingSetup(READER, anatomy=False))
    for button in (panel.ui.reviewedButton, panel.ui.progressButton):
        button.click()
        assert wait_until(lambda: not panel.jobs.running, _JOB_S)
    masks = sorted((folder / "calm").rglob("*_desc-reviewed*_mask.nii.gz"))
    assert len(masks) == N_CASES, panel.ui.afterMessage.text
    assert any(read_labels(mask).array.any() for mask in masks)
    assert (folder / "calm" / "progress.html").exists(), panel.ui.afterMessage.text
