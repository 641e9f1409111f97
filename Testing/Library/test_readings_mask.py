"""Outlines inside a readings file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from CMBNetLib.errors import InputError
from CMBNetLib.reading_mask import ReadingMask


@settings(max_examples=80, deadline=None)
@given(
    mask=arrays.arrays(bool, arrays.array_shapes(min_dims=3, max_dims=3, max_side=9)).filter(np.any),
    offset=st.tuples(*[st.integers(0, 5)] * 3),
)
def test_any_mask_comes_back_voxel_by_voxel(mask: np.ndarray, offset: tuple[int, int, int]) -> None:
    packed = ReadingMask.from_dict(ReadingMask.from_array(mask, "brush", offset_ijk=offset).as_dict())
    labels = np.zeros((15, 15, 15), np.uint16)
    packed.paste(labels, 7)
    expected = np.zeros_like(labels)
    i, j, k = offset
    expected[k : k + mask.shape[0], j : j + mask.shape[1], i : i + mask.shape[2]][mask] = 7
    np.testing.assert_array_equal(labels, expected)
    assert packed.n_voxels == mask.sum()


def test_a_microbleed_takes_a_few_hundred_bytes() -> None:
    k, j, i = np.ogrid[-8:9, -8:9, -8:9]
    mask = ReadingMask.from_array(k**2 + j**2 + i**2 <= 49, "region growing", {"tolerance": 0.4})
    assert len(mask.bits) < 900
    assert mask.settings == {"tolerance": 0.4}


def test_a_mask_of_another_scan_is_refused() -> None:
    mask = ReadingMask.from_array(np.ones((2, 2, 2), bool), "brush", offset_ijk=(9, 0, 0))
    with pytest.raises(InputError, match="reaches outside the scan of 10 x 10 x 10 voxels"):
        mask.paste(np.zeros((10, 10, 10)), 1)


def test_what_is_no_mask_is_refused() -> None:
    with pytest.raises(InputError, match="at least one voxel"):
        ReadingMask.from_array(np.zeros((3, 3, 3), bool), "brush")
    with pytest.raises(InputError, match="Unknown way"):
        ReadingMask.from_array(np.ones((1, 1, 1), bool), "magic")
    good = ReadingMask.from_array(np.ones((2, 2, 2), bool), "brush")
    for damaged in (
        replace(good, shape_ijk=(9, 9, 9)),
        replace(good, shape_ijk=(0, 2, 2)),
        replace(good, shape_ijk=(1000, 1000, 1000)),
        replace(good, bits="!!"),
        replace(good, bits="aaaa"),
    ):
        with pytest.raises(InputError):
            damaged.array()
    with pytest.raises(InputError, match="incomplete"):
        ReadingMask.from_dict({"offset_ijk": [0, 0, 0]})
    with pytest.raises(InputError, match="three numbers"):
        ReadingMask.from_dict({**good.as_dict(), "offset_ijk": [0, 0]})
