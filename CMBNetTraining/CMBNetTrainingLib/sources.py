"""Microbleeds and what looks like them: sources of a field, their form, and how they are painted on a fine grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from CMBNetTrainingLib.painting import SAMPLES_PER_VOXEL, ball_points, paint, random_voxels
from CMBNetTrainingLib.rotation import rotation_kji
from CMBNetTrainingLib.tissue import (
    BRAIN_STEM_LABELS,
    CEREBELLUM_LABELS,
    CORTEX_LABELS,
    DEEP_LABELS,
    WHITE_MATTER_LABELS,
    labels_in,
)

MICROBLEED_KIND = "microbleed"
# Old blood shortens T2* beyond what its field does on the fine grid (1/s for each ppm and tesla), up to a limit.
RELAXATION_PER_T_PPM = 60.0
MOST_RELAXATION = 400.0
# Sources nearer than this (mm) would be read as one.
LEAST_DISTANCE_MM = 5.0


@dataclass(frozen=True)
class Source:
    """One implanted lesion or decoy.

    Attributes
    ----------
    kind : str
        ``microbleed``, or the mimic that a reader would call it.
    center_mm : tuple of float
        From the middle of the block's first voxel, k j i.
    radius_mm, chi_ppm : float
        Of the source itself; what is seen of it is larger.
    form : str
        ``ellipsoid``, ``cluster`` (three balls), ``slit`` or ``shell`` (a rim with a speckled core).
    dryness : float
        Share of the water it displaces: 1 for solid calcium.
    """

    kind: str
    center_mm: tuple[float, float, float]
    radius_mm: float
    chi_ppm: float
    form: str = "ellipsoid"
    dryness: float = 0.0


@dataclass(frozen=True)
class Painted:
    """Sources on a fine grid, float32 [k, j, i]: susceptibility (ppm) and share of water displaced."""

    chi_ppm: np.ndarray
    dryness: np.ndarray


def paint_sources(
    rng: np.random.Generator, sources: Iterable[Source], shape: Sequence[int], spacing_mm: np.ndarray
) -> Painted:
    """All ``sources`` together."""
    painted = Painted(np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    for source in sources:
        points, weights = source_points(rng, source, float(np.prod(spacing_mm)))
        low = np.maximum(np.floor(points.min(0) / spacing_mm).astype(int) - 1, 0)
        high = np.minimum(np.ceil(points.max(0) / spacing_mm).astype(int) + 2, shape)
        if np.any(high <= low):
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        fraction = paint(points - low * spacing_mm, weights, tuple(high - low), spacing_mm)
        painted.chi_ppm[box] += source.chi_ppm * fraction
        painted.dryness[box] = np.maximum(painted.dryness[box], source.dryness * fraction)
    return painted


def source_points(rng: np.random.Generator, source: Source, voxel_mm3: float) -> tuple[np.ndarray, np.ndarray]:
    """Random points (n, 3) in mm that fill the source, and the volume (mm3) of each."""
    volume = 4 / 3 * np.pi * source.radius_mm**3
    count = int(np.clip(SAMPLES_PER_VOXEL * volume / voxel_mm3, 200, 40_000))
    points = _FORMS[source.form](rng, count) * source.radius_mm
    turn = rotation_kji(rng.uniform(0, 360, 3))
    return points @ turn.T + np.array(source.center_mm), np.full(count, volume / count)


def _ellipsoid(rng: np.random.Generator, count: int) -> np.ndarray:
    return ball_points(rng, count) * rng.uniform(0.75, 1.25, 3)


def _cluster(rng: np.random.Generator, count: int) -> np.ndarray:
    return _ellipsoid(rng, count) + rng.normal(0, 0.5, (3, 3))[rng.integers(0, 3, count)]


def _slit(rng: np.random.Generator, count: int) -> np.ndarray:
    return ball_points(rng, count) * [0.3, 1.4, rng.uniform(0.6, 1.2)]


def _shell(rng: np.random.Generator, count: int) -> np.ndarray:
    rim = ball_points(rng, count)
    rim *= rng.uniform(0.75, 1.0, (count, 1)) / (np.linalg.norm(rim, axis=1, keepdims=True) + 1e-9)
    speckles = ball_points(rng, 6)[rng.integers(0, 6, count)] * 0.6 + 0.12 * rng.normal(size=(count, 3))
    return np.where(rng.random((count, 1)) < 0.75, rim, speckles)


_FORMS = {"ellipsoid": _ellipsoid, "cluster": _cluster, "slit": _slit, "shell": _shell}


# Share of sites: field.md 3.2 and the seed system's 957 references (364 cortex, 338 white matter, 129 deep, 117 below).
SITES = (
    (CORTEX_LABELS, 0.36),
    (WHITE_MATTER_LABELS, 0.34),
    (DEEP_LABELS, 0.18),
    (BRAIN_STEM_LABELS + CEREBELLUM_LABELS, 0.12),
)


def draw_microbleeds(rng: np.random.Generator, labels: np.ndarray, count: int, spacing_mm: np.ndarray) -> list[Source]:
    """At most ``count`` paramagnetic sources at plausible places; radius and strength drawn wide."""
    masks = [(labels_in(labels, codes), share) for codes, share in SITES]
    masks = [(mask, share) for mask, share in masks if mask.any()]
    if not masks:
        return []
    shares = np.array([share for _, share in masks]) / sum(share for _, share in masks)
    centers: list[np.ndarray] = []
    for choice in rng.choice(len(masks), size=count, p=shares):
        center = random_voxels(rng, masks[choice][0], 1, spacing_mm)[0]
        if all(np.linalg.norm(center - other) > LEAST_DISTANCE_MM for other in centers):
            centers.append(center)
    return [draw_microbleed(rng, center) for center in centers]


def draw_microbleed(rng: np.random.Generator, center_mm: np.ndarray) -> Source:
    """A microbleed at a place; what is seen of it is 1 to 10 mm wide, depending on the protocol."""
    radius = float(np.exp(rng.uniform(np.log(0.4), np.log(2.2))))
    # Small ones must be strong to be seen at all: the visible size follows chi * volume.
    chi = float(np.exp(rng.uniform(np.log(0.5), np.log(3.0))) * (1.0 if radius > 0.8 else 1.6))
    k, j, i = (float(c) for c in center_mm)
    form = "cluster" if rng.random() < 0.25 else "ellipsoid"
    return Source(MICROBLEED_KIND, (k, j, i), radius, chi, form)
