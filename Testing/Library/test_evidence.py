"""What is known of a candidate beside its peak changes its score."""

from __future__ import annotations

import numpy as np
import pytest

from CMBNetLib.anatomy import BY_NETWORK, CLASSICAL, Anatomy
from CMBNetLib.candidates import Found, find_candidates
from CMBNetLib.evidence import evidence, fluid_of, regraded
from CMBNetLib.location import region_code
from CMBNetLib.volume import Volume

MATRIX = np.diag([0.5, 0.5, 2.0, 1.0])
BRAIN = np.ones((12, 60, 60), bool)
TISSUE = Volume(np.zeros((24, 30, 30), np.uint8), np.eye(4))  # 1 mm voxels over the same place, no fluid
UNEVEN = {"unevenness": -2.0}


def spots() -> tuple[Found, Volume]:
    """A spot in even tissue and a surer one at the edge of something bright."""
    k, j, i = np.indices(BRAIN.shape)
    image = np.where(i < 40, 0.0, 1.5)
    probability = np.zeros(BRAIN.shape, np.float32)
    for center, peak in (((6, 30, 15), 0.7), ((6, 30, 40), 0.9)):
        distance = np.sqrt(sum(((a - c) * s) ** 2 for a, c, s in zip((k, j, i), center, (2, 0.5, 0.5), strict=True)))
        probability = np.maximum(probability, np.where(distance < 1.5, peak, 0))
        image = np.where(distance < 1.5, -1.8, image)
    return find_candidates(Volume(probability, MATRIX), BRAIN, 0.05), Volume(image.astype(np.float32), MATRIX)


def test_unevenness_is_zero_in_even_tissue_and_the_step_at_an_edge() -> None:
    found, image = spots()
    assert evidence(found, image, TISSUE)["unevenness"] == pytest.approx([1.5, 0.0])


def test_a_candidate_at_an_edge_falls_behind_one_in_even_tissue() -> None:
    found, image = spots()
    judged = regraded(found, image, TISSUE, UNEVEN, 0.05)
    assert judged.scores == pytest.approx([0.7, 1 / (1 + np.exp(2 * 1.5) / 9)])
    assert judged.peaks == pytest.approx([0.7, 0.9])
    for number, i in ((1, 15), (2, 40)):
        assert judged.labels.array[6, 30, i] == number
    assert (judged.labels.array > 0).sum() == (found.labels.array > 0).sum()


def test_without_a_cost_nothing_changes_and_below_the_floor_nothing_is_kept() -> None:
    found, image = spots()
    assert regraded(found, image, TISSUE, {"unevenness": 0.0}, 0.05) is found
    alone = regraded(found, image, TISSUE, {"unevenness": -20.0}, 0.05)
    assert alone.scores == pytest.approx([0.7])
    assert alone.labels.array.max() == 1


def test_certain_calls_keep_their_order() -> None:
    found, image = spots()
    found = Found(found.labels, [1.0, 1.0], [1.0, 1.0], 0)
    assert regraded(found, image, TISSUE, {"unevenness": -1.0}, 0.05).scores[0] > 0.999


def test_fluid_is_counted_within_six_millimetres_whatever_the_grids() -> None:
    found, image = spots()
    half = TISSUE.with_array((np.indices(TISSUE.array.shape)[2] >= 20).astype(np.uint8))
    # The surer one lies at 20 mm, the other at 7.5 mm; beyond the field of view, which ends at 24 mm, nothing is known.
    assert evidence(found, image, half)["fluid"] == pytest.approx([0.55, 0.0], abs=0.06)
    nothing = TISSUE.with_array(np.ones(TISSUE.array.shape, np.uint8))
    assert evidence(found, image, nothing)["fluid"] == pytest.approx([1.0, 1.0])
    wet = regraded(found, image, half, {"fluid": -4.0}, 0.05)
    assert wet.scores[0] == pytest.approx(0.7)
    assert wet.scores[1] < 0.6


@pytest.mark.parametrize(("slice_mm", "doublings"), [(0.8, 0.0), (1.0, 0.0), (2.0, 1.0), (4.0, 2.0)])
def test_thick_slices_are_counted_in_doublings_of_a_millimetre(slice_mm: float, doublings: float) -> None:
    found, image = spots()
    matrix = np.diag([0.5, 0.5, slice_mm, 1.0])
    found = Found(Volume(found.labels.array, matrix), found.scores, found.peaks, 0)
    image = Volume(image.array, matrix)
    assert evidence(found, image, TISSUE)["thickness"] == pytest.approx([doublings] * 2)
    odds = [score / (1 - score) for score in regraded(found, image, TISSUE, {"thickness": 0.5}, 0.05).scores]
    assert odds == pytest.approx([9 * np.exp(0.5 * doublings), 0.7 / 0.3 * np.exp(0.5 * doublings)], rel=1e-3)


def test_fluid_is_what_the_regions_say_or_what_lies_outside_of_the_mask() -> None:
    codes = np.array([0, region_code("ventricle", "left"), region_code("csf", "right"), region_code("cortex", "left")])
    regions = Volume(codes.astype(np.uint8).reshape(1, 1, 4), np.eye(4))
    brain = regions.with_array(np.array([[[0, 1, 1, 1]]], np.uint8))
    assert fluid_of(Anatomy(brain, regions, BY_NETWORK)).array.ravel().tolist() == [1, 1, 1, 0]
    assert fluid_of(Anatomy(brain, regions, CLASSICAL)).array.ravel().tolist() == [1, 0, 0, 0]
