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
    assert widget.panel.results is not None, ui.logText.plainText
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
    assert {name: node.GetName() for name, node in widget.panel.results.case.nodes.items()} == {
        "image": "example", "reference": "example reference", "prediction": "example prediction",
    }  # fmt: skip
    # The centre of the missed lesion: voxel (30, 30, 14) of 1 x 1 x 2 mm.
    matrix = slicer.util.getNode("vtkMRMLSliceNodeRed").GetSliceToRAS()
    assert [matrix.GetElement(axis, 3) for axis in range(3)] == pytest.approx([30.0, 30.0, 28.0])
    reference = widget.panel.results.case.nodes["reference"]
    segment = reference.GetSegmentation().GetNthSegmentID(0)
    image = widget.panel.results.case.nodes["image"]
    assert np.count_nonzero(slicer.util.arrayFromSegmentBinaryLabelmap(reference, segment, image)) == 54


def test_opening_the_next_case_takes_the_first_off(widget: Any, finished: Path) -> None:
    widget.panel.show(finished)
    widget.panel.ui.callTable.selectRow(0)
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    widget.panel.results.case.close()
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


def test_a_second_model_is_compared_and_drawn_beside_the_first(widget: Any, example: Path) -> None:
    """Both find the same lesion, the second with half the score: two curves, and nothing to choose between them."""
    from CMBNetLib.volume import read_labels, write_volume

    labels = read_labels(example / "predictions" / "example_microbleeds.nii.gz")
    (example / "predictions" / "example_microbleeds.nii.gz").unlink()
    for folder, factor in (("predictions", 1.0), ("second", 0.6)):
        scores = (factor * np.choose(labels.array, [0.0, 0.9, 0.6])).astype(np.float32)
        (example / folder).mkdir(exist_ok=True)
        write_volume(labels.with_array(scores), example / folder / "example_probability.nii.gz")
    choose(widget, example)
    widget.panel.ui.comparePath.currentPath = str(example / "second")
    ui = evaluate(widget, example)
    chart = widget.panel.results.chart
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    assert ui.plotButton.enabled
    ui.plotButton.click()
    selection = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSelectionNode")
    assert selection.GetActivePlotChartID() == chart.GetID()
    assert (example / "out" / "comparison.csv").exists()


# --- reader studies ---


@pytest.fixture
def study(example: Path) -> Path:
    """Three readers of the scan ``example``, the detector's mask and a reference."""
    from reading_study import P3, P4, unsure, write_reading, yes

    found, missed = (10.0, 10.0, 10.0), (30.0, 30.0, 28.0)
    write_reading(example / "readings", "example", "anna", [yes(found, 30), yes(missed, 5)])
    write_reading(example / "readings", "example", "ben", [yes(found, 20), unsure(P4)])
    write_reading(example / "readings", "example", "cleo", [yes(found, 12), yes(P3, 3)])
    return example


def run_study(widget: Any, study: Path) -> Any:
    ui = choose(widget, study)
    ui.modeBox.currentIndex = 1
    ui.readingsPath.currentPath = str(study / "readings")
    ui.evaluateButton.click()
    assert panel_driver.wait_until(lambda: not widget.panel.running, 60), ui.logText.plainText
    assert widget.panel.results is not None, ui.logText.plainText
    return ui


def test_a_reader_study_asks_for_readings_alone(widget: Any, study: Path) -> None:
    ui = widget.panel.ui
    assert ui.comparePath.isVisibleTo(ui.comparePath.parent())
    assert not ui.readingsPath.isVisibleTo(ui.readingsPath.parent())
    ui.modeBox.currentIndex = 1
    assert not ui.comparePath.isVisibleTo(ui.comparePath.parent())
    assert ui.evaluateButton.toolTip == "Choose the folder of the readings."
    ui.readingsPath.currentPath = str(study / "readings")
    ui.outputPath.currentPath = str(study / "out")
    assert ui.evaluateButton.enabled
    ui.referencesPath.currentPath = str(study / "nowhere")
    assert ui.evaluateButton.toolTip == "The folder of the references does not exist."


def test_a_reader_study_lists_agreement_and_places_to_settle(widget: Any, study: Path) -> None:
    ui = run_study(widget, study)
    assert ui.summaryLabel.text.startswith("3 readings of 1 case by 3 readers.")
    assert "3 places to settle." in ui.summaryLabel.text
    assert ui.callTable.rowCount == 3
    ui.filterBox.currentIndex = 1
    assert [ui.callTable.item(0, column).text() for column in range(6)] == [
        "example", "yes", "3", "0", "0", "anna ben cleo",
    ]  # fmt: skip
    # Three pairs of readers, three with the model, three with the reference, and the model with the reference.
    assert ui.agreementTable.rowCount == 10
    assert ui.agreementTable.isVisibleTo(ui.agreementTable.parent())
    for name, rows in (("readings", 3), ("agreement", 10), ("votes", 4)):
        assert slicer.util.getNode(f"out {name}").GetNumberOfRows() == rows, name
    assert widget.panel.results.chart.GetName() == "out raters chart"
    assert slicer.util.getNode("out raters points").GetNumberOfRows() == 4


def test_selecting_a_place_opens_the_case_with_the_marks_of_all_readers(widget: Any, study: Path) -> None:
    ui = run_study(widget, study)
    places = [(ui.callTable.item(row, 5).text(), row) for row in range(ui.callTable.rowCount)]
    ui.callTable.selectRow(dict(places)["anna"])
    nodes = widget.panel.results.case.nodes
    assert set(nodes) == {"image", "anna", "ben", "cleo", "model", "reference"}
    assert nodes["image"].GetName() == "example"
    assert [nodes["ben"].GetNthControlPointLabel(n) for n in range(2)] == ["ben", "ben?"]
    colours = {nodes[name].GetDisplayNode().GetSelectedColor() for name in ("anna", "ben", "cleo")}
    assert len(colours) == 3
    matrix = slicer.util.getNode("vtkMRMLSliceNodeRed").GetSliceToRAS()
    assert [matrix.GetElement(axis, 3) for axis in range(3)] == pytest.approx([30.0, 30.0, 28.0])
    widget.panel.close()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0


def test_an_evaluation_after_a_study_shows_calls_again(widget: Any, study: Path, finished: Path) -> None:
    run_study(widget, study)
    widget.panel.show(finished)
    ui = widget.panel.ui
    assert ui.callTable.horizontalHeaderItem(1).text() == "Call"
    assert not ui.agreementTable.isVisibleTo(ui.agreementTable.parent())


@pytest.mark.parametrize("text", ["{}", '{"schema": "cmbnet-reader-study"}', "no json"])
def test_a_study_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    from CMBNetLib.errors import InputError
    from CMBNetSlicer.study_record import read_study_record

    path = tmp_path / "reader_study.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"not the result of a reader study|cannot be read"):
        read_study_record(path)


def test_the_self_test_passes() -> None:
    host.load_module(MODULE)
    slicer.selfTests["CMBNetEvaluation"]()
