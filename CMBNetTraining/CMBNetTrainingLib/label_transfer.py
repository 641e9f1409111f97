"""Lesions on the scan's own grid to labels on the working grid, without losing one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from CMBNetLib.grid import Grid
from CMBNetLib.volume import Volume, resample_to

from .mark_refinement import Lesion
from .scan_cleaning import without_debris
from .scan_loading import Window, center_of

MARGIN_VOXELS = 3
HALF = 0.5


def to_working_grid(scan: Volume, lesions: Sequence[Lesion], grid: Volume) -> tuple[Volume, dict[int, str]]:
    """Draw lesions 1..n on the working grid.

    A working voxel belongs to a lesion when at least half of it does (linear interpolation of the mask); of two that
    claim it, to the one with the larger share. A lesion that has no such voxel gets the one nearest to its centre.

    Returns
    -------
    Volume
        uint16, value n is ``lesions[n - 1]``.
    dict
        Number of a lesion that is not in it -> why.
    """
    labels = np.zeros(grid.array.shape, dtype=np.uint16)
    share = np.zeros(grid.array.shape, dtype=np.float32)
    lost: dict[int, str] = {}
    for number, lesion in enumerate(lesions, 1):
        if not lesion.mask.any():
            lost[number] = "another microbleed covers it wholly"
            continue
        window = _window_on(scan, lesion, grid)
        if window is None:
            lost[number] = "it lies outside of the brain and its margin"
            continue
        part = _resampled(scan, lesion, grid, window)
        claimed = (part >= HALF) & (part > share[window])
        claimed = without_debris(claimed, grid.spacing_mm, *_place(scan, lesion, grid, window))
        labels[window][claimed] = number
        share[window][claimed] = part[claimed]
    _restore(scan, lesions, grid, labels, lost)
    return Volume(labels, grid.ijk_to_ras, grid.name), lost


def _restore(scan: Volume, lesions: Sequence[Lesion], grid: Volume, labels: np.ndarray, lost: dict[int, str]) -> None:
    """Give each lesion that got no voxel the one nearest to its centre, unless that is another's only one."""
    counts = np.bincount(labels.ravel(), minlength=len(lesions) + 1)
    for number, lesion in enumerate(lesions, 1):
        if counts[number] or number in lost:
            continue
        center = center_of(scan, lesion.mask, lesion.window)
        kji = np.rint(grid.ijk_from_ras(np.array([center]))[0, ::-1]).astype(int)
        place = tuple(np.clip(kji, 0, np.array(labels.shape) - 1).tolist())
        holder = int(labels[place])
        if holder and counts[holder] == 1:
            lost[number] = f"its only voxel on the working grid belongs to microbleed {holder}"
            continue
        counts[holder] -= 1
        labels[place] = number
        counts[number] = 1


def _window_on(scan: Volume, lesion: Lesion, grid: Volume) -> Window | None:
    """Return the part of the working grid that the lesion may reach; None where its centre is not on the grid."""
    center = grid.ijk_from_ras(np.array([center_of(scan, lesion.mask, lesion.window)]))[0]
    size = np.asarray(grid.shape_ijk)
    if (center < -0.5).any() or (center > size - 0.5).any():
        return None
    kji = np.argwhere(lesion.mask) + [side.start for side in lesion.window]
    ijk = grid.ijk_from_ras(scan.ras_from_ijk(kji[:, ::-1].astype(float)))
    coarser = np.ceil(np.asarray(scan.spacing_mm).max() / np.asarray(grid.spacing_mm)).astype(int)
    low = np.maximum(np.floor(ijk.min(axis=0)).astype(int) - coarser - MARGIN_VOXELS, 0)
    high = np.minimum(np.ceil(ijk.max(axis=0)).astype(int) + coarser + MARGIN_VOXELS + 1, size)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))
    return k, j, i


def _resampled(scan: Volume, lesion: Lesion, grid: Volume, window: Window) -> np.ndarray:
    """Return how much of each working voxel of the window the lesion fills, 0..1."""
    padded = np.pad(lesion.mask, 1).astype(np.float32)
    start = [side.start - 1 for side in lesion.window]
    source = Volume(padded, _shifted(scan.ijk_to_ras, start), "lesion")
    k, j, i = (side.stop - side.start for side in window)
    target = Grid((i, j, k), _shifted(grid.ijk_to_ras, [side.start for side in window]))
    return resample_to(source, target).array


def _shifted(matrix: np.ndarray, start_kji: Sequence[int]) -> np.ndarray:
    shifted = matrix.copy()
    shifted[:3, 3] += matrix[:3, :3] @ np.asarray(start_kji[::-1], dtype=float)
    return shifted


def _place(scan: Volume, lesion: Lesion, grid: Volume, window: Window) -> tuple[list[float], float]:
    """Return the lesion's centre in voxels of the window, and how far (mm) it reaches from there."""
    center = np.array(center_of(scan, lesion.mask, lesion.window))
    kji = np.argwhere(lesion.mask) + [side.start for side in lesion.window]
    points = scan.ras_from_ijk(kji[:, ::-1].astype(float))
    inside = grid.ijk_from_ras(center[None])[0, ::-1] - [side.start for side in window]
    return inside.tolist(), float(np.linalg.norm(points - center, axis=1).max())
