"""What the lesion network is told of anatomy: a coarse kind of place for every voxel of the working grid.

A calcification of the plexus and a mineralised pallidum look like microbleeds; what tells them apart is where they
are, and a patch of four centimetres does not show that.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .anatomy import Anatomy
from .anatomy_regions import STRUCTURE_OF
from .anatomy_tissues import TISSUES
from .grid import Grid
from .location import OUTSIDE
from .preparation import Prepared, prepare
from .volume import Volume, resample_to

# The index is the value in a map of places. Unknown is what an atlas would only guess.
PLACES = (
    "unknown",
    "outside",
    "ventricle",
    "cortex",
    "white_matter",
    "striatum",
    "pallidum",
    "thalamus",
    "brainstem",
    "cerebellum",
)
UNKNOWN, OUTSIDE_PLACE = PLACES.index("unknown"), PLACES.index("outside")
# Places from here on are tissue that microbleeds lie in.
FIRST_TISSUE = PLACES.index("cortex")
# Structures of `location.ANATOMY` that are named otherwise here; fluid of sulci is outside.
_PLACE_OF = {
    OUTSIDE: "outside",
    "csf": "outside",
    "subcortical_white_matter": "white_matter",
    "deep_white_matter": "white_matter",
    "corpus_callosum": "white_matter",
    "internal_capsule": "white_matter",
    "external_capsule": "white_matter",
    "hippocampus_amygdala": "cortex",
    "caudate": "striatum",
    "putamen": "striatum",
    "accumbens": "striatum",
}


def place_of(structure: str) -> int:
    """Value of a structure (one of `location.ANATOMY`) in a map of places."""
    return PLACES.index(_PLACE_OF.get(structure, structure))


def prepare_with(scan: Volume, anatomy: Anatomy, *, pixel_mm: float, thinnest_slice_mm: float) -> Prepared:
    """The scan as `preparation.prepare` makes it of the brain of its anatomy, and with its places.

    Raises
    ------
    InputError
        As `preparation.prepare`.
    """
    prepared = prepare(scan, anatomy.brain, pixel_mm=pixel_mm, thinnest_slice_mm=thinnest_slice_mm)
    return replace(prepared, places=places_of(anatomy.tissue, prepared.image.grid))


def places_of(tissue: Volume | None, grid: Grid) -> np.ndarray:
    """Map of places, uint8 [k, j, i], on a grid, by the anatomy network's tissues; all unknown without them."""
    i, j, k = grid.shape_ijk
    if tissue is None:
        return np.full((k, j, i), UNKNOWN, np.uint8)
    kinds = np.array([place_of(STRUCTURE_OF.get(name, OUTSIDE)) for name in TISSUES], np.uint8)
    places = tissue.with_array(kinds[tissue.array])
    return resample_to(places, grid, interpolation="nearest", fill=OUTSIDE_PLACE).array
