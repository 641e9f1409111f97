"""The room: cases opened in turn and read ahead, neighbours kept, the rest let go; resume; bad files told."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from CMBNetLib.errors import InputError
from CMBNetLib.reading_events import Point
from CMBNetLib.reading_lock import LockedError
from CMBNetLib.readings import ReadingHeader, ReadingStore, read_readings, readings_path
from CMBNetLib.review_candidates import NO_CANDIDATES
from CMBNetLib.review_loading import CaseLoader, LoadedCase, detected_candidates, display_range, read_case
from CMBNetLib.review_room import ReadingSetup, ReviewRoom
from CMBNetLib.volume import Volume, write_volume
from CMBNetLib.worklist import Worklist
from review_cases import CENTERS, a_scan, a_source, a_worklist, dots_of, ticking_clock


def a_room(worklist: Worklist, loader: CaseLoader | None = None, **setup: object) -> ReviewRoom:
    options = {"reader": "ann", "anatomy": False, **setup}
    loader = loader or CaseLoader(lambda case: read_case(case, dots_of))
    return ReviewRoom(worklist, ReadingSetup(**options), loader, ticking_clock())  # type: ignore[arg-type]


def test_a_case_opens_with_its_candidates_and_its_neighbours_are_read_ahead(tmp_path: Path) -> None:
    room = a_room(a_worklist(tmp_path, 4))
    room.open("case-02")
    assert room.review.listed() == ["c1", "c2"]
    assert set(room.loader.kept) == {"case-01", "case-02", "case-03"}
    low, high = room.loaded.range
    assert low < 60 < 100 < high
    room.leave()


def test_no_more_than_three_cases_are_kept_over_a_long_list(tmp_path: Path) -> None:
    worklist = a_worklist(tmp_path, 2)
    cases = [replace(worklist.cases[n % 2], case_id=f"case-{n + 1:02d}", folder=tmp_path / str(n)) for n in range(200)]
    loaded = read_case(cases[0], dots_of)
    loader = CaseLoader(lambda case: replace(loaded, case=case))
    room = a_room(Worklist(tuple(cases), tmp_path / "out"), loader)
    for case in cases:
        room.open(case.case_id)
        assert len(room.loader.kept) <= 3
        assert threading.active_count() < 10
    assert room.neighbour(1) is None
    room.leave()


def test_the_next_case_is_read_while_the_reader_is_busy_and_then_opens_at_once(tmp_path: Path) -> None:
    read: list[str] = []
    done = threading.Event()

    def slow(case):
        loaded = read_case(case, dots_of)
        read.append(case.case_id)
        if case.case_id == "case-02":
            done.set()
        return loaded

    room = a_room(a_worklist(tmp_path, 3), CaseLoader(slow))
    room.open("case-01")
    assert done.wait(30)
    room.open("case-02")
    room.open("case-01")  # going back reads nothing anew
    assert read.count("case-01") == read.count("case-02") == 1
    room.leave()


def test_the_table_follows_the_reading_and_its_filter_the_neighbours(tmp_path: Path) -> None:
    room = a_room(a_worklist(tmp_path, 4))
    room.open("case-02")
    for _ in range(2):
        room.review.decide("microbleed")
        room.review.step(1)
    room.review.finish()
    room.refresh()
    row = room.row("case-02")
    assert (row.status, row.candidates, row.decided) == ("finished", 2, 2)
    assert row.minutes > 0
    room.filter = "to do"
    assert [found.case_id for found in room.rows()] == ["case-01", "case-03", "case-04"]
    assert (room.neighbour(-1), room.neighbour(1)) == ("case-01", "case-03")
    room.search = "04"
    assert room.neighbour(1) == "case-04"
    room.leave()


def test_the_table_of_a_blinded_reader_hides_the_candidates_until_they_are_revealed(tmp_path: Path) -> None:
    room = a_room(a_worklist(tmp_path, 3), mode="blinded")
    room.open("case-03")
    room.refresh()
    assert room.row("case-03").candidates is None
    room.review.finish()
    room.review.reveal()
    room.refresh()
    assert room.row("case-03").candidates == 3
    room.leave()


def test_the_next_session_opens_at_the_case_finding_filter_and_view(tmp_path: Path) -> None:
    worklist = a_worklist(tmp_path, 5)
    room = a_room(worklist)
    assert room.resume() == {}
    assert room.loaded.case.case_id == "case-01"
    room.filter = "to do"
    room.open("case-05")
    room.review.go("c3")
    room.review.filter = "undecided"
    room.remember({"field_of_view_mm": 50.0})
    room.leave()
    again = a_room(worklist)
    assert again.resume()["field_of_view_mm"] == 50.0
    place = (again.loaded.case.case_id, again.review.current, again.review.filter, again.filter)
    assert place == ("case-05", "c3", "undecided", "to do")
    again.leave()


def test_a_position_that_no_longer_fits_begins_at_the_first_case(tmp_path: Path) -> None:
    worklist = a_worklist(tmp_path, 3)
    room = a_room(worklist)
    room.open("case-03")
    room.remember()
    room.leave()
    shorter = a_room(Worklist(worklist.cases[:2], worklist.output_folder))
    shorter.resume()
    assert shorter.loaded.case.case_id == "case-01"
    shorter.leave()


def test_a_locked_case_is_refused_and_the_open_one_stays(tmp_path: Path) -> None:
    worklist = a_worklist(tmp_path, 2)
    path = readings_path(worklist.cases[1].folder, "ann")
    path.parent.mkdir(parents=True)
    lock = path.with_name(path.name + ".lock")
    lock.write_text(json.dumps({"pid": 1, "host": "elsewhere", "token": "t"}))
    room = a_room(worklist)
    room.open("case-01")
    with pytest.raises(LockedError, match="on elsewhere"):
        room.open("case-02")
    assert room.loaded.case.case_id == "case-01"
    room.review.decide("microbleed")
    room.open("case-02", force=True)
    room.leave()
    assert read_readings(readings_path(worklist.cases[0].folder, "ann")).state.finding("c1").verdict == "microbleed"


def test_a_scan_that_changed_since_is_refused(tmp_path: Path) -> None:
    worklist = a_worklist(tmp_path, 1)
    room = a_room(worklist)
    room.open("case-01")
    room.review.decide("microbleed")
    room.leave()
    write_volume(a_scan(CENTERS, 99), worklist.cases[0].image)
    again = a_room(worklist)
    with pytest.raises(InputError, match="made on another scan"):
        again.open("case-01")
    assert again.loaded is None
    again.leave()


def test_a_missing_scan_is_told_and_can_be_mended(tmp_path: Path) -> None:
    worklist = a_worklist(tmp_path, 2)
    image = worklist.cases[1].image
    content = image.read_bytes()
    image.unlink()
    room = a_room(worklist)
    room.open("case-01")
    assert room.neighbour(1) is None
    with pytest.raises(InputError):
        room.open("case-02")
    image.write_bytes(content)
    room.refresh("case-02")
    assert room.neighbour(1) == "case-02"
    room.open("case-02")
    room.leave()


def test_optional_files_that_are_bad_are_left_out_and_told(tmp_path: Path) -> None:
    worklist = a_worklist(tmp_path, 1)
    scan = a_scan(CENTERS)
    write_volume(Volume(np.zeros((5, 5, 12), np.uint8), scan.ijk_to_ras), tmp_path / "truth.nii.gz")
    (tmp_path / "phase.nii.gz").write_text("no image")
    case = replace(worklist.cases[0], second=tmp_path / "phase.nii.gz", reference=tmp_path / "truth.nii.gz")
    loaded = read_case(case, dots_of)
    assert (loaded.second, loaded.reference) == (None, None)
    assert [problem.split(":")[0] for problem in loaded.problems] == [
        "The second volume is left out",
        "The reference is left out",
    ]
    assert len(loaded.source.candidates) == 1


def test_without_a_detection_there_are_no_candidates(tmp_path: Path) -> None:
    worklist = a_worklist(tmp_path, 1)
    assert detected_candidates(worklist.cases[0], a_scan(CENTERS)) == NO_CANDIDATES


def test_two_rounds_of_one_reader_are_kept_apart(tmp_path: Path) -> None:
    worklist = a_worklist(tmp_path, 1)
    for number, verdict in ((1, "microbleed"), (2, "unsure")):
        room = a_room(worklist, round=number)
        room.open("case-01")
        assert room.review.finding("c1").verdict is None
        room.review.decide(verdict)
        room.leave()
    folder = worklist.cases[0].folder / "readings"
    assert sorted(path.name for path in folder.iterdir()) == ["ann_round1.jsonl", "ann_round2.jsonl"]


def test_who_reads_and_how_is_checked() -> None:
    with pytest.raises(InputError, match="reader name"):
        ReadingSetup("a/b")
    with pytest.raises(InputError, match="Unknown reading mode"):
        ReadingSetup("ann", mode="asleep")
    with pytest.raises(InputError, match="1 or more"):
        ReadingSetup("ann", round=0)


def test_the_anatomy_pre_fills_regions_once_it_is_known(tmp_path: Path) -> None:
    loader = CaseLoader(lambda case: read_case(case, dots_of))
    room = a_room(a_worklist(tmp_path, 1), loader)
    loaded = room.open("case-01")
    assert loader.locate(loaded, (0.0, 0.0, 0.0)) is None
    room.leave()


def test_files_of_another_reader_are_untouched(tmp_path: Path) -> None:
    worklist = a_worklist(tmp_path, 1)
    other = readings_path(worklist.cases[0].folder, "bob")
    ReadingStore(other, ReadingHeader("case-01", "bob")).close()
    before = other.read_bytes()
    room = a_room(worklist)
    room.open("case-01")
    room.review.decide("microbleed")
    room.leave()
    assert other.read_bytes() == before
    assert a_source(a_scan(CENTERS), CENTERS).by_id[1].id == 1


def test_anatomy_is_found_only_where_regions_are_not_told(tmp_path: Path) -> None:
    class Counting(CaseLoader):
        begun: ClassVar[list[str]] = []

        def begin_anatomy(self, loaded: LoadedCase) -> None:
            self.begun.append(loaded.case.case_id)

        def locate(self, loaded: LoadedCase, point_ras: Point) -> str | None:
            self.begin_anatomy(loaded)
            return None

    told = ReviewRoom(a_worklist(tmp_path, 1), ReadingSetup("ann"), Counting(lambda case: read_case(case, dots_of)))
    told.open("case-01")
    assert Counting.begun == [], "the candidates have their regions"
    told.review.add((1.0, 2.0, 3.0))
    assert Counting.begun == ["case-01"], "the reader's own finding needs one"
    told.leave()
    Counting.begun.clear()
    blind = ReviewRoom(
        a_worklist(tmp_path, 1), ReadingSetup("bob", mode="blinded"), Counting(lambda case: read_case(case, dots_of))
    )
    blind.open("case-01")
    assert Counting.begun == ["case-01"]
    blind.leave()


def test_the_default_window_shows_tissue_not_air() -> None:
    scan = np.zeros((20, 40, 40), np.float32)
    scan[:, 15:25, 15:25] = np.linspace(80, 120, 100).reshape(10, 10)
    low, high = display_range(scan)
    assert low == pytest.approx(0.0, abs=0.5)
    assert 115 < high <= 120
    phase = np.random.default_rng(1).uniform(-3.1, 3.1, (20, 40, 40)).astype(np.float32)
    low, high = display_range(phase)
    assert -3.2 < low < -3.0
    assert 3.0 < high < 3.2
    assert display_range(np.full((2, 3, 4), 7.0))[1] > 7.0
