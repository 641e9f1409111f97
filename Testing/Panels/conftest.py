"""The stand-in for the application, started once for this process, and small scans to work on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import host

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent)]
MODULES = ("CMBNet", "CMBNetEvaluation", "CMBNetTraining", "Testing/Panels", "Testing/Scene")
host.start([REPOSITORY / name for name in MODULES])

import panel_driver  # noqa: E402


@pytest.fixture(autouse=True)
def empty_scene() -> Iterator[None]:
    """Every test starts and ends with an empty scene, without modules, and starts with the settings of a new user."""
    import slicer

    slicer.mrmlScene.Clear(False)
    slicer.app.settings().clear()
    yield
    host.unload_modules()
    slicer.mrmlScene.Clear(False)


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch) -> panel_driver.PanelDriver:
    """The module's panel in an empty scene, with a fake detector and its model behind it."""
    from CMBNetSlicer import inputs_section

    monkeypatch.setattr(inputs_section, "installed_models", lambda: ([panel_driver.fake_model()], []))
    return panel_driver.open_panel()
