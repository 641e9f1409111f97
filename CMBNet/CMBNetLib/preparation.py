"""From a scan to what the network sees: working grid along the scan's own axes, intensities relative to the brain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .errors import InputError
from .grid import Grid
from .volume import Volume, nearest_to_ras, resample_to

PIXEL_MM = 0.5
# Slices thinner than this are averaged down to it; thicker ones stay as they are, because interpolating thick slices
# invents vein-like microbleeds (and an anisotropic network on such a grid was .16 F1 better in the literature).
THINNEST_SLICE_MM = 1.0
# Context beyond the brain mask that the network may look at; the mask may also miss the edge of the cortex.
MARGIN_MM = 8.0
# An axis is the slice axis when its voxels are longer than the others by this factor; else the one nearest to S.
CLEARLY_LONGER = 1.3
# Full width at half maximum of a Gaussian over its standard deviation.
_FWHM = 2.355


@dataclass(frozen=True)
class Prepared:
    """A scan ready for the network.

    Attributes
    ----------
    image : Volume
        float32 on the working grid, whose k axis runs across the slices; 0 is the brain's median, -2 is black.
    brain : ndarray of bool, [k, j, i]
        Brain mask on the same grid.
    places : ndarray of uint8, [k, j, i], or None
        Kinds of places (`places.PLACES`) on the same grid; None where nothing is known of them.
    """

    image: Volume
    brain: np.ndarray
    places: np.ndarray | None = None

    @property
    def slice_mm(self) -> float:
        """Slice spacing of the working grid."""
        return self.image.spacing_mm[2]


def prepare(
    scan: Volume, brain: Volume, *, pixel_mm: float = PIXEL_MM, thinnest_slice_mm: float = THINNEST_SLICE_MM
) -> Prepared:
    """Bring ``scan`` to the working grid round its brain and normalise it.

    Parameters
    ----------
    scan
        Magnitude T2* or SWI, any orientation.
    brain
        Mask (0 is background) on any grid.

    Raises
    ------
    InputError
        The mask is empty, or the scan is black in it.
    """
    # The network is not the same to all orders of voxels: whatever way a scan is stored, it sees the same.
    turned = slices_first(nearest_to_ras(scan))
    grid = working_grid(turned, brain, pixel_mm, thinnest_slice_mm)
    source = _crop(turned, grid)
    image = resample_to(_smoothed(source, grid.spacing_mm), grid, interpolation="linear")
    mask = resample_to(brain.with_array((brain.array > 0).astype(np.float32)), grid).array >= 0.5
    return Prepared(image.with_array(normalise(image.array, mask)), mask)


def slices_first(volume: Volume) -> Volume:
    """The same volume with its axes in an order in which k runs across the slices (a view, nothing is sampled)."""
    axis = slice_axis(volume)
    order = [a for a in range(3) if a != axis] + [axis]
    matrix = volume.ijk_to_ras.copy()
    matrix[:, :3] = volume.ijk_to_ras[:, order]
    array = volume.array.transpose([2 - a for a in reversed(order)])
    return Volume(array, matrix, volume.name, dict(volume.metadata))


def slice_axis(volume: Volume) -> int:
    """0, 1 or 2 for i, j or k: across the slices; for (nearly) cubic voxels the axis nearest to superior."""
    spacing = np.asarray(volume.spacing_mm)
    longest = int(spacing.argmax())
    others = np.delete(spacing, longest)
    if spacing[longest] >= CLEARLY_LONGER * others.max():
        return longest
    return int(np.abs(volume.direction[2]).argmax())


def working_grid(scan: Volume, brain: Volume, pixel_mm: float, thinnest_slice_mm: float) -> Grid:
    """Grid along the axes of ``scan`` (slices first) that holds the brain and a margin."""
    inside = np.argwhere(brain.array > 0)
    if not len(inside):
        raise InputError(f"The brain mask of {scan.name} is empty.")
    half = np.asarray(brain.spacing_mm) / 2
    points = scan.ijk_from_ras(brain.ras_from_ijk(inside[:, ::-1]))
    edges = np.asarray(scan.spacing_mm)
    reach = (MARGIN_MM + half.max()) / edges
    # Begun at a voxel of the scan: kept slices are not interpolated, and the last digits of a header, which differ
    # between DICOM and NIfTI of one scan, do not shift the grid.
    low = np.floor(np.maximum(points.min(axis=0) - reach, 0))
    high = np.minimum(points.max(axis=0) + reach, np.asarray(scan.shape_ijk) - 1)
    steps = np.array([pixel_mm, pixel_mm, max(thinnest_slice_mm, edges[2])]) / edges
    shape = np.floor((high - low) / steps + 1e-6).astype(int) + 1
    shape[:2] += shape[:2] % 2  # the network pairs pixels
    matrix = scan.ijk_to_ras.copy()
    matrix[:3, :3] *= steps
    matrix[:3, 3] = scan.ras_from_ijk(low[None])[0]
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), matrix)


def normalise(image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Magnitude relative to the brain's median: 0 is the median, -2 is black; clipped to [-2, 3], float32.

    A multiplicative rule fits magnitude images, whose zero is a true zero, and does not depend on the scanner's scale.

    Raises
    ------
    InputError
        The median in the brain is not positive.
    """
    median = float(np.median(image[brain])) if brain.any() else float(np.median(image))
    if not median > 0:
        raise InputError(
            f"The median intensity in the brain is {median:g}; a magnitude image is positive there. "
            "Is this a phase image, or a scan with the background subtracted?"
        )
    return np.clip(2 * (image.astype(np.float32) / median - 1), -2, 3)


def _crop(scan: Volume, grid: Grid) -> Volume:
    """The part of ``scan`` that ``grid`` samples, with two voxels to spare; what follows costs only that."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape_ijk])).reshape(3, -1).T
    placed = Volume(np.zeros((1, 1, 1)), grid.ijk_to_ras).ras_from_ijk(corners)
    ijk = scan.ijk_from_ras(placed)
    low = np.clip(np.floor(ijk.min(axis=0)).astype(int) - 2, 0, None)
    high = np.clip(np.ceil(ijk.max(axis=0)).astype(int) + 3, None, scan.shape_ijk)
    matrix = scan.ijk_to_ras.copy()
    matrix[:3, 3] = scan.ras_from_ijk(low[None])[0]
    array = scan.array[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    return Volume(np.ascontiguousarray(array, dtype=np.float32), matrix, scan.name, dict(scan.metadata))


def _smoothed(scan: Volume, target_mm: tuple[float, float, float]) -> Volume:
    """Blur along the axes that are sampled more coarsely, so that small lesions do not fall between samples."""
    sigmas = [
        np.sqrt(max(target**2 - edge**2, 0)) / _FWHM / edge if target > 1.15 * edge else 0.0
        for edge, target in zip(scan.spacing_mm, target_mm, strict=True)
    ]
    if not any(sigmas):
        return scan
    return scan.with_array(ndimage.gaussian_filter(scan.array, sigmas[::-1], mode="nearest"))
