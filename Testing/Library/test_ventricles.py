"""The inside of ventricles: where it is, and what it does to a probability."""

from __future__ import annotations

import numpy as np
import pytest

from CMBNetLib.anatomy import BY_NETWORK, CLASSICAL, Anatomy
from CMBNetLib.location import region_code
from CMBNetLib.ventricles import less_likely, ventricle_interior
from CMBNetLib.volume import Volume

COARSE, FINE = np.diag([2.0, 2.0, 2.0, 1.0]), np.diag([1.0, 1.0, 1.0, 1.0])


def anatomy(method: str = BY_NETWORK) -> Anatomy:
    """White matter with a ventricle 16 mm wide in its middle, on voxels of 2 mm."""
    codes = np.full((20, 20, 20), region_code("deep_white_matter", "left"), np.uint8)
    codes[6:14, 6:14, 6:14] = region_code("ventricle", "right")
    regions = Volume(codes, COARSE)
    return Anatomy(regions.with_array((codes > 0).astype(np.uint8)), regions, method)


def test_the_wall_is_not_inside_and_the_middle_is() -> None:
    inside = ventricle_interior(anatomy(), Volume(np.zeros((40, 40, 40), np.float32), FINE))
    assert inside is not None
    assert inside[20, 20, 20]
    assert not inside[20, 20, 8]
    # Half of what is near the wall is ventricle; 2 mm outside of it much less.
    assert inside[20, 20, 14]
    assert not inside[20, 20, 9:11].any()


def test_ventricles_of_the_atlas_are_not_believed() -> None:
    assert ventricle_interior(anatomy(CLASSICAL), Volume(np.zeros((40, 40, 40), np.float32), FINE)) is None


def test_what_lies_inside_stays_a_weak_candidate() -> None:
    probability = np.array([0.9, 0.9], np.float32)
    assert less_likely(probability, np.array([True, False])).tolist() == pytest.approx([0.09, 0.9])
    assert less_likely(probability, None) is probability
