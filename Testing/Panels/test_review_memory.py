"""Two hundred cases leave no node, no observer and no scan behind."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from review_driver import VIEWS, ReviewDriver

from CMBNetLib.review_loading import CaseLoader, LoadedCase, display_range
from CMBNetLib.worklist import Case, Worklist
from host import slice_views
from review_cases import CENTERS, a_scan, a_source

N_CASES = 200
# The open case and its two neighbours are kept.
MOST_KEPT = 3


class CountingReader:
    """Makes a case without a file, and knows how many of its scans are still in memory."""

    def __init__(self) -> None:
        self._scan = a_scan(CENTERS[:2], shape=(64, 60, 24))
        self._source = a_source(self._scan, CENTERS[:2])
        self.arrays: list[weakref.ref[Any]] = []

    def __call__(self, case: Case) -> LoadedCase:
        array = np.array(self._scan.array)
        self.arrays.append(weakref.ref(array))
        scan = self._scan.with_array(array)
        second = scan.with_array(np.array(array))
        return LoadedCase(case, scan, self._source, second=second, range=display_range(array))

    def alive(self) -> int:
        gc.collect()
        return sum(ref() is not None for ref in self.arrays)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[tuple[ReviewDriver, CountingReader]]:
    reader, driver = CountingReader(), ReviewDriver(None)
    driver.panel._make_loader = lambda: CaseLoader(reader)
    image = tmp_path / "there.nii"
    image.touch()
    cases = [Case(f"case-{n:03d}", image, tmp_path / f"case-{n:03d}", stem=f"case-{n:03d}") for n in range(N_CASES)]
    driver.open(Worklist(tuple(cases), tmp_path))
    yield driver, reader
    driver.close()


def n_observers() -> int:
    """Observers of what a case could have hooked itself to."""
    manager, scene = slicer.app.layoutManager(), slicer.mrmlScene
    watched = [scene]
    for name in VIEWS:
        widget = manager.sliceWidget(name)
        composite = widget.sliceLogic().GetSliceCompositeNode()
        watched += [widget.mrmlSliceNode(), composite, widget.sliceView().interactor(), widget.sliceLogic()]
    return sum(str(thing).count("vtkObserver (") for thing in watched)


def visit(room: ReviewDriver) -> None:
    """Decide, edit and look around in the open case."""
    for key in ("M", "]", "F", "S"):
        room.key(key)


def test_what_counts_observers_sees_one() -> None:
    slice_views.install()
    before = n_observers()
    tag = slicer.mrmlScene.AddObserver("ModifiedEvent", lambda *_: None)
    assert n_observers() == before + 1
    slicer.mrmlScene.RemoveObserver(tag)


@pytest.mark.slow
def test_two_hundred_cases_leave_nothing_behind(room: tuple[ReviewDriver, CountingReader]) -> None:
    driver, reader = room
    visit(driver)
    driver.key("PgDown")
    visit(driver)
    nodes, observers = slicer.mrmlScene.GetNumberOfNodes(), n_observers()
    for number in range(2, N_CASES):
        driver.key("PgDown")
        assert driver.desk.room.loaded.case.case_id == f"case-{number:03d}"
        if number % 20 == 0:
            visit(driver)
            assert slicer.mrmlScene.GetNumberOfNodes() == nodes
            assert n_observers() == observers
            assert reader.alive() <= MOST_KEPT + 1, "one more may be read ahead at this moment"
    driver.panel.close_worklist()
    assert reader.alive() <= 1, "MRML's slice pipeline keeps the last image until it shows another one"
    assert len(reader.arrays) >= N_CASES
