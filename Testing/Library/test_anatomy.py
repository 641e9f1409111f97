"""The classical brain mask against phantoms whose brain is known."""

from __future__ import annotations

import numpy as np
import pytest

from CMBNetLib.anatomy import find_anatomy
from CMBNetLib.brain_mask import find_brain
from CMBNetLib.errors import InputError
from CMBNetLib.volume import Volume, resample_to
from head_phantom import brain_of, head


def dice_with_truth(scan: Volume) -> float:
    brain = find_brain(scan)
    found, truth = brain.array > 0, brain_of(brain)
    return 2 * np.sum(found & truth) / (found.sum() + truth.sum())


@pytest.mark.parametrize(
    ("spacing", "turn"),
    [((1.0, 1.0, 2.0), 0.0), ((0.8, 0.8, 5.0), 0.0), ((1.0, 1.0, 3.0), 25.0), ((2.0, 1.0, 1.0), 0.0)],
)
def test_mask_agrees_with_the_true_brain(spacing: tuple[float, float, float], turn: float) -> None:
    assert dice_with_truth(head(spacing, turn_deg=turn)) > 0.95


def test_brain_cut_by_the_field_of_view_is_still_found() -> None:
    assert dice_with_truth(head((1.0, 1.0, 4.0), size_mm=(176.0, 216.0, 80.0))) > 0.94


def test_mask_survives_strong_coil_bias() -> None:
    scan = head((1.0, 1.0, 3.0))
    slope = np.linspace(0.5, 1.6, scan.array.shape[1])[None, :, None]
    assert dice_with_truth(scan.with_array(scan.array * slope.astype(np.float32))) > 0.93


def test_scale_does_not_matter() -> None:
    scan = head((1.0, 1.0, 4.0))
    tiny = find_brain(scan.with_array(scan.array * np.float32(1e-3)))
    assert (tiny.array == find_brain(scan).array).mean() > 0.999


def test_dark_spots_at_the_surface_stay_in_the_brain() -> None:
    spot = (0.0, 79.0, 0.0)
    brain = find_brain(head((1.0, 1.0, 2.0), spots=(spot,), spot_mm=8.0))
    i, j, k = np.rint(brain.ijk_from_ras(np.array([spot]))[0]).astype(int)
    assert brain.array[k, j, i] == 1


def test_noise_has_no_brain() -> None:
    scan = head((2.0, 2.0, 4.0))
    noise = np.random.default_rng(0).normal(100, 20, scan.array.shape).astype(np.float32)
    noise[:, ::3] = 0
    with pytest.raises(InputError, match=r"No brain was found in phantom.*magnitude"):
        find_brain(scan.with_array(noise))


def test_a_box_of_noise_has_no_brain() -> None:
    noise = np.random.default_rng(0).normal(100, 3, (40, 100, 100)).astype(np.float32)
    with pytest.raises(InputError, match="No brain was found"):
        find_brain(Volume(noise, np.diag([2.0, 2.0, 4.0, 1.0]), "box"))


@pytest.mark.parametrize("background", [0.0, 2.0])
def test_a_skull_stripped_scan_keeps_its_brain(background: float) -> None:
    scan = head((1.0, 1.0, 3.0))
    stripped = np.where(brain_of(scan), scan.array, np.float32(background))
    assert dice_with_truth(scan.with_array(stripped)) > 0.95


def test_regions_lie_in_the_brain_and_have_both_sides() -> None:
    anatomy = find_anatomy(head((1.0, 1.0, 3.0)))
    assert anatomy.regions.array.shape == anatomy.brain.array.shape
    assert not anatomy.regions.array[anatomy.brain.array == 0].any()
    assert {1, 2} <= set(np.unique(anatomy.regions.array // 64))
    assert anatomy.flags == []


def test_real_scan_has_a_plausible_brain(shared_data) -> None:  # type: ignore[no-untyped-def]
    from CMBNetLib.volume import read_volume

    scan = read_volume(shared_data / "t2star_1p5T" / "t2starw.nii.gz")
    brain = find_brain(scan)
    assert 1200 < brain.array.sum() * brain.voxel_volume_mm3 / 1000 < 1800
    bright = resample_to(brain, scan.grid, interpolation="nearest").array > 0
    assert np.median(scan.array[bright]) > 1.5 * np.median(scan.array[~bright])
