"""Places: from regions, from label maps, and what the detector is told where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest

from CMBNetLib.anatomy import BY_NETWORK, CLASSICAL, Anatomy
from CMBNetLib.anatomy_regions import STRUCTURE_OF
from CMBNetLib.anatomy_tissues import TISSUES as NETWORK_TISSUES
from CMBNetLib.location import ANATOMY, decode_region, region_code
from CMBNetLib.places import PLACES, place_of, places_of, prepare_with
from CMBNetLib.volume import Volume
from CMBNetTrainingLib.anatomy_labels import region_map
from CMBNetTrainingLib.tissue import TISSUES, parenchyma_of, places_in


def anatomy(method: str) -> Anatomy:
    """A brain of 20 voxels in 24, its right half pallidum and its left half ventricle."""
    codes, tissue = np.zeros((24, 24, 24), np.uint8), np.zeros((24, 24, 24), np.uint8)
    for side, name, part in (("left", "ventricle", slice(2, 12)), ("right", "pallidum", slice(12, -2))):
        codes[2:-2, 2:-2, part], tissue[2:-2, 2:-2, part] = region_code(name, side), NETWORK_TISSUES.index(name)
    regions = Volume(codes, np.diag([2.0, 2.0, 2.0, 1.0]), "regions")
    seen = regions.with_array(tissue) if method == BY_NETWORK else None
    return Anatomy(regions.with_array((codes > 0).astype(np.uint8)), regions, method, tissue=seen)


def test_every_structure_is_a_place() -> None:
    assert {PLACES[place_of(structure)] for structure in ANATOMY} == set(PLACES) - {"unknown"}


def test_every_tissue_of_the_network_is_a_structure_but_for_what_lies_outside() -> None:
    assert set(NETWORK_TISSUES) - set(STRUCTURE_OF) == {"background", "outer_csf"}
    assert set(STRUCTURE_OF.values()) <= set(ANATOMY)


def test_label_maps_and_region_maps_agree() -> None:
    codes = np.array(sorted(code for code in TISSUES if code < 500), np.int16)
    labels = Volume(np.tile(codes[:, None, None], (1, 4, 4)), np.eye(4), "labels")
    regions = region_map(labels).array
    of_regions = np.vectorize(lambda code: place_of(decode_region(int(code))[0]))(regions)
    assert np.array_equal(of_regions, places_in(labels.array))
    # Brain, but for fluid (CSF, ventricles), plexus, vessels and the optic chiasm.
    fluid_and_others = [4, 5, 14, 15, 24, 30, 43, 44, 62, 72, 85, 136, 137, 163, 164]
    assert codes[~parenchyma_of(codes)].tolist() == [0, *fluid_and_others]


@pytest.mark.parametrize("method", [BY_NETWORK, CLASSICAL])
def test_a_scan_is_prepared_with_its_places(method: str) -> None:
    head = Volume(np.full((40, 60, 60), 100, np.float32), np.diag([1.0, 1.0, 1.5, 1.0]), "scan")
    prepared = prepare_with(head, anatomy(method), pixel_mm=0.5, thinnest_slice_mm=1.0)
    assert prepared.places is not None
    assert prepared.places.shape == prepared.brain.shape
    if method == CLASSICAL:
        assert not prepared.places.any()
        return
    ijk = prepared.image.ijk_from_ras(np.array([[12.0, 20.0, 20.0], [36.0, 20.0, 20.0], [22.0, 1.0, 20.0]]))
    found = [PLACES[prepared.places[k, j, i]] for i, j, k in np.rint(ijk).astype(int)]
    assert found == ["ventricle", "pallidum", "outside"]
    # Beyond the regions (46 mm) is outside, not unknown.
    assert PLACES[places_of(anatomy(method).tissue, head.grid)[-1, -1, -1]] == "outside"
