"""Candidates: what the detector proposes, each with its score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .grid import Grid
from .location import Location
from .shape import LesionShape
from .volume import Volume, resample_to

# The outline of a candidate lies where the probability falls to this share of its peak.
OUTLINE_SHARE = 0.5
# Peaks nearer than this (mm) are one microbleed: fragments of a ring or of two slices.
MERGE_MM = 2.0
# Size rules (mm): below, a component is noise; above, it is no microbleed by any definition (10 mm), blooming included.
SMALLEST_DIAMETER_MM = 1.0
LARGEST_EXTENT_MM = 15.0
# The mask of the brain may miss the outer edge of the cortex.
OUTSIDE_BRAIN_MM = 2.0


@dataclass(frozen=True)
class Candidate:
    """One component the detector proposes.

    Attributes
    ----------
    id : int
        1..N by descending score, so that the microbleeds at any threshold are the ids 1..n.
    score : float
        0 to 1.
    center_ras : (x, y, z)
        Centre in RAS millimetres.
    n_voxels : int
        Size on the scan's grid.
    shape : LesionShape, optional
        Size and form.
    location : Location, optional
        Zone, region and side.
    """

    id: int
    score: float
    center_ras: tuple[float, float, float]
    n_voxels: int
    shape: LesionShape | None = None
    location: Location | None = None


@dataclass(frozen=True)
class Found:
    """Candidates on the working grid.

    Attributes
    ----------
    labels : Volume
        uint16, value n is the n-th candidate of ``scores``.
    scores : list of float
        Descending; the highest probability of each, until its surroundings are looked at (`surroundings`). The mean
        within the outline ranks worse, as it grows with size (simulated validation scans, 1 false positive a scan: .25
        against .59 sensitivity).
    peaks : list of float
        Highest probability of each; the outline lies at half of it.
    n_too_large : int
        Components set aside because they extend over more than `LARGEST_EXTENT_MM`.
    """

    labels: Volume
    scores: list[float]
    peaks: list[float]
    n_too_large: int


def find_candidates(probability: Volume, brain: np.ndarray, floor: float) -> Found:
    """Components of a probability map, split into peaks, merged where they are fragments, kept by size.

    Parameters
    ----------
    probability
        Of microbleed, float32 on the working grid.
    brain
        bool [k, j, i]; candidates whose peak lies more than 2 mm outside are dropped.
    floor
        Lowest score that is kept.
    """
    import cc3d

    spacing = np.asarray(probability.spacing_mm)[::-1]
    values = np.where(probability.array >= floor, probability.array, 0)
    _clear_far_from(brain, values, spacing)
    components = cc3d.connected_components(values > 0, connectivity=26)
    pieces: list[tuple[float, np.ndarray]] = []
    for number, box in enumerate(ndimage.find_objects(components), 1):
        if box is not None:
            offset = np.array([s.start for s in box])
            part = np.where(components[box] == number, values[box], 0)
            pieces += [(peak, voxels + offset) for peak, voxels in _peel(part, floor, spacing)]
    pieces.sort(key=lambda piece: (-piece[0], *piece[1][0]))
    kept = [p for p in pieces if _diameter_mm(p[1], spacing) >= SMALLEST_DIAMETER_MM]
    fitting = [p for p in kept if _extent_mm(p[1], spacing) <= LARGEST_EXTENT_MM]
    labels = np.zeros(values.shape, np.uint16)
    for number, (_, voxels) in enumerate(fitting, 1):
        labels[tuple(voxels.T)] = number
    peaks = [peak for peak, _ in fitting]
    return Found(probability.with_array(labels), peaks, peaks, len(kept) - len(fitting))


def to_scan_grid(found: Found, probability: Volume, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Candidates and probability on the scan's own grid.

    Outlines follow the interpolated probability, so they are smooth where the scan is finer than the working grid. A
    candidate keeps at least the voxel at its centre.

    Returns
    -------
    labels : ndarray of uint16, [k, j, i]
        Values as in ``found.labels``.
    probability : ndarray of float32, [k, j, i]
    """
    on_scan = resample_to(probability, grid).array
    grown = found.labels.with_array(_grown(found.labels.array))
    labels = resample_to(grown, grid, interpolation="nearest").array.astype(np.uint16)
    level = np.concatenate([[np.inf], OUTLINE_SHARE * np.asarray(found.peaks)]).astype(np.float32)
    labels[on_scan < level[labels]] = 0
    _keep_centers(labels, found, grid)
    return labels, on_scan


def centers_and_sizes(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean index (count, 3) k j i and number of voxels (count,) of the labels 1..count; no voxels: not a number."""
    places = np.nonzero(labels)
    numbers = labels[places].astype(np.intp)
    sizes = np.bincount(numbers, minlength=count + 1)[1 : count + 1]
    sums = [np.bincount(numbers, along, minlength=count + 1)[1 : count + 1] for along in places]
    with np.errstate(invalid="ignore"):
        return np.stack(sums, axis=1) / sizes[:, None], sizes


def _clear_far_from(brain: np.ndarray, values: np.ndarray, spacing: np.ndarray) -> None:
    """Set to 0 what lies more than `OUTSIDE_BRAIN_MM` from the brain; looks only where there is something."""
    outside = np.argwhere((values > 0) & ~brain)
    reach = np.floor(OUTSIDE_BRAIN_MM / spacing).astype(int)
    near = np.zeros(len(outside), bool)
    for step in np.ndindex(*(2 * reach + 1)):
        offset = np.array(step) - reach
        if np.linalg.norm(offset * spacing) <= OUTSIDE_BRAIN_MM:
            places = np.clip(outside + offset, 0, np.array(brain.shape) - 1)
            near |= brain[tuple(places.T)]
    values[tuple(outside[~near].T)] = 0


def _peel(values: np.ndarray, floor: float, spacing: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Split one component: (height, voxels (n, 3) k j i) of each peak, highest first."""
    # A peak is a local maximum; the skirt that a stronger one leaves when it is taken out has none of its own.
    peaks = np.where(values == ndimage.maximum_filter(values, 3), values, 0)
    values, pieces = values.copy(), []
    while (peak := peaks.max()) >= floor:
        top = np.unravel_index(peaks.argmax(), peaks.shape)
        regions, _ = ndimage.label(values >= max(OUTLINE_SHARE * peak, floor), np.ones((3, 3, 3)))
        mask = regions == regions[top]
        pieces.append((float(peak), np.argwhere(mask)))
        # Peaks within the merging distance of this outline are fragments of it.
        taken = ndimage.distance_transform_edt(~mask, sampling=spacing) <= MERGE_MM
        peaks[taken], values[taken] = 0, 0
    return pieces


def _grown(labels: np.ndarray) -> np.ndarray:
    """Labels grown by one voxel into the background."""
    return np.where(labels > 0, labels, ndimage.maximum_filter(labels, 3))


def _keep_centers(labels: np.ndarray, found: Found, grid: Grid) -> None:
    if not found.scores:
        return
    centers, _ = centers_and_sizes(found.labels.array, len(found.scores))
    ras = found.labels.ras_from_ijk(centers[:, ::-1])
    ijk = np.rint(ras @ np.linalg.inv(grid.ijk_to_ras)[:3, :3].T + np.linalg.inv(grid.ijk_to_ras)[:3, 3]).astype(int)
    ijk = np.clip(ijk, 0, np.asarray(grid.shape_ijk) - 1)
    _, sizes = centers_and_sizes(labels, len(found.scores))
    for number, (i, j, k) in enumerate(ijk, 1):
        if not sizes[number - 1]:
            labels[k, j, i] = number


def _diameter_mm(voxels: np.ndarray, spacing: np.ndarray) -> float:
    """Diameter of the ball of the same volume."""
    return float((6 / np.pi * len(voxels) * spacing.prod()) ** (1 / 3))


def _extent_mm(voxels: np.ndarray, spacing: np.ndarray) -> float:
    """Longest edge of the box round the middles of the voxels: the outer slices of thick ones are filled in part."""
    return float((np.ptp(voxels, axis=0) * spacing).max())
