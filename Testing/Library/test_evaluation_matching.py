"""Who found whom, on cases small enough to be worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from CMBNetEvaluationLib.lesions import no_lesions
from CMBNetEvaluationLib.matching import gains_by_score
from CMBNetEvaluationLib.rules import PRESETS, MatchingRule, rule_of
from CMBNetLib.errors import InputError
from evaluation_cases import a_grid, boxes, compared, components, lesions, points


def outcome(result) -> tuple[int, int, int]:
    return result.tp, result.fp, result.fn


def test_centres_exactly_at_the_limit_match_unless_the_rule_is_strict() -> None:
    prediction, reference = points((0, 0, 0)), points((3, 4, 0))
    assert outcome(compared(prediction, reference, rule_of("distance-5mm"))) == (1, 0, 0)
    assert outcome(compared(prediction, reference, rule_of("distance-3mm"))) == (0, 1, 1)
    assert outcome(compared(prediction, reference, rule_of("valdo-text"))) == (0, 1, 1)
    assert outcome(compared(points((0, 0, 0.001)), points((3, 3.99, 0)), rule_of("valdo-text"))) == (1, 0, 0)


def test_optimal_assignment_finds_what_greedy_would_miss() -> None:
    """On a line: prediction P at 0 and Q at 4, lesions A at 2.5 and B at -4.

    P reaches both (2.5 and 4 mm), Q only A (1.5 mm). Nearest-first gives A to Q and B to P; taking P's nearest (A)
    first would leave Q without a lesion and B missed.
    """
    prediction, reference = points((0, 0, 0), (4, 0, 0)), points((2.5, 0, 0), (-4, 0, 0))
    assert outcome(compared(prediction, reference)) == (2, 0, 0)
    # VALDO's code lets each prediction choose its nearest: both choose A, so B is missed and P is false.
    voxel = MatchingRule("nearest", assignment="nearest")
    assert outcome(compared(prediction, reference, voxel)) == (1, 1, 1)


def test_of_equally_many_pairs_the_closest_are_taken() -> None:
    """Predictions at 0 and 3, lesions at 1 and 4: pairs 0-1 and 3-4 (1 mm each) beat 0-4 and 3-1 (4 and 2 mm)."""
    result = compared(points((0, 0, 0), (3, 0, 0)), points((4, 0, 0), (1, 0, 0)))
    assert [(call.reference_id, call.distance_mm) for call in result.calls] == [(2, 1.0), (1, 1.0)]


def test_a_found_lesion_found_again_is_a_duplicate() -> None:
    """Both candidates lie within 5 mm of the one lesion; the nearer is the find, the farther the false positive."""
    prediction, reference = points((4, 0, 0), (1, 0, 0)), points((0, 0, 0))
    result = compared(prediction, reference)
    assert outcome(result) == (1, 1, 0)
    assert [(call.outcome, call.relation, call.cause) for call in result.calls] == [
        ("FP", "duplicate", "duplicate"), ("TP", "", ""),
    ]  # fmt: skip
    # The seed system counts it neither way.
    ignoring = compared(prediction, reference, rule_of("seed-distance"))
    assert outcome(ignoring) == (1, 0, 0)
    assert ignoring.n_predicted == 1
    assert [call.outcome for call in ignoring.calls] == ["ignored", "TP"]


def test_pieces_of_one_lesion_are_fragments() -> None:
    """A lesion of 2 x 6 x 2 voxels predicted as its two ends (2 voxels long each) and not its middle."""
    reference = lesions(boxes(((4, 4, 4), (2, 6, 2))))
    prediction = lesions(boxes(((4, 4, 4), (2, 2, 2)), ((4, 8, 4), (2, 2, 2))))
    result = compared(prediction, reference, rule_of("overlap"))
    assert outcome(result) == (1, 1, 0)
    assert sorted(call.relation for call in result.calls) == ["", "fragment"]
    # 8 common voxels, 8 + 24 voxels in all: IoU 8/24, Dice 16/32.
    hit = next(call for call in result.calls if call.outcome == "TP")
    assert (hit.iou, hit.dice) == (8 / 24, 0.5)


def test_a_prediction_over_two_lesions_is_a_merge_and_finds_one() -> None:
    reference = lesions(boxes(((4, 4, 4), (2, 2, 2)), ((4, 8, 4), (2, 2, 2))))
    prediction = lesions(boxes(((4, 4, 4), (2, 6, 2))))
    result = compared(prediction, reference, rule_of("overlap"))
    assert outcome(result) == (1, 0, 1)
    assert [(call.outcome, call.relation) for call in result.calls] == [("TP", "merge"), ("FN", "missed in a merge")]


def test_a_prediction_on_an_ignored_lesion_counts_neither_way() -> None:
    reference = points((0, 0, 0), (20, 0, 0))
    reference.ignore[1] = True
    result = compared(points((0, 0, 0), (20, 0, 0), (30, 0, 0)), reference)
    assert outcome(result) == (1, 1, 0)
    assert (result.n_reference, result.n_ignored, result.n_predicted) == (1, 1, 2)
    assert outcome(compared(no_lesions(from_points=True), reference)) == (0, 0, 1)


def test_a_prediction_between_a_lesion_and_an_ignored_one_is_used_where_it_helps() -> None:
    """X reaches lesion A only, Y reaches A and the ignored I. X takes A and Y is excused: no false positive."""
    reference = points((0, 0, 0), (8, 0, 0))
    reference.ignore[1] = True
    # Y (at 4 mm) alone finds A rather than being excused.
    assert outcome(compared(points((4, 0, 0)), reference)) == (1, 0, 0)
    assert outcome(compared(points((-4.5, 0, 0), (4, 0, 0)), reference)) == (1, 0, 0)


def test_iou_counts_voxels_of_both() -> None:
    """Cubes of 4 x 4 x 4 shifted by 2: common 32, union 96, IoU 1/3."""
    reference, prediction = (lesions(boxes(((4, j, 4), (4, 4, 4)))) for j in (4, 6))
    for limit, expected in ((1 / 3, (1, 0, 0)), (0.34, (0, 1, 1))):
        assert outcome(compared(prediction, reference, rule_of("iou", limit=limit))) == expected
    result = compared(prediction, reference, rule_of("iou"))
    assert result.calls[0].iou == pytest.approx(1 / 3, abs=1e-12)


def test_centre_in_mask() -> None:
    """The centre of the prediction lies in the long lesion, the centre of the lesion not in the prediction."""
    reference = lesions(boxes(((4, 4, 4), (3, 15, 3))))
    inside, beside = (lesions(boxes(((4, 4, i), (3, 3, 3)))) for i in (5, 7))
    assert outcome(compared(inside, reference, rule_of("in-mask"))) == (1, 0, 0)
    assert outcome(compared(beside, reference, rule_of("in-mask"))) == (0, 1, 1)
    assert outcome(compared(inside, reference, rule_of("distance-5mm"))) == (0, 1, 1)


def test_valdo_code_measures_in_voxels() -> None:
    """2 mm slices: three slices apart are 3 voxels, but 6 mm."""
    reference, prediction = (lesions(boxes(((k, 10, 10), (1, 1, 1)))) for k in (4, 7))
    assert outcome(compared(prediction, reference, rule_of("valdo-code"))) == (1, 0, 0)
    assert outcome(compared(prediction, reference, rule_of("valdo-text"))) == (0, 1, 1)


def test_connectivity_decides_how_many_lesions_a_mask_has() -> None:
    """Three voxels in a chain: the first two share an edge, the last two only a corner."""
    mask = np.zeros((6, 6, 6), np.uint8)
    mask[1, 1, 1] = mask[1, 2, 2] = mask[2, 3, 3] = 1
    grid = a_grid(shape=mask.shape)
    assert [len(components(mask, c, grid)) for c in (6, 18, 26)] == [3, 2, 1]


def test_points_in_masks() -> None:
    """A point reference counts as found by overlap where it lies in the predicted mask."""
    prediction = lesions(boxes(((4, 10, 10), (3, 3, 3))))
    from CMBNetEvaluationLib.lesions import place_points

    inside, outside = (place_points(points((x, 11, 10)), a_grid()) for x in (12, 13))
    for rule in ("overlap", "in-mask"):
        assert outcome(compared(prediction, inside, rule_of(rule))) == (1, 0, 0)
        assert outcome(compared(prediction, outside, rule_of(rule))) == (0, 1, 1)


@pytest.mark.parametrize("rule", ["overlap", "iou", "in-mask"])
def test_rules_about_masks_refuse_two_sets_of_points(rule: str) -> None:
    with pytest.raises(InputError, match=r"needs a mask|not defined"):
        compared(points((0, 0, 0)), points((0, 0, 0)), rule_of(rule))


def test_every_preset_states_its_rule() -> None:
    sentences = {name: rule.sentence() for name, rule in PRESETS.items()}
    assert "less than 5 mm" in sentences["valdo-text"]
    assert "6-connected" in sentences["valdo-text"]
    assert "less than 5 voxels" in sentences["valdo-code"]
    assert "nearest" in sentences["valdo-code"]
    assert "at most 3 mm" in sentences["vuno"]
    assert "at least one voxel" in sentences["shiva"]
    assert "neither as true nor as false" in sentences["seed-distance"]
    assert all(rule.source for rule in PRESETS.values())


def test_a_limit_that_cannot_be_met_is_refused() -> None:
    for bad in ({"limit": -1.0}, {"limit": float("nan")}):
        with pytest.raises(InputError, match="cannot be met"):
            rule_of("distance-5mm", **bad)
    with pytest.raises(InputError, match="no limit"):
        rule_of("overlap", limit=3.0)
    with pytest.raises(InputError, match="no matching rule"):
        rule_of("best")
    assert rule_of("distance-5mm", limit=2.0).sentence().startswith("A prediction could match a reference lesion if")


def test_gains_by_score_equal_the_largest_matching_at_every_threshold() -> None:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    generator = np.random.default_rng(7)
    for _trial in range(40):
        allowed = generator.random((9, 6)) < 0.25
        scores = generator.choice([0.1, 0.4, 0.7, 0.9], size=9)
        gains = gains_by_score(allowed, scores)
        for threshold in np.unique(scores):
            above = scores >= threshold
            largest = (maximum_bipartite_matching(csr_matrix(allowed[above])) >= 0).sum()
            assert gains[above].sum() == largest
