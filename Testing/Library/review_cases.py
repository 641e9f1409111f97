"""Small scans with dark dots, candidates at the dots, and a review of them, for the tests of the review room."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from CMBNetLib.reading_clock import ReadingClock
from CMBNetLib.reading_mask import ReadingMask
from CMBNetLib.readings import ReadingHeader, ReadingStore, readings_path
from CMBNetLib.review_candidates import CandidateSource, ReviewCandidate
from CMBNetLib.review_case import CaseReview
from CMBNetLib.volume import Volume, write_volume
from CMBNetLib.worklist import Case, Worklist

SPACING = (0.8, 0.8, 1.0)


def a_scan(
    centers_ijk: list[tuple[int, int, int]], seed: int = 0, shape: tuple[int, int, int] = (130, 124, 24)
) -> Volume:
    """A scan of shape (i, j, k) with 100 inside, 4 noise, and a dark ball of 3 mm at each centre; axes oblique."""
    i, j, k = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    image = 100.0 + np.random.default_rng(seed).normal(0, 4, shape)
    for center in centers_ijk:
        squared = sum(((axis - c) * s) ** 2 for axis, c, s in zip((i, j, k), center, SPACING, strict=True))
        image -= 80.0 * np.exp(-squared / (2 * 0.9**2))
    turn = np.radians(12)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation @ np.diag([-SPACING[0], -SPACING[1], SPACING[2]])
    matrix[:3, 3] = (20.0, -10.0, 5.0)
    return Volume(np.ascontiguousarray(image.T, dtype=np.float32), matrix, f"scan-{seed}")


def ball(center_ijk: tuple[int, int, int], radius: int = 2) -> ReadingMask:
    """A ball of voxels as a candidate's outline."""
    k, j, i = np.ogrid[-radius : radius + 1, -radius : radius + 1, -radius : radius + 1]
    i0, j0, k0 = (c - radius for c in center_ijk)
    return ReadingMask.from_array(k**2 + j**2 + i**2 <= radius**2, "candidate", offset_ijk=(i0, j0, k0))


def a_source(scan: Volume, centers_ijk: list[tuple[int, int, int]], name: str = "tool 1") -> CandidateSource:
    """Candidates 1..N at the centres, scores falling."""
    points = scan.ras_from_ijk(np.array(centers_ijk, dtype=float).reshape(-1, 3)).round(3)
    return CandidateSource(
        name,
        tuple(
            ReviewCandidate(n, tuple(point), round(1 - n / 1000, 4), ball(center), "thalamus", "left")
            for n, (center, point) in enumerate(zip(centers_ijk, points.tolist(), strict=True), start=1)
        ),
    )


CENTERS = [(12, 12, 6), (30, 14, 12), (48, 40, 8), (20, 44, 17), (40, 22, 19)]


def ticking_clock(step: float = 1.0) -> ReadingClock:
    """A clock that goes on by `step` seconds at each look."""
    ticks = itertools.count()
    clock = ReadingClock(now=lambda: step * next(ticks))
    clock.resume()
    return clock


def a_review(folder: Path, mode: str = "concurrent", reader: str = "ann", **options: object) -> CaseReview:
    """The review of a scan with five candidates."""
    scan = a_scan(CENTERS)
    store = ReadingStore(readings_path(folder, reader), ReadingHeader("case", reader), mode=mode)
    source = options.pop("source", a_source(scan, CENTERS))
    return CaseReview(store, source, clock=ticking_clock(), **options)  # type: ignore[arg-type]


def a_worklist(folder: Path, n_cases: int, seed: int = 0) -> Worklist:
    """A folder of generated scans with one to five dots each."""
    for number in range(n_cases):
        path = folder / "scans" / f"case-{number + 1:02d}.nii.gz"
        write_volume(a_scan(CENTERS[: 1 + (number + seed) % len(CENTERS)], number), path)
    return worklist_in(folder, n_cases)


def worklist_in(folder: Path, n_cases: int, output: str = "out") -> Worklist:
    """The worklist of scans that `a_worklist` wrote."""
    names = [f"case-{number:02d}" for number in range(1, n_cases + 1)]
    cases = [Case(name, folder / "scans" / f"{name}.nii.gz", folder / output / name, stem=name) for name in names]
    return Worklist(tuple(cases), folder / output)


def dots_of(case: Case, scan: Volume) -> CandidateSource:
    """The candidates of a case of `a_worklist`, in place of a detector."""
    number = int(case.case_id.split("-")[1]) - 1
    return a_source(scan, CENTERS[: 1 + number % len(CENTERS)])
