"""From a probability map to candidates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from CMBNetLib.candidates import OUTSIDE_BRAIN_MM, centers_and_sizes, find_candidates, to_scan_grid
from CMBNetLib.grid import Grid
from CMBNetLib.volume import Volume

SHAPE = (30, 60, 60)
SPACING = (0.5, 0.5, 1.0)


def blobs(*centers_and_peaks: tuple[tuple[float, float, float], float], radius_mm: float = 1.6) -> Volume:
    """Probability map with smooth blobs at (k, j, i) in mm."""
    matrix = np.diag([*SPACING, 1.0])
    kji_mm = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1) * np.array(SPACING[::-1])
    array = np.zeros(SHAPE, np.float32)
    for center, peak in centers_and_peaks:
        distance = np.linalg.norm(kji_mm - np.array(center), axis=-1)
        array = np.maximum(array, peak * np.exp(-0.5 * (distance / radius_mm) ** 2))
    return Volume(array.astype(np.float32), matrix)


BRAIN = np.ones(SHAPE, bool)


def test_scores_are_peaks_in_descending_order_and_outlines_lie_at_half_of_them() -> None:
    found = find_candidates(blobs(((8, 8, 8), 0.4), ((20, 20, 20), 0.9)), BRAIN, 0.05)
    assert found.scores == pytest.approx([0.9, 0.4], abs=0.02)
    probability = blobs(((8, 8, 8), 0.4), ((20, 20, 20), 0.9)).array
    for number, score in enumerate(found.scores, 1):
        inside = probability[found.labels.array == number]
        assert inside.max() == pytest.approx(score)
        assert inside.min() >= 0.5 * score
    assert found.scores[0] > found.scores[1]
    assert found.labels.array[20, 40, 40] == 1
    assert found.labels.array[8, 16, 16] == 2


def test_nothing_below_the_floor() -> None:
    assert find_candidates(blobs(((8, 8, 8), 0.04)), BRAIN, 0.05).scores == []


def test_touching_peaks_are_two_candidates_and_fragments_one() -> None:
    apart = find_candidates(blobs(((15, 12, 12), 0.9), ((15, 12, 19), 0.7)), BRAIN, 0.05)
    assert len(apart.scores) == 2
    near = find_candidates(blobs(((15, 12, 12), 0.9), ((15, 12, 13.5), 0.7), radius_mm=0.8), BRAIN, 0.05)
    assert len(near.scores) == 1


def test_weak_skirt_of_a_strong_peak_is_no_candidate() -> None:
    assert len(find_candidates(blobs(((15, 15, 15), 0.99), radius_mm=2.5), BRAIN, 0.05).scores) == 1


def test_size_rules() -> None:
    speck = Volume(np.zeros(SHAPE, np.float32), np.diag([*SPACING, 1.0]))
    speck.array[10, 10, 10] = 0.9
    assert find_candidates(speck, BRAIN, 0.05).scores == []
    large = find_candidates(blobs(((15, 15, 15), 0.9), radius_mm=8.0), BRAIN, 0.05)
    assert (large.scores, large.n_too_large) == ([], 1)


def test_a_microbleed_in_three_thick_slices_is_not_too_large() -> None:
    probability = Volume(np.zeros((9, 20, 20), np.float32), np.diag([0.5, 0.5, 6.5, 1.0]))
    probability.array[3:6, 6:14, 6:14] = 0.9
    found = find_candidates(probability, np.ones((9, 20, 20), bool), 0.05)
    assert (len(found.scores), found.n_too_large) == (1, 0)


def test_candidates_outside_the_brain_are_dropped() -> None:
    brain = BRAIN.copy()
    brain[:, :, 30:] = False
    found = find_candidates(blobs(((15, 15, 8), 0.5), ((15, 15, 24), 0.9)), brain, 0.05)
    assert found.scores == pytest.approx([0.5], abs=0.02)


def test_outside_begins_at_its_distance_from_the_brain() -> None:
    brain = np.zeros(SHAPE, bool)
    brain[10:20, 20:40, 20:40] = True
    far = ndimage.distance_transform_edt(~brain, sampling=SPACING[::-1]) > OUTSIDE_BRAIN_MM
    places = [(21, 30, 30), (22, 30, 30), (15, 43, 30), (15, 44, 30), (20, 41, 41), (21, 42, 41)]
    assert [bool(far[place]) for place in places] == [False, True] * 3
    for place in places:
        found = find_candidates(blobs((tuple(np.array(place) * SPACING[::-1]), 0.9), radius_mm=0.9), brain, 0.5)
        assert bool(found.scores and found.scores[0] > 0.88) is not bool(far[place])


def test_centers_and_sizes_of_labels() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (5, 6, 7)).astype(np.uint16)
    centers, sizes = centers_and_sizes(labels, 4)
    assert centers[:3] == pytest.approx(np.array(ndimage.center_of_mass(labels > 0, labels, [1, 2, 3])))
    assert sizes.tolist() == [*np.bincount(labels.ravel())[1:], 0]
    assert np.isnan(centers[3]).all()


def test_to_the_scan_grid_keeps_every_candidate_and_its_place() -> None:
    probability = blobs(((6, 6, 6), 0.9), ((20, 22, 9), 0.3), radius_mm=0.9)
    found = find_candidates(probability, BRAIN, 0.05)
    coarse = Grid((8, 8, 6), np.array([[4.0, 0, 0, 1], [0, 4.0, 0, 1], [0, 0, 5.0, 1], [0, 0, 0, 1]]))
    labels, on_scan = to_scan_grid(found, probability, coarse)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert labels.shape == on_scan.shape == (6, 8, 8)
    fine = Grid((75, 75, 58), np.diag([0.4, 0.4, 0.5, 1.0]))
    labels, _ = to_scan_grid(found, probability, fine)
    center = np.argwhere(labels == 1).mean(axis=0) * [0.5, 0.4, 0.4]
    assert center == pytest.approx([6, 6, 6], abs=0.3)
    assert (labels == 1).sum() * 0.08 == pytest.approx((found.labels.array == 1).sum() * 0.25, rel=0.35)
