"""Twenty cases read with keys only: a reader killed at thirty random moments ends with the same readings."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from CMBNetLib.readings import Readings, read_readings, readings_path
from review_cases import a_worklist, worklist_in

READER = Path(__file__).resolve().parent / "review_reader.py"
N_CASES, N_KILLS, MOST_KEYS = 20, 30, 12


class Forker:
    """The process that the readers are forked from."""

    def __init__(self, folder: Path) -> None:
        self._log = open(folder / "reader.log", "w+")  # noqa: SIM115  open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, str(READER), str(folder), str(N_CASES)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        assert self._line() == "ready"

    def read(self, output: str, keys: int | None) -> tuple[bool, int]:
        """One life of a reader: whether it came to the end, and how many keys it pressed."""
        print(json.dumps([output, keys]), file=self._process.stdin, flush=True)
        return tuple(json.loads(self._line()))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._log.close()

    def _line(self) -> str:
        line = self._process.stdout.readline().strip()
        if not line:
            self._log.seek(0)
            raise AssertionError(f"The reader ended: {self._log.read()[-3000:]}")
        return line


def what_was_said(readings: Readings) -> list[dict[str, Any]]:
    """What a reader said about each finding, without times; a redrawn outline counts by its voxels."""
    names = ("key", "verdict", "certainty", "mimic", "region", "comment", "moved_to_ras", "mode")
    found = sorted(readings.state.findings.values(), key=lambda found: found.key)
    return [{name: getattr(each, name) for name in names} | {"mask": each.mask} for each in found]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the readers are forked")
def test_a_reader_killed_thirty_times_ends_with_the_readings_of_an_undisturbed_one(tmp_path: Path) -> None:
    a_worklist(tmp_path, N_CASES)
    forker = Forker(tmp_path)
    ended, keys_in_all = forker.read("calm", None)
    assert ended
    chance = random.Random(7)
    keys_of_lives = []
    for number in range(N_KILLS):
        ended, pressed = forker.read("killed", chance.randint(1, MOST_KEYS))
        keys_of_lives.append(pressed)
        assert not ended, f"the reader came to the end after {number} kills; give it more cases"
    ended, pressed = forker.read("killed", None)
    forker.close()
    assert ended
    assert keys_in_all > 150
    # Who resumes where the reader stopped loses the keys in flight at a kill (more than one on a busy machine);
    # beginning anew would cost hundreds.
    assert sum(keys_of_lives) + pressed < keys_in_all + 4 * N_KILLS
    for calm, killed in zip(
        worklist_in(tmp_path, N_CASES, "calm").cases, worklist_in(tmp_path, N_CASES, "killed").cases, strict=True
    ):
        readings = [read_readings(readings_path(case.folder, "ann")) for case in (calm, killed)]
        assert all(each.state.finished for each in readings)
        assert what_was_said(readings[1]) == what_was_said(readings[0]), calm.case_id
        assert all(found.verdict for found in readings[0].state.findings.values())
