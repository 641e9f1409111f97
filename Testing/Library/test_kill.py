"""Killing a detection at any moment leaves complete files or none; the next run removes the hidden temporary ones."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import scan_files as make
from CMBNetLib.exports import result_names
from CMBNetLib.files import atomic_output, remove_partial_outputs
from CMBNetLib.volume import Volume, write_volume

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has neither fork nor SIGALRM")
SEED = 71
RANDOM_KILLS = 40
PROGRAM_KILLS = 10
WRITER = Path(__file__).with_name("killed_writer.py")


def visible_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.exists() else []


def hidden_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) if folder.exists() else []


def assert_complete(path: Path) -> None:
    """The file ends as its format ends."""
    content = path.read_bytes()
    if path.name.endswith(".nii.gz"):
        assert len(gzip.decompress(content)) > 352, path
    elif path.suffix == ".json":
        document = json.loads(content)
        assert all((path.parent / name).is_file() for name in document["files"].values()), path
    elif path.suffix == ".csv":
        assert len({len(row) for row in csv.reader(content.decode().splitlines())}) == 1, path
    elif path.suffix == ".html":
        assert content.rstrip().endswith(b"</html>"), path
    else:
        assert path.suffix == ".png", path
        assert content.endswith(b"IEND\xaeB`\x82"), path


class Writer:
    """The program that writes results in forked processes."""

    def __init__(self) -> None:
        command = [sys.executable, str(WRITER)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._answer() == "ready"

    def write(self, folder: Path, killed_after_s: float | None = None) -> tuple[int, float]:
        """Exit status and seconds of one writer."""
        assert self._process.stdin is not None
        print(json.dumps([str(folder), killed_after_s]), file=self._process.stdin, flush=True)
        status, seconds = json.loads(self._answer())
        return status, seconds

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def writer() -> Iterator[Writer]:
    writer = Writer()
    yield writer
    writer.close()


def test_writing_killed_at_random_moments_leaves_complete_files_or_none(tmp_path: Path, writer: Writer) -> None:
    status, duration = writer.write(tmp_path / "whole")
    expected = [path.name for path in visible_files(tmp_path / "whole")]
    assert (status, len(expected)) == (0, 7)
    random = np.random.default_rng(SEED)
    killed, left = 0, 0
    for number in range(RANDOM_KILLS):
        folder = tmp_path / f"out{number % 3}"  # some runs meet the files of others
        status, _ = writer.write(folder, random.uniform(0, duration))
        killed += status == signal.SIGALRM
        left += len(hidden_files(folder))
        for path in visible_files(folder):
            assert path.name in expected
            assert_complete(path)
    assert killed > RANDOM_KILLS / 2
    assert left > 0, "no writer was killed while it wrote"
    for folder in tmp_path.iterdir():
        assert writer.write(folder)[0] == 0
        assert hidden_files(folder) == []
        assert [path.name for path in visible_files(folder)] == expected


@pytest.fixture(scope="module")
def small_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    affine = np.diag([1.6, 1.6, 5.0, 1.0])
    return write_volume(
        Volume(make.head_array(shape=(12, 76, 64)), affine), tmp_path_factory.mktemp("in") / "scan.nii.gz"
    )


def started(scan: Path, output: Path, repository: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "CMBNetLib", "detect", str(scan), "-o", str(output), "--json-events"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=repository / "CMBNet", env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kill_after(process: subprocess.Popen[str], n_events: int, signal_number: int) -> int:
    """Send a signal after so many events of the program; its exit code."""
    assert process.stdout is not None
    for _ in range(n_events):
        if not process.stdout.readline():
            break
    process.send_signal(signal_number)
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.slow
def test_the_program_killed_at_random_moments_leaves_complete_files_or_none(
    tmp_path: Path, small_scan: Path, repository: Path
) -> None:
    random = np.random.default_rng(SEED)
    names = set(result_names("scan").values())
    codes = set()
    for _ in range(PROGRAM_KILLS):
        codes.add(kill_after(started(small_scan, tmp_path, repository), int(random.integers(0, 18)), signal.SIGKILL))
        for path in visible_files(tmp_path):
            assert path.name in names
            assert_complete(path)
    assert codes <= {-signal.SIGKILL, 0}
    assert -signal.SIGKILL in codes


@pytest.mark.parametrize("n_events", [1, 6])
def test_the_program_asked_to_stop_leaves_nothing(
    tmp_path: Path, small_scan: Path, repository: Path, n_events: int
) -> None:
    output = tmp_path / "out"
    code = kill_after(started(small_scan, output, repository), n_events, signal.SIGTERM)
    assert code == 4
    assert not output.exists() or list(output.iterdir()) == []


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def abandoned(folder: Path, process: int) -> Path:
    """A temporary file as the process ``process`` of this computer would have left it."""
    with atomic_output(folder / "model.nii.gz") as temporary:
        temporary.write_bytes(b"half")
        left = folder / temporary.name.replace(f"-{os.getpid()}-", f"-{process}-")
        left.write_bytes(b"half")
    (folder / "model.nii.gz").unlink()
    return left


def test_the_next_output_removes_what_a_dead_process_left_but_not_what_others_write(tmp_path: Path) -> None:
    dead, alive = abandoned(tmp_path, ended_process()), abandoned(tmp_path, os.getppid())
    elsewhere = tmp_path / f".cmbnet-{ended_process()}-{'0' * 6}-{'1' * 8}.json"
    elsewhere.write_text("half")
    with atomic_output(tmp_path / "new.json") as temporary:
        temporary.write_text("{}")
        assert {path.name for path in tmp_path.iterdir()} == {alive.name, elsewhere.name, temporary.name}
    assert not dead.exists()
    assert (tmp_path / "new.json").read_text() == "{}"


def test_what_is_left_for_a_day_is_removed_whoever_wrote_it(tmp_path: Path) -> None:
    old = tmp_path / f".cmbnet-{os.getppid()}-{'0' * 6}-{'1' * 8}.json"
    old.write_text("half")
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    with atomic_output(tmp_path / "new.json") as temporary:
        temporary.write_text("{}")
    assert [path.name for path in tmp_path.iterdir()] == ["new.json"]


def test_who_killed_a_process_can_clean_up_after_it(tmp_path: Path) -> None:
    process = ended_process()
    left, other = abandoned(tmp_path, process), abandoned(tmp_path, os.getppid())
    if not left.exists():  # removed already by the second output
        left = abandoned(tmp_path, process)
    assert remove_partial_outputs(tmp_path, process) == [left]
    assert [path.name for path in tmp_path.iterdir()] == [other.name]
