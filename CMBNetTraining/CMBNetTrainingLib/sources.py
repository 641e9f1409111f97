"""Things that disturb the field: veins, microbleeds and decoys, painted as volume fractions on a fine grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CMBNetTrainingLib.tissue import (
    BRAIN_STEM_LABELS,
    CORTEX_LABELS,
    CSF_LABELS,
    DEEP_LABELS,
    VENTRICLE_LABELS,
    WHITE_MATTER_LABELS,
    brain_of,
    labels_in,
)

SAMPLES_PER_VOXEL = 24


@dataclass(frozen=True)
class Source:
    """One implanted lesion or decoy: kind, centre (mm from the first voxel, k j i), source radius, susceptibility."""

    kind: str
    center_mm: tuple[float, float, float]
    radius_mm: float
    chi_ppm: float


def paint(
    points_mm: np.ndarray, weights: np.ndarray, shape: tuple[int, int, int], spacing_mm: np.ndarray
) -> np.ndarray:
    """Volume fraction (float32, [k, j, i]) deposited by random points, each worth `weights` mm3."""
    index = np.rint(points_mm / spacing_mm).astype(np.int64)
    inside = np.all((index >= 0) & (index < np.array(shape)), axis=1)
    flat = np.ravel_multi_index(tuple(index[inside].T), shape)
    volume = np.bincount(flat, weights=weights[inside], minlength=int(np.prod(shape)))
    return np.minimum(volume / np.prod(spacing_mm), 1.0).astype(np.float32).reshape(shape)


def ball_points(rng: np.random.Generator, count: int) -> np.ndarray:
    """`count` points uniform in the unit ball, (count, 3)."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
    return direction * rng.random((count, 1)) ** (1 / 3)


def blob_points(rng: np.random.Generator, source: Source, voxel_mm3: float) -> tuple[np.ndarray, np.ndarray]:
    """Points and their volumes of an ellipsoid or, one time in four, of a cluster of balls."""
    volume = 4 / 3 * np.pi * source.radius_mm**3
    count = int(np.clip(SAMPLES_PER_VOXEL * volume / voxel_mm3, 200, 40_000))
    points = ball_points(rng, count) * rng.uniform(0.75, 1.25, 3) * source.radius_mm
    if rng.random() < 0.25:
        points += rng.normal(0, 0.5 * source.radius_mm, (3, 3))[rng.integers(0, 3, count)]
    return points + np.array(source.center_mm), np.full(count, volume / count)


def paint_sources(
    rng: np.random.Generator, sources: list[Source], shape: tuple[int, int, int], spacing_mm: np.ndarray
) -> np.ndarray:
    """Susceptibility (ppm, [k, j, i]) of all `sources` together."""
    chi = np.zeros(shape, np.float32)
    for source in sources:
        points, weights = blob_points(rng, source, float(np.prod(spacing_mm)))
        low = np.maximum(np.floor(points.min(0) / spacing_mm).astype(int) - 1, 0)
        high = np.minimum(np.ceil(points.max(0) / spacing_mm).astype(int) + 2, shape)
        if np.any(high <= low):
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        chi[box] += source.chi_ppm * paint(points - low * spacing_mm, weights, tuple(high - low), spacing_mm)
    return chi


# --- veins -----------------------------------------------------------------------------------------------------------
STEP_MM = 0.25


def grow_paths(
    rng: np.random.Generator,
    starts_mm: np.ndarray,
    headings: np.ndarray,
    steps: int,
    wander: float,
    preference: np.ndarray | None,
    spacing_mm: np.ndarray,
) -> np.ndarray:
    """Centre lines, (n, steps, 3) in mm: persistent random walks that prefer voxels with a high `preference`."""
    position, heading = starts_mm.copy(), headings.copy()
    path = np.empty((len(position), steps, 3))
    for step in range(steps):
        path[:, step] = position
        trial = heading[:, None] + wander * rng.normal(size=(len(position), 4, 3))
        trial /= np.linalg.norm(trial, axis=2, keepdims=True)
        if preference is None:
            choice = np.zeros(len(position), int)
        else:
            ahead = np.rint((position[:, None] + 4 * STEP_MM * trial) / spacing_mm).astype(int)
            ahead = np.clip(ahead, 0, np.array(preference.shape) - 1)
            choice = np.argmax(preference[ahead[..., 0], ahead[..., 1], ahead[..., 2]], axis=1)
        heading = trial[np.arange(len(position)), choice]
        position = position + STEP_MM * heading
    return path


def paint_tubes(
    rng: np.random.Generator,
    paths: np.ndarray,
    radii_mm: np.ndarray,
    shape: tuple[int, int, int],
    spacing_mm: np.ndarray,
) -> np.ndarray:
    """Volume fraction of tubes of the given radii round the centre lines; they thin towards their end."""
    n, steps, _ = paths.shape
    taper = radii_mm[:, None] * np.linspace(1.0, 0.6, steps)[None]
    per_step = int(np.clip(SAMPLES_PER_VOXEL * STEP_MM * np.pi * radii_mm.max() ** 2 / np.prod(spacing_mm), 4, 24))
    offsets = ball_points(rng, n * steps * per_step).reshape(n, steps, per_step, 3) * taper[..., None, None]
    volume = np.pi * taper**2 * STEP_MM / per_step
    points = (paths[:, :, None] + offsets).reshape(-1, 3)
    return paint(points, np.repeat(volume.ravel(), per_step), shape, spacing_mm)


def random_voxels(rng: np.random.Generator, mask: np.ndarray, count: int, spacing_mm: np.ndarray) -> np.ndarray:
    """`count` random positions (mm, k j i) inside `mask`; fewer when the mask is empty."""
    where = np.flatnonzero(mask)
    if len(where) == 0 or count == 0:
        return np.zeros((0, 3))
    index = np.stack(np.unravel_index(rng.choice(where, count), mask.shape), axis=1)
    return (index + rng.uniform(-0.5, 0.5, index.shape)) * spacing_mm


def brain_litres(labels: np.ndarray, spacing_mm: np.ndarray) -> float:
    """Volume of the brain in a block: what numbers of veins and decoys are proportional to."""
    return float(brain_of(labels).sum() * np.prod(spacing_mm) / 1e6)


def vein_fraction(rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Volume fraction of veins: sulcal ones that follow CSF and cortex, medullary ones that leave the ventricles."""
    shape = labels.shape
    litres = brain_litres(labels, spacing_mm)
    sulcal = labels_in(labels, (24,)) * 2.0 + labels_in(labels, CORTEX_LABELS)
    fraction = np.zeros(shape, np.float32)
    starts = random_voxels(rng, sulcal > 0, int(rng.uniform(60, 260) * litres), spacing_mm)
    for group in np.array_split(starts, max(1, len(starts) // 60)):
        if len(group):
            heading = rng.normal(size=group.shape)
            heading /= np.linalg.norm(heading, axis=1, keepdims=True)
            path = grow_paths(rng, group, heading, int(rng.uniform(40, 180)), 0.25, sulcal, spacing_mm)
            radii = np.exp(rng.normal(np.log(0.38), 0.4, len(group))).clip(0.15, 1.3)
            fraction = np.maximum(fraction, paint_tubes(rng, path, radii, shape, spacing_mm))
    return np.maximum(fraction, _medullary(rng, labels, spacing_mm, litres))


def _medullary(rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray, litres: float) -> np.ndarray:
    ventricles = labels_in(labels, VENTRICLE_LABELS)
    white = labels_in(labels, WHITE_MATTER_LABELS)
    starts = random_voxels(rng, white, int(rng.uniform(20, 220) * litres), spacing_mm)
    if not len(starts) or not ventricles.any():
        return np.zeros(labels.shape, np.float32)
    hub = np.argwhere(ventricles).mean(0) * spacing_mm
    heading = starts - hub + rng.normal(0, 8.0, starts.shape)
    heading /= np.linalg.norm(heading, axis=1, keepdims=True) + 1e-9
    path = grow_paths(rng, starts, heading, int(rng.uniform(30, 90)), 0.06, None, spacing_mm)
    return paint_tubes(rng, path, rng.uniform(0.12, 0.4, len(starts)), labels.shape, spacing_mm)


# --- microbleeds and decoys ------------------------------------------------------------------------------------------
# Share of sites: field.md 3.2 and the seed system's 957 references (364 cortex, 338 white matter, 129 deep, 117 below).
SITES = ((CORTEX_LABELS, 0.36), (WHITE_MATTER_LABELS, 0.34), (DEEP_LABELS, 0.18), (BRAIN_STEM_LABELS, 0.12))


def draw_microbleeds(rng: np.random.Generator, labels: np.ndarray, count: int, spacing_mm: np.ndarray) -> list[Source]:
    """`count` paramagnetic sources at plausible places, at least 5 mm apart; radius and strength drawn wide."""
    centers: list[np.ndarray] = []
    masks = [(labels_in(labels, codes), share) for codes, share in SITES]
    masks = [(mask, share) for mask, share in masks if mask.any()]
    if not masks:
        return []
    shares = np.array([share for _, share in masks]) / sum(share for _, share in masks)
    for choice in rng.choice(len(masks), size=count, p=shares):
        center = random_voxels(rng, masks[choice][0], 1, spacing_mm)[0]
        if all(np.linalg.norm(center - other) > 5.0 for other in centers):
            centers.append(center)
    return [_draw_microbleed(rng, center) for center in centers]


def _draw_microbleed(rng: np.random.Generator, center: np.ndarray) -> Source:
    radius = float(np.exp(rng.uniform(np.log(0.4), np.log(2.2))))
    # Small ones must be strong to be seen at all: the visible size follows chi * volume.
    chi = float(np.exp(rng.uniform(np.log(0.5), np.log(3.0))) * (1.0 if radius > 0.8 else 1.6))
    k, j, i = (float(c) for c in center)
    return Source("microbleed", (k, j, i), radius, chi)


def draw_decoys(rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray) -> list[Source]:
    """Calcifications of plexus and falx, and now and then an old haemorrhage too big to be a microbleed."""
    # Numbers a litre of brain: calcified plexus is common at an age at which one looks for microbleeds; a calcified
    # falx, which lies in the same CSF label as every sulcus, is not.
    decoys, litres = [], brain_litres(labels, spacing_mm)
    for mask, kind, rate, radius, chi in (
        (labels_in(labels, VENTRICLE_LABELS), "calcification", 1.5, (0.6, 2.5), (-2.5, -0.8)),
        (labels_in(labels, CSF_LABELS), "calcification", 0.5, (0.4, 1.8), (-2.5, -0.8)),
        (labels_in(labels, CORTEX_LABELS + WHITE_MATTER_LABELS), "haemorrhage", 0.4, (4.0, 8.0), (0.3, 1.2)),
    ):
        for center in random_voxels(rng, mask, int(rng.poisson(rate * litres)), spacing_mm):
            k, j, i = (float(c) for c in center)
            decoys.append(Source(kind, (k, j, i), float(rng.uniform(*radius)), float(rng.uniform(*chi))))
    return decoys
