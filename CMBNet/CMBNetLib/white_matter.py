"""Parts of the cerebral white matter by geometry: what lies near the ventricles, between the nuclei, at the midline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# Distances in mm, chosen on label maps so that the regions look as in an atlas of sections.
CALLOSUM_MM = 5.0
PERIVENTRICULAR_MM = 10.0
CAPSULE_WIDTH_MM = 13.0
CAPSULE_REACH_MM = 10.0
EXTERNAL_CAPSULE_MM = 5.0
MIDLINE_HALF_WIDTH_MM = 3.0


@dataclass(frozen=True)
class Hemisphere:
    """Masks [k, j, i] of one side: its white matter and what its parts are told by; ``other_white`` is of the other.

    Attributes
    ----------
    right : bool
        Which side it is.
    x_mm : ndarray (3,)
        How far R a step along i, j, k goes, in mm.
    spacing_kji : tuple
        Voxel edges in mm.
    """

    white: np.ndarray
    other_white: np.ndarray
    ventricle: np.ndarray
    medial_nuclei: np.ndarray
    lentiform: np.ndarray
    putamen: np.ndarray
    cortex: np.ndarray
    right: bool
    x_mm: np.ndarray
    spacing_kji: tuple[float, float, float]


def white_matter_parts(side: Hemisphere) -> dict[tuple[str, bool], np.ndarray]:
    """Masks by (structure, at the midline); a later one overrules an earlier one."""
    to_other = _distance(side, side.other_white)
    callosum = side.white & (to_other <= CALLOSUM_MM)
    medial, lentiform = _distance(side, side.medial_nuclei), _distance(side, side.lentiform)
    lateral = _lateral_of_putamen(side)
    between = (medial + lentiform <= CAPSULE_WIDTH_MM) & (np.maximum(medial, lentiform) < CAPSULE_REACH_MM)
    near_insula = _distance(side, side.cortex) <= 2 * EXTERNAL_CAPSULE_MM
    return {
        ("deep_white_matter", False): side.white & (_distance(side, side.ventricle) <= PERIVENTRICULAR_MM),
        ("corpus_callosum", False): callosum,
        ("corpus_callosum", True): callosum & (to_other <= MIDLINE_HALF_WIDTH_MM),
        ("internal_capsule", False): side.white & between & ~lateral,
        ("external_capsule", False): side.white & lateral & (lentiform <= EXTERNAL_CAPSULE_MM) & near_insula,
    }


def _distance(side: Hemisphere, mask: np.ndarray) -> np.ndarray:
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    return ndimage.distance_transform_edt(~mask, sampling=side.spacing_kji).astype(np.float32)


def _lateral_of_putamen(side: Hemisphere) -> np.ndarray:
    """Voxels at the outer side of the putamen: farther right (left) than the putamen voxel nearest to them."""
    if not side.putamen.any():
        return np.zeros(side.white.shape, bool)
    nearest = ndimage.distance_transform_edt(
        ~side.putamen, sampling=side.spacing_kji, return_distances=False, return_indices=True
    )
    k, j, i = np.ogrid[tuple(slice(n) for n in side.white.shape)]
    shift = (i - nearest[2]) * side.x_mm[0] + (j - nearest[1]) * side.x_mm[1] + (k - nearest[0]) * side.x_mm[2]
    return (shift > 0.9) if side.right else (shift < -0.9)
