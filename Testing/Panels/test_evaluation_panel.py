"""The module CMBNetEvaluation: it loads, evaluates in the background, lists calls and opens cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import panel_driver
import pytest
import slicer

import host

MODULE = panel_driver.REPOSITORY / "CMBNetEvaluation" / "CMBNetEvaluation.py"


@pytest.fixture
def widget() -> Any:
    return host.load_module(MODULE).widget()


@pytest.fixture
def example(tmp_path: Path) -> Path:
    from CMBNetSlicer.evaluation_self_test import write_example

    write_example(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of one evaluation, made once in this process."""
    from CMBNetLib.cli import main
    from CMBNetSlicer.evaluation_self_test import write_example

    folder = tmp_path_factory.mktemp("evaluation")
    write_example(folder)
    names = [("--predictions", "predictions"), ("--references", "references"), ("--images", "images"), ("-o", "out")]
    options = [str(part) for option, name in names for part in (option, folder / name)]
    assert main(["evaluate", *options, "--json-events"]) == 0
    return folder / "out" / "evaluation.json"


def choose(widget: Any, folder: Path) -> Any:
    ui = widget.panel.ui
    ui.predictionsPath.currentPath = str(folder / "predictions")
    ui.referencesPath.currentPath = str(folder / "references")
    ui.imagesPath.currentPath = str(folder / "images")
    ui.outputPath.currentPath = str(folder / "out")
    return ui


def evaluate(widget: Any, folder: Path) -> Any:
    ui = choose(widget, folder)
    ui.evaluateButton.click()
    assert ui.evaluateButton.text == "Cancel"
    assert panel_driver.wait_until(lambda: not widget.panel.running, 60), ui.logText.plainText
    assert widget.panel.record is not None, ui.logText.plainText
    return ui


def test_the_button_says_what_is_missing(widget: Any, example: Path) -> None:
    ui = widget.panel.ui
    assert not ui.evaluateButton.enabled
    assert ui.evaluateButton.toolTip == "Choose the folder of the predictions."
    choose(widget, example)
    assert ui.evaluateButton.enabled


def test_a_run_lists_the_false_calls_and_adds_tables(widget: Any, example: Path) -> None:
    ui = evaluate(widget, example)
    assert ui.summaryLabel.text.startswith("1 scan: sensitivity 0.500, precision 0.500")
    assert ui.callTable.rowCount == 2
    ui.filterBox.currentIndex = 4
    assert ui.callTable.rowCount == 3
    assert slicer.util.getNode("out calls").GetNumberOfRows() == 3
    assert slicer.util.getNode("out measures").GetNumberOfRows() > 50
    assert ui.reportButton.enabled
    assert ui.evaluateButton.text == "Evaluate"


def test_selecting_a_miss_opens_its_scan_at_that_place(widget: Any, finished: Path) -> None:
    widget.panel.show(finished)
    ui = widget.panel.ui
    ui.filterBox.currentIndex = 1
    ui.callTable.selectRow(0)
    assert {name: node.GetName() for name, node in widget.panel.case.nodes.items()} == {
        "image": "example", "reference": "example reference", "prediction": "example prediction",
    }  # fmt: skip
    # The centre of the missed lesion: voxel (30, 30, 14) of 1 x 1 x 2 mm.
    matrix = slicer.util.getNode("vtkMRMLSliceNodeRed").GetSliceToRAS()
    assert [matrix.GetElement(axis, 3) for axis in range(3)] == pytest.approx([30.0, 30.0, 28.0])
    reference = widget.panel.case.nodes["reference"]
    segment = reference.GetSegmentation().GetNthSegmentID(0)
    image = widget.panel.case.nodes["image"]
    assert np.count_nonzero(slicer.util.arrayFromSegmentBinaryLabelmap(reference, segment, image)) == 54


def test_opening_the_next_case_takes_the_first_off(widget: Any, finished: Path) -> None:
    widget.panel.show(finished)
    widget.panel.ui.callTable.selectRow(0)
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    widget.panel.case.close()
    assert before == 2
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_bad_input_is_told_and_the_panel_stays_usable(widget: Any, example: Path) -> None:
    (example / "empty").mkdir()
    ui = choose(widget, example)
    ui.referencesPath.currentPath = str(example / "empty")
    ui.evaluateButton.click()
    assert panel_driver.wait_until(lambda: not widget.panel.running, 60)
    assert "no reference" in ui.stageLabel.text
    assert ui.evaluateButton.enabled


def test_froc_is_plotted_where_there_are_scores(widget: Any, example: Path) -> None:
    from CMBNetLib.volume import read_labels, write_volume

    path = example / "predictions" / "example_microbleeds.nii.gz"
    labels = read_labels(path)
    scores = np.choose(labels.array, [0.0, 0.9, 0.6]).astype(np.float32)
    write_volume(labels.with_array(scores), example / "predictions" / "example_probability.nii.gz")
    path.unlink()
    from CMBNetLib.cli import main

    folders = ["--predictions", str(example / "predictions"), "--references", str(example / "references")]
    assert main(["evaluate", *folders, "-o", str(example / "out"), "--json-events"]) == 0
    widget.panel.show(example / "out" / "evaluation.json")
    chart = slicer.util.getNode("out FROC chart")
    assert chart.GetNumberOfPlotSeriesNodes() == 1
    assert slicer.util.getNode("out FROC points").GetNumberOfRows() == 2


def test_the_self_test_passes() -> None:
    host.load_module(MODULE)
    slicer.selfTests["CMBNetEvaluation"]()
