"""How right the anatomy of a scan is, against the labels the scan was simulated from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from CMBNetLib.anatomy import Anatomy
from CMBNetLib.location import FLUID, OUTSIDE, decode_region, locate
from CMBNetLib.taxonomy import load_taxonomy
from CMBNetLib.volume import Volume, resample_to
from CMBNetTrainingLib.anatomy_scans import AnatomyScan

POINTS = 2000
# Regions as `location` names them, by the structures of a region map; sides are judged apart.
REGIONS: dict[str, tuple[str, ...]] = {
    "cortex": ("cortex",),
    "cerebral white matter": (
        "subcortical_white_matter", "deep_white_matter", "corpus_callosum", "internal_capsule", "external_capsule"
    ),
    "caudate": ("caudate", "accumbens"),
    "putamen": ("putamen",),
    "pallidum": ("pallidum",),
    "thalamus": ("thalamus",),
    "hippocampus and amygdala": ("hippocampus_amygdala",),
    "brain-stem and ventral DC": ("brainstem",),
    "cerebellum": ("cerebellum",),
    "ventricles": ("ventricle",),
}  # fmt: skip


@dataclass
class AnatomyScore:
    """Figures of one scan.

    Attributes
    ----------
    brain_dice : float
    region_dice : dict
        By the names of `REGIONS`; left and right are different regions, the figure is their mean.
    zone_right, side_right : float
        Share of random points of brain tissue whose zone (side) is right.
    seconds : float
    method : str
    """

    name: str
    brain_dice: float
    region_dice: dict[str, float]
    zone_right: float
    side_right: float
    seconds: float
    method: str
    flags: list[str] = field(default_factory=list)

    @property
    def mean_region_dice(self) -> float:
        return float(np.mean(list(self.region_dice.values())))


def measure(made: AnatomyScan, find: Callable[[Volume], Anatomy], seed: int = 3) -> AnatomyScore:
    """Compare what ``find`` says of a simulated scan with its labels, within the scan's field of view."""
    started = time.perf_counter()
    found = find(made.scan)
    seconds = time.perf_counter() - started
    mask = _on_grid(found.brain, made.brain)
    codes = _nearest(found.regions, made.regions)
    zone, side = _points(made, found, np.random.default_rng(seed))
    return AnatomyScore(
        name=made.name,
        brain_dice=_dice(mask, made.brain.array > 0),
        region_dice={name: _region_dice(codes, made.regions.array, parts) for name, parts in REGIONS.items()},
        zone_right=zone,
        side_right=side,
        seconds=seconds,
        method=found.method,
        flags=[flag["code"] for flag in found.flags],
    )


def _on_grid(mask: Volume, like: Volume) -> np.ndarray:
    return resample_to(mask.with_array((mask.array > 0).astype(np.float32)), like.grid).array >= 0.5


def _nearest(codes: Volume, like: Volume) -> np.ndarray:
    return resample_to(codes, like.grid, interpolation="nearest").array.astype(np.uint8)


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / max(int(one.sum()) + int(other.sum()), 1))


def _region_dice(found: np.ndarray, truth: np.ndarray, structures: Sequence[str]) -> float:
    """Mean Dice of the left and the right part; what lies at the midline counts for both."""
    figures = []
    for side in ("left", "right"):
        wanted = [code for code in range(1, 256) if _is(code, structures, side)]
        figures.append(_dice(np.isin(found, wanted), np.isin(truth, wanted)))
    return float(np.mean(figures))


def _is(code: int, structures: Sequence[str], side: str) -> bool:
    if code % 64 == 0 or code % 64 > 16 or code < 64:
        return False
    structure, where = decode_region(code)
    return structure in structures and where in (side, "midline")


def _points(made: AnatomyScan, found: Anatomy, rng: np.random.Generator) -> tuple[float, float]:
    """Shares of random tissue points whose zone, and whose side, is right; at the midline no side is wrong."""
    bombs = load_taxonomy("bombs")
    truth = made.regions
    fluid = [c for c in np.unique(truth.array) if decode_region(int(c))[0] in (*FLUID, OUTSIDE)]
    kji = np.argwhere(~np.isin(truth.array, fluid))
    kji = kji[rng.choice(len(kji), POINTS, replace=False)]
    zones, sides = [], []
    for code, place in zip(truth.array[tuple(kji.T)], locate(truth.ras_from_ijk(kji[:, ::-1]), found), strict=True):
        structure, side = decode_region(int(code))
        site = bombs.site_of(structure)
        assert site is not None
        zones.append(place.zone == site.zone)
        sides.append(place.side == side or "midline" in (place.side, side))
    return float(np.mean(zones)), float(np.mean(sides))
