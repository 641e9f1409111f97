"""Cleaning in millimetres: missing values, doubles, splitting, holes, debris; and nothing disappears on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scan_files
from CMBNetLib.errors import InputError
from CMBNetLib.volume import Volume
from CMBNetTrainingLib.label_transfer import to_working_grid
from CMBNetTrainingLib.manual_fixes import ManualFix, read_fixes, write_fixes
from CMBNetTrainingLib.mark_refinement import Lesion, apply_fixes, refine_marks
from CMBNetTrainingLib.scan_cleaning import double_points, filled, repair_values, split_by_distance, without_debris
from CMBNetTrainingLib.scan_loading import Mark, center_of, load_scan
from CMBNetTrainingLib.source_scan import SourceError, SourceScan
from refinement_phantom import Recipe, make_phantom

SPACING = (0.5, 0.5, 4.0)


def test_missing_values_outside_become_zero_and_islands_inside_the_median_around() -> None:
    array = np.random.default_rng(1).normal(200, 5, (20, 30, 30)).astype(np.float32)
    array[:, :8] = np.nan
    array[10, 20, 20] = np.inf
    array[12:14, 22:24, 22:24] = np.nan
    clean, count = repair_values(array)
    assert count == {"outside": 20 * 8 * 30, "inside": 9}
    assert np.all(clean[:, :8] == 0)
    assert clean[10, 20, 20] == pytest.approx(200, abs=10)
    assert np.all(np.abs(clean[12:14, 22:24, 22:24] - 200) < 15)
    untouched = np.isfinite(array)
    assert np.array_equal(clean[untouched], array[untouched])


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii"])
def test_islands_of_no_numbers_in_a_file_become_no_dark_spots(tmp_path: Path, name: str) -> None:
    array = scan_files.head_array().astype(np.float32) + 50
    array[:, :30] = np.nan  # more than the usual reader repairs
    array[6, 50, 50] = np.nan
    path = scan_files.write_nifti(tmp_path / name, array)
    loaded = load_scan(SourceScan("a", "a", path, "test", points=()))
    assert np.all(loaded.scan.array[:, :30] == 0)
    around = array[5:8, 49:52, 49:52]
    assert loaded.scan.array[6, 50, 50] == pytest.approx(np.median(around[np.isfinite(around)]))
    (step,) = (step for step in loaded.steps if step["step"] == "values")
    assert (step["outside"], step["inside"]) == (12 * 30 * 100, 1)


def test_doubles_are_judged_in_millimetres_and_against_those_that_stay() -> None:
    points = np.array([[0, 0, 0], [1.5, 0, 0], [3.0, 0, 0], [0, 0, 4.0], [0, 0, 4.0]])
    assert double_points(points) == {1: 0, 4: 3}
    assert double_points(np.zeros((0, 3))) == {}


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_what_stays_is_never_closer_than_the_limit(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 8, (30, 3))
    doubles = double_points(points)
    stay = points[[n for n in range(30) if n not in doubles]]
    away = np.linalg.norm(stay[:, None] - stay[None], axis=-1) + np.eye(len(stay)) * 99
    assert away.min() >= 2.0


def test_one_label_is_split_by_millimetres_not_voxels() -> None:
    mask = np.zeros((6, 40, 40), bool)
    mask[2, 5, 5] = mask[2, 5, 10] = True  # 2.5 mm apart
    mask[4, 5, 5] = True  # two slices on: 8 mm
    assert split_by_distance(mask, SPACING, 3.0)[1] == 2
    assert split_by_distance(mask, SPACING, 9.0)[1] == 1
    labels, count = split_by_distance(mask, SPACING, 0)
    assert count == 3
    assert np.array_equal(labels > 0, mask)
    assert split_by_distance(np.zeros_like(mask), SPACING, 3.0)[1] == 0


def test_the_chain_of_pieces_is_one() -> None:
    mask = np.zeros((3, 3, 60), bool)
    mask[1, 1, ::5] = True  # 2.5 mm steps over 30 mm
    assert split_by_distance(mask, (0.5, 0.5, 1.0), 2.6)[1] == 1
    assert split_by_distance(mask, (0.5, 0.5, 1.0), 2.4)[1] == 12


def test_holes_and_rings_within_a_slice_are_filled() -> None:
    mask = np.zeros((5, 9, 9), bool)
    mask[2, 2:7, 2:7] = True
    mask[2, 4, 4] = False
    assert filled(mask)[2, 4, 4]
    assert filled(mask).sum() == 25


def test_debris_is_dropped_by_distance_in_millimetres_and_the_lesion_never() -> None:
    mask = np.zeros((9, 40, 40), bool)
    mask[4, 18:23, 18:23] = True
    mask[4, 20, 36] = True  # 8 mm away
    mask[5, 20, 24] = True  # next slice: 4.5 mm, within a slice of the lesion
    clean = without_debris(mask, SPACING, (4, 20, 20), 1.5)
    assert clean[4, 18:23, 18:23].all()
    assert clean[5, 20, 24]
    assert not clean[4, 20, 36]
    far = without_debris(mask, SPACING, (0, 0, 0), 1.0)
    assert far.any()


def lesion_at(scan: Volume, center: tuple[int, int, int], radius: int = 2) -> Lesion:
    k, j, i = center
    window = (slice(k - 1, k + 2), slice(j - radius, j + radius + 1), slice(i - radius, i + radius + 1))
    mask = np.ones((3, 2 * radius + 1, 2 * radius + 1), bool)
    return Lesion(Mark("m", "mask", center_of(scan, mask, window), window, mask), window, mask, {})


@given(seed=st.integers(0, 1000), coarse=st.sampled_from([0.7, 1.5, 4.0]))
@settings(max_examples=15, deadline=None)
def test_no_lesion_is_lost_on_another_grid(seed: int, coarse: float) -> None:
    rng = np.random.default_rng(seed)
    scan = Volume(np.zeros((24, 60, 60), np.float32), np.diag([0.5, 0.5, 1.2, 1.0]))
    places = [(int(rng.integers(3, 20)), 8 + 12 * n % 48, int(rng.integers(5, 54))) for n in range(4)]
    lesions = [lesion_at(scan, place, int(rng.integers(0, 3))) for place in dict.fromkeys(places)]
    shape = [int(np.ceil(n * e / coarse)) + 1 for n, e in zip(scan.array.shape, (1.2, 0.5, 0.5), strict=True)]
    grid = Volume(np.zeros(shape, np.float32), np.diag([coarse, coarse, coarse, 1.0]))
    labels, lost = to_working_grid(scan, lesions, grid)
    present = set(np.unique(labels.array)) - {0}
    assert present | set(lost) == set(range(1, len(lesions) + 1))
    assert not present & set(lost)
    if coarse < 2:
        assert lost == {}
        for number in present:
            center = labels.ras_from_ijk(np.argwhere(labels.array == number)[:, ::-1].mean(axis=0)[None])[0]
            assert np.linalg.norm(center - lesions[number - 1].mark.center_ras) < 1.5


def test_a_lesion_outside_of_the_working_grid_is_reported() -> None:
    scan = Volume(np.zeros((24, 60, 60), np.float32), np.diag([0.5, 0.5, 1.2, 1.0]))
    grid = Volume(np.zeros((10, 10, 10), np.float32), np.diag([0.5, 0.5, 1.2, 1.0]))
    labels, lost = to_working_grid(scan, [lesion_at(scan, (20, 50, 50))], grid)
    assert list(lost) == [1]
    assert "outside" in lost[1]
    assert not labels.array.any()


def test_two_points_in_one_dark_spot_share_it() -> None:
    phantom = make_phantom(Recipe(diameter_mm=6.0, spacing_mm=(0.5, 0.5, 0.8)))
    x, y, z = phantom.centre_ras
    marks = [Mark("a", "point", (x - 1.3, y, z)), Mark("b", "point", (x + 1.3, y, z))]
    lesions = refine_marks(phantom.scan, [(mark, None) for mark in marks])
    assert all(lesion.mask.any() and "shared" in lesion.details["flags"] for lesion in lesions)
    assert all(lesion.details["quality"] == "check" for lesion in lesions)
    taken = np.zeros(phantom.truth.shape, int)
    for lesion in lesions:
        taken[lesion.window][lesion.mask] += 1
    assert taken.max() == 1


def test_masks_of_readers_are_kept_unless_all_is_to_be_refined() -> None:
    phantom = make_phantom(Recipe())
    k, j, i = (slice(int(n.min()) - 1, int(n.max()) + 2) for n in np.nonzero(phantom.truth))
    mark = Mark("value 1", "mask", phantom.centre_ras, (k, j, i), phantom.truth[k, j, i])
    kept = refine_marks(phantom.scan, [(mark, None)], "points")[0]
    grown = refine_marks(phantom.scan, [(mark, None)], "all")[0]
    assert np.array_equal(kept.mask, phantom.truth[k, j, i])
    assert (kept.details["method"], grown.details["method"]) == ("source", "growth")
    point = Mark("p", "point", phantom.centre_ras)
    assert refine_marks(phantom.scan, [(point, None)], "nothing")[0].details["method"] == "sphere"


def test_corrections_remove_add_and_replace_and_are_recorded() -> None:
    phantom = make_phantom(Recipe())
    x, y, z = phantom.centre_ras
    marks = [Mark("a", "point", (x, y, z)), Mark("b", "point", (x + 9, y, z))]
    fixes = [
        ManualFix("s", x + 9.5, y, z, "remove", None, "a vein"),
        ManualFix("s", x + 1, y, z, "sphere", 6.0),
        ManualFix("s", x - 9, y, z, "add", 2.0),
    ]
    steps: list[dict] = []
    lesions = refine_marks(phantom.scan, apply_fixes(marks, fixes, steps))
    assert [lesion.mark.source_id[:5] for lesion in lesions] == ["a", "added"]
    assert [step["action"] for step in steps] == ["remove", "sphere", "add"]
    volume = lesions[0].mask.sum() * phantom.scan.voxel_volume_mm3
    assert volume == pytest.approx(np.pi / 6 * 6**3, rel=0.1), "6 mm is a diameter"
    assert lesions[0].details["fix"]["diameter_mm"] == 6.0
    with pytest.raises(SourceError, match="within 5 mm"):
        apply_fixes(marks, [ManualFix("s", x, y + 40, z, "keep")], [])


def test_a_list_of_corrections_survives_the_disk(tmp_path: Path) -> None:
    fixes = [ManualFix("dou-01", 1.25, -2.5, 3.0, "sphere", 4.5, 'said "no", twice'), ManualFix("x", 0, 0, 0, "accept")]
    assert read_fixes(write_fixes(fixes, tmp_path / "c.csv")) == fixes
    assert read_fixes(write_fixes([], tmp_path / "d.csv")) == []


@pytest.mark.parametrize(
    "text",
    ["scan_id,x\n1,2\n", "scan_id,x,y,z,action\na,1,2,three,keep\n", "scan_id,x,y,z,action\na,1,2,3,shrink\n",
     "scan_id,x,y,z,action\n,1,2,3,keep\n", "scan_id,x,y,z,action\na,1,2,3,sphere\n",
     "scan_id,x,y,z,diameter_mm\na,1,2,3,-4\n", "scan_id,x,y,z,action\na,nan,2,3,keep\n", '"\n'],
)  # fmt: skip
def test_bad_lists_of_corrections_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(InputError, match=r"bad\.csv"):
        read_fixes(tmp_path / "bad.csv")
