"""Outlines: figures on paper, against brute force, and as panoptica recorded them on the same label maps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from CMBNetEvaluationLib.detection_metrics import detection_metrics
from CMBNetEvaluationLib.estimates import SubjectBootstrap
from CMBNetEvaluationLib.rules import rule_of
from CMBNetEvaluationLib.segmentation_metrics import matched_metrics, whole_scan_metrics
from CMBNetEvaluationLib.sparse_mask import coordinates, label_components, nonzero_voxels, surface_voxels
from CMBNetEvaluationLib.surface import surface_distances
from evaluation_cases import a_grid, boxes, compared, components, counted, lesions
from panoptica_cases import IOU_LIMIT, balls, known_cases, random_case

EXACT = 1e-9
RECORDED = json.loads((Path(__file__).parent / "panoptica_answers.json").read_text(encoding="utf-8"))
CASES = known_cases()


def bootstrap() -> SubjectBootstrap:
    return SubjectBootstrap(["one"], replicates=20)


def grid_of(array: np.ndarray):
    k, j, i = RECORDED["spacing_kji_mm"]
    return a_grid((i, j, k), array.shape)


@pytest.mark.parametrize("name", RECORDED["cases"])
def test_figures_are_those_of_panoptica(name: str) -> None:
    """Recorded by Testing/Benchmarks/panoptica_peer.py --answers, whose versions do not fit beside ours."""
    theirs = RECORDED["cases"][name]
    prediction, reference = (components(mask, grid=grid_of(mask)) for mask in CASES[name])
    result = compared(prediction, reference, rule_of("iou", limit=IOU_LIMIT))
    assert [result.tp, result.fp, result.fn] == [theirs["tp"], theirs["fp"], theirs["fn"]]
    f1 = detection_metrics([result], bootstrap())["pooled"]["f1"].value
    assert f1 == pytest.approx(theirs["f1"], abs=EXACT)
    assert result.overlap is not None
    assert result.overlap.dice == pytest.approx(theirs["whole_dice"], abs=EXACT)
    if theirs["tp"]:
        matched = matched_metrics([result], bootstrap())
        assert matched is not None
        for figure in ("iou", "dice", "distance_mm"):
            assert matched[figure].value == pytest.approx(theirs[figure], abs=EXACT), figure


def test_every_recorded_case_is_there() -> None:
    assert set(RECORDED["cases"]) == set(CASES)
    assert sum(case["tp"] for case in RECORDED["cases"].values()) > 30


def test_matched_lesions_on_paper() -> None:
    """Reference 2 x 3 x 3 (36 mm3), prediction one voxel to the right: 12 of 18 common. A second pair is equal.

    Dice 2/3 and 1, volumes equal. Distances between the surfaces of the first: every voxel of these two slices is
    on the surface; the 6 of each that are not common lie 1 mm from the other: 12 of 36 voxels.
    """
    reference = lesions(boxes(((4, 10, 10), (2, 3, 3)), ((14, 25, 25), (2, 3, 3))))
    prediction = lesions(boxes(((4, 10, 11), (2, 3, 3)), ((14, 25, 25), (2, 3, 3))))
    result = compared(prediction, reference)
    matched = matched_metrics([result], bootstrap())
    assert matched["dice"].value == pytest.approx((2 / 3 + 1) / 2, abs=EXACT)
    assert matched["dice_pooled"].value == pytest.approx(2 * 30 / 72, abs=EXACT)
    assert matched["volume_error_mm3"].value == 0.0
    assert matched["surface_mm"].value == pytest.approx((12 / 36 + 0) / 2, abs=EXACT)
    assert matched["hausdorff95_mm"].value == pytest.approx(0.5, abs=EXACT)
    assert matched["dice"].n == 2


def test_volume_errors_have_their_sign() -> None:
    """Prediction of 8 voxels inside a reference of 18, 2 mm3 each."""
    result = compared(lesions(boxes(((4, 10, 10), (2, 2, 2)))), lesions(boxes(((4, 10, 10), (2, 3, 3)))))
    matched = matched_metrics([result], bootstrap())
    assert matched["volume_error_mm3"].value == -20.0
    assert matched["absolute_volume_error_mm3"].value == 20.0
    assert matched["relative_volume_error"].value == pytest.approx(-10 / 18, abs=EXACT)


def test_whole_scan_counts_scans_with_voxels_on_one_side() -> None:
    """Dice 1, 0 (false alone) and none (nothing on either side): mean 1/2 over two, 1 over the one with a lesion."""
    lesion = boxes(((4, 10, 10), (2, 3, 3)))
    nothing = np.zeros_like(lesion)
    pairs = ((lesion, lesion), (lesion, nothing), (nothing, nothing))
    results = [compared(components(a), components(b), scan_id=str(number)) for number, (a, b) in enumerate(pairs)]
    whole = whole_scan_metrics(results, SubjectBootstrap(["0", "1", "2"], replicates=20))
    assert (whole["dice_mean"].value, whole["dice_mean"].n) == (0.5, 2)
    assert (whole["dice_positive_mean"].value, whole["dice_positive_mean"].n) == (1.0, 1)
    assert whole["dice_pooled"].value == pytest.approx(2 * 18 / (18 + 36), abs=EXACT)
    assert whole["volume_error_mm3"].value == 12.0


def test_points_have_no_outline_figures() -> None:
    assert matched_metrics([counted(1, 0, 0)], bootstrap()) is None
    assert whole_scan_metrics([counted(1, 0, 0)], bootstrap()) is None


def test_voxels_on_an_ignored_lesion_count_on_neither_side() -> None:
    from dataclasses import replace

    both = boxes(((4, 10, 10), (2, 3, 3)), ((14, 25, 25), (2, 3, 3)))
    reference = replace(lesions(both), ignore=np.array([False, True]))
    result = compared(lesions(both), reference)
    assert result.overlap is not None
    assert (result.overlap.dice, result.overlap.prediction_mm3) == (1.0, 36.0)


def test_a_prediction_excused_by_an_ignored_lesion_counts_with_no_voxel() -> None:
    """The prediction beside the ignored lesion, 2 mm from it, shares no voxel with it and is excused all the same."""
    from dataclasses import replace

    reference = replace(
        lesions(boxes(((4, 10, 10), (2, 3, 3)), ((14, 25, 25), (2, 3, 3)))), ignore=np.array([False, True])
    )
    result = compared(lesions(boxes(((4, 10, 10), (2, 3, 3)), ((14, 25, 28), (2, 3, 3)))), reference)
    assert result.overlap is not None
    assert (result.overlap.dice, result.overlap.prediction_mm3) == (1.0, 36.0)


@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_sparse_components_are_those_of_scipy(connectivity: int) -> None:
    generator = np.random.default_rng(connectivity)
    mask = (generator.random((9, 11, 13)) < 0.2).astype(np.uint8)
    voxels = nonzero_voxels(mask)
    assert voxels.tolist() == np.flatnonzero(mask).tolist()
    structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    labels, count = ndimage.label(mask, structure)
    own = label_components(voxels, mask.shape, connectivity)
    assert own.max() + 1 == count
    pairs = set(zip(own.tolist(), labels.ravel()[voxels].tolist(), strict=True))
    assert len(pairs) == count


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.float32, np.float64])
def test_nonzero_voxels_of_every_type_and_odd_sizes(dtype: type) -> None:
    array = np.zeros((3, 7, 11), dtype)
    array[0, 0, 0] = array[1, 3, 5] = array[2, 6, 10] = 1
    assert nonzero_voxels(array).tolist() == np.flatnonzero(array).tolist()


def test_surface_is_what_erosion_takes_away() -> None:
    mask = balls((20, 24, 24), np.array([[10.0, 12, 12], [3, 3, 3]]), np.array([5.0, 2]))
    voxels = nonzero_voxels(mask)
    expected = mask.astype(bool) & ~ndimage.binary_erosion(mask)
    assert voxels[surface_voxels(voxels, mask.shape)].tolist() == np.flatnonzero(expected).tolist()


def test_surface_distances_as_by_distance_maps() -> None:
    """The same surfaces by Euclidean distance transforms: pooled mean and the larger 95th percentile."""
    spacing = (2.0, 1.0, 0.5)
    first, second = random_case(3)
    surfaces = [mask.astype(bool) & ~ndimage.binary_erosion(mask) for mask in (first, second)]
    maps = [ndimage.distance_transform_edt(~surface, sampling=spacing) for surface in surfaces]
    forward, backward = maps[1][surfaces[0]], maps[0][surfaces[1]]
    places = [coordinates(np.flatnonzero(surface), first.shape) * spacing for surface in surfaces]
    average, hausdorff95 = surface_distances(*places)
    assert average == pytest.approx((forward.sum() + backward.sum()) / (len(forward) + len(backward)), abs=EXACT)
    assert hausdorff95 == pytest.approx(max(np.percentile(forward, 95), np.percentile(backward, 95)), abs=EXACT)
