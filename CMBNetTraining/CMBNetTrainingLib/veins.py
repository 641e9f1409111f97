"""Veins: trees that follow sulci, medullary veins, the deep veins; painted as volume fractions on a fine grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from CMBNetTrainingLib.painting import SAMPLES_PER_VOXEL, ball_points, brain_litres, paint, random_voxels
from CMBNetTrainingLib.tissue import (
    CORTEX_LABELS,
    LATERAL_VENTRICLE_LABELS,
    SINUS_LABEL,
    THIRD_VENTRICLE_LABEL,
    WHITE_MATTER_LABELS,
    labels_in,
)

STEP_MM = 0.25
# How far ahead (mm) a growing vein looks.
AHEAD_MM = 1.0
# Trunks and lengths of the three kinds of veins, set so that the share of the brain that shows as thin and above
# 120 ppb at about 1 mm stays below that of a real 3 T susceptibility map (.38 %); Docs/synthesis.md says what it is.
SULCAL_TRUNKS_PER_LITRE = (160.0, 420.0)
MEDULLARY_PER_LITRE = (150.0, 700.0)
NEAR_MM = 3.0
OPENING_MM = 4.0


@dataclass(frozen=True)
class Vessels:
    """Centre lines (n, steps, 3) in mm, radius (n, steps) in mm at each point; 0 beyond a vessel's end."""

    paths: np.ndarray
    radii: np.ndarray


def vein_fraction(rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Volume fraction (float32, [k, j, i]) of the veins of a block of labels."""
    fraction = np.zeros(labels.shape, np.float32)
    litres = brain_litres(labels, spacing_mm)
    for vessels in (
        *_sulcal(rng, labels, spacing_mm, litres),
        *_medullary(rng, labels, spacing_mm, litres),
        *_deep(rng, labels, spacing_mm),
    ):
        np.maximum(fraction, paint_vessels(rng, vessels, labels.shape, spacing_mm), out=fraction)
    return fraction


def paint_vessels(
    rng: np.random.Generator, vessels: Vessels, shape: Sequence[int], spacing_mm: np.ndarray
) -> np.ndarray:
    """Volume fraction of round tubes along the centre lines."""
    inside = vessels.radii > 0
    centers, radii = vessels.paths[inside], vessels.radii[inside]
    if not len(radii):
        return np.zeros(shape, np.float32)
    section = np.pi * radii**2 * STEP_MM
    count = int(np.clip(SAMPLES_PER_VOXEL * np.quantile(section, 0.9) / np.prod(spacing_mm), 4, 24))
    points = centers[:, None] + ball_points(rng, len(radii) * count).reshape(-1, count, 3) * radii[:, None, None]
    return paint(points.reshape(-1, 3), np.repeat(section / count, count), shape, spacing_mm)


def grow(
    rng: np.random.Generator,
    starts_mm: np.ndarray,
    headings: np.ndarray,
    lengths_mm: np.ndarray,
    radii_mm: np.ndarray,
    *,
    wander: float,
    end: float,
    preference: np.ndarray | None = None,
    spacing_mm: np.ndarray | None = None,
) -> Vessels:
    """Persistent random walks that prefer voxels with a high ``preference`` and thin to ``end`` of their radius."""
    steps = max(2, int(lengths_mm.max() / STEP_MM)) if len(lengths_mm) else 2
    position, heading = starts_mm.copy(), headings.copy()
    paths = np.empty((len(position), steps, 3))
    for step in range(steps):
        paths[:, step] = position
        heading = _turned(rng, position, heading, wander, preference, spacing_mm)
        position = position + STEP_MM * heading
    at_mm = np.arange(steps) * STEP_MM
    done = at_mm[None] / np.maximum(lengths_mm[:, None], STEP_MM)
    # No vein begins as a blunt stump: it would look like a microbleed.
    opening = np.interp(at_mm, [0, OPENING_MM], [0.4, 1.0])[None]
    radii = np.where(done <= 1, opening * radii_mm[:, None] * (1 - (1 - end) * np.minimum(done, 1)), 0.0)
    return Vessels(paths, radii if preference is None else radii * _before_leaving(paths, preference, spacing_mm))


def _before_leaving(paths: np.ndarray, preference: np.ndarray, spacing_mm: np.ndarray | None) -> np.ndarray:
    """True until a path comes to a voxel that it may not enter (preference below 0)."""
    index = np.clip(np.rint(paths / spacing_mm).astype(int), 0, np.array(preference.shape) - 1)
    return np.logical_and.accumulate(preference[index[..., 0], index[..., 1], index[..., 2]] >= 0, axis=1)


def _turned(
    rng: np.random.Generator,
    position: np.ndarray,
    heading: np.ndarray,
    wander: float,
    preference: np.ndarray | None,
    spacing_mm: np.ndarray | None,
) -> np.ndarray:
    """The next heading: the best of four random ones."""
    trial = _unit(heading[:, None] + wander * rng.normal(size=(len(position), 4, 3)))
    if preference is None or spacing_mm is None:
        return trial[:, 0]
    ahead = np.rint((position[:, None] + AHEAD_MM * trial) / spacing_mm).astype(int)
    ahead = np.clip(ahead, 0, np.array(preference.shape) - 1)
    choice = np.argmax(preference[ahead[..., 0], ahead[..., 1], ahead[..., 2]], axis=1)
    return trial[np.arange(len(position)), choice]


def branches(
    rng: np.random.Generator, parents: Vessels, every_mm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts (mm), headings and radii of side branches, one every ``every_mm`` on average, 30 to 75 degrees off."""
    inside = parents.radii > 0
    inside[:, 0] = inside[:, -1] = False
    where = np.argwhere(inside & (rng.random(inside.shape) < STEP_MM / every_mm))
    line, step = where.T
    along = _unit(parents.paths[line, step + 1] - parents.paths[line, step - 1])
    across = _unit(np.cross(along, rng.normal(size=along.shape)))
    angle = np.deg2rad(rng.uniform(30, 75, len(where)))[:, None]
    radii = parents.radii[line, step] * rng.uniform(0.45, 0.8, len(where))
    return parents.paths[line, step], np.cos(angle) * along + np.sin(angle) * across, radii


def _sulcal(
    rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray, litres: float
) -> list[Vessels]:
    """Cortical veins: trunks that leave the outer surface, preferably beside a sinus, and two orders of branches."""
    fluid = labels == 24
    preference = (fluid * 2 + labels_in(labels, CORTEX_LABELS)).astype(np.int8)
    preference[(labels >= 500) & (labels != SINUS_LABEL)] = -1
    count = rng.poisson(rng.uniform(*SULCAL_TRUNKS_PER_LITRE) * litres)
    beside = _dilated(labels == SINUS_LABEL, spacing_mm, 4.0) & fluid
    n_beside = int(0.4 * count) if beside.any() else 0
    starts = np.concatenate(
        [random_voxels(rng, beside, n_beside, spacing_mm), random_voxels(rng, fluid, count - n_beside, spacing_mm)]
    )
    if not len(starts):
        return []
    made = []
    options = {"wander": 0.14, "preference": preference, "spacing_mm": spacing_mm}
    radii = np.exp(rng.normal(np.log(0.6), 0.4, len(starts))).clip(0.25, 1.5)
    level = grow(
        rng, starts, _directions(rng, len(starts)), rng.uniform(15, 60, len(starts)), radii, end=0.35, **options
    )
    made.append(level)
    for every_mm, longest in ((7.0, 25.0), (7.0, 12.0)):
        starts, headings, radii = branches(rng, level, every_mm)
        if not len(starts):
            break
        lengths = rng.uniform(0.25, 1.0, len(starts)) * longest
        level = grow(rng, starts, headings, lengths, radii, end=0.15, **options)
        made.append(level)
    return made


def _medullary(
    rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray, litres: float
) -> list[Vessels]:
    """Veins of the white matter that run straight towards the ventricles, and join there or fade on the way."""
    ventricles = labels_in(labels, LATERAL_VENTRICLE_LABELS)
    white = labels_in(labels, WHITE_MATTER_LABELS)
    if not ventricles.any() or not white.any():
        return []
    count = rng.poisson(rng.uniform(*MEDULLARY_PER_LITRE) * litres)
    near = white & _dilated(ventricles, spacing_mm, 4.0)
    deep = random_voxels(rng, near, count // 2, spacing_mm) if near.any() else np.zeros((0, 3))
    starts = np.concatenate([deep, random_voxels(rng, white, count - len(deep), spacing_mm)])
    if not len(starts):
        return []
    places = np.argwhere(ventricles)
    places = places[:: max(1, len(places) // 400)] * spacing_mm
    nearest = places[np.argmin(((starts[:, None] - places[None]) ** 2).sum(-1), axis=1)]
    headings = _unit(starts - nearest + rng.normal(0, 2.0, starts.shape))
    lengths, radii = rng.uniform(5, 28, len(starts)), np.exp(rng.normal(np.log(0.22), 0.35, len(starts))).clip(0.1, 0.5)
    return [grow(rng, starts, headings, lengths, radii, wander=0.06, end=0.15)]


def _deep(rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray) -> list[Vessels]:
    """Internal cerebral, thalamostriate and basal veins, as far as the block holds their surroundings."""
    coarse = labels[::2, ::2, ::2]
    spacing = np.asarray(spacing_mm) * 2
    made = [_along(rng, mask, spacing, side, radius) for mask, side, radius in _deep_courses(coarse, spacing)]
    return [vessels for vessels in made if vessels is not None]


def _deep_courses(labels: np.ndarray, spacing_mm: np.ndarray) -> list[tuple[np.ndarray, float, tuple[float, float]]]:
    """Where each deep vein runs: voxels round its course, its offset to the side (mm), its range of radii (mm)."""
    third = labels == THIRD_VENTRICLE_LABEL
    roof = third & ~np.roll(third, -1, axis=0)
    courses = [(roof, side, (0.5, 1.0)) for side in (-1.3, 1.3)]
    for thalamus, caudate, ventricle, ventral in ((10, 11, 4, 28), (49, 50, 43, 60)):
        groove = _dilated(labels == thalamus, spacing_mm, NEAR_MM) & _dilated(labels == caudate, spacing_mm, NEAR_MM)
        courses.append((groove & _dilated(labels == ventricle, spacing_mm, 2.0), 0.0, (0.3, 0.7)))
        courses.append((_dilated(labels == ventral, spacing_mm, NEAR_MM) & (labels == 24), 0.0, (0.3, 0.8)))
    return courses


def _along(
    rng: np.random.Generator, mask: np.ndarray, spacing_mm: np.ndarray, side_mm: float, radius_mm: tuple[float, float]
) -> Vessels | None:
    """One vein through the middle of ``mask`` from front to back; None where the mask is too short for one."""
    where = np.argwhere(mask)
    bins = np.unique(where[:, 1]) if len(where) else np.zeros(0, int)
    if len(bins) * spacing_mm[1] < 10:
        return None
    middle = np.array([np.median(where[where[:, 1] == j], axis=0) for j in bins]) * spacing_mm
    middle = ndimage.gaussian_filter1d(middle, 2.0, axis=0) + np.array([0.0, 0.0, side_mm])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(middle, axis=0), axis=1))])
    at = np.arange(0, length[-1], STEP_MM)
    path = np.stack([np.interp(at, length, middle[:, axis]) for axis in range(3)], axis=1)
    wobble = ndimage.gaussian_filter1d(rng.normal(0, 1.0, path.shape), 12, axis=0) * 2.5
    radii = rng.uniform(*radius_mm) * np.interp(at, [0, length[-1]], [1.0, 0.4])
    return Vessels((path + wobble)[None], radii[None])


def _dilated(mask: np.ndarray, spacing_mm: np.ndarray, reach_mm: float) -> np.ndarray:
    """The mask and what lies within about ``reach_mm``: a box filter along each axis, fast on large arrays."""
    near = mask
    for axis, edge in enumerate(spacing_mm):
        size = 2 * max(1, round(reach_mm / float(edge))) + 1
        near = ndimage.maximum_filter1d(near, size, axis=axis)
    return near


def _directions(rng: np.random.Generator, count: int) -> np.ndarray:
    return _unit(rng.normal(size=(count, 3)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)
