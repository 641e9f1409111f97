"""Points and rough marks become lesion masks: quality on phantoms, flags, fall-back, coordinates, bad input."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from CMBNetLib.errors import InputError
from CMBNetLib.growth import grow
from CMBNetLib.refinement import EXPLANATIONS, Refinement, refine_mask, refine_point, sphere_mask
from CMBNetLib.volume import Volume
from refinement_phantom import SPACINGS, Phantom, Recipe, make_phantom, random_recipe

OBLIQUE = np.array([[0.43, -0.12, 0.05, -40.0], [0.13, 0.42, 0.2, 12.0], [-0.02, -0.08, 0.97, 30.0], [0, 0, 0, 1.0]])


def full(result: Refinement, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[result.window] = result.mask
    return mask


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def phantoms(spacing: tuple[float, float, float], number: int, seed: int = 11) -> list[Phantom]:
    rng = np.random.default_rng(seed)
    return [make_phantom(random_recipe(rng, spacing)) for _ in range(number)]


@pytest.mark.parametrize("name", list(SPACINGS))
def test_masks_of_random_lesions_fit_on_thin_and_thick_slices(name: str) -> None:
    values = [
        dice(full(refine_point(p.scan, p.centre_ras), p.truth.shape), p.truth) for p in phantoms(SPACINGS[name], 8)
    ]
    assert np.mean(values) > 0.8, np.round(values, 2)
    assert np.median(values) > 0.85


def test_a_clear_lesion_is_good_and_its_record_is_json() -> None:
    phantom = make_phantom(Recipe())
    result = refine_point(phantom.scan, phantom.centre_ras)
    assert (result.method, result.quality, result.flags) == ("growth", "good", ())
    assert dice(full(result, phantom.truth.shape), phantom.truth) > 0.9
    assert np.linalg.norm(np.subtract(result.center_ras, phantom.centre_ras)) < 0.5
    record = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert record["equivalent_diameter_mm"] == pytest.approx(4, abs=0.5)
    assert record["sphericity"] > 0.7
    assert record["contrast"] > 3


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e4])
def test_the_scale_of_the_intensities_does_not_matter(factor: float) -> None:
    phantom = make_phantom(Recipe())
    scaled = phantom.scan.with_array((phantom.scan.array * factor).astype(np.float64))
    a, b = refine_point(phantom.scan, phantom.centre_ras), refine_point(scaled, phantom.centre_ras)
    assert dice(a.mask, b.mask) > 0.99


def test_the_point_may_lie_a_millimetre_off() -> None:
    phantom = make_phantom(Recipe(seed=3))
    x, y, z = phantom.centre_ras
    a = refine_point(phantom.scan, (x, y, z))
    b = refine_point(phantom.scan, (x + 0.8, y - 0.6, z))
    assert dice(full(a, phantom.truth.shape), full(b, phantom.truth.shape)) > 0.95


def test_axes_may_be_oblique_and_flipped() -> None:
    phantom = make_phantom(Recipe(seed=5))
    ijk = phantom.scan.ijk_from_ras(np.array([phantom.centre_ras]))
    oblique = Volume(phantom.scan.array, OBLIQUE, "oblique")
    result = refine_point(oblique, tuple(oblique.ras_from_ijk(ijk)[0]))
    assert dice(full(result, phantom.truth.shape), phantom.truth) > 0.88
    flipped = Volume(phantom.scan.array[:, :, ::-1], phantom.scan.ijk_to_ras @ _flip(phantom.scan), "flipped")
    mirrored = refine_point(flipped, phantom.centre_ras)
    same = refine_point(phantom.scan, phantom.centre_ras)
    assert np.array_equal(full(mirrored, phantom.truth.shape)[:, :, ::-1], full(same, phantom.truth.shape))


def _flip(scan: Volume) -> np.ndarray:
    matrix = np.diag([-1.0, 1, 1, 1])
    matrix[0, 3] = scan.shape_ijk[0] - 1
    return matrix


def test_a_vein_is_not_taken_in() -> None:
    recipe = Recipe(vein_distance_mm=-0.3, vein_radius_mm=0.8, vein_depth=0.75, diameter_mm=4, seed=2)
    phantom = make_phantom(recipe)
    result = refine_point(phantom.scan, phantom.centre_ras)
    assert dice(full(result, phantom.truth.shape), phantom.truth) > 0.75
    assert result.shape.max_diameter_mm < 8


def test_flat_tissue_falls_back_to_a_sphere_of_the_stated_or_typical_size() -> None:
    phantom = make_phantom(Recipe(depth=0.0, noise=0.05))
    typical = refine_point(phantom.scan, phantom.centre_ras)
    stated = refine_point(phantom.scan, phantom.centre_ras, expected_diameter_mm=5.0)
    assert (typical.method, typical.quality) == ("sphere", "fallback")
    assert set(typical.flags) & {"not_dark", "leak"}
    assert typical.shape.equivalent_diameter_mm == pytest.approx(2.9, abs=0.3)
    assert stated.shape.equivalent_diameter_mm == pytest.approx(5.0, abs=0.3)


def test_a_bright_spot_is_not_a_lesion() -> None:
    array = np.full((30, 60, 60), 100.0, np.float32)
    array[14:17, 28:33, 28:33] = 200
    result = refine_point(Volume(array, np.diag([0.5, 0.5, 1, 1])), (15.0, 15.0, 15.0))
    assert "not_dark" in result.flags
    assert result.method == "sphere"


def test_a_lesion_larger_than_the_limit_is_never_called_good() -> None:
    phantom = make_phantom(Recipe(diameter_mm=9.0, noise=0.02))
    assert refine_point(phantom.scan, phantom.centre_ras).quality == "good"
    limited = refine_point(phantom.scan, phantom.centre_ras, max_diameter_mm=5.0)
    assert limited.quality != "good"
    assert set(limited.flags) & {"leak", "joined"}


def test_a_ragged_region_is_replaced_by_a_sphere() -> None:
    """A sheet of dark voxels (a sulcus or vein wall) is no microbleed."""
    array = np.random.default_rng(0).normal(300, 5, (30, 60, 60))
    array[:, :, 30] = 100
    result = refine_point(Volume(array, np.diag([0.5, 0.5, 1, 1])), (15.0, 15.0, 15.0))
    assert result.quality != "good"
    assert set(result.flags) & {"leak", "vessel"}
    assert result.shape.max_diameter_mm < 5


def test_nothing_grows_out_of_the_brain_mask_or_into_zeroed_background() -> None:
    phantom = make_phantom(Recipe())
    i = int(phantom.scan.ijk_from_ras(np.array([phantom.centre_ras]))[0, 0])
    brain = np.ones(phantom.truth.shape, dtype=bool)
    brain[:, :, i + 2 :] = False
    masked = refine_point(phantom.scan, phantom.centre_ras, brain=brain)
    assert not np.any(full(masked, brain.shape) & ~brain)
    assert "edge" in masked.flags
    stripped = phantom.scan.with_array(np.where(brain, phantom.scan.array, 0))
    assert not np.any(full(refine_point(stripped, phantom.centre_ras), brain.shape) & ~brain)


def test_missing_values_inside_the_crop_do_no_harm() -> None:
    phantom = make_phantom(Recipe())
    array = phantom.scan.array.copy()
    array[np.random.default_rng(1).random(array.shape) < 0.01] = np.nan
    result = refine_point(phantom.scan.with_array(array), phantom.centre_ras)
    assert dice(full(result, phantom.truth.shape), phantom.truth) > 0.85


def test_a_lesion_at_the_corner_of_the_scan_is_grown() -> None:
    phantom = make_phantom(Recipe(centre_mm=(1.0, 1.0, 1.0)))
    result = refine_point(phantom.scan, phantom.centre_ras)
    assert "edge" in result.flags
    assert dice(full(result, phantom.truth.shape), phantom.truth) > 0.8


@pytest.mark.parametrize("mark", ["dot", "box", "half"])
def test_a_rough_mark_gives_the_lesion_in_it(mark: str) -> None:
    phantom = make_phantom(Recipe(seed=9))
    k, j, i = np.rint(phantom.scan.ijk_from_ras(np.array([phantom.centre_ras]))[0, ::-1]).astype(int)
    rough = np.zeros(phantom.truth.shape, dtype=bool)
    if mark == "dot":
        rough[k, j, i] = True
    elif mark == "box":
        rough[k - 2 : k + 3, j - 7 : j + 8, i - 7 : i + 8] = True
    else:
        rough[:k][phantom.truth[:k]] = True
    assert dice(full(refine_mask(phantom.scan, rough), rough.shape), phantom.truth) > 0.9


def test_the_wheel_changes_the_region_at_every_click_and_comes_to_an_end() -> None:
    phantom = make_phantom(Recipe())
    curve = grow(phantom.scan, phantom.centre_ras)
    tolerance, _ = curve.best_tolerance()
    counts = [curve.count(curve.step(tolerance, clicks)) for clicks in range(-8, 9)]
    assert np.all(np.diff(counts) >= 0)
    assert counts[7] < counts[8] < counts[9]
    assert curve.count(curve.step(tolerance, -200)) == curve.count(0.0)
    assert curve.volume_mm3(curve.tolerance_of_volume(20.0)) == pytest.approx(20.0, abs=1.0)
    forced = refine_point(phantom.scan, phantom.centre_ras, tolerance=0.3)
    assert np.count_nonzero(forced.mask) == curve.count(0.3)


def test_painting_keeps_other_lesions_unless_told() -> None:
    phantom = make_phantom(Recipe())
    result = refine_point(phantom.scan, phantom.centre_ras)
    labels = np.zeros(phantom.truth.shape, np.uint16)
    labels[:, :, : labels.shape[2] // 2] = 7
    kept = result.paint(labels, 2)
    assert 0 < kept == np.count_nonzero(labels == 2) < np.count_nonzero(result.mask)
    assert result.paint(labels, 2, over=True) == np.count_nonzero(result.mask)


def test_a_sphere_is_round_in_millimetres_and_never_empty() -> None:
    scan = Volume(np.zeros((20, 40, 40), np.float32), np.diag([0.5, 0.5, 1.0, 1.0]))
    window = (slice(0, 20), slice(0, 40), slice(0, 40))
    mask = sphere_mask(scan, (10.0, 10.0, 10.0), 6.0, window)
    assert mask.sum() * 0.25 == pytest.approx(np.pi / 6 * 6**3, rel=0.05)
    assert mask[10, 20, 8:33].sum() == 11, "of the outermost voxels less than half is in it"
    assert mask[4:17, 20, 20].sum() == 5
    assert sphere_mask(scan, (10.1, 10.1, 10.2), 0.01, window).sum() == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"point_ras": (500.0, 0.0, 0.0)}, "outside the scan"),
        ({"point_ras": (float("nan"), 0.0, 0.0)}, "outside the scan"),
        ({"expected_diameter_mm": 0.0}, "makes no sense"),
        ({"expected_diameter_mm": 300.0}, "makes no sense"),
        ({"brain": np.zeros((2, 2, 2), bool)}, "resample the mask"),
    ],
)
def test_bad_input_is_named(changes: dict, words: str) -> None:
    phantom = make_phantom(Recipe())
    arguments = {"point_ras": phantom.centre_ras, **changes}
    with pytest.raises(InputError, match=words):
        refine_point(phantom.scan, **arguments)


def test_marks_that_hold_nothing_are_refused() -> None:
    phantom = make_phantom(Recipe())
    empty = np.zeros(phantom.truth.shape, bool)
    with pytest.raises(InputError, match="empty"):
        refine_mask(phantom.scan, empty)
    with pytest.raises(InputError, match="resample"):
        refine_mask(phantom.scan, empty[1:])
    with pytest.raises(InputError, match="outside the brain mask"):
        refine_point(phantom.scan, phantom.centre_ras, brain=empty)


def test_every_flag_is_explained() -> None:
    seen = set()
    for spacing in SPACINGS.values():
        for phantom in phantoms(spacing, 6, seed=29):
            for recipe_depth in (phantom, make_phantom(replace(phantom.recipe, depth=0.03))):
                seen |= set(refine_point(recipe_depth.scan, phantom.centre_ras).flags)
    assert seen
    assert seen <= set(EXPLANATIONS)


def test_a_point_takes_well_under_fifty_milliseconds_on_a_thin_scan() -> None:
    """Time of the processor, because the machine may be busy; the benchmark reports the figure."""
    phantom = make_phantom(Recipe())
    refine_point(phantom.scan, phantom.centre_ras)
    times = []
    for _ in range(9):
        start = time.process_time()
        refine_point(phantom.scan, phantom.centre_ras)
        times.append(time.process_time() - start)
    assert min(times) < 0.05
