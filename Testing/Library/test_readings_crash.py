"""Kill -9 and two writers: nothing accepted is lost, and one file never has two writers."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from CMBNetLib.reading_events import Event
from CMBNetLib.reading_lock import LockedError, ReadingLock, process_is_alive
from CMBNetLib.readings import ReadingHeader, ReadingsNotSavedError, ReadingStore, read_readings

LIBRARY = Path(__file__).resolve().parents[2] / "CMBNet"
WRITER = """
import random, sys
from pathlib import Path
sys.path.insert(0, {library!r})
from CMBNetLib.readings import ReadingHeader, ReadingStore
from CMBNetLib.reading_events import Event
store = ReadingStore(Path({path!r}), ReadingHeader("case", "ann"))
print("opened", len(store.events), flush=True)
for number in range(100000):
    stored = store.append(Event("comment", target="c1", comment="x" * random.randint(0, 9000)))
    print(stored.number, flush=True)
"""


def start(path: Path) -> subprocess.Popen[str]:
    program = WRITER.format(library=str(LIBRARY), path=str(path))
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def test_a_writer_killed_twenty_times_loses_nothing_it_accepted(tmp_path: Path) -> None:
    path, chooser = tmp_path / "ann_round1.jsonl", random.Random(5)
    accepted = 0
    for _ in range(20):
        with start(path) as process:
            assert process.stdout is not None
            word, count = process.stdout.readline().split()
            assert word == "opened"
            assert int(count) >= accepted
            for _ in range(chooser.randint(1, 60)):
                accepted = int(process.stdout.readline())
            process.kill()
            said = process.stdout.read().split("\n")[:-1]
            accepted = int(said[-1]) if said else accepted
        found = read_readings(path)
        # At most the keystroke in flight is beyond what the reader was told.
        assert accepted <= len(found.events) <= accepted + 1
    assert accepted > 200
    with ReadingStore(path, ReadingHeader("case", "ann")) as store:
        store.append(Event("decide", target="c1", verdict="unsure"))
    assert read_readings(path).state.finding("c1").verdict == "unsure"


def test_one_file_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "ann_round1.jsonl"
    with start(path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(LockedError, match=f"open in process {process.pid} on {socket.gethostname()}"):
            ReadingStore(path, ReadingHeader("case", "ann"))
        # Another reader, and the same reader in another round, go on undisturbed.
        ReadingStore(tmp_path / "bob_round1.jsonl", ReadingHeader("case", "bob")).close()
        ReadingStore(tmp_path / "ann_round2.jsonl", ReadingHeader("case", "ann", 2)).close()
        process.kill()
    with ReadingStore(path, ReadingHeader("case", "ann")) as store, pytest.raises(LockedError):
        ReadingStore(store.path, ReadingHeader("case", "ann"))


def test_a_lock_of_another_computer_is_taken_over_only_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "ann_round1.jsonl"
    lock = path.with_name(path.name + ".lock")
    lock.write_text(json.dumps({"pid": 1, "host": "reading-room-2", "token": "x", "since": "2026-01-01 10:00:00"}))
    with pytest.raises(LockedError, match="process 1 on reading-room-2 since 2026-01-01 10:00:00"):
        ReadingStore(path, ReadingHeader("case", "ann"))
    store = ReadingStore(path, ReadingHeader("case", "ann"), force=True)
    store.append(Event("decide", target="c1", verdict="unsure"))
    store.close()
    assert not lock.exists()


def test_who_lost_the_lock_writes_no_more_and_keeps_the_work(tmp_path: Path) -> None:
    path = tmp_path / "ann_round1.jsonl"
    first = ReadingStore(path, ReadingHeader("case", "ann"))
    first.append(Event("decide", target="c1", verdict="unsure"))
    second = ReadingStore(path, ReadingHeader("case", "ann"), force=True)
    with pytest.raises(ReadingsNotSavedError, match="taken it over"):
        first.append(Event("decide", target="c2", verdict="unsure"))
    second.append(Event("decide", target="c3", verdict="unsure"))
    first.save_elsewhere(tmp_path / "saved.jsonl")
    first.close()
    assert second.path.with_name(second.path.name + ".lock").exists()  # the loser did not remove the winner's lock
    second.close()
    assert [event.target for event in read_readings(path).events] == ["c1", "c3"]
    assert [event.target for event in read_readings(tmp_path / "saved.jsonl").events] == ["c1", "c2"]


def test_a_torn_lock_file_is_not_taken_over_silently(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.with_name("a.jsonl.lock").write_text('{"pi')
    with pytest.raises(LockedError, match="does not say by whom"):
        ReadingLock(path)
    ReadingLock(path, force=True).release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_while_the_lock_is_made_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    child = os.fork()
    if child == 0:
        os.link = lambda *_paths: os._exit(0)  # type: ignore[assignment, return-value]
        os.fsync = lambda _descriptor: os._exit(0)  # type: ignore[assignment, return-value]
        ReadingLock(path)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    ReadingLock(path).release()


def test_a_disk_without_hard_links_has_locks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_paths: Path) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refused)
    lock = ReadingLock(tmp_path / "a.jsonl")
    with pytest.raises(LockedError):
        ReadingLock(tmp_path / "a.jsonl")
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_guard_left_by_a_crash_blocks_for_a_minute_only(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.with_name("a.jsonl.lock").write_text(json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()}))
    guard = path.with_name("a.jsonl.lock.takeover")
    guard.write_text("{}")
    with pytest.raises(LockedError, match="at this moment"):
        ReadingLock(path)
    os.utime(guard, (1, 1))
    ReadingLock(path).release()
    assert not guard.exists()


def test_dead_and_living_processes_are_told_apart() -> None:
    assert process_is_alive(os.getpid())
    assert not process_is_alive(0)
    assert not process_is_alive(2**22 + 1)
    child = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()  # ended, but not waited for: a zombie
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process_is_alive(child.pid)
    child.communicate()
