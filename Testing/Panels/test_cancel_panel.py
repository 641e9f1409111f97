"""Stopping a run: by the button, because the scene or the scan goes, because Slicer ends."""

from __future__ import annotations

import time

import pytest
import slicer
from panel_driver import PanelDriver, add_scan, process_exists, wait_until

import host

PROMISED_S = 2.0


def all_ended(pids: list[int]) -> bool:
    return not any(process_exists(pid) for pid in pids)


def cancel_seconds(panel: PanelDriver, mode: str) -> float:
    """Start a run, press Cancel, and check what is left; how long the end took."""
    pids = panel.start_waiting(mode)
    assert all(process_exists(pid) for pid in pids)
    assert panel.ui.progressBar.value == 400
    start = time.monotonic()
    panel.click_detect()
    assert panel.ui.stageLabel.text == "Cancelling…"
    assert wait_until(lambda: not panel.panel.run.running and all_ended(pids))
    seconds = time.monotonic() - start
    assert panel.ui.stageLabel.text == "The detection was cancelled."
    assert panel.ui.detectButton.text == "Detect microbleeds"
    assert panel.left_behind() == []
    return seconds


@pytest.mark.parametrize("mode", ["waits", "stubborn"])
def test_cancel_ends_the_whole_process_tree_in_time(panel: PanelDriver, mode: str) -> None:
    panel.choose_scan(add_scan())
    # A busy machine may be late once; our own waiting would be late each time.
    assert any(cancel_seconds(panel, mode) < PROMISED_S for _attempt in range(3))


def test_a_run_after_a_cancelled_one_gives_results(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    panel.start_waiting()
    panel.click_detect()
    assert panel.wait_for_end()
    assert panel.detect()
    assert panel.visible_rows() == [1, 2, 3]


def test_closing_the_scene_stops_the_run(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    pids = panel.start_waiting()
    slicer.mrmlScene.Clear(False)
    assert wait_until(lambda: not panel.panel.run.running and all_ended(pids))
    assert panel.ui.stageLabel.text == "The detection was cancelled because the scene was closed."
    assert panel.parameters.inputVolume is None
    assert not panel.ui.detectButton.enabled
    panel.choose_scan(add_scan())
    assert panel.detect()


def test_deleting_the_scan_stops_the_run(panel: PanelDriver) -> None:
    scan = add_scan()
    other = add_scan("Other")
    panel.choose_scan(scan)
    pids = panel.start_waiting()
    slicer.mrmlScene.RemoveNode(other)
    assert panel.panel.run.running
    slicer.mrmlScene.RemoveNode(scan)
    assert wait_until(lambda: not panel.panel.run.running and all_ended(pids))
    assert panel.ui.stageLabel.text == "The detection was cancelled because the scan was removed."
    assert panel.left_behind() == []


def test_the_end_of_slicer_ends_the_run_at_once(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    pids = panel.start_waiting("stubborn")
    host.unload_modules()  # without an event loop, as at the end of the application
    assert all_ended(pids)
    assert panel.left_behind() == []


def test_leaving_the_module_does_not_stop_the_run(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    panel.start_waiting()
    panel.widget.exit()
    panel.widget.enter()
    assert panel.panel.run.running
    assert panel.ui.detectButton.text == "Cancel"


def test_deleting_results_while_they_are_shown_is_no_problem(panel: PanelDriver) -> None:
    panel.choose_scan(add_scan())
    assert panel.detect()
    slicer.mrmlScene.RemoveNode(panel.detection.segmentation)
    slicer.mrmlScene.RemoveNode(panel.detection.points)
    slicer.mrmlScene.RemoveNode(panel.detection.table)
    panel.ui.thresholdSlider.value = 0.3
    assert panel.ui.summaryLabel.text.startswith("4 microbleeds")
    panel.ui.candidateTable.selectRow(2)  # the position comes from the record now
    slicer.mrmlScene.RemoveNode(panel.detection.node)
    assert panel.detection is None
    assert panel.ui.candidateTable.rowCount == 0
