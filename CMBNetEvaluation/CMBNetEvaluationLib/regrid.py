"""Bring lesions from one voxel grid to another through the geometry of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from CMBNetLib.errors import InputError
from CMBNetLib.volume import Grid, transform_points

from .lesions import LesionSet, array_shape, place_points

# A tenth of a voxel is float32 rounding in a header or a rounded spacing, not another grid.
_SAME_WITHIN_VOXELS = 0.1


def corners_ras(grid: Grid) -> np.ndarray:
    """(8, 3) RAS mm of the centres of the corner voxels."""
    i, j, k = np.asarray(grid.shape_ijk) - 1
    corners = np.array([(a, b, c) for a in (0, i) for b in (0, j) for c in (0, k)], dtype=float)
    return transform_points(grid.ijk_to_ras, corners)


def same_grid(first: Grid, second: Grid) -> bool:
    """True if voxel (i, j, k) is the same place on both, to a tenth of a voxel."""
    if tuple(first.shape_ijk) != tuple(second.shape_ijk):
        return False
    shift = np.linalg.norm(corners_ras(first) - corners_ras(second), axis=1)
    return bool(shift.max() <= _SAME_WITHIN_VOXELS * min(first.spacing_mm))


def check_same_place(prediction: Grid, reference: Grid) -> None:
    """Refuse two images that share no space at all: they are not of one scan.

    Raises
    ------
    InputError
        The boxes of the two grids do not meet.
    """
    inverse = np.linalg.inv(reference.ijk_to_ras)
    corners = transform_points(inverse, corners_ras(prediction))
    apart = (corners.max(axis=0) < -0.5) | (corners.min(axis=0) > np.asarray(reference.shape_ijk) - 0.5)
    if apart.any():
        raise InputError(
            "The prediction and the reference lie at different places and share no space; "
            "check that both belong to this scan and to the same coordinate system."
        )


def regrid(lesions: LesionSet, grid: Grid) -> tuple[LesionSet, int]:
    """Lesions on ``grid``, by nearest voxel; the centres stay those measured on the lesions' own grid.

    Returns
    -------
    LesionSet, int
        The lesions, and how many of them are so small on ``grid`` that no voxel centre falls inside; each of
        those keeps the voxel nearest to its centre, so that no lesion disappears.
    """
    if lesions.grid is None or lesions.from_points:
        return place_points(lesions, grid), 0
    order = np.argsort(lesions.owner, kind="stable")
    positions = np.split(lesions.positions_kji()[order], np.cumsum(lesions.n_voxels)[:-1]) if len(lesions) else []
    parts = [_regrid_one(position, lesions.grid, grid) for position in positions]
    lost = [number for number, part in enumerate(parts) if len(part) == 0]
    for number in lost:
        parts[number] = _nearest_voxel(lesions.centers_ras[number], grid)
    voxels = np.concatenate([*parts, np.zeros(0, dtype=np.int64)])
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    unique, first = np.unique(voxels, return_index=True)
    return replace(lesions, grid=grid, voxels=unique, owner=owner[first]), len(lost)


def _regrid_one(position_kji: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Flat indices on ``target`` of the voxels whose centre lies in one of the source voxels."""
    to_target = np.linalg.inv(target.ijk_to_ras) @ source.ijk_to_ras
    low, high = position_kji.min(axis=0), position_kji.max(axis=0)
    box = np.array([(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    corners = transform_points(to_target, np.where(box, high + 0.5, low - 0.5)[:, ::-1])
    start = np.maximum(np.ceil(corners.min(axis=0) - 1e-6), 0).astype(int)
    stop = np.minimum(np.floor(corners.max(axis=0) + 1e-6) + 1, target.shape_ijk).astype(int)
    if (stop <= start).any():
        return np.zeros(0, dtype=np.int64)
    axes = [np.arange(a, b) for a, b in zip(start, stop, strict=True)]
    ijk = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    source_kji = np.rint(transform_points(np.linalg.inv(to_target), ijk)).astype(np.int64)[:, ::-1]
    crop = np.zeros(high - low + 1, dtype=bool)
    crop[tuple((position_kji - low).T)] = True
    inside = ((source_kji >= low) & (source_kji <= high)).all(axis=1)
    inside[inside] = crop[tuple((source_kji[inside] - low).T)]
    return np.ravel_multi_index(tuple(ijk[inside][:, ::-1].T), array_shape(target)).astype(np.int64)


def _nearest_voxel(center_ras: np.ndarray, grid: Grid) -> np.ndarray:
    ijk = np.rint(transform_points(np.linalg.inv(grid.ijk_to_ras), center_ras)).astype(np.int64)
    if (ijk < 0).any() or (ijk >= grid.shape_ijk).any():
        return np.zeros(0, dtype=np.int64)
    return np.array([np.ravel_multi_index(tuple(ijk[::-1]), array_shape(grid))], dtype=np.int64)
