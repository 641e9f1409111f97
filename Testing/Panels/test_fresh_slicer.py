"""A Slicer to which nothing was added: what opens, what works, and what is said about the rest."""

from __future__ import annotations

import importlib.util
import unittest
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import slicer
from panel_driver import REPOSITORY, PanelDriver, add_scan
from review_driver import ReviewDriver

import host
from CMBNetSlicer.package_installer import PackageInstaller
from CMBNetSlicer.packages_section import PackagesSection
from host import slice_views
from host.bundled import fresh_installation
from review_cases import a_worklist, dots_of

MODULES = ("CMBNet", "CMBNetTraining", "CMBNetEvaluation")


@pytest.fixture
def fresh() -> Iterator[None]:
    with fresh_installation():
        yield


def test_added_packages_are_gone_and_come_back() -> None:
    with fresh_installation():
        assert importlib.util.find_spec("skimage") is None
        with pytest.raises(ModuleNotFoundError):
            import skimage
        import numpy as again
    import skimage  # noqa: F401

    assert again is np


@pytest.mark.parametrize("name", MODULES)
def test_the_modules_open(fresh: None, name: str) -> None:
    assert host.load_module(REPOSITORY / name / f"{name}.py").widget().panel is not None


@pytest.mark.parametrize("name", MODULES)
def test_the_self_tests_are_skipped_with_a_reason(fresh: None, name: str) -> None:
    """What needs no added package is tested before: the reading room for example."""
    slice_views.install()
    host.load_module(REPOSITORY / name / f"{name}.py")
    with pytest.raises(unittest.SkipTest, match=r"(torch|skimage|matplotlib)"):
        slicer.selfTests[name]()


@pytest.mark.parametrize(
    ("name", "button"), [("CMBNetTraining", "curateButton"), ("CMBNetEvaluation", "evaluateButton")]
)
def test_the_other_modules_say_where_the_packages_are_installed(fresh: None, name: str, button: str) -> None:
    panel = host.load_module(REPOSITORY / name / f"{name}.py").widget().panel
    assert not getattr(panel.ui, button).enabled
    assert "Open the module CMBNet and press Install packages" in getattr(panel.ui, button).toolTip


def test_a_reader_can_mark_a_lesion(fresh: None, tmp_path: Path) -> None:
    room = ReviewDriver(dots_of)
    room.open(a_worklist(tmp_path, 2))
    spot = np.array(room.review.source.candidates[0].point_ras)
    room.press("add")
    room.desk.views.jump(spot)
    room.click(spot)
    assert room.found().mask.method == "region growing"
    room.press("regrow")
    assert room.found().mask is not None
    room.close()


def test_the_training_tab_says_it_too(fresh: None) -> None:
    ui = host.load_module(REPOSITORY / "CMBNetTraining" / "CMBNetTraining.py").widget().tabs.training.ui
    assert not ui.trainButton.enabled
    assert "torch, safetensors, monai" in ui.trainButton.toolTip


def test_what_the_report_needs_can_be_installed_when_the_detector_is_ready(panel: PanelDriver) -> None:
    add_scan()
    have = {"torch", "safetensors", "cc3d", "SimpleITK", "numpy", "scipy", "skimage"}
    asked: list[str] = []

    def pip(requirements: list[str], _constraints: Path | None) -> None:
        asked.extend(requirements)
        have.update(("jinja2", "matplotlib", "monai"))

    installer = PackageInstaller(have.__contains__, lambda name: None, lambda version: None, pip)  # type: ignore[arg-type]
    section = PackagesSection(panel.ui, installer, lambda: None)
    assert section.ready
    assert section.state.text == "Ready. Missing for report, evaluation or training: jinja2, matplotlib, monai."
    assert panel.ui.installButton.enabled
    section._install()
    assert asked == ["jinja2", "matplotlib", "monai"]
    assert section.state.text == "Ready."
    assert not panel.ui.installButton.enabled
