"""Pressing Detect and what follows: progress, results, threshold, table, saving the scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import panel_driver
import pytest
import qt
import slicer
from panel_driver import PanelDriver, add_scan, wait_until


def test_the_button_waits_for_a_scan(panel: PanelDriver) -> None:
    assert not panel.ui.detectButton.enabled
    assert panel.ui.detectButton.toolTip == "Choose a scan first."
    panel.choose_scan(add_scan())
    assert panel.ui.detectButton.enabled


def test_a_scan_that_is_loaded_already_is_chosen(panel: PanelDriver) -> None:
    scan = add_scan()
    panel.widget.enter()
    assert panel.parameters.inputVolume is scan
    assert panel.ui.scanSelector.currentNode() is scan


def test_what_the_views_show_is_chosen_before_label_maps_and_other_scans(panel: PanelDriver) -> None:
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    add_scan("first")
    shown = add_scan("shown")
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetBackgroundVolumeID(shown.GetID())
    panel.panel.open()
    assert panel.parameters.inputVolume is shown
    panel.parameters.inputVolume = None
    slicer.mrmlScene.RemoveNode(composite)
    panel.panel.open()
    assert panel.parameters.inputVolume.GetName() == "first"


def test_a_detection_without_its_text_is_told_once_and_in_the_panel(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    assert panel.detect()
    broken = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "broken")
    panel.parameters.detection = broken
    told = panel.ui.summaryLabel.text
    assert told
    assert told != "No detection yet."
    panel.parameters.threshold = 0.4
    assert panel.ui.summaryLabel.text == told
    panel.parameters.detection = None
    assert panel.ui.summaryLabel.text == "No detection yet."


def test_a_run_shows_progress_and_adds_the_results(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    shown = []
    panel.panel.run.on_event, on_event = lambda event: (on_event(event), shown.append(panel.ui.progressBar.value)), (
        panel.panel.run.on_event
    )
    panel.click_detect()
    assert panel.ui.detectButton.text == "Cancel"
    assert not panel.ui.scanSelector.enabled
    assert panel.wait_for_end(), panel.log
    assert 300 in shown
    assert shown == sorted(shown)
    assert panel.ui.detectButton.text == "Detect microbleeds"
    assert panel.ui.scanSelector.enabled
    assert panel.ui.summaryLabel.text == "3 microbleeds: 1 lobar, 1 deep, 1 infratentorial"
    assert panel.ui.remarksLabel.text == "Slices of 3.0 mm hide small microbleeds."
    assert panel.ui.stageLabel.text.startswith("Done: 3 microbleeds")
    assert "Warning: Slices of 3.0 mm" in panel.log
    assert len(panel.segment_names()) == 3
    assert panel.visible_points() == ["C1", "C2", "C3"]
    assert panel.visible_rows() == [1, 2, 3]
    assert panel.left_behind() == []


def test_pressing_again_adds_a_second_detection_and_hides_the_first(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    assert panel.detect()
    first = panel.detection
    assert panel.detect()
    assert panel.detection.node is not first.node
    assert not first.segmentation.GetDisplayNode().GetVisibility()
    assert panel.detection.segmentation.GetDisplayNode().GetVisibility()
    panel.ui.detectionSelector.setCurrentNode(first.node)
    assert panel.detection.node is first.node
    assert first.segmentation.GetDisplayNode().GetVisibility()


def test_the_slider_changes_segments_points_table_and_counts_at_once(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    assert panel.detect()
    panel.ui.thresholdSlider.value = 0.3
    assert panel.ui.summaryLabel.text.startswith("4 microbleeds")
    assert len(panel.segment_names()) == 4
    assert panel.visible_points() == ["C1", "C2", "C3", "C4"]
    assert panel.visible_rows() == [1, 2, 3, 4]
    assert panel.parameters.operatingPoint == "custom"
    panel.ui.thresholdSlider.value = 0.99
    assert panel.ui.summaryLabel.text.startswith("No microbleeds (highest score 0.97")
    assert panel.segment_names() == []
    assert panel.visible_points() == []
    panel.ui.thresholdSlider.value = 0.0
    assert panel.ui.thresholdSlider.value == pytest.approx(0.05)  # the floor: nothing below was kept
    assert len(panel.segment_names()) == 5


def test_an_operating_point_moves_the_slider_and_a_named_threshold_gets_its_name(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    assert panel.detect()
    box = panel.ui.operatingPointBox
    box.currentIndex = box.findData("specific")
    assert panel.ui.thresholdSlider.value == pytest.approx(0.8)
    assert panel.ui.summaryLabel.text.startswith("2 microbleeds")
    panel.ui.thresholdSlider.value = 0.2
    assert panel.parameters.operatingPoint == "sensitive"
    assert box.itemData(box.currentIndex) == "sensitive"


def test_candidates_below_the_threshold_can_be_listed(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    assert panel.detect()
    panel.ui.showAllBox.click()
    assert panel.visible_rows() == [1, 2, 3, 4, 5]
    assert len(panel.segment_names()) == 3


def test_a_row_moves_all_slice_views_to_the_candidate_at_a_fixed_size(panel: PanelDriver) -> None:
    scan = add_scan()
    panel.choose_scan(scan)
    assert panel.detect()
    panel.ui.candidateTable.selectRow(1)
    center = panel.detection.record.candidates[1].center_ras
    for name in ("Red", "Green", "Yellow"):
        node = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
        matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        np.testing.assert_allclose(matrix[:3, 3], center, atol=1e-3)
        assert min(node.GetFieldOfView()[:2]) == pytest.approx(60.0)
        composite = slicer.app.layoutManager().sliceWidget(name).sliceLogic().GetSliceCompositeNode()
        assert composite.GetBackgroundVolumeID() == scan.GetID()


def test_the_parameters_reach_the_command_line(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    panel.ui.deviceBox.currentIndex = panel.ui.deviceBox.findData("cpu")
    panel.ui.operatingPointBox.currentIndex = panel.ui.operatingPointBox.findData("specific")
    assert panel.detect()
    assert panel.detection.threshold == pytest.approx(0.8)
    assert panel.detection.record.document["settings"]["operating_point"] == "specific"
    assert panel.parameters.device == "cpu"


def test_a_chosen_folder_gets_the_files_and_the_report_opens(
    panel: PanelDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    panel.choose_scan(add_scan("Visit 1"))
    assert panel.detect()
    assert not panel.ui.reportButton.enabled
    panel.ui.outputPath.currentPath = str(tmp_path / "results")
    assert panel.detect()
    assert panel.ui.stageLabel.text == f"Done: 3 microbleeds. The files are in {tmp_path / 'results'}."
    report = tmp_path / "results" / "Visit_1_report.html"
    assert report.is_file()
    panel.ui.reportButton.click()
    assert opened == [str(report)]
    report.unlink()
    panel.widget.enter()
    assert not panel.ui.reportButton.enabled


def test_a_saved_scene_opens_with_everything(panel: PanelDriver, tmp_path: Path) -> None:
    panel.choose_scan(add_scan("Visit 1"))
    assert panel.detect()
    panel.ui.thresholdSlider.value = 0.3
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(False)
    assert panel.detection is None
    assert panel.ui.summaryLabel.text == "No detection yet."
    slicer.util.loadScene(str(path))
    assert panel.parameters.inputVolume.GetName() == "Visit 1"
    assert panel.parameters.threshold == pytest.approx(0.3)
    assert panel.ui.thresholdSlider.value == pytest.approx(0.3)
    assert panel.ui.summaryLabel.text.startswith("4 microbleeds")
    assert panel.visible_points() == ["C1", "C2", "C3", "C4"]
    panel.ui.thresholdSlider.value = 0.9
    assert panel.segment_names() == ["Microbleed 1 (left lobar)"]
    panel.ui.thresholdSlider.value = 0.05
    assert len(panel.segment_names()) == 5


def test_lines_that_are_no_events_end_in_the_log(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    assert panel.detect("chatters")
    assert "a line of some library" in panel.log
    assert "a complaint of some library" in panel.log
    assert panel.ui.stageLabel.text.startswith("Done")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("refuses", "The scan has 7 slices; at least 10 are needed."),
        ("crashes", "MemoryError: no memory left"),
        ("silent", "ended without a result"),
    ],
)
def test_a_run_that_fails_says_why_and_leaves_nothing(panel: PanelDriver, mode: str, words: str) -> None:
    panel.choose_scan(add_scan())
    assert panel.detect(mode)
    assert words in panel.ui.stageLabel.text
    assert panel.detection is None
    assert panel.ui.detectButton.enabled
    assert panel.left_behind() == []


def test_a_program_that_cannot_be_started_is_told(panel: PanelDriver, tmp_path: Path) -> None:
    from CMBNetSlicer.job_command import JobCommand

    panel.choose_scan(add_scan())
    panel.panel.make_command = lambda scan, output, settings: JobCommand(str(tmp_path / "none"), (), str(tmp_path))
    panel.click_detect()
    assert panel.wait_for_end()
    assert panel.ui.stageLabel.text == f"{tmp_path / 'none'} could not be started."
    assert panel.ui.detectButton.text == "Detect microbleeds"


def test_a_scan_without_an_image_is_refused_before_anything_starts(panel: PanelDriver) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Nothing")
    panel.choose_scan(node)
    panel.click_detect()
    assert panel.ui.stageLabel.text == "The volume 'Nothing' holds no image. Choose another one."
    assert not panel.panel.run.running
    assert panel.left_behind() == []


def test_the_sample_scan_is_registered_with_sample_data(panel: PanelDriver) -> None:
    slicer.app.emit("startupCompleted()")
    source = slicer.modules.sampleDataSources["CMBNet"][-1]
    assert source.sampleName == "CMBNetSample"
    path = Path(source.uris.removeprefix("file://"))
    assert slicer.util.computeChecksum("SHA256", str(path)) == source.checksums.removeprefix("SHA256:")
    assert Path(source.thumbnailFileName).is_file()


def test_a_corrected_segment_survives_the_slider(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    assert panel.detect()
    node = panel.detection.segmentation
    scan = panel.detection.scan
    corrected = slicer.util.arrayFromSegmentBinaryLabelmap(node, "CMBNet_1", scan)
    k, j, i = np.argwhere(corrected)[0]
    corrected[k, j - 1, i] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(corrected, node, "CMBNet_1", scan)
    panel.ui.thresholdSlider.value = 0.9
    panel.ui.thresholdSlider.value = 0.05
    again = slicer.util.arrayFromSegmentBinaryLabelmap(node, "CMBNet_1", scan)
    np.testing.assert_array_equal(again, corrected)
    assert wait_until(lambda: len(panel.segment_names()) == 5)
    assert panel.ui.packagesLabel.text == panel_driver.READY
