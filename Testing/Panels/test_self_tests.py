"""The self-tests that `make test-slicer` runs in the application, run here: real detector, shipped model and scan."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import slicer
from panel_driver import REPOSITORY

import host
from CMBNetSlicer.review_self_test import run_review_test
from host import none_references, slice_views


@pytest.mark.slow
def test_the_scripted_reader_of_the_self_test_reads_edits_and_makes_results() -> None:
    host.load_module(REPOSITORY / "CMBNet" / "CMBNet.py")
    none_references.hold()
    slice_views.install()
    run_review_test(SimpleNamespace(delayDisplay=lambda _text: None))


@pytest.mark.slow
def test_cmbnet_detects_in_the_sample_scan_by_script_and_by_panel() -> None:
    host.load_module(REPOSITORY / "CMBNet" / "CMBNet.py")
    slicer.selfTests["CMBNet"]()
    assert slicer.mrmlScene.GetFirstNodeByName("CMBNetSample_swi") is not None


@pytest.mark.parametrize("name", ["CMBNetTraining", "CMBNetEvaluation"])
def test_the_other_modules_pass_theirs(name: str) -> None:
    host.load_module(REPOSITORY / name / f"{name}.py")
    slicer.selfTests[name]()
