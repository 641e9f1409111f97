"""Where in the brain a point lies: zone, region and side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError
from .taxonomy import SIDES, load_taxonomy

if TYPE_CHECKING:
    from .anatomy import Anatomy
    from .volume import Volume

# Index = the low six bits of a region code; the two high bits hold the side. 0 is "not brain".
ANATOMY = (
    "outside",
    "cortex",
    "subcortical_white_matter",
    "deep_white_matter",
    "corpus_callosum",
    "hippocampus_amygdala",
    "caudate",
    "putamen",
    "pallidum",
    "accumbens",
    "thalamus",
    "internal_capsule",
    "external_capsule",
    "brainstem",
    "cerebellum",
    "ventricle",
    "csf",
)
FLUID = ("ventricle", "csf")
OUTSIDE = "outside"
NEIGHBOURHOOD_MM = 3.0
# A microbleed at the surface may lie just outside a brain mask that is a little too small, or in what is taken for CSF.
REACH_MM = 6.0
# Below this share of brain tissue around it a point lies in fluid or outside; atlas ventricles are blurred.
TISSUE_SHARE = 0.25


@dataclass(frozen=True)
class Location:
    """Zone, region and side of a point.

    Attributes
    ----------
    zone : str
        ``lobar``, ``deep``, ``infratentorial`` or ``outside``.
    region : str
        Site id of the BOMBS scale, or ``outside``.
    side : str
        ``left``, ``right`` or ``midline``.
    confidence : float
        Share of the neighbourhood (3 mm) that lies in this zone, 0 to 1.
    structure : str
        The anatomical structure, finer than the region: one of :data:`ANATOMY`.
    """

    zone: str
    region: str
    side: str
    confidence: float
    structure: str = OUTSIDE


def region_code(structure: str, side: str) -> int:
    """Return the uint8 code of a structure on one side, as region maps hold it."""
    if structure == OUTSIDE:
        return 0
    return ANATOMY.index(structure) + 64 * (SIDES.index(side) + 1)


def decode_region(code: int) -> tuple[str, str]:
    """Return (structure, side) of a region code; :class:`InputError` for a code that means nothing."""
    structure, side = int(code) % 64, int(code) // 64
    if structure == 0:
        return OUTSIDE, "midline"
    if structure >= len(ANATOMY) or side == 0:
        raise InputError(f"{code} is no region code. Region maps come from CMBNetLib.atlas.")
    return ANATOMY[structure], SIDES[side - 1]


def locate(points_ras: np.ndarray, anatomy: Anatomy) -> list[Location]:
    """Name the zone, region and side of points.

    The majority within 3 mm decides: first the zone, then the region within it, then the structure.

    Parameters
    ----------
    points_ras : array (N, 3)
        Points in RAS millimetres.
    anatomy : Anatomy
        Its `regions` volume holds the region codes of :func:`region_code`.
    """
    points = np.asarray(points_ras, dtype=float).reshape(-1, 3)
    return [_locate_one(point, anatomy.regions) for point in points]


def _locate_one(point: np.ndarray, regions: Volume) -> Location:
    codes, distances = _around(point, regions, REACH_MM)
    near = codes[distances <= max(NEIGHBOURHOOD_MM, distances.min())] if codes.size else codes
    is_tissue = _tissue(near)
    if near.size and is_tissue.mean() >= TISSUE_SHARE:
        return _majority(near[is_tissue], near.size)
    if near.size and not np.isin(near % 64, ANATOMY.index("ventricle")).any():
        # No microbleed lies in a sulcus: its cortex may have been taken for the fluid beside it.
        tissue = _tissue(codes)
        if tissue.any():
            closest = np.argmin(np.where(tissue, distances, np.inf))
            return _majority(codes[closest : closest + 1], 1 + int(distances[closest]))
    return _outside(point, near, regions)


def _around(point: np.ndarray, regions: Volume, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Region codes of voxels in reach of a point and their distances in mm; at least the nearest voxel."""
    spacing = np.asarray(regions.spacing_mm)
    centre = regions.ijk_from_ras(point[None])[0]
    nearest = np.rint(centre).astype(int)
    size = np.asarray(regions.array.shape[::-1])
    low = np.maximum(np.minimum(nearest, np.ceil(centre - reach / spacing).astype(int)), 0)
    high = np.minimum(np.maximum(nearest, np.floor(centre + reach / spacing).astype(int)), size - 1)
    if np.any(low > high):
        return np.zeros(0, np.uint8), np.zeros(0)
    i, j, k = (np.arange(a, b + 1) for a, b in zip(low, high, strict=True))
    squares = [((axis - c) * step) ** 2 for axis, c, step in zip((i, j, k), centre, spacing, strict=True)]
    distance = np.sqrt(squares[2][:, None, None] + squares[1][None, :, None] + squares[0][None, None, :])
    codes = regions.array[k[0] : k[-1] + 1, j[0] : j[-1] + 1, i[0] : i[-1] + 1]
    return codes.ravel(), distance.ravel()


def _tissue(codes: np.ndarray) -> np.ndarray:
    structure = codes % 64
    return (structure > 0) & ~np.isin(structure, [ANATOMY.index(name) for name in FLUID])


def _majority(codes: np.ndarray, n_all: int) -> Location:
    """Majority of tissue codes: zone, then region, then structure, then side."""
    bombs = load_taxonomy("bombs")
    votes: Counter[tuple[str, str, str, str]] = Counter()
    values, counts = np.unique(codes, return_counts=True)
    for value, count in zip(values, counts, strict=True):
        structure, side = decode_region(int(value))
        site = bombs.site_of(structure)
        if site is None:
            raise InputError(f"The structure '{structure}' belongs to no site of the BOMBS taxonomy.")
        votes[site.zone, site.id, structure, side] += int(count)
    chosen: tuple[str, ...] = ()
    zone_votes = 0
    for depth in range(4):
        level: Counter[str] = Counter()
        for key, count in votes.items():
            if key[:depth] == chosen:
                level[key[depth]] += count
        name, count = max(level.items(), key=lambda item: (item[1], item[0]))
        zone_votes = count if depth == 0 else zone_votes
        chosen = (*chosen, name)
    zone, region, structure, side = chosen
    return Location(zone, region, side, round(zone_votes / n_all, 3), structure)


def _outside(point: np.ndarray, near: np.ndarray, regions: Volume) -> Location:
    """A point in fluid or outside of the brain; its side is told by the middle of the region map."""
    fluid = near[near > 0]
    if fluid.size:
        values, counts = np.unique(fluid, return_counts=True)
        structure, side = decode_region(int(values[np.argmax(counts)]))
        if structure in FLUID:
            return Location(OUTSIDE, OUTSIDE, side, round(fluid.size / near.size, 3), structure)
    inside = np.argwhere(regions.array > 0)[:, ::-1]
    middle = regions.ras_from_ijk(inside.mean(axis=0)[None])[0] if len(inside) else np.zeros(3)
    return Location(OUTSIDE, OUTSIDE, "right" if point[0] > middle[0] else "left", 1.0, OUTSIDE)
