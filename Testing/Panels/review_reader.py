"""A reader that works through generated cases with keys only, again and again, each time in a forked process.

Run by test_review_loop as `python review_reader.py FOLDER N_CASES`. Reads JSON lines [name of the output folder, keys
or null]: a fork opens the worklist with that output, reads on where the readings stopped, and after that many keys is
killed with SIGKILL at whatever it does then. Answers with a JSON line [finished, keys pressed]. Forking spares the
seconds that importing takes.

What the reader wants of a finding depends on its place alone, and the next key only on what the panel shows, as with a
person: that is why one that was interrupted must end with the same readings.
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
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("CMBNet", "CMBNetEvaluation", "Testing", "Testing/Panels", "Testing/Library")
sys.path[:0] = [str(REPOSITORY / name) for name in FOLDERS]
# What every life needs is imported once.
NEEDED = (
    "PySide6.QtTest", "PySide6.QtWidgets", "scipy.ndimage", "SimpleITK", "slicer", "slicer.util", "host",
    "CMBNetLib.review_loading", "CMBNetLib.review_room", "CMBNetLib.review_tools",
)  # fmt: skip
LOOKING = ("toggle_outline", "toggle_crosshair", "toggle_minip", "zoom_in", "zoom_out", "toggle_second")


class Wish:
    """What the reader will say about a finding."""

    def __init__(self, point: Any, mimics: tuple[Any, ...]) -> None:
        chance = random.Random(repr(tuple(round(float(value)) for value in point)))
        self.verdict = chance.choice(("microbleed", "microbleed", "not", "unsure"))
        self.certainty = chance.choice((1, 2))
        self.mimic = chance.randrange(1, min(9, len(mimics)) + 1)
        self.region = chance.choice(("thalamus", "brainstem"))
        self.comment = chance.choice(("", "", "near a vein"))
        self.outline = chance.choice(("candidate", "grow", "shrink", "region growing"))


def next_keys(room: Any, review: Any) -> tuple[str, str]:
    """The next key and what to type after it."""
    found, terms = review.finding(review.current), review.terms
    wish = Wish(found.source_ras, terms.mimics)
    decision = _decision(found, wish, terms)
    if decision:
        return decision, ""
    if found.region != wish.region:
        return "next_region", ""
    if (found.comment or "") != wish.comment:
        return "comment", wish.comment
    if wish.verdict != "not" and found.mask.method != wish.outline:
        preview = room.desk.tools.preview
        if preview is None or preview.method != wish.outline:
            return {"grow": "grow", "shrink": "shrink", "region growing": "regrow"}[wish.outline], ""
    return ("next_undecided" if review.listed("undecided") else "finish_case"), ""


def _decision(found: Any, wish: Wish, terms: Any) -> str:
    if wish.verdict == "not":
        return "" if found.mimic == terms.mimics[wish.mimic - 1].id else f"mimic_{wish.mimic}"
    if found.verdict != wish.verdict:
        return wish.verdict
    return "" if found.certainty == terms.taxonomy.certainty[wish.certainty - 1].id else f"certainty_{wish.certainty}"


def read(folder: Path, n_cases: int, output: str, seed: int, told: int) -> None:
    """Read until the last case is finished; writes a byte to the descriptor `told` before every key."""
    import host

    host.start([REPOSITORY / "CMBNet", REPOSITORY / "Testing" / "Panels"])
    from review_driver import ReviewDriver

    from review_cases import dots_of, worklist_in

    looks = random.Random(seed)
    room = ReviewDriver(dots_of)
    room.open(worklist_in(folder, n_cases, output))
    while not all(row.status == "finished" for row in room.desk.room.rows()):
        if looks.random() < 0.1:
            os.write(told, b".")
            room.press(looks.choice(LOOKING))
        key, text = next_keys(room, room.review)
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
