"""The minimax flood gives, in one pass, the region that a flood fill finds at each tolerance; and the knee."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from CMBNetLib.knee import choose_tolerance, find_knee
from CMBNetLib.minimax import flood
from CMBNetLib.vessel_stop import compactness, cut_vessels


def filled(cost: np.ndarray, seed: int, tolerance: float, edges: bool) -> np.ndarray:
    """The region of one tolerance, by labelling everything at or below it."""
    structure = ndimage.generate_binary_structure(3, 2 if edges else 1)
    labels, _ = ndimage.label(cost <= tolerance, structure)
    label = labels.reshape(-1)[seed]
    return (labels == label) & (label > 0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), edges=st.booleans(), levels=st.integers(2, 40))
def test_every_tolerance_gives_what_a_flood_fill_gives(seed: int, edges: bool, levels: int) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.integers(0, levels, (5, 6, 7)).astype(float)
    cost[rng.random(cost.shape) < 0.15] = np.inf
    start = int(rng.integers(cost.size))
    result = flood(cost, [start], edges=edges)
    for tolerance in range(levels):
        expected = filled(cost, start, tolerance, edges)
        assert np.array_equal(result.region(result.count(tolerance)), expected)


def test_a_limited_flood_is_the_beginning_of_the_full_one() -> None:
    cost = np.random.default_rng(3).random((6, 6, 6))
    full, part = flood(cost, [100]), flood(cost, [100], max_voxels=40)
    assert full.complete
    assert not part.complete
    assert np.array_equal(part.indices, full.indices[:40])
    assert np.array_equal(part.tolerance, full.tolerance[:40])
    assert np.all(np.diff(full.tolerance) >= 0)


def test_a_flood_does_not_leave_one_side_and_come_in_at_the_other() -> None:
    cost = np.ones((3, 4, 5))
    cost[:, :, 2] = np.nan
    assert len(flood(cost, [0]).indices) == 3 * 4 * 2


def test_a_seed_on_a_wall_gives_nothing_and_two_seeds_give_both() -> None:
    cost = np.array([[[0.0, np.inf, 0.0]]])
    assert len(flood(cost, [1]).indices) == 0
    assert sorted(flood(cost, [0, 2, 2]).indices) == [0, 2]


def test_the_knee_of_two_lines_is_where_they_meet() -> None:
    x = np.linspace(0, 1, 101)
    assert find_knee(x, np.where(x < 0.7, x, 0.7 + 50 * (x - 0.7))) == pytest.approx(0.7)
    assert find_knee(x, np.sqrt(x)) == 1.0, "a concave curve has none"
    assert find_knee(x, np.ones(101)) == 1.0


def test_the_tolerance_stays_before_the_knee_and_is_smaller_for_small_lesions() -> None:
    t = np.linspace(0, 1, 101)
    early = np.where(t < 0.4, 200.0, 200 + 5000 * (t - 0.4))
    assert choose_tolerance(t, early)[0] < 0.4
    large, small = np.where(t < 0.95, 200.0, 9000.0), np.where(t < 0.95, 5.0, 9000.0)
    assert choose_tolerance(t, small)[0] < choose_tolerance(t, large)[0] < 0.95


def ball(spacing_mm: tuple[float, float, float], diameter_mm: float) -> np.ndarray:
    axes = [np.arange(-round(8 / s), round(8 / s) + 1) * s for s in spacing_mm[::-1]]
    k, j, i = np.meshgrid(*axes, indexing="ij")
    return k**2 + j**2 + i**2 <= (diameter_mm / 2) ** 2


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (0.45, 0.45, 1.0), (0.9, 0.9, 1.75)])
def test_a_ball_is_compact_on_any_grid_and_a_vein_is_not(spacing: tuple[float, float, float]) -> None:
    assert compactness(ball(spacing, 6), spacing) == pytest.approx(1, abs=0.08)
    vein = np.zeros((40, 9, 9), dtype=bool)
    vein[:, 3:6, 3:6] = True
    assert compactness(vein, (0.5, 0.5, 0.5)) < 0.75
    assert compactness(np.zeros((2, 2, 2), dtype=bool), spacing) == 0


def test_a_vein_is_cut_off_the_ball_it_touches() -> None:
    spacing = (0.5, 0.5, 0.5)
    lesion = ball(spacing, 5)
    middle = lesion.shape[0] // 2
    with_vein = lesion.copy()
    with_vein[middle, middle - 1 : middle + 1, :] = True
    cut = cut_vessels(with_vein, spacing, (middle, middle, middle))
    assert np.all(cut[lesion])
    assert np.count_nonzero(cut & ~lesion) < 0.5 * np.count_nonzero(with_vein & ~lesion)
