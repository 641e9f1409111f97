"""Cleaning of what data sets bring: missing values, double points, labels of several microbleeds, holes, debris.

All distances are millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

# Two centres nearer than this are the same microbleed clicked twice: the typical one measures 2.9 mm.
DOUBLE_MM = 2.0
# Pieces of one instance farther apart than the widest microbleed are two microbleeds.
INSTANCE_GAP_MM = 10.0
# A reader's dots in one microbleed touch or nearly so; dots of neighbours do not.
DOTS_GAP_MM = 3.0
# Debris of resampling lies within a voxel of the lesion; what lies farther from the original centre than its own
# radius and this does not belong to it.
DEBRIS_MM = 2.0
FULL = np.ones((3, 3, 3), dtype=bool)
SMALL_GAP_VOXELS = 1000
# Beyond this a mask is noise, and comparing all pairs of its pieces would take for ever.
MOST_PIECES = 500


def repair_values(array: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """Replace NaN and infinite voxels: outside of a masked brain by 0, islands inside by the median around them.

    Parameters
    ----------
    array : np.ndarray
        Scan, ``[k, j, i]``.

    Returns
    -------
    np.ndarray
        float32 without NaN or infinity.
    dict
        ``outside`` and ``inside``: numbers of voxels replaced.
    """
    array = np.asarray(array, dtype=np.float32)
    bad = ~np.isfinite(array)
    if not bad.any():
        return array, {"outside": 0, "inside": 0}
    labels, count = ndimage.label(bad)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    rim = np.ones(bad.shape, dtype=bool)
    rim[1:-1, 1:-1, 1:-1] = False
    background = np.zeros(count + 1, dtype=bool)
    background[np.unique(labels[rim])] = True
    background |= sizes > SMALL_GAP_VOXELS
    background[0] = False
    outside = background[labels]
    repaired = np.where(outside, np.float32(0), array)
    inside = bad & ~outside
    for place in np.argwhere(inside):
        repaired[tuple(place)] = _median_around(array, place)
    return repaired, {"outside": int(outside.sum()), "inside": int(inside.sum())}


def _median_around(array: np.ndarray, place: np.ndarray) -> float:
    """Median of the finite voxels in the smallest cube around a voxel that holds any."""
    for reach in range(1, 12):
        window = tuple(slice(max(0, p - reach), p + reach + 1) for p in place.tolist())
        values = array[window][np.isfinite(array[window])]
        if values.size:
            return float(np.median(values))
    return 0.0


def double_points(points_mm: np.ndarray, least_mm: float = DOUBLE_MM) -> dict[int, int]:
    """Find points that are closer than ``least_mm`` to an earlier point that stays.

    Parameters
    ----------
    points_mm : np.ndarray
        (N, 3).

    Returns
    -------
    dict
        Index of a double -> index of the point that stands for it.
    """
    doubles: dict[int, int] = {}
    points = np.asarray(points_mm, dtype=float).reshape(-1, 3)
    for index in range(1, len(points)):
        stay = [other for other in range(index) if other not in doubles]
        away = np.linalg.norm(points[stay] - points[index], axis=1)
        if away.min() < least_mm:
            doubles[index] = stay[int(away.argmin())]
    return doubles


def split_by_distance(mask: np.ndarray, spacing_mm: Sequence[float], gap_mm: float) -> tuple[np.ndarray, int]:
    """Split a mask into microbleeds: pieces with more than ``gap_mm`` between their nearest voxels (single linkage).

    Parameters
    ----------
    mask : np.ndarray
        bool ``[k, j, i]``.
    spacing_mm : sequence of float
        Voxel edges (i, j, k).
    gap_mm : float
        0: every connected piece (26 neighbours) is one.

    Returns
    -------
    np.ndarray
        int32 ``[k, j, i]``, 1..n in the order of their first voxel.
    int
        n.
    """
    labels, count = ndimage.label(mask, FULL)
    if count <= 1 or gap_mm <= 0 or count > MOST_PIECES:
        return labels.astype(np.int32), count
    trees = _trees(labels, np.asarray(spacing_mm, dtype=float)[::-1])
    group = np.arange(count)
    for a in range(count):
        for b in range(a + 1, count):
            if group[a] != group[b] and _gap(trees[a], trees[b], gap_mm) <= gap_mm:
                group[group == group[b]] = group[a]
    kept = list(dict.fromkeys(group.tolist()))
    number = np.array([0, *(1 + kept.index(g) for g in group.tolist())], dtype=np.int32)
    return number[labels], len(kept)


def _trees(labels: np.ndarray, edges: np.ndarray) -> list[cKDTree]:
    trees = []
    for value, box in enumerate(ndimage.find_objects(labels), 1):
        start = np.array([side.start for side in box])
        trees.append(cKDTree((np.argwhere(labels[box] == value) + start) * edges))
    return trees


def _gap(a: cKDTree, b: cKDTree, limit_mm: float) -> float:
    return float(a.query(b.data, distance_upper_bound=limit_mm * 1.001)[0].min())


def filled(mask: np.ndarray) -> np.ndarray:
    """Fill holes in three dimensions, and rings within a slice (a thick slice has nothing above or below)."""
    solid = ndimage.binary_fill_holes(mask)
    return np.stack([ndimage.binary_fill_holes(plane) for plane in solid])


def without_debris(
    mask: np.ndarray, spacing_mm: Sequence[float], centre_kji: Sequence[float], radius_mm: float
) -> np.ndarray:
    """Drop pieces that lie farther from the original centre than the lesion reached, plus 2 mm and a voxel.

    Parameters
    ----------
    mask : np.ndarray
        bool ``[k, j, i]``, one lesion after resampling.
    centre_kji : sequence of float
        Original centre in voxels of this array.
    radius_mm : float
        Largest distance of the original lesion from its centre.

    Returns
    -------
    np.ndarray
        Never empty unless ``mask`` is: the nearest piece always stays.
    """
    labels, count = ndimage.label(mask, FULL)
    if count <= 1:
        return mask
    edges = np.asarray(spacing_mm, dtype=float)[::-1]
    away = np.linalg.norm((np.argwhere(mask) - np.asarray(centre_kji)) * edges, axis=1)
    nearest = ndimage.minimum(_spread(mask, away), labels, range(1, count + 1))
    limit = max(float(np.min(nearest)), radius_mm + DEBRIS_MM + float(edges.max()))
    kept = [n + 1 for n, distance in enumerate(nearest) if distance <= limit]
    return np.isin(labels, kept)


def _spread(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    whole = np.zeros(mask.shape)
    whole[mask] = values
    return whole
