"""A curation killed again and again ends with the same collection, byte for byte, as one that was left alone."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from CMBNetLib.volume import Volume, write_volume
from head_phantom import SPOTS_RAS, head

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")
SERVER = Path(__file__).with_name("curation_server.py")
SEED = 17
KILLS_OF_ONE_PROCESS = 16
KILLS_WITH_WORKERS = 4
SUBJECTS = 6


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BIDS folder of small scans, the last with a table that is no table."""
    root = tmp_path_factory.mktemp("source")
    base = head((4.0, 4.0, 6.0), spot_mm=8.0)
    for number in range(SUBJECTS):
        folder = root / f"sub-{number:02d}" / "anat"
        folder.mkdir(parents=True)
        noise = np.random.default_rng(number).normal(0, 1, base.array.shape)
        _write(
            replace(base, array=(base.array + noise).astype(np.float32)), folder / f"sub-{number:02d}_T2starw.nii.gz"
        )
        table = "x\ty\tz\n" + "".join("\t".join(map(str, spot)) + "\n" for spot in SPOTS_RAS)
        text = "x\ty\tz\n900\t0\t0\n" if number == SUBJECTS - 1 else table
        (folder / f"sub-{number:02d}_label-CMB_points.tsv").write_text(text)
    return root


def _write(scan: Volume, path: Path) -> None:
    write_volume(scan, path)


def arguments(source: Path, output: Path, workers: int = 0) -> list[str]:
    grid = ["--pixel-mm", "2", "--slice-mm", "4", "--validation", "0.4"]
    return ["curate", str(source), "-o", str(output), "--workers", str(workers), "--json-events", *grid]


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a collection but the notes of the program itself."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if not name.startswith(".work/")}


class Server:
    """Starts curations in forked processes and kills them."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen([sys.executable, str(SERVER)], stdin=pipe, stdout=pipe, env=environment)

    def run(self, command: list[str], kill_after_s: float | None = None) -> tuple[int, float]:
        """Return the wait status and the seconds of one curation."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        child, started = int(self._line()), time.monotonic()
        if kill_after_s is not None and not select.select([self._process.stdout], [], [], kill_after_s)[0]:
            os.kill(child, signal.SIGKILL)
        return int(self._line()), time.monotonic() - started

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self) -> bytes:
        """One line, unbuffered: `select` must see what is not read yet."""
        assert self._process.stdout is not None
        text = b""
        while not text.endswith(b"\n"):
            byte = os.read(self._process.stdout.fileno(), 1)
            assert byte, "the server of the curations has ended"
            text += byte
        return text


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.mark.slow
def test_a_curation_killed_twenty_times_ends_like_one_left_alone(source: Path, tmp_path: Path, server: Server) -> None:
    status, duration = server.run(arguments(source, tmp_path / "alone"))
    assert os.waitstatus_to_exitcode(status) == 2, "one of the scans is damaged"
    alone = content(tmp_path / "alone")
    assert {f"images/bids-sub-{number:02d}_T2starw.nii.gz" for number in range(SUBJECTS - 1)} <= set(alone)

    random, killed = np.random.default_rng(SEED), 0
    output = tmp_path / "killed"
    while killed < KILLS_OF_ONE_PROCESS:
        # A share of a scan's time: the collection grows through the kills, and is not done before their end.
        status, _ = server.run(arguments(source, output), random.uniform(0, 1.5 * duration / SUBJECTS))
        if status == signal.SIGKILL:
            killed += 1
        else:
            _forget_one(output)
    while killed < KILLS_OF_ONE_PROCESS + KILLS_WITH_WORKERS:
        _forget_one(output)
        killed += _killed_with_workers(arguments(source, output, 2), random.uniform(0, duration / 2))
    status, _ = server.run(arguments(source, output))
    assert os.waitstatus_to_exitcode(status) == 2
    assert content(output) == alone
    assert not [name for name in content(output) if "/.cmbnet-" in name]


def _forget_one(output: Path) -> None:
    """Take the state of a scan away, so that there is something to be killed at."""
    states = sorted((output / ".work").glob("*.state.json"))
    if states:
        states[0].unlink()


def _killed_with_workers(command: list[str], after_s: float) -> bool:
    """Start the real program with worker processes; kill it (not the workers) some time after its first event."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    program = [sys.executable, "-m", "CMBNetLib", *command]
    with subprocess.Popen(program, env=environment, stdout=pipe, stderr=nowhere) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait() == -signal.SIGKILL


def test_a_second_run_does_nothing_again(source: Path, tmp_path: Path, server: Server) -> None:
    server.run(arguments(source, tmp_path))
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "images").iterdir()}
    assert len(stamps) == SUBJECTS - 1
    server.run(arguments(source, tmp_path))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "images").iterdir()} == stamps
