"""The stand-in for the application, started once for this process, and small scans to work on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import host

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent)]
host.start([REPOSITORY / "CMBNet", REPOSITORY / "Testing" / "Panels", REPOSITORY / "Testing" / "Scene"])

import panel_driver  # noqa: E402


@pytest.fixture(autouse=True)
def empty_scene() -> Iterator[None]:
    """Every test starts and ends with an empty scene, without modules."""
    import slicer

    slicer.mrmlScene.Clear(False)
    yield
    host.unload_modules()
    slicer.mrmlScene.Clear(False)


@pytest.fixture
def panel() -> panel_driver.PanelDriver:
    """The module's panel in an empty scene, with a fake detector behind it."""
    return panel_driver.open_panel()
