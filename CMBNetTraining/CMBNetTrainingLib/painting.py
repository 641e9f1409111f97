"""Small things painted on a fine grid as volume fractions: random points, each worth a little volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from CMBNetTrainingLib.tissue import brain_of

SAMPLES_PER_VOXEL = 24


def paint(points_mm: np.ndarray, weights: np.ndarray, shape: Sequence[int], spacing_mm: np.ndarray) -> np.ndarray:
    """Volume fraction (float32, [k, j, i]) deposited by points, each worth `weights` mm3.

    Points are in mm from the middle of the first voxel, in the order k, j, i.
    """
    index = np.rint(points_mm / spacing_mm).astype(np.int64)
    inside = np.all((index >= 0) & (index < np.array(shape)), axis=1)
    flat = np.ravel_multi_index(tuple(index[inside].T), tuple(shape))
    volume = np.bincount(flat, weights=weights[inside], minlength=int(np.prod(shape)))
    return np.minimum(volume / np.prod(spacing_mm), 1.0).astype(np.float32).reshape(shape)


def ball_points(rng: np.random.Generator, count: int) -> np.ndarray:
    """`count` points uniform in the unit ball, (count, 3)."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
    return direction * rng.random((count, 1)) ** (1 / 3)


def random_voxels(rng: np.random.Generator, mask: np.ndarray, count: int, spacing_mm: np.ndarray) -> np.ndarray:
    """`count` random positions (mm, k j i) inside `mask`; none when the mask is empty."""
    where = np.flatnonzero(mask)
    if len(where) == 0 or count <= 0:
        return np.zeros((0, 3))
    index = np.stack(np.unravel_index(rng.choice(where, count), mask.shape), axis=1)
    return (index + rng.uniform(-0.5, 0.5, index.shape)) * spacing_mm


def brain_litres(labels: np.ndarray, spacing_mm: np.ndarray) -> float:
    """Volume of the brain in a block: what numbers of veins and decoys are proportional to."""
    return float(brain_of(labels).sum() * np.prod(spacing_mm) / 1e6)
