"""The readings file: each decision on disk before the next, bad files refused, a full disk survived."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
from datetime import datetime, timezone
from pathlib import Path

import pytest

from CMBNetLib import reading_journal
from CMBNetLib.errors import InputError
from CMBNetLib.reading_clock import ReadingClock
from CMBNetLib.reading_events import Event
from CMBNetLib.reading_session import SessionPosition, load_position, save_position, session_path
from CMBNetLib.readings import ReadingHeader, ReadingsNotSavedError, ReadingStore, read_readings, readings_path
from reading_acts import next_act

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def a_store(path: Path, **options: object) -> ReadingStore:
    header = options.pop("header", ReadingHeader("case-1", "ann", 1, "sha256:a"))
    return ReadingStore(path, header, now=lambda: NOON, **options)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return readings_path(tmp_path / "case-1", "ann")


def test_the_file_lies_beside_the_case_and_is_named_after_reader_and_round(tmp_path: Path) -> None:
    assert readings_path(tmp_path, "ann", 2) == tmp_path / "readings" / "ann_round2.jsonl"
    with pytest.raises(InputError, match="cannot be used in a file name"):
        readings_path(tmp_path, "../ann")


def test_every_decision_is_on_disk_when_append_returns(path: Path) -> None:
    chooser = random.Random(1)
    with a_store(path, mode="blinded") as store:
        for count in range(1, 31):
            stored = store.append(next_act(store.state, chooser))
            lines = path.read_text(encoding="utf-8").splitlines()
            assert len(lines) == count + 1
            assert Event.from_dict(json.loads(lines[-1])) == stored
    first = read_readings(path).events[0]
    assert (first.number, first.reader, first.mode) == (1, "ann", "blinded")
    assert first.time == "2026-03-01T12:00:00.000+00:00"
    assert not path.with_name(path.name + ".lock").exists()


def test_a_second_opening_continues_where_the_first_stopped(path: Path) -> None:
    with a_store(path) as store:
        store.append(Event("decide", target="c1", verdict="not", mimic="vein", seconds=2.5))
        store.append(Event("decide", target="c2", verdict="microbleed"))
        assert store.undo().target == "c2"
    with a_store(path) as store:
        assert store.state.finding("c1").mimic == "vein"
        assert store.redo().target == "c2"
        assert store.redo() is None
        assert [event.kind for event in store.events] == ["decide", "decide", "undo", "redo"]
    assert read_readings(path).state.finding("c2").verdict == "microbleed"


def test_an_event_that_does_not_fit_leaves_no_trace(path: Path) -> None:
    with a_store(path) as store, pytest.raises(InputError, match="no event before it added"):
        store.append(Event("delete", target="p9"))
    assert read_readings(path).events == ()


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_torn_last_line_is_reported_and_skipped(path: Path, cut: int) -> None:
    with a_store(path) as store:
        store.append(Event("decide", target="c1", verdict="unsure"))
        store.append(Event("comment", target="c1", comment="torn"))
    path.write_bytes(path.read_bytes()[: -1 - cut])
    with a_store(path) as store:
        assert store.problems == ["Line 3 of ann_round1.jsonl was cut off when the program ended, and is skipped."]
        assert store.state.finding("c1").comment is None
        store.append(Event("comment", target="c1", comment="whole"))
    again = read_readings(path)
    assert again.state.finding("c1").comment == "whole"
    assert again.problems == ("Line 3 of ann_round1.jsonl was cut off when the program ended, and is skipped.",)


def test_a_last_line_that_only_lacks_its_end_counts(path: Path) -> None:
    with a_store(path) as store:
        store.append(Event("decide", target="c1", verdict="unsure"))
    path.write_bytes(path.read_bytes()[:-1])
    with a_store(path) as store:
        assert store.state.finding("c1").verdict == "unsure"
        store.append(Event("decide", target="c2", verdict="unsure"))
    assert [event.target for event in read_readings(path).events] == ["c1", "c2"]


def test_damage_in_the_middle_is_refused(path: Path) -> None:
    with a_store(path) as store:
        store.append(Event("decide", target="c1", verdict="unsure"))
        store.append(Event("decide", target="c2", verdict="unsure"))
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], lines[1][:20], lines[2], b""]))
    with pytest.raises(InputError, match=r"Line 2 .* is damaged, and not by a crash"):
        read_readings(path)
    path.write_bytes(b"\n".join([lines[0], lines[2], b""]))
    with pytest.raises(InputError, match="lines are missing or two programs wrote"):
        read_readings(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (ReadingHeader("case-2", "ann", 1, "sha256:a"), "not round 1 of ann on case-2"),
        (ReadingHeader("case-1", "bob", 1, "sha256:a"), "holds round 1 of reader ann on case case-1"),
        (ReadingHeader("case-1", "ann", 2, "sha256:a"), "not round 2 of ann"),
        (ReadingHeader("case-1", "ann", 1, "sha256:b"), "made on another scan"),
    ],
)
def test_readings_of_another_case_reader_or_scan_are_refused(path: Path, header: ReadingHeader, message: str) -> None:
    a_store(path).close()
    with pytest.raises(InputError, match=message):
        a_store(path, header=header)
    a_store(path).close()  # the refusal left no lock behind


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": "1.1"}, r"newer version of CMBNet .*file version 1.1.* Update"),
        ({"schema_version": "2.0"}, "newer version"),
        ({"schema": "something"}, "is not a readings file"),
        ({"schema_version": "one"}, "no version number"),
        ({"reader": None}, "cannot be used|lacks"),
    ],
)
def test_files_of_other_kinds_and_versions_are_refused(path: Path, change: dict, message: str) -> None:
    a_store(path).close()
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, **change}) + "\n")
    with pytest.raises(InputError, match=message):
        read_readings(path)


def test_an_empty_file_is_refused_with_what_to_do(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("")
    with pytest.raises(InputError, match="delete it to begin"):
        a_store(path)


def test_a_full_disk_keeps_the_work_in_memory_until_there_is_room(path: Path) -> None:
    store = a_store(path)
    store.append(Event("decide", target="c1", verdict="unsure"))
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 30, hard))  # the next line fits only in part
    try:
        for key in ("c2", "c3"):
            with pytest.raises(ReadingsNotSavedError, match=r"kept in memory only: make room .* save .* elsewhere"):
                store.append(Event("decide", target=key, verdict="unsure"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert store.state.finding("c3").verdict == "unsure"
    assert len(store.unsaved) == 2
    store.retry()
    store.close()
    assert [event.target for event in read_readings(path).events] == ["c1", "c2", "c3"]


def test_a_half_written_line_that_cannot_be_taken_back_is_skipped_later(path: Path, monkeypatch) -> None:
    store = a_store(path)
    real = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 60:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(data[:40]))

    def refuse(_descriptor: int, _size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(reading_journal.os, "write", half)
        patch.setattr(reading_journal.os, "ftruncate", refuse)
        with pytest.raises(ReadingsNotSavedError, match="No space left"):
            store.append(Event("decide", target="c1", verdict="unsure"))
    store.append(Event("decide", target="c2", verdict="unsure"))
    store.close()
    found = read_readings(path)
    assert [event.target for event in found.events] == ["c1", "c2"]
    assert len(found.problems) == 1


def test_a_folder_that_cannot_be_written_keeps_the_work_and_saves_it_elsewhere(tmp_path: Path) -> None:
    wall = tmp_path / "wall"
    wall.write_text("a file where the folder should be")
    store = a_store(wall / "readings" / "ann_round1.jsonl")
    assert "Decisions are kept in memory only" in store.problems[0]
    with pytest.raises(ReadingsNotSavedError):
        store.append(Event("decide", target="c1", verdict="unsure"))
    with pytest.raises(InputError, match="cannot be"):
        store.save_elsewhere(wall / "again.jsonl")
    assert len(store.unsaved) == 1
    store.save_elsewhere(tmp_path / "usb" / "ann.jsonl")
    store.append(Event("decide", target="c2", verdict="unsure"))
    with pytest.raises(InputError, match="exists already"):
        store.save_elsewhere(tmp_path / "usb" / "ann.jsonl")
    store.close()
    assert [event.target for event in read_readings(tmp_path / "usb" / "ann.jsonl").events] == ["c1", "c2"]


def test_time_stands_still_while_the_window_is_away() -> None:
    moment = [0.0]
    clock = ReadingClock(now=lambda: moment[0], longest_s=60.0)
    clock.resume()
    moment[0] = 5.0
    clock.pause()
    moment[0] = 100.0
    clock.resume()
    moment[0] = 102.0
    assert clock.take() == 7.0
    assert clock.running
    moment[0] = 500.0
    assert clock.take() == 60.0
    assert clock.take() == 0.0


def test_the_session_opens_where_the_reader_stopped(tmp_path: Path) -> None:
    place = session_path(tmp_path, "ann")
    assert load_position(place) is None
    position = SessionPosition("case-7", "c12", "undecided", {"field_of_view_mm": 60.0, "outline": False})
    save_position(place, position)
    assert load_position(place) == position
    place.write_text("{")
    assert load_position(place) is None
