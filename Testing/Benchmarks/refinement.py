"""Refinement of a point against the tolerance sweep and against spheres, on synthetic lesions with known masks.

Run from the repository root: ``python Testing/Benchmarks/refinement.py``; ``--write`` puts the tables into
Docs/benchmarks.md. About a quarter of an hour on one core, nearly all of it in the peer.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
for folder in ("CMBNet", "Testing/Library", "Testing/Benchmarks"):
    sys.path.insert(0, str(REPOSITORY / folder))

from benchmark_document import write_section  # noqa: E402
from tolerance_sweep import ALL_SWEEPS, largest_of_all_sweeps, sweep, sweep_plainly  # noqa: E402

from CMBNetLib.refinement import TYPICAL_DIAMETER_MM, refine_point, sphere_mask  # noqa: E402
from CMBNetLib.volume import Volume  # noqa: E402
from refinement_phantom import SPACINGS, Phantom, Recipe, make_phantom, random_recipe  # noqa: E402

SEED = 20240


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lesions", type=int, default=40, help="lesions a grid for refinement and spheres")
    parser.add_argument("--sweeps", type=int, default=4, help="lesions a grid for the eight sweeps")
    parser.add_argument("--write", action="store_true", help="write the tables into Docs/benchmarks.md")
    args = parser.parse_args()
    text = report(args.lesions, args.sweeps)
    print(text)
    if args.write:
        write_section("refinement", text)
    return 0


def report(lesions: int, sweeps: int) -> str:
    rows = [table_row(name, spacing, lesions, sweeps) for name, spacing in SPACINGS.items()]
    # The sweep is compared on the very lesions it was run on; the other columns hold all lesions.
    same = np.concatenate([row[1] for row in rows])
    return "\n".join(
        [
            "## Refinement of a point to a lesion mask",
            "",
            f"`python Testing/Benchmarks/refinement.py --lesions {lesions} --sweeps {sweeps}`, seed {SEED}, on "
            "synthetic lesions (ellipsoids of 1.8 to 9 mm with blooming, noise, shading and in half of them a vein; "
            "`Testing/Library/refinement_phantom.py`). No real microbleed with a known mask was at hand.",
            "",
            "Mean Dice against the known mask:",
            "",
            "| grid (mm) | lesions | refinement | sphere 2.9 mm | sphere of the true size | good / check / fallback "
            "| lesions of the sweep | refinement there | largest of 8 sweeps |",
            "|---|---|---|---|---|---|---|---|---|",
            *(row[0] for row in rows),
            "",
            f"On the {len(same)} lesions where the eight sweeps were run: refinement {same[:, 0].mean():.3f}, "
            f"sweeps {same[:, 1].mean():.3f}, difference **{(same[:, 0] - same[:, 1]).mean():+.3f}**.",
            "",
            *speed(),
            "",
            f"Python {platform.python_version()}, {platform.machine()}, one core of a shared machine.",
        ]
    )


def table_row(name: str, spacing: tuple[float, float, float], lesions: int, sweeps: int) -> tuple[str, np.ndarray]:
    rng = np.random.default_rng(SEED)
    phantoms = [make_phantom(random_recipe(rng, spacing)) for _ in range(lesions)]
    results = [refine_point(p.scan, p.centre_ras) for p in phantoms]
    ours = [dice(placed(r.mask, r.window, p), p.truth) for p, r in zip(phantoms, results, strict=True)]
    typical = [dice(sphere(p, TYPICAL_DIAMETER_MM), p.truth) for p in phantoms]
    oracle = [dice(sphere(p, p.recipe.diameter_mm), p.truth) for p in phantoms]
    swept = []
    for phantom in phantoms[:sweeps]:
        mask = largest_of_all_sweeps(phantom.scan.array, seed_of(phantom), spacing)
        swept.append(dice(mask, phantom.truth))
        print(f"{name}: sweep {swept[-1]:.2f}, refinement {ours[len(swept) - 1]:.2f}", file=sys.stderr, flush=True)
    quality = [sum(r.quality == q for r in results) for q in ("good", "check", "fallback")]
    row = (
        f"| {name} | {lesions} | {np.mean(ours):.3f} | {np.mean(typical):.3f} | {np.mean(oracle):.3f} "
        f"| {' / '.join(map(str, quality))} | {sweeps} | {np.mean(ours[:sweeps]):.3f} | {np.mean(swept):.3f} |"
    )
    return row, np.column_stack([ours[:sweeps], swept])


def speed() -> list[str]:
    """Time one point on a large scan, and the peer's sweeps at the same point."""
    phantom = in_large_scan(make_phantom(Recipe(seed=1)))
    point = (phantom.scan.array, seed_of(phantom), phantom.recipe.spacing_mm)
    ours = np.array([timed(lambda: refine_point(phantom.scan, phantom.centre_ras))[0] for _ in range(20)])
    plain, fast = [], []
    for how in ALL_SWEEPS:
        seconds, mask = timed(partial(sweep_plainly, *point, how))
        again, same = timed(partial(sweep, *point, how))
        if not np.array_equal(mask, same):
            raise RuntimeError("the two ways of running the peer's sweep differ")
        plain.append(seconds)
        fast.append(again)
        print(f"{how}: {seconds:.1f} s, on lists {again:.1f} s", file=sys.stderr, flush=True)
    return speed_table(phantom, ours, np.array(plain), np.array(fast))


def speed_table(phantom: Phantom, ours: np.ndarray, plain: np.ndarray, fast: np.ndarray) -> list[str]:
    middle = float(np.median(ours))
    size = " x ".join(map(str, phantom.scan.shape_ijk))
    return [
        f"One point of a {size} scan of 0.45 x 0.45 x 1 mm:",
        "",
        "| what | time | ratio to refinement |",
        "|---|---|---|",
        f"| refinement, median of 20 (least {1e3 * ours.min():.0f}, largest {1e3 * ours.max():.0f} ms) "
        f"| {1e3 * middle:.0f} ms | 1 |",
        f"| the slowest of the eight sweeps (26 neighbours, running average, absolute), one flood fill a tolerance "
        f"on the scan's arrays | {plain.max():.1f} s | {plain.max() / middle:.0f} |",
        f"| the mean of the eight sweeps | {plain.mean():.1f} s | {plain.mean() / middle:.0f} |",
        f"| all eight sweeps | {plain.sum():.0f} s | {plain.sum() / middle:.0f} |",
        f"| one of the eight, on flat lists of a crop | {fast.mean():.2f} s | {fast.mean() / middle:.0f} |",
    ]


def in_large_scan(phantom: Phantom) -> Phantom:
    """The same lesion in the middle of a scan of 304 x 362 x 70 voxels."""
    size = (70, 362, 304)
    edges = phantom.scan.array.shape
    noise = np.random.default_rng(0).normal(0, 15, (2, *size)).astype(np.float32)
    array = np.hypot(np.float32(phantom.recipe.intensity) + noise[0], noise[1])
    start = [(n - e) // 2 for n, e in zip(size, edges, strict=True)]
    inner = tuple(slice(s, s + e) for s, e in zip(start, edges, strict=True))
    array[inner] = phantom.scan.array
    truth = np.zeros(size, dtype=bool)
    truth[inner] = phantom.truth
    shift = np.array(start[::-1]) * phantom.recipe.spacing_mm
    x, y, z = np.add(phantom.centre_ras, shift)
    scan = Volume(array, phantom.scan.ijk_to_ras, "large")
    return Phantom(scan, truth, (float(x), float(y), float(z)), phantom.recipe)


def seed_of(phantom: Phantom) -> tuple[int, int, int]:
    k, j, i = np.rint(phantom.scan.ijk_from_ras(np.array([phantom.centre_ras]))[0, ::-1]).astype(int)
    return int(k), int(j), int(i)


def placed(mask: np.ndarray, window: tuple[slice, slice, slice], phantom: Phantom) -> np.ndarray:
    whole = np.zeros(phantom.truth.shape, dtype=bool)
    whole[window] = mask
    return whole


def sphere(phantom: Phantom, diameter_mm: float) -> np.ndarray:
    k, j, i = (slice(0, n) for n in phantom.truth.shape)
    return sphere_mask(phantom.scan, phantom.centre_ras, diameter_mm, (k, j, i))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    raise SystemExit(main())
