"""A reader that works through generated cases by keys, for the self-test of the review room.

What it wants of a finding depends on the place of the finding alone, and the next key only on what the panel shows, as
with a person: that is why one that was interrupted must end with the same readings.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from CMBNetLib.review_case import CaseReview
from CMBNetLib.volume import Volume, write_volume
from CMBNetLib.worklist import Case, Worklist
from CMBNetSlicer.review_desk import ReviewDesk

CENTERS = ((12, 12, 6), (30, 14, 12), (48, 40, 8), (20, 44, 17), (40, 22, 19))
# How an outline was made -> the action that makes it so.
_MAKES = {"grow": "grow", "shrink": "shrink", "region growing": "regrow"}
_SPACING = (0.8, 0.8, 1.0)
_SHAPE = (130, 124, 24)


class Wish:
    """What the reader will say about a finding."""

    def __init__(self, point: Any, n_mimics: int) -> None:
        chance = random.Random(repr(tuple(round(float(value)) for value in point)))
        self.verdict = chance.choice(("microbleed", "microbleed", "not", "unsure"))
        self.certainty = chance.choice((1, 2))
        self.mimic = chance.randrange(1, min(9, n_mimics) + 1)
        self.region = chance.choice(("thalamus", "brainstem"))
        self.comment = chance.choice(("", "", "near a vein"))
        self.outline = chance.choice(("as it is", *_MAKES))


def next_action(desk: ReviewDesk) -> tuple[str, str]:
    """The next action of the key table, and what to write after it."""
    review = desk.open_review()
    found = review.finding(review.current or "")
    wish = Wish(found.source_ras, len(review.terms.mimics))
    decision = _decision(review, found, wish)
    if decision:
        return decision, ""
    if found.region != wish.region:
        return "next_region", ""
    if (found.comment or "") != wish.comment:
        return "comment", wish.comment
    if wish.verdict != "not" and wish.outline in _MAKES and found.mask.method != wish.outline:
        preview = desk.open_tools().preview
        if preview is None or preview.method != wish.outline:
            return _MAKES[wish.outline], ""
    return ("next_undecided" if review.listed("undecided") else "finish_case"), ""


def write_example(folder: Path, n_cases: int) -> None:
    """Write scans with one to five dark dots, and a label map with a ball at each as candidates."""
    for number in range(n_cases):
        centers = CENTERS[: 1 + number % len(CENTERS)]
        scan = _scan(centers, number)
        write_volume(scan, folder / "scans" / f"{_name(number)}.nii.gz")
        write_volume(scan.with_array(_balls(centers)), folder / "candidates" / f"{_name(number)}.nii.gz")


def example_worklist(folder: Path, n_cases: int, output: str) -> Worklist:
    """The worklist of what `write_example` wrote; readings go to the folder `output`."""
    cases = [
        Case(
            _name(number), folder / "scans" / f"{_name(number)}.nii.gz", folder / output / _name(number),
            stem=_name(number), candidates=folder / "candidates" / f"{_name(number)}.nii.gz",
        )
        for number in range(n_cases)
    ]  # fmt: skip
    return Worklist(tuple(cases), folder / output)


def _decision(review: CaseReview, found: Any, wish: Wish) -> str:
    terms = review.terms
    if wish.verdict == "not":
        return "" if found.mimic == terms.mimics[wish.mimic - 1].id else f"mimic_{wish.mimic}"
    if found.verdict != wish.verdict:
        return wish.verdict
    return "" if found.certainty == terms.taxonomy.certainty[wish.certainty - 1].id else f"certainty_{wish.certainty}"


def _name(number: int) -> str:
    return f"case-{number + 1:02d}"


def _balls(centers: tuple[tuple[int, int, int], ...], radius: int = 2) -> np.ndarray:
    k, j, i = np.indices(_SHAPE[::-1])
    labels = np.zeros(_SHAPE[::-1], np.uint8)
    for number, (x, y, z) in enumerate(centers, start=1):
        labels[(i - x) ** 2 + (j - y) ** 2 + (k - z) ** 2 <= radius**2] = number
    return labels


def _scan(centers: tuple[tuple[int, int, int], ...], seed: int) -> Volume:
    """100 inside, 4 noise, and a dark ball of 3 mm at each centre; axes oblique."""
    i, j, k = np.meshgrid(*(np.arange(n) for n in _SHAPE), indexing="ij")
    image = 100.0 + np.random.default_rng(seed).normal(0, 4, _SHAPE)
    for center in centers:
        squared = sum(((axis - c) * s) ** 2 for axis, c, s in zip((i, j, k), center, _SPACING, strict=True))
        image -= 80.0 * np.exp(-squared / (2 * 0.9**2))
    turn = np.radians(12)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    matrix[:3, :3] = matrix[:3, :3] @ np.diag([-_SPACING[0], -_SPACING[1], _SPACING[2]])
    return Volume(np.ascontiguousarray(image.T, dtype=np.float32), matrix, f"scan-{seed}")
