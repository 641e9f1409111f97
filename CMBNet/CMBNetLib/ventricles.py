"""What lies inside a ventricle is no microbleed: mostly calcified plexus, which looks like one."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .anatomy import BY_NETWORK, Anatomy
from .location import decode_region
from .volume import Volume, resample_to

# A voxel is inside when at least half of what is within this distance (mm) is ventricle. On simulated scans 12 of 16
# calcifications of plexus and CSF lay so, and none of 44 microbleeds.
NEIGHBOURHOOD_MM = 3.0
LEAST_SHARE = 0.5
# What is left of the probability in there: too little for an operating point, enough to stay in the list of candidates,
# because the anatomy may err.
LEFT = 0.1


def ventricle_interior(anatomy: Anatomy, like: Volume) -> np.ndarray | None:
    """Where on the grid of ``like`` is the inside of a ventricle, bool [k, j, i].

    None where the regions come from the atlas, whose ventricles are those of an average head.
    """
    if anatomy.method != BY_NETWORK:
        return None
    regions = anatomy.regions
    codes = [code for code in np.unique(regions.array) if code and decode_region(int(code))[0] == "ventricle"]
    mask = np.isin(regions.array, codes).astype(np.float32)
    ball = _ball(np.asarray(regions.spacing_mm)[::-1])
    share = ndimage.convolve(mask, ball / ball.sum(), mode="constant")
    return resample_to(regions.with_array(share), like.grid).array >= LEAST_SHARE


def less_likely(probability: np.ndarray, where: np.ndarray | None) -> np.ndarray:
    """The probability, at ``where`` only `LEFT` of it."""
    return probability if where is None else np.where(where, np.float32(LEFT) * probability, probability)


def _ball(spacing_kji: np.ndarray) -> np.ndarray:
    reach = np.floor(NEIGHBOURHOOD_MM / spacing_kji).astype(int)
    offsets = np.ogrid[tuple(slice(-r, r + 1) for r in reach)]
    square = sum((axis * step) ** 2 for axis, step in zip(offsets, spacing_kji, strict=True))
    return (square <= NEIGHBOURHOOD_MM**2).astype(np.float32)
