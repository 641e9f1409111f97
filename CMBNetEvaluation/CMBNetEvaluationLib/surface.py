"""Distances between the surfaces of masks in millimetres, from their sparse voxels."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from CMBNetLib.volume import Grid, transform_points

from .lesions import LesionSet, array_shape
from .sparse_mask import coordinates, surface_voxels


def surface_points(voxels: np.ndarray, grid: Grid) -> np.ndarray:
    """(N, 3) RAS mm of the centres of the voxels that have a face to the outside; ``voxels`` are sorted."""
    shape = array_shape(grid)
    outer = voxels[surface_voxels(voxels, shape)]
    return transform_points(grid.ijk_to_ras, coordinates(outer, shape)[:, ::-1])


def surface_points_by_lesion(lesions: LesionSet) -> list[np.ndarray]:
    """The `surface_points` of each lesion by itself; empty for points."""
    if lesions.grid is None or lesions.from_points or not len(lesions):
        return [np.zeros((0, 3)) for _ in range(len(lesions))]
    shape = array_shape(lesions.grid)
    outer = surface_voxels(lesions.voxels, shape, lesions.owner)
    owner = lesions.owner[outer]
    order = np.argsort(owner, kind="stable")
    positions = coordinates(lesions.voxels[outer][order], shape)[:, ::-1]
    points = transform_points(lesions.grid.ijk_to_ras, positions)
    return np.split(points, np.cumsum(np.bincount(owner, minlength=len(lesions)))[:-1])


def surface_distances(first: np.ndarray, second: np.ndarray) -> tuple[float, float] | None:
    """Average symmetric distance and 95th percentile (the larger of both directions) of two surfaces, mm.

    Both are (N, 3) points; None where one has none.
    """
    if not len(first) or not len(second):
        return None
    forward = cKDTree(second).query(first)[0]
    backward = cKDTree(first).query(second)[0]
    average = (forward.sum() + backward.sum()) / (len(forward) + len(backward))
    return float(average), max(_percentile95(forward), _percentile95(backward))


def _percentile95(values: np.ndarray) -> float:
    """As numpy's, which takes longer for the few voxels of a lesion than all the rest of a distance."""
    ordered = np.sort(values)
    place = 0.95 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))
