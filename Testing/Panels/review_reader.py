"""A reader that works through generated cases with keys only, again and again, each time in a forked process.

Run by test_review_loop as `python review_reader.py FOLDER N_CASES`. Reads JSON lines [name of the output folder, keys
or null]: a fork opens the worklist with that output, reads on where the readings stopped, and after that many keys is
killed with SIGKILL at whatever it does then. Answers with a JSON line [finished, keys pressed]. Forking spares the
seconds that importing takes.

Which keys it presses, `CMBNetSlicer.scripted_reader` says.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import select
import signal
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("CMBNet", "CMBNetEvaluation", "Testing", "Testing/Panels", "Testing/Library")
sys.path[:0] = [str(REPOSITORY / name) for name in FOLDERS]
# What every life needs is imported once.
NEEDED = (
    "PySide6.QtTest", "PySide6.QtWidgets", "scipy.ndimage", "SimpleITK", "slicer", "slicer.util", "host",
    "CMBNetLib.review_loading", "CMBNetLib.review_room", "CMBNetLib.review_tools",
)  # fmt: skip
LOOKING = ("toggle_outline", "toggle_crosshair", "toggle_minip", "zoom_in", "zoom_out", "toggle_second")


def read(folder: Path, n_cases: int, output: str, seed: int, told: int) -> None:
    """Read until the last case is finished; writes a byte to the descriptor `told` before every key."""
    import host

    host.start([REPOSITORY / "CMBNet", REPOSITORY / "Testing" / "Panels"])
    from review_driver import ReviewDriver

    from CMBNetSlicer.scripted_reader import next_action
    from review_cases import dots_of, worklist_in

    looks = random.Random(seed)
    room = ReviewDriver(dots_of)
    room.open(worklist_in(folder, n_cases, output))
    while not all(row.status == "finished" for row in room.desk.room.rows()):
        if looks.random() < 0.1:
            os.write(told, b".")
            room.press(looks.choice(LOOKING))
        key, text = next_action(room.desk)
        os.write(told, b".")
        room.press(key)
        if text:
            room.type(text)
    room.close()


def attempt(folder: Path, n_cases: int, output: str, seed: int, keys: int | None) -> tuple[bool, int]:
    """One life of the reader, killed after `keys` keys; whether it came to the end, and the keys it pressed."""
    mine, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(mine)
        code = 1
        try:
            read(folder, n_cases, output, seed, theirs)
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    pressed = _count(mine, keys)
    if keys is not None and pressed >= keys:
        # A moment more, so that the kill falls on any part of what the key does.
        select.select([], [], [], random.Random(seed).uniform(0.0, 0.03))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    os.close(mine)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise RuntimeError("the reader failed, see its messages")
    return os.WIFEXITED(status), pressed


def _count(descriptor: int, most: int | None) -> int:
    """Bytes that come until the other side ends, or until there are `most`."""
    count = 0
    while most is None or count < most:
        data = os.read(descriptor, 1 if most is not None else 4096)
        if not data:
            return count
        count += len(data)
    return count


def main() -> None:
    for name in NEEDED:
        importlib.import_module(name)
    n_cases = int(sys.argv[2])
    print("ready", flush=True)
    for number, line in enumerate(sys.stdin):
        output, keys = json.loads(line)
        print(json.dumps(attempt(Path(sys.argv[1]), n_cases, output, number, keys)), flush=True)


if __name__ == "__main__":
    main()
