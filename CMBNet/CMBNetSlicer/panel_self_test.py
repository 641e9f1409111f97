"""The part of the self-test that presses the buttons of the panel, in Slicer as in the stand-in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from CMBNetSlicer.event_loop import wait_until
from CMBNetSlicer.sample_scan import sample_scan_path

_RUN_S = 300.0  # on two slow cores; twenty times what it takes on a usual computer


def run_panel_test(case: Any) -> None:
    """Detect in the sample scan with the panel, cancel, detect again, move the slider, save and load the scene.

    Parameters
    ----------
    case
        The unittest case, for its messages.
    """
    slicer.mrmlScene.Clear()
    panel = _opened_panel(case)
    _cancel_a_run(case, panel)
    _run_to_the_end(case, panel)
    _move_the_slider(case, panel)
    _jump_to_a_candidate(case, panel)
    _save_and_load(case, panel)


def _opened_panel(case: Any) -> Any:
    case.delayDisplay("Opening the panel with the sample scan")
    scan = slicer.util.loadVolume(str(sample_scan_path()))
    slicer.util.selectModule("CMBNet")
    panel = slicer.modules.cmbnet.widgetRepresentation().self().panel
    panel.ui.scanSelector.setCurrentNode(scan)
    assert panel.parameters.inputVolume.GetID() == scan.GetID()
    assert panel.ui.detectButton.enabled, panel.ui.detectButton.toolTip
    return panel


def _cancel_a_run(case: Any, panel: Any) -> None:
    case.delayDisplay("Cancelling a run")
    ui = panel.ui
    ui.detectButton.click()
    assert wait_until(lambda: ui.progressBar.value > 0 or not panel.run.running, _RUN_S)
    assert ui.detectButton.text == "Cancel", ui.logText.plainText
    ui.detectButton.click()
    assert wait_until(lambda: not panel.run.running)
    assert ui.stageLabel.text == "The detection was cancelled.", ui.stageLabel.text
    assert panel.results.detection is None


def _run_to_the_end(case: Any, panel: Any) -> None:
    case.delayDisplay("Detecting")
    panel.ui.detectButton.click()
    assert wait_until(lambda: not panel.run.running, _RUN_S)
    assert panel.results.detection is not None, panel.ui.logText.plainText
    assert panel.results.detection.n_microbleeds > 0
    _check_widgets(panel)


def _move_the_slider(case: Any, panel: Any) -> None:
    case.delayDisplay("Moving the slider")
    detection = panel.results.detection
    panel.ui.thresholdSlider.value = 1.0
    none = detection.n_microbleeds
    _check_widgets(panel)
    panel.ui.thresholdSlider.value = panel.ui.thresholdSlider.minimum
    assert none < detection.n_microbleeds == len(detection.record.candidates)
    _check_widgets(panel)


def _jump_to_a_candidate(case: Any, panel: Any) -> None:
    case.delayDisplay("Jumping to a candidate")
    table = panel.ui.candidateTable
    table.selectRow(1)
    wanted = panel.results.detection.position(int(table.item(1, 0).text()))
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        assert np.allclose(matrix[:3, 3], wanted, atol=0.01), (node.GetName(), matrix[:3, 3], wanted)


def _save_and_load(case: Any, panel: Any) -> None:
    case.delayDisplay("Saving and loading the scene")
    summary, threshold = panel.ui.summaryLabel.text, panel.parameters.threshold
    with tempfile.TemporaryDirectory(prefix="CMBNet-", dir=slicer.app.temporaryPath) as folder:
        path = Path(folder) / "scene.mrb"
        assert slicer.util.saveScene(str(path))
        slicer.mrmlScene.Clear()
        assert panel.results.detection is None
        slicer.util.loadScene(str(path))
    assert abs(panel.parameters.threshold - threshold) < 1e-6
    assert panel.ui.summaryLabel.text == summary
    _check_widgets(panel)


def _check_widgets(panel: Any) -> None:
    """Segments, points, rows and the line of the panel say the same."""
    detection, table = panel.results.detection, panel.ui.candidateTable
    count = detection.n_microbleeds
    assert detection.segmentation.GetSegmentation().GetNumberOfSegments() == count
    points = detection.points
    shown = [points.GetNthControlPointVisibility(index) for index in range(points.GetNumberOfControlPoints())]
    assert shown == [index < count for index in range(len(shown))]
    rows = [row for row in range(table.rowCount) if not table.isRowHidden(row)]
    assert len(rows) == count
    assert panel.ui.summaryLabel.text == detection.summary
