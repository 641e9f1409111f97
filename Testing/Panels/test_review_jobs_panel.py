"""What the review room does in the background: detection of a whole list, and the results of reading."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt
from panel_driver import FAKE_DETECTOR, REPOSITORY, ReadyInstaller
from review_driver import ReviewDriver

from CMBNetEvaluationLib.review_sources import read_candidates
from CMBNetLib.review_outlines import CURRENT
from CMBNetLib.volume import read_labels
from CMBNetLib.worklist import read_worklist, write_csv_worklist
from CMBNetSlicer.event_loop import wait_until
from CMBNetSlicer.job_command import JobCommand, python_program
from review_cases import a_worklist, dots_of

N_CASES = 3
# The window answers while child processes work; a wait of this length is felt but no freeze.
LONGEST_WAIT_S = 1.0


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    a_worklist(folder, N_CASES)
    return folder / "scans"


@pytest.fixture
def room(scans: Path, tmp_path: Path) -> Iterator[ReviewDriver]:
    """A list of three cases that nobody has detected in, with readings in a folder of the test."""
    driver = ReviewDriver(read_candidates)
    driver.panel.jobs.installer = ReadyInstaller()
    use_detector(driver, lambda _case: "done")
    driver.open(read_worklist(scans, tmp_path))
    yield driver
    driver.close()


def use_detector(room: ReviewDriver, mode: Callable[[Any], str]) -> None:
    def command(case: Any) -> JobCommand:
        arguments = (str(FAKE_DETECTOR), mode(case), str(case.image), "-o", str(case.folder))
        return JobCommand(python_program(), arguments, str(REPOSITORY))

    room.panel.jobs.queue.make_command = command


def wait(room: ReviewDriver) -> float:
    """Let the window live until nothing works in the background; the longest time in which it did not answer."""
    ticks = [time.monotonic()]
    timer = qt.QTimer()
    timer.interval = 10
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start()
    assert wait_until(lambda: not room.panel.jobs.running, 120.0)
    timer.stop()
    return float(np.max(np.diff(ticks)))


def message(room: ReviewDriver) -> str:
    return str(room.ui.afterMessage.text)


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


# ---- detection ----


def test_all_cases_are_detected_while_the_reader_goes_on(room: ReviewDriver) -> None:
    assert room.review.current is None
    room.ui.detectAllButton.click()
    assert room.panel.jobs.running
    assert not room.ui.detectAllButton.enabled
    assert room.ui.cancelJobButton.enabled
    room.key("A")
    spot = np.array(room.desk.room.loaded.scan.ras_from_ijk(np.array([[12.0, 12.0, 6.0]]))[0])
    room.desk.views.jump(spot)
    room.click(spot)
    own = room.review.current
    assert wait(room) < LONGEST_WAIT_S
    assert "3 of 3 cases were detected" in message(room)
    assert [room.ui.caseTable.item(row, 2).text() for row in range(N_CASES)] == ["6", "5", "5"]
    assert "H shows its candidates" in room.ui.readingMessage.text
    assert room.review.current == own, "the case under work is left alone"
    room.key("H")
    assert room.review.listed() == ["c1", "c2", "c3", "c4", "c5", own]
    assert room.state().findings[own].verdict == "microbleed"
    assert room.label_at(room.review.current) == CURRENT
    room.key("M")
    room.key("PgDown")
    assert len(room.review.listed()) == 5
    room.ui.detectAllButton.click()
    assert "All cases of the list have candidates" in message(room)


def test_a_case_that_cannot_be_detected_is_told_and_the_others_go_on(room: ReviewDriver) -> None:
    use_detector(room, lambda case: "refuses" if case.case_id == "case-02" else "done")
    room.ui.detectAllButton.click()
    wait(room)
    assert "2 of 3 cases were detected" in message(room)
    assert "case-02: " in message(room)
    assert not room.desk.room.worklist.cases[1].detection.exists()


def test_cancel_and_closing_stop_the_detector(room: ReviewDriver) -> None:
    use_detector(room, lambda _case: "waits")
    room.ui.detectAllButton.click()
    began = time.monotonic()
    room.ui.cancelJobButton.click()
    wait(room)
    assert time.monotonic() - began < 3.0
    assert "Cancelled; 0 of 3" in message(room)
    room.ui.detectAllButton.click()
    room.panel.close_worklist()
    assert not room.panel.jobs.running
    assert not room.ui.detectAllButton.enabled


def test_missing_packages_are_told_before_anything_starts(room: ReviewDriver) -> None:
    class Missing:
        def state(self) -> Any:
            from CMBNetSlicer.package_installer import PackageState

            return PackageState("missing", "torch is missing.")

    room.panel.jobs.installer = Missing()
    room.ui.detectAllButton.click()
    assert message(room) == "torch is missing."
    assert not room.panel.jobs.running


# ---- after reading ----


def read(room: ReviewDriver, reader: str, keys: tuple[str, ...]) -> None:
    """Read the third case as somebody; one key a finding."""
    room.open(room.desk.room.worklist, reader=reader)
    room.desk.open("case-03")
    for key in keys:
        room.key(key)
        room.key("G")
    room.key("Ctrl+Return")


@pytest.fixture
def points(room: ReviewDriver, tmp_path: Path) -> ReviewDriver:
    """The room with a list whose cases have points of some other tool as candidates."""
    cases = []
    for case in room.desk.room.worklist.cases:
        table = tmp_path / f"{case.case_id}.csv"
        found = dots_of(case, room.desk.room.loader.get(case).scan).candidates
        table.write_text("\n".join(["id,x,y,z", *(f"{n.id},{','.join(map(str, n.point_ras))}" for n in found)]))
        cases.append(replace(case, candidates=table))
    room.open(read_worklist(write_csv_worklist(tmp_path / "list.csv", cases)))
    return room


@pytest.mark.slow
def test_from_two_readings_to_a_settled_consensus_and_training_data(points: ReviewDriver) -> None:
    room = points
    read(room, "ann", ("M", "M", "Alt+1"))
    read(room, "bob", ("M", "Alt+1", "Alt+1"))
    case = room.desk.room.worklist.cases[2]

    room.ui.reviewedButton.click()
    assert room.ui.cancelJobButton.enabled
    assert wait(room) < LONGEST_WAIT_S
    assert "2 finished readings" in message(room)
    masks = sorted(case.folder.glob("*_desc-reviewed*_mask.nii.gz"))
    assert [sorted(np.unique(read_labels(mask).array)) for mask in masks] == [[0, 1, 2], [0, 1]]

    assert not room.ui.settleButton.enabled
    room.ui.consensusButton.click()
    assert wait(room) < LONGEST_WAIT_S
    assert "1 disagreement, 1 of them open" in message(room)
    room.ui.readerEdit.text = "judge"
    room.ui.settleButton.click()
    assert [row.case_id for row in room.desk.room.rows()] == ["case-03"]
    assert room.review.listed() == ["c2"]
    room.key("M")
    room.key("Ctrl+Return")

    room.ui.worklistPath.currentPath = str(case.folder.parents[1] / "list.csv")
    room.ui.openWorklistButton.click()
    room.ui.adjudicatorEdit.text = "judge"
    room.ui.consensusButton.click()
    wait(room)
    assert "none of them open" in message(room)
    assert [row["decided_by"] for row in rows_of(case.derived("consensus", "microbleeds.csv"))] == [
        "all", "adjudicator", "all",
    ]  # fmt: skip

    room.ui.trainingButton.click()
    wait(room)
    assert "1 scan with 2 microbleeds and 1 rejected or unsure finding:" in message(room)
    assert (case.folder.parent / "training" / "manifest.csv").exists()

    room.ui.progressButton.click()
    wait(room)
    page = case.folder.parent / "progress.html"
    assert "1 of 3 cases finished, 6 decisions" in message(room)
    assert page.name in message(room)
    assert "ann, bob" in page.read_text(encoding="utf-8")


def test_nothing_finished_is_told(points: ReviewDriver) -> None:
    points.ui.reviewedButton.click()
    wait(points)
    assert "No case is finished yet" in message(points)


def test_a_running_job_can_be_cancelled(points: ReviewDriver) -> None:
    points.ui.progressButton.click()
    points.ui.cancelJobButton.click()
    wait(points)
    assert "Cancelled" in message(points)
    assert points.ui.reviewedButton.enabled
