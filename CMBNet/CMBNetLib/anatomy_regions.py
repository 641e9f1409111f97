"""Region map of a scan from what the anatomy network saw: sides, capsules and the midline by geometry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from .anatomy_segmentation import FINER, repeated
from .anatomy_tissues import TISSUES
from .location import region_code
from .volume import Volume
from .white_matter import MIDLINE_HALF_WIDTH_MM, Hemisphere, white_matter_parts

if TYPE_CHECKING:
    from .anatomy_segmentation import Segmentation

STRUCTURE_OF = {
    "cortex": "cortex",
    "white_matter": "subcortical_white_matter",
    "caudate": "caudate",
    "putamen": "putamen",
    "pallidum": "pallidum",
    "thalamus": "thalamus",
    "ventral_dc": "brainstem",
    "hippocampus_amygdala": "hippocampus_amygdala",
    "brainstem": "brainstem",
    "cerebellum": "cerebellum",
    "ventricle": "ventricle",
    "sulcal_csf": "csf",
}
# What may lie in the middle: within 3 mm of the plane between the hemispheres it has no side.
UNPAIRED = ("brainstem", "ventral_dc", "ventricle", "sulcal_csf")
# The falx may bend and a mass may push it; farther from the plane than this the plane is right and the network errs.
LARGEST_SHIFT_MM = 8.0


def region_map(seen: Segmentation) -> Volume:
    """Region codes (`location.region_code`) on the grid of the segmentation, 0 outside of the brain."""
    tissue = seen.tissue.array
    offset = distance_from_midplane(seen)
    right = np.where(np.abs(offset) > LARGEST_SHIFT_MM, offset > 0, seen.right)
    codes = np.zeros(tissue.shape, np.uint8)
    for name, structure in STRUCTURE_OF.items():
        here = tissue == TISSUES.index(name)
        codes[here & ~right], codes[here & right] = region_code(structure, "left"), region_code(structure, "right")
        if name in UNPAIRED:
            codes[here & (np.abs(offset) <= MIDLINE_HALF_WIDTH_MM)] = region_code(structure, "midline")
    sides = (False, True)
    with ThreadPoolExecutor(len(sides)) as pool:
        both = pool.map(lambda is_right: white_matter_parts(_hemisphere(seen, right, is_right)), sides)
    for is_right, parts in zip(sides, both, strict=True):
        white = (tissue == TISSUES.index("white_matter")) & (right == is_right)
        for (structure, at_midline), mask in parts.items():
            code = region_code(structure, "midline" if at_midline else "right" if is_right else "left")
            codes[white & repeated(mask)] = code
    return seen.tissue.with_array(codes, name="regions")


def _hemisphere(seen: Segmentation, right: np.ndarray, is_right: bool) -> Hemisphere:
    """One side on voxels `FINER` times as large: distances take eight times as long on the fine ones."""
    tissue, here = seen.tissue.array, _shares(right == is_right) >= 0.5
    i, j, k = (FINER * edge for edge in seen.tissue.spacing_mm)

    def mask(*names: str, least: float = 0.5) -> np.ndarray:
        return _shares(np.isin(tissue, [TISSUES.index(name) for name in names])) >= least

    any_white = 1 / FINER**3
    return Hemisphere(
        white=mask("white_matter", least=any_white) & here,
        other_white=mask("white_matter", least=any_white) & ~here,
        ventricle=mask("ventricle") & here,
        medial_nuclei=mask("thalamus", "caudate") & here,
        lentiform=mask("putamen", "pallidum") & here,
        putamen=mask("putamen") & here,
        cortex=mask("cortex") & here,
        right=is_right,
        x_mm=seen.tissue.ijk_to_ras[0, :3],
        spacing_kji=(k, j, i),
    )


def _shares(mask: np.ndarray) -> np.ndarray:
    """Share of each larger voxel that is in the mask."""
    # Strided sums: the mean over reshaped axes takes ten times as long.
    places = product(range(FINER), repeat=3)
    counts = sum(mask[k::FINER, j::FINER, i::FINER].astype(np.uint8) for k, j, i in places)
    return np.asarray(counts, np.float32) / FINER**3


def distance_from_midplane(seen: Segmentation) -> np.ndarray:
    """Distance in mm of every voxel from the plane between the hemispheres, positive on the right.

    The plane is fitted to the places at which the network's side changes along a row of brain voxels, without those
    that lie farther off than most.
    """
    brain, right = seen.brain.array > 0, seen.right
    spacing = np.asarray(seen.brain.spacing_mm)
    changes = brain[:, :, 1:] & brain[:, :, :-1] & right[:, :, 1:] & ~right[:, :, :-1]
    k, j, i = (axis.astype(float) for axis in np.nonzero(changes))
    if len(i) < 10:
        k, j, i = (np.asarray(axis, float) for axis in np.nonzero(brain))
    plane = _fitted(k, j, i + 0.5)
    grid_k, grid_j, grid_i = np.ogrid[tuple(slice(n) for n in brain.shape)]
    along = (grid_i - (plane[0] + plane[1] * grid_k + plane[2] * grid_j)) * spacing[0]
    slope = np.hypot(plane[1] * spacing[0] / spacing[2], plane[2] * spacing[0] / spacing[1])
    return along / np.hypot(1.0, slope)


def _fitted(k: np.ndarray, j: np.ndarray, i: np.ndarray) -> np.ndarray:
    """Coefficients of i = a + b k + c j by least squares, twice cleaned of residuals above twice their median."""
    if not len(i):
        return np.zeros(3)
    kept = np.ones(len(i), bool)
    columns = np.stack([np.ones_like(k), k, j], axis=1)
    plane = np.zeros(3)
    for _ in range(3):
        plane = np.linalg.lstsq(columns[kept], i[kept], rcond=None)[0]
        residual = np.abs(i - columns @ plane)
        kept = residual <= max(2 * float(np.median(residual)), 1.0)
    return plane
