"""Region codes from a FreeSurfer-style label map, capsules and deep white matter included."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from CMBNetLib.location import region_code
from CMBNetLib.volume import Volume
from CMBNetLib.white_matter import MIDLINE_HALF_WIDTH_MM, Hemisphere, white_matter_parts

CSF_LABEL = 24
FIRST_EXTRACEREBRAL_LABEL = 500
# FreeSurfer codes (left, right) of the structures that need no geometry.
PAIRED_LABELS: dict[str, tuple[tuple[int, int], ...]] = {
    "cortex": ((3, 42),),
    "subcortical_white_matter": ((2, 41),),
    "deep_white_matter": ((25, 57),),
    "hippocampus_amygdala": ((17, 53), (18, 54)),
    "caudate": ((11, 50),),
    "putamen": ((12, 51),),
    "pallidum": ((13, 52),),
    "accumbens": ((26, 58),),
    "thalamus": ((10, 49),),
    "cerebellum": ((7, 46), (8, 47)),
    # 136/137 and 163/164 line the lateral ventricles and their inferior horns: choroid plexus.
    "ventricle": ((4, 43), (5, 44), (136, 163), (137, 164)),
}
BRAINSTEM_LABELS = (16, 28, 60)
MIDLINE_VENTRICLES = (14, 15, 72)
WHITE_MATTER = (2, 41)


def brain_mask(labels: Volume) -> np.ndarray:
    """Brain with its sulci closed, CSF around it left out: what a brain extraction aims at; bool [k, j, i]."""
    values = labels.array
    tissue = (values > 0) & (values < FIRST_EXTRACEREBRAL_LABEL) & (values != CSF_LABEL)
    padded = np.pad(tissue, 6)
    spacing = labels.spacing_mm[::-1]
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing) <= 4.0
    closed = ndimage.distance_transform_edt(grown, sampling=spacing) > 4.0
    return ndimage.binary_fill_holes(closed)[6:-6, 6:-6, 6:-6] | tissue


def region_map(labels: Volume) -> Volume:
    """Region codes (`CMBNetLib.location.region_code`) of a label map in FreeSurfer codes, on its grid."""
    values = labels.array
    codes = np.zeros(values.shape, np.uint8)
    codes[values == CSF_LABEL] = region_code("csf", "midline")
    for structure, pairs in PAIRED_LABELS.items():
        for left, right in pairs:
            codes[values == left] = region_code(structure, "left")
            codes[values == right] = region_code(structure, "right")
    codes[np.isin(values, MIDLINE_VENTRICLES)] = region_code("ventricle", "midline")
    _brainstem(labels, codes)
    for side, white in zip(("left", "right"), WHITE_MATTER, strict=True):
        _white_matter(labels, codes, side, white)
    return labels.with_array(codes, name="regions")


def _white_matter(labels: Volume, codes: np.ndarray, side: str, white: int) -> None:
    """Split the cerebral white matter of one side, most specific structure last."""
    right = side == "right"
    values, (i, j, k) = labels.array, labels.spacing_mm
    parts = white_matter_parts(
        Hemisphere(
            white=values == white,
            other_white=values == WHITE_MATTER[0 if right else 1],
            ventricle=values == (43 if right else 4),
            medial_nuclei=np.isin(values, (49, 50) if right else (10, 11)),
            lentiform=np.isin(values, (51, 52) if right else (12, 13)),
            putamen=values == (51 if right else 12),
            cortex=values == (42 if right else 3),
            right=right,
            x_mm=labels.ijk_to_ras[0, :3],
            spacing_kji=(k, j, i),
        )
    )
    for (structure, at_midline), mask in parts.items():
        codes[mask] = region_code(structure, "midline" if at_midline else side)


def _brainstem(labels: Volume, codes: np.ndarray) -> None:
    """Brain-stem, divided into left, midline and right by the plane between the hemispheres."""
    kji = np.argwhere(np.isin(labels.array, BRAINSTEM_LABELS))
    left, right = (np.argwhere(labels.array == white)[:, ::-1] for white in WHITE_MATTER)
    if not len(kji) or not len(left) or not len(right):
        return
    middle = labels.ras_from_ijk(np.stack([left.mean(axis=0), right.mean(axis=0)]))
    axis = (middle[1] - middle[0]) / np.linalg.norm(middle[1] - middle[0])
    offset = (labels.ras_from_ijk(kji[:, ::-1]) - middle.mean(axis=0)) @ axis
    side = np.where(offset > MIDLINE_HALF_WIDTH_MM, 2, np.where(offset < -MIDLINE_HALF_WIDTH_MM, 1, 0))
    table = np.array([region_code("brainstem", name) for name in ("midline", "left", "right")], np.uint8)
    codes[tuple(kji.T)] = table[side]
