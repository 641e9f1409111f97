"""Classical brain mask of a scan: bright tissue parted from the dark skull by intensity, shape and distances."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .errors import InputError
from .grid import Grid
from .volume import Volume, resample_to

# The mask is found on a coarse grid: it needs no detail, and morphology in mm is cheap there.
COARSE_MM = 2.0
# A radius that cuts the bridges (optic nerves, veins, dura) between brain and scalp, but no gyrus.
NECK_MM = 4.0
# Lesions and veins at the surface are dark; closing takes them back into the mask.
CLOSING_MM = 8.0
# Scalp and skull are thicker than this, so what lies deeper is mostly brain.
UNDER_SCALP_MM = 12.0
BIAS_SIGMA_MM = 30.0
# Skull and air are darker than these shares of the brain; the higher ones are for a scalp that is nearly as bright.
TISSUE_SHARES = (0.5, 0.58, 0.66, 0.74, 0.82)
# The brain keeps this distance from the skin; a mask with more than this share nearer has run out into the scalp.
SKIN_MM, MOST_AT_SKIN = 5.0, 0.02
# Share of what is bright that the brain takes up when somebody has removed the rest; about 0.6 in a whole head.
STRIPPED = 0.9
POSSIBLE_BRAIN_ML = (50.0, 4000.0)


def find_brain(scan: Volume) -> Volume:
    """Mask of the brain (1 inside) on a grid of about 2 mm along the axes of ``scan``.

    Bright tissue is separated from the dark skull, its core is kept where it is thicker than the bridges to the scalp,
    grown back, and closed over dark veins and lesions.

    Raises
    ------
    InputError
        Nothing in the scan looks like a brain.
    """
    coarse = _coarse(scan)
    spacing = np.asarray(coarse.spacing_mm)[::-1]
    image = np.maximum(coarse.array, 0)
    head = _filled(_largest(image > 0.5 * _otsu(image))) if image.any() else image > 0
    depth = _depth(head, spacing)
    core = _brain_core(_flattened(image, depth, spacing), depth, spacing)
    mask = _closed(core, spacing)
    smallest, largest = POSSIBLE_BRAIN_ML
    if not smallest <= mask.sum() * coarse.voxel_volume_mm3 / 1000 <= largest:
        raise InputError(
            f"No brain was found in {scan.name}. Is it a T2* or SWI magnitude scan of a head, with the brain in view?"
        )
    return coarse.with_array(mask.astype(np.uint8), name="brain")


def _coarse(scan: Volume) -> Volume:
    """The scan averaged to voxels of about 2 mm; thick slices stay."""
    sigma = [0.5 * max(COARSE_MM / edge - 1, 0) for edge in scan.spacing_mm[::-1]]
    smooth = ndimage.uniform_filter(scan.array, [max(1, round(2 * s + 1)) for s in sigma], mode="nearest")
    return resample_to(scan.with_array(smooth), _coarse_grid(scan))


def _coarse_grid(scan: Volume) -> Grid:
    edges = np.asarray(scan.spacing_mm)
    steps = np.maximum(COARSE_MM / edges, 1.0)
    shape = np.maximum(np.floor(np.asarray(scan.shape_ijk) / steps).astype(int), 1)
    matrix = scan.ijk_to_ras.copy()
    matrix[:3, :3] *= steps
    matrix[:3, 3] = scan.ras_from_ijk(((steps - 1) / 2)[None])[0]
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), matrix)


def _flattened(image: np.ndarray, depth: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Magnitude over its slowly varying level under the scalp, which removes the bias of the coil; brain is about 1."""
    inner = (depth >= UNDER_SCALP_MM) & (image > 0.5 * _otsu(image))
    if not inner.any():
        inner = depth > 0
    sigma = BIAS_SIGMA_MM / spacing
    weight = ndimage.gaussian_filter(inner.astype(np.float32), sigma)
    level = ndimage.gaussian_filter(image * inner, sigma) / np.maximum(weight, 1e-3)
    return image / np.maximum(level, 1e-3 * float(image.max()) + 1e-12)


def _brain_core(image: np.ndarray, depth: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Brain tissue at the lowest threshold at which it does not run out into the scalp."""
    head = depth > 0
    core = np.zeros(image.shape, bool)
    for share in TISSUE_SHARES:
        core = _core(head & (image > share), spacing)
        # A bright thing without skull and scalp was skull-stripped before.
        if np.mean(depth[core] < SKIN_MM if core.any() else 0.0) < MOST_AT_SKIN or core.sum() > STRIPPED * head.sum():
            break
    return core


def _otsu(values: np.ndarray) -> float:
    """Otsu's threshold (1979) of the positive values, on 256 bins up to their 99.5th percentile."""
    values = values[values > 0]
    top = float(np.percentile(values, 99.5))
    counts, edges = np.histogram(np.minimum(values, top), bins=256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    mean_below = np.cumsum(counts * centres) / np.maximum(below, 1)
    mean_above = (np.sum(counts * centres) - np.cumsum(counts * centres)) / np.maximum(above, 1)
    return float(centres[np.argmax(below * above * (mean_below - mean_above) ** 2)])


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def _core(bright: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The largest piece that is thicker than the bridges, grown back to its own edge."""
    filled = _filled(bright)
    core = _largest(_depth(filled, spacing) > NECK_MM)
    if not core.any():
        return core
    return filled & (_distance_to(core, spacing) <= NECK_MM + 1.0)


def _closed(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Morphological closing in mm, then holes filled slice by slice."""
    if not mask.any():
        return mask
    return _filled(_depth(_distance_to(mask, spacing) <= CLOSING_MM, spacing) > CLOSING_MM)


def _filled(mask: np.ndarray) -> np.ndarray:
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


def _depth(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance in mm to the nearest voxel outside; the edge of the image is no edge of the brain."""
    if mask.all():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(mask, sampling=spacing)


def _distance_to(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask, sampling=spacing)
