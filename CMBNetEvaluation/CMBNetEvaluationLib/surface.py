"""Distances between the surfaces of masks in millimetres, from their sparse voxels."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from CMBNetLib.volume import Grid, transform_points

from .lesions import array_shape
from .sparse_mask import coordinates, surface_voxels


def surface_points(voxels: np.ndarray, grid: Grid) -> np.ndarray:
    """(N, 3) RAS mm of the centres of the voxels that have a face to the outside; ``voxels`` are sorted."""
    shape = array_shape(grid)
    outer = voxels[surface_voxels(voxels, shape)]
    return transform_points(grid.ijk_to_ras, coordinates(outer, shape)[:, ::-1])


def surface_distances(first: np.ndarray, second: np.ndarray) -> tuple[float, float] | None:
    """Average symmetric distance and 95th percentile (the larger of both directions) of two surfaces, mm.

    Both are (N, 3) points; None where one has none.
    """
    if not len(first) or not len(second):
        return None
    forward = cKDTree(second).query(first)[0]
    backward = cKDTree(first).query(second)[0]
    average = (forward.sum() + backward.sum()) / (len(forward) + len(backward))
    return float(average), float(max(np.percentile(forward, 95), np.percentile(backward, 95)))
