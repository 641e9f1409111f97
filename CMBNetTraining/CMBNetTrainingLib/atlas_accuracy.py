"""How often the fitted atlas names the right zone and region, measured on heads it was not built from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from CMBNetLib.atlas import Atlas, fit_regions
from CMBNetLib.location import FLUID, OUTSIDE, Location, decode_region, locate
from CMBNetLib.taxonomy import load_taxonomy
from CMBNetLib.volume import Volume

from .build_atlas import Head, build

POINTS_PER_HEAD = 2000
SCAN_STEP = 2


@dataclass(frozen=True)
class RegionMap:
    """What `locate` reads of an anatomy: the region codes."""

    regions: Volume


@dataclass
class Tally:
    """Right and wrong answers of one scenario."""

    n: int = 0
    zone: int = 0
    region: int = 0
    side: int = 0
    by_zone: dict[str, list[int]] = field(default_factory=dict)
    confident: list[tuple[float, bool]] = field(default_factory=list)

    def add(self, truth: tuple[str, str, str], found: Location) -> None:
        """Count one point: truth is (zone, region, side)."""
        right = found.zone == truth[0]
        self.n += 1
        self.zone += right
        self.region += found.region == truth[1]
        # Near the midline the side is a matter of convention; only a swap is an error.
        self.side += found.side == truth[2] or "midline" in (found.side, truth[2])
        self.by_zone.setdefault(truth[0], []).append(int(right))
        self.confident.append((found.confidence, right))

    def line(self, name: str) -> str:
        """One line of the table."""
        zones = ", ".join(f"{zone} {100 * np.mean(hits):.1f}" for zone, hits in sorted(self.by_zone.items()))
        sure = [right for confidence, right in self.confident if confidence >= 0.9]
        return (
            f"{name:28s} zone {100 * self.zone / self.n:5.1f} %  region {100 * self.region / self.n:5.1f} %  "
            f"side {100 * self.side / self.n:5.1f} %  ({zones}); "
            f"confidence >= 0.9: {100 * len(sure) / self.n:.0f} % of points, zone right in {100 * np.mean(sure):.1f} %"
        )


def held_out(heads: Sequence[Head], atlas: Atlas, seed: int = 7) -> Iterator[str]:
    """Measure an atlas on heads it was not built from; yields one line per scenario."""
    yield from _measure(((head, atlas) for head in heads), seed)


def leave_one_out(heads: Sequence[Head], seed: int = 7) -> Iterator[str]:
    """Measure on each head an atlas of the others; yields one line per scenario."""
    pairs = ((head, build([other for other in heads if other is not head])) for head in heads)
    yield from _measure(pairs, seed)


def _measure(pairs: Iterable[tuple[Head, Atlas]], seed: int) -> Iterator[str]:
    tallies = {name: Tally() for name in SCENARIOS}
    for index, (head, atlas) in enumerate(pairs):
        rng = np.random.default_rng(seed + index)
        for name, change in SCENARIOS.items():
            measure_head(head, atlas, change, rng, tallies[name])
    for name, tally in tallies.items():
        yield tally.line(name)


def measure_head(
    head: Head, atlas: Atlas, change: Callable[[Volume, np.random.Generator], Volume],
    rng: np.random.Generator, tally: Tally,
) -> None:  # fmt: skip
    """Fit the atlas to the changed mask of one head and count random brain points inside the mask."""
    brain = change(_thinned(head.brain), rng)
    fitted = RegionMap(fit_regions(brain, atlas))
    points, truths = _truth(head, brain, rng)
    for truth, found in zip(truths, locate(points, fitted), strict=True):  # type: ignore[arg-type]
        tally.add(truth, found)


def _thinned(volume: Volume) -> Volume:
    affine = volume.ijk_to_ras.copy()
    affine[:3, :3] *= SCAN_STEP
    array = np.ascontiguousarray(volume.array[::SCAN_STEP, ::SCAN_STEP, ::SCAN_STEP])
    return Volume(array, affine, volume.name, {})


def _truth(head: Head, brain: Volume, rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[str, str, str]]]:
    """Random tissue voxels of the head inside the field of view of `brain`, and what they are."""
    bombs = load_taxonomy("bombs")
    codes = head.regions.array
    fluid = [code for code in np.unique(codes) if decode_region(int(code))[0] in (*FLUID, OUTSIDE)]
    kji = np.argwhere(~np.isin(codes, fluid))
    kji = kji[rng.choice(len(kji), 2 * POINTS_PER_HEAD, replace=False)]
    points = head.regions.ras_from_ijk(kji[:, ::-1].astype(float))
    at = np.rint(brain.ijk_from_ras(points)).astype(int)[:, ::-1]
    seen = np.all((at >= 0) & (at < brain.array.shape), axis=1)
    kji, points = kji[seen][:POINTS_PER_HEAD], points[seen][:POINTS_PER_HEAD]
    truths = []
    for code in codes[tuple(kji.T)]:
        structure, side = decode_region(int(code))
        site = bombs.site_of(structure)
        truths.append((site.zone, site.id, side) if site else (OUTSIDE, OUTSIDE, side))
    return points, truths


def _as_is(brain: Volume, _: np.random.Generator) -> Volume:
    return brain


def _cut(brain: Volume, low_mm: float, high_mm: float) -> Volume:
    """Field of view that lacks the lowest and highest part of the brain."""
    z = brain.ras_from_ijk(np.argwhere(brain.array)[:, ::-1].astype(float))[:, 2]
    axis = int(np.argmax(np.abs(brain.direction[2])))
    count = brain.array.shape[2 - axis]
    ijk = np.zeros((count, 3))
    ijk[:, axis] = np.arange(count)
    height = brain.ras_from_ijk(ijk)[:, 2]
    kept = np.flatnonzero((height >= z.min() + low_mm) & (height <= z.max() - high_mm))
    array = np.take(brain.array, np.arange(kept[0], kept[-1] + 1), axis=2 - axis)
    start = np.zeros((1, 3))
    start[0, axis] = kept[0]
    affine = brain.ijk_to_ras.copy()
    affine[:3, 3] = brain.ras_from_ijk(start)[0]
    return Volume(np.ascontiguousarray(array), affine, brain.name, {})


def _thick_slices(brain: Volume, _: np.random.Generator) -> Volume:
    axis = int(np.argmax(np.abs(brain.direction[2])))
    steps = [1, 1, 1]
    steps[axis] = 3
    affine = brain.ijk_to_ras.copy()
    affine[:3, :3] *= steps
    return Volume(np.ascontiguousarray(brain.array[tuple(slice(None, None, s) for s in steps[::-1])]), affine)


def _bumpy(brain: Volume, rng: np.random.Generator) -> Volume:
    """The edge moved in and out by up to about 5 mm in patches of 2 cm, as classical brain masks err."""
    noise = ndimage.gaussian_filter(rng.normal(size=brain.array.shape), 5.0)
    noise *= 3.0 / noise.std()
    edge = ndimage.distance_transform_edt(brain.array) - ndimage.distance_transform_edt(brain.array == 0)
    return brain.with_array((edge * SCAN_STEP + noise > 0).astype(np.uint8))


SCENARIOS: dict[str, Callable[[Volume, np.random.Generator], Volume]] = {
    "brain mask of the labels": _as_is,
    "6 mm slices": _thick_slices,
    "mask edge wrong by 3 mm SD": _bumpy,
    "top 30 mm missing": lambda brain, rng: _cut(brain, 0.0, 30.0),
    "bottom 30 mm missing": lambda brain, rng: _cut(brain, 30.0, 0.0),
    "40 mm missing at both ends": lambda brain, rng: _cut(brain, 40.0, 40.0),
}
