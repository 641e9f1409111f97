"""What must hold for any predictions and references, whatever they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from CMBNetEvaluationLib.estimates import Estimate, SubjectBootstrap
from CMBNetEvaluationLib.evaluation import measure
from CMBNetEvaluationLib.lesions import LesionSet
from CMBNetEvaluationLib.rules import PRESETS, MatchingRule
from CMBNetEvaluationLib.scan_result import ScanResult
from evaluation_cases import compared, components, lesions, points

# Few draws: what is tested holds for each of them.
DRAWS = 40
FEW = settings(max_examples=60, deadline=None, derandomize=True)
# Names of figures that are shares of something.
SHARES = ("precision", "sensitivity", "f1", "dice", "iou", "specificity", "ppv", "npv", "accuracy", "average_precision",
          "mean_sensitivity", "brier", "expected_calibration_error", "same_burden_class",
          "f1_scans_with_lesions")  # fmt: skip
SIGNED = ("bias", "limit_low", "limit_high", "slope", "mean_score_minus_share_true")
CORRELATIONS = ("icc_agreement", "icc_consistency", "spearman", "kappa_quadratic", "kappa_linear")

coordinate = st.integers(-30, 30).map(float)
place = st.tuples(coordinate, coordinate, coordinate)
scored_place = st.tuples(place, st.integers(0, 10).map(lambda tenth: tenth / 10))
mask = st.lists(st.tuples(*(st.integers(0, 7) for _ in range(3))), max_size=12)


def point_scan(name: str, found: list[Any], wanted: list[Any], rule: MatchingRule | None = None) -> ScanResult:
    prediction = points(*(spot for spot, _score in found), scores=[score for _spot, score in found])
    return compared(prediction, points(*wanted), rule, name)


def voxels(cells: list[tuple[int, int, int]]) -> LesionSet:
    array = np.zeros((8, 8, 8), np.uint8)
    for cell in cells:
        array[cell] = 1
    return components(array)


def measured(results: list[ScanResult]) -> dict[str, Any]:
    return measure(results, bootstrap=SubjectBootstrap([result.subject_id for result in results], replicates=DRAWS))


def estimates(content: Any, name: str = "") -> Iterator[tuple[str, Estimate]]:
    """All estimates of a measurement with the last part of their name."""
    if isinstance(content, Estimate):
        yield name, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from estimates(value, name if name == "sensitivity_at" else str(key))
    elif isinstance(content, list):
        for value in content:
            yield from estimates(value, name)


scans = st.lists(st.tuples(st.lists(scored_place, max_size=6), st.lists(place, max_size=6)), min_size=2, max_size=5)


@given(scans, st.randoms(use_true_random=False))
@FEW
def test_the_order_of_scans_changes_nothing(cases: list[Any], chooser: Any) -> None:
    results = [point_scan(f"s{n}", found, wanted) for n, (found, wanted) in enumerate(cases)]
    mixed = list(results)
    chooser.shuffle(mixed)
    one, other = dict(estimates(measured(results))), dict(estimates(measured(mixed)))
    for name, estimate in one.items():
        assert (estimate.value is None) == (other[name].value is None), name
        if estimate.value is not None:
            assert np.isclose(estimate.value, other[name].value, rtol=0, atol=1e-9), name


@given(st.lists(scored_place, max_size=8), st.lists(place, max_size=8))
@FEW
def test_a_far_false_point_raises_the_false_positives_by_one(found: list[Any], wanted: list[Any]) -> None:
    before = point_scan("s", found, wanted)
    after = point_scan("s", [*found, ((500.0, 0.0, 0.0), 0.5)], wanted)
    assert (after.tp, after.fp, after.fn) == (before.tp, before.fp + 1, before.fn)
    assert after.ranking is not None
    assert before.ranking is not None
    assert after.ranking.false.sum() == before.ranking.false.sum() + 1


@given(scans)
@FEW
def test_a_perfect_prediction_gives_one_everywhere(cases: list[Any]) -> None:
    results = [
        point_scan(f"s{n}", [(spot, 1.0) for spot in wanted], wanted) for n, (_found, wanted) in enumerate(cases)
    ]
    metrics = measured(results)
    perfect = (*SHARES[:11], *CORRELATIONS, "same_burden_class", "sensitivity_at")
    # Strata of which nothing is in, or figures that need two different counts, are undefined, never below 1.
    for name, estimate in estimates({key: value for key, value in metrics.items() if key != "calibration"}):
        if name in perfect:
            assert estimate.value is None or np.isclose(estimate.value, 1.0, rtol=0, atol=1e-9), name
        if name.startswith("false_positive"):
            assert estimate.value in (None, 0.0), name
    if any(result.n_reference for result in results):
        assert metrics["detection"]["pooled"]["f1"].value == 1.0
        assert metrics["froc"]["mean_sensitivity"].value == 1.0


@given(mask, mask, st.sampled_from(sorted(PRESETS)))
@FEW
def test_figures_stay_in_their_range(found: list[Any], wanted: list[Any], preset: str) -> None:
    results = [compared(voxels(found), voxels(wanted), PRESETS[preset], "a"), compared(voxels([]), voxels(wanted))]
    for name, estimate in estimates(measured(results)):
        for number in (estimate.value, estimate.low, estimate.high):
            if number is None:
                continue
            assert np.isfinite(number), name
            if name in SHARES:
                assert -1e-9 <= number <= 1 + 1e-9, name
            elif name in CORRELATIONS:
                assert -1 - 1e-9 <= number <= 1 + 1e-9, name
            elif "error" not in name and name not in SIGNED:
                assert number >= 0, name


@given(mask, mask, st.sampled_from(sorted(PRESETS)))
@FEW
def test_every_lesion_is_called_once(found: list[Any], wanted: list[Any], preset: str) -> None:
    prediction, reference = voxels(found), voxels(wanted)
    result = compared(prediction, reference, PRESETS[preset])
    assert result.tp + result.fn == len(reference) == result.n_reference
    assert result.tp + result.fp + result.count("ignored") == len(prediction)
    named = [call.reference_id for call in result.calls if call.reference_id is not None]
    assert sorted(named) == reference.ids.tolist()
    assert sorted(call.prediction_id for call in result.calls if call.prediction_id) == prediction.ids.tolist()


@given(mask, mask)
@FEW
def test_prediction_and_reference_swapped_swap_false_and_missed(found: list[Any], wanted: list[Any]) -> None:
    for rule in (MatchingRule(), PRESETS["overlap"], PRESETS["iou"]):
        one, other = compared(voxels(found), voxels(wanted), rule), compared(voxels(wanted), voxels(found), rule)
        assert (one.tp, one.fp, one.fn) == (other.tp, other.fn, other.fp)
        assert one.overlap is not None
        assert one.overlap.dice == other.overlap.dice


@given(st.lists(place, max_size=8), st.lists(place, min_size=1, max_size=8))
@FEW
def test_a_wider_limit_never_finds_less(found: list[Any], wanted: list[Any]) -> None:
    hits = [compared(points(*found), points(*wanted), MatchingRule(limit=limit)).tp for limit in (0, 3, 5, 9, 40)]
    assert hits == sorted(hits)


@given(st.lists(place, max_size=8), st.lists(place, min_size=1, max_size=8), st.data())
@FEW
def test_ignoring_a_lesion_never_adds_a_false_positive_or_a_miss(found: Any, wanted: Any, data: Any) -> None:
    reference = points(*wanted)
    before = compared(points(*found), reference)
    chosen = data.draw(st.integers(0, len(wanted) - 1))
    ignored = replace(reference, ignore=np.arange(len(wanted)) == chosen)
    after = compared(points(*found), ignored)
    assert after.fp <= before.fp
    assert after.fn <= before.fn
    assert after.n_reference == before.n_reference - 1


@given(mask, st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3)))
@FEW
def test_distances_do_not_depend_on_where_the_head_lies(cells: list[Any], shift: tuple[int, int, int]) -> None:
    """The same two masks on a grid moved and turned by a right angle."""
    from CMBNetLib.volume import Grid

    turned = np.array([[0.0, -1, 0, shift[0]], [1, 0, 0, shift[1]], [0, 0, 2, shift[2]], [0, 0, 0, 1]])
    array = np.zeros((8, 8, 8), np.uint8)
    for cell in cells:
        array[cell] = 1
    moved = np.roll(array, 1, axis=1)
    one, other = (
        compared(components(moved, grid=grid), components(array, grid=grid))
        for grid in (Grid((8, 8, 8), np.diag([1.0, 1, 2, 1])), Grid((8, 8, 8), turned))
    )
    assert (one.tp, one.fp, one.fn) == (other.tp, other.fp, other.fn)
    for first, second in zip(one.calls, other.calls, strict=True):
        if first.distance_mm is not None:
            assert np.isclose(first.distance_mm, second.distance_mm, atol=1e-9)
            assert np.isclose(first.hausdorff95_mm, second.hausdorff95_mm, atol=1e-9)


def test_a_label_map_equals_its_lesions_one_by_one() -> None:
    array = np.zeros((8, 8, 8), np.uint16)
    array[1:3, 1:3, 1:3], array[5, 5, 5:7] = 7, 3
    both = lesions(array)
    assert both.ids.tolist() == [3, 7]
    assert both.n_voxels.tolist() == [2, 8]
    assert both.centers_ras.tolist() == [[5.5, 5.0, 10.0], [1.5, 1.5, 3.0]]
