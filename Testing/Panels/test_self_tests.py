"""The self-tests that `make test-slicer` runs in the application, run here: real detector, shipped model and scan."""

from __future__ import annotations

import pytest
import slicer
from panel_driver import REPOSITORY

import host


@pytest.mark.slow
def test_cmbnet_detects_in_the_sample_scan_by_script_and_by_panel() -> None:
    host.load_module(REPOSITORY / "CMBNet" / "CMBNet.py")
    slicer.selfTests["CMBNet"]()
    assert slicer.mrmlScene.GetFirstNodeByName("CMBNetSample_swi") is not None


@pytest.mark.parametrize("name", ["CMBNetTraining", "CMBNetEvaluation"])
def test_the_other_modules_pass_theirs(name: str) -> None:
    host.load_module(REPOSITORY / name / f"{name}.py")
    slicer.selfTests[name]()
