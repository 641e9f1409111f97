"""What the module's self-test checks, in Slicer as in the stand-in."""

from __future__ import annotations

from typing import Any

import slicer

from CMBNetSlicer.package_installer import PackageInstaller
from CMBNetSlicer.panel_self_test import run_panel_test
from CMBNetSlicer.review_self_test import run_review_test
from CMBNetSlicer.sample_scan import sample_scan_path


def run_self_test(logic: Any, case: Any) -> None:
    """Read generated cases in the review room, if there is a window; detect in the sample scan and check segments,
    points and table; then the same with the panel.

    Parameters
    ----------
    logic
        A CMBNetLogic.
    case
        The unittest case, for its messages.
    """
    if slicer.util.mainWindow() is not None:
        run_review_test(case)
        slicer.mrmlScene.Clear()
    state = PackageInstaller().state()
    if state.kind != "ready":
        case.skipTest(f"the detector cannot run here. {state.text}")
    case.delayDisplay("Detecting in the sample scan")
    scan = slicer.util.loadVolume(str(sample_scan_path()))
    detection = logic.detect(scan)
    assert detection.n_microbleeds > 0
    _check_counts(detection)
    case.delayDisplay("Moving the threshold")
    detection.set_threshold(detection.record.floor_threshold)
    assert detection.n_microbleeds == len(detection.record.candidates)
    _check_counts(detection)
    if slicer.util.mainWindow() is not None:
        run_panel_test(case)
    case.delayDisplay("Passed.")


def _check_counts(detection: Any) -> None:
    count, points = detection.n_microbleeds, detection.points
    assert detection.segmentation.GetSegmentation().GetNumberOfSegments() == count
    shown = [points.GetNthControlPointVisibility(index) for index in range(points.GetNumberOfControlPoints())]
    assert sum(shown) == count
    assert len(shown) == len(detection.record.candidates)
    assert detection.table.GetNumberOfRows() == len(shown)
