"""Files of every kind and state: what is understood, what is refused and why, and that one bad scan stops no other."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from CMBNetEvaluationLib.evaluation import evaluate_pairs
from CMBNetEvaluationLib.lesion_sources import read_prediction, read_reference
from CMBNetEvaluationLib.pairs import Pair
from CMBNetEvaluationLib.rules import MatchingRule, rule_of
from CMBNetEvaluationLib.scan_evaluation import EvaluationSettings, evaluate_pair
from CMBNetEvaluationLib.scan_result import ScanResult
from CMBNetLib.errors import InputError
from CMBNetLib.volume import Volume, write_volume
from evaluation_cases import SHAPE, boxes, write_labels, write_points

RULE = MatchingRule()
REFERENCE = boxes(((4, 10, 10), (2, 3, 3)), ((14, 25, 25), (2, 3, 3)))
# RAS of the two centres: i and j in 1 mm, k in 2 mm.
CENTRES = ((11.0, 11.0, 9.0), (26.0, 26.0, 29.0))


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write_labels(tmp_path / "references" / "s1_mask.nii.gz", REFERENCE)


def detection_json(path: Path, candidates: list[dict]) -> Path:
    path.write_text(json.dumps({"schema": "cmbnet-detection", "candidates": candidates}))
    return path


def one(prediction: Path | None, reference: Path | None, rule: MatchingRule = RULE, **more) -> ScanResult:
    return evaluate_pair(Pair("s1", "s1", prediction, reference, **more), EvaluationSettings(rule)).result


def outcome(result: ScanResult) -> tuple[int, int, int]:
    return result.tp, result.fp, result.fn


# --- every kind of prediction gives the same answer ---


def as_labels(folder: Path) -> Path:
    return write_labels(folder / "s1.nii.gz", np.where(REFERENCE == 1, 5, 0).astype(np.uint16))


def as_mask(folder: Path) -> Path:
    return write_labels(folder / "s1.nrrd", (REFERENCE == 1).astype(np.uint8))


def as_probability(folder: Path) -> Path:
    return write_labels(folder / "s1.mha", np.choose(REFERENCE, [0.0, 0.8, 0.3]).astype(np.float32))


def as_detection(folder: Path) -> Path:
    entries = [
        {"id": 1, "score": 0.9, "center_ras": CENTRES[0], "is_microbleed": True},
        {"id": 2, "score": 0.2, "center_ras": CENTRES[1], "is_microbleed": False},
    ]
    return detection_json(folder / "s1_detection.json", entries)


def as_points(folder: Path) -> Path:
    return write_points(folder / "s1.csv", [CENTRES[0]])


def as_tab_separated_points(folder: Path) -> Path:
    path = folder / "s1.tsv"
    path.write_text("id\tR\tA\tS\tscore\n4\t11\t11\t9\t0.7\n")
    return path


def as_bare_numbers(folder: Path) -> Path:
    path = folder / "s1.csv"
    path.write_text("11;11;9;0.7\n")
    return path


KINDS = (as_labels, as_mask, as_probability, as_detection, as_points, as_tab_separated_points, as_bare_numbers)


@pytest.mark.parametrize("write", KINDS, ids=lambda write: write.__name__)
def test_every_kind_of_prediction_is_read(write, tmp_path: Path, reference: Path) -> None:
    result = one(write(tmp_path), reference)
    assert outcome(result) == (1, 0, 1)
    assert result.warnings == ()


@pytest.mark.parametrize("write", [as_labels, as_mask, as_points, as_detection], ids=lambda write: write.__name__)
def test_references_may_be_masks_points_or_detections(write, tmp_path: Path) -> None:
    prediction = write_labels(tmp_path / "p" / "s1.nii.gz", REFERENCE)
    assert outcome(one(prediction, write(tmp_path))) == (1, 1, 0)


def test_a_probability_map_is_ranked_from_the_floor_on(tmp_path: Path) -> None:
    prediction = read_prediction(as_probability(tmp_path), RULE, floor=0.1)
    assert prediction.called.scores.tolist() == pytest.approx([0.8])
    assert sorted(prediction.ranked.scores) == pytest.approx([0.3, 0.8])
    assert len(read_prediction(as_probability(tmp_path), RULE, threshold=0.25).called) == 2
    assert len(read_prediction(as_detection(tmp_path), RULE, threshold=0.1).called) == 2


def test_an_empty_prediction_is_a_prediction_with_an_empty_ranking(tmp_path: Path, reference: Path) -> None:
    """Zero found is a result; it must not cost the other scans their FROC."""
    empty = write_labels(tmp_path / "s1.nii.gz", np.zeros(SHAPE, np.float32))
    listed = write_points(tmp_path / "s1.csv", [], header="x,y,z,score")
    for path in (empty, listed):
        result = one(path, reference)
        assert outcome(result) == (0, 0, 2)
        assert result.ranking is not None
        assert not result.missing_prediction


def test_files_of_several_gzip_members_are_read(tmp_path: Path, reference: Path) -> None:
    """Parallel packers write them; their last checksum is not that of the whole."""
    path = as_labels(tmp_path)
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:5000]) + gzip.compress(content[5000:]))
    assert outcome(one(path, reference)) == (1, 0, 1)


def test_a_detection_with_its_candidate_map_has_outlines(tmp_path: Path, reference: Path) -> None:
    path = as_detection(tmp_path)
    write_labels(tmp_path / "s1_candidates.nii.gz", REFERENCE)
    assert outcome(one(path, reference, rule_of("overlap"))) == (1, 0, 1)
    write_labels(tmp_path / "s1_candidates.nii.gz", REFERENCE + 5 * (REFERENCE > 0).astype(np.uint16))
    with pytest.raises(InputError, match="no candidate"):
        one(path, reference)


# --- grids that differ ---


def test_a_prediction_on_another_grid_is_brought_over_with_a_warning(tmp_path: Path, reference: Path) -> None:
    """Half the voxel edges in plane and flipped axes: the same places, so the same lesion with the same Dice."""
    fine = np.repeat(np.repeat(REFERENCE == 1, 2, axis=1), 2, axis=2)[:, ::-1, ::-1].astype(np.uint8)
    matrix = np.diag([-0.5, -0.5, 2.0, 1.0])
    matrix[:3, 3] = (SHAPE[2] - 1 + 0.25, SHAPE[1] - 1 + 0.25, 0.0)
    path = write_volume(Volume(fine, matrix), tmp_path / "s1_pred.nii.gz")
    result = one(path, reference, rule_of("overlap"))
    assert outcome(result) == (1, 0, 1)
    assert "another voxel grid" in result.warnings[0]
    hit = next(call for call in result.calls if call.outcome == "TP")
    assert (hit.dice, hit.distance_mm) == pytest.approx((1.0, 0.0))


def test_a_lesion_smaller_than_a_reference_voxel_is_not_lost(tmp_path: Path, reference: Path) -> None:
    fine = np.zeros((SHAPE[0] * 4, 40, 40), np.uint8)
    fine[19, 11, 11] = 1  # 0.5 mm slices: z = 9.5 mm lies between two slices of the reference
    path = write_labels(tmp_path / "s1.nii.gz", fine, (1.0, 1.0, 0.5))
    result = one(path, reference)
    assert outcome(result) == (1, 0, 1)
    assert any("smaller than a voxel" in text for text in result.warnings)


def test_two_images_of_different_places_are_refused(tmp_path: Path, reference: Path) -> None:
    matrix = np.diag([1.0, 1.0, 2.0, 1.0])
    matrix[0, 3] = 500.0
    path = write_volume(Volume((REFERENCE > 0).astype(np.uint8), matrix), tmp_path / "far.nii.gz")
    with pytest.raises(InputError, match="share no space"):
        one(path, reference)


def test_points_outside_the_image_are_named(tmp_path: Path, reference: Path) -> None:
    path = write_points(tmp_path / "s1.csv", [CENTRES[0], (-11, -11, 9)])
    result = one(path, reference)
    assert outcome(result) == (1, 1, 1)
    assert "1 of 2 predicted points lie outside" in result.warnings[0]


# --- ignored lesions and known mimics ---


def test_ignored_lesions_come_from_size_certainty_or_a_file(tmp_path: Path, reference: Path) -> None:
    """Both lesions have 18 voxels of 2 mm3: 36 mm3, a ball of 4.1 mm diameter."""
    prediction = write_labels(tmp_path / "s1.nii.gz", boxes(((14, 25, 25), (2, 3, 3))))
    settings = EvaluationSettings(RULE, ignore_below_mm=4.2)
    assert evaluate_pair(Pair("s1", "s1", prediction, reference), settings).result.n_ignored == 2
    rows = [(*CENTRES[0], "definite"), (*CENTRES[1], "possible")]
    uncertain = write_points(tmp_path / "r.csv", rows, header="x,y,z,certainty")
    result = one(prediction, uncertain)
    assert (outcome(result), result.n_ignored) == ((0, 0, 1), 1)
    only_first = write_labels(tmp_path / "first.nii.gz", (REFERENCE == 1).astype(np.uint8))
    assert outcome(one(prediction, only_first)) == (0, 1, 1)
    ignore = write_points(tmp_path / "i.csv", [CENTRES[1]])
    assert outcome(one(prediction, only_first, ignore=ignore)) == (0, 0, 1)


def test_false_positives_are_named_after_the_mimic_they_lie_on(tmp_path: Path, reference: Path) -> None:
    prediction = write_points(tmp_path / "p.csv", [CENTRES[0], (5, 30, 9), (35, 5, 40)])
    decoys = write_points(tmp_path / "d.csv", [(5, 32, 9, "vein"), (20, 20, 20, "calcification")], "x,y,z,mimic")
    result = one(prediction, reference, decoys=decoys)
    assert [(call.outcome, call.cause) for call in result.calls] == [("TP", ""), ("FP", "vein"), ("FP", ""), ("FN", "")]


def test_what_a_reader_rejected_names_the_false_positives_there(tmp_path: Path, reference: Path) -> None:
    """A readings file as decoys: what the reader called a vein lies 2 mm from one of the two false positives."""
    from reading_study import no, write_reading

    prediction = write_points(tmp_path / "p.csv", [CENTRES[0], (5, 30, 9), (35, 5, 40)])
    decoys = write_reading(tmp_path / "decoys", "scan", "anna", [no((5, 32, 9), 3)])
    result = one(prediction, reference, decoys=decoys)
    assert [(call.outcome, call.cause) for call in result.calls] == [("TP", ""), ("FP", "vein"), ("FP", ""), ("FN", "")]


# --- bad files ---


def cut_off(folder: Path) -> Path:
    path = write_labels(folder / "cut.nii.gz", REFERENCE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def altered(folder: Path) -> Path:
    """Unpacks without a fault, but the checksum tells that it is not what was written."""
    path = write_labels(folder / "altered.nii.gz", REFERENCE)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(content))[:-8] + path.read_bytes()[-8:])
    return path


def no_image(folder: Path) -> Path:
    path = folder / "text.nii.gz"
    path.write_text("not an image")
    return path


def negative(folder: Path) -> Path:
    return write_labels(folder / "negative.nii.gz", -REFERENCE.astype(np.int16))


def not_numbers(folder: Path) -> Path:
    return write_labels(folder / "nan.nii.gz", np.where(REFERENCE > 0, np.nan, 0).astype(np.float32))


def above_one(folder: Path) -> Path:
    return write_labels(folder / "big.nii.gz", np.where(REFERENCE > 0, 1.5, 0).astype(np.float32))


def a_scan(folder: Path) -> Path:
    return write_labels(folder / "scan.nii.gz", np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int32))


def no_positions(folder: Path) -> Path:
    return write_points(folder / "columns.csv", [(1, 2)], header="left,right")


def bad_number(folder: Path) -> Path:
    return write_points(folder / "number.csv", [(1, "two", 3)])


def long_row(folder: Path) -> Path:
    return write_points(folder / "long.csv", [(1, 2, 3, 4)])


def other_json(folder: Path) -> Path:
    path = folder / "other_detection.json"
    path.write_text('{"schema": "something"}')
    return path


def torn_json(folder: Path) -> Path:
    path = folder / "torn_detection.json"
    path.write_text('{"schema": "cmbnet-det')
    return path


def candidate_without_place(folder: Path) -> Path:
    return detection_json(folder / "place_detection.json", [{"id": 1, "score": 0.5, "is_microbleed": True}])


def candidate_at_nan(folder: Path) -> Path:
    nowhere = [float("nan"), 0.0, 0.0]
    entry = {"id": 1, "score": 0.5, "is_microbleed": True, "center_ras": nowhere}
    return detection_json(folder / "nan_detection.json", [entry])


def unknown_kind(folder: Path) -> Path:
    path = folder / "lesions.docx"
    path.write_text("x")
    return path


BAD = (
    (cut_off, "damaged|cut off"),
    (altered, "altered"),
    (no_image, "no NIfTI file"), (negative, "negative"), (not_numbers, "not numbers"),
    (above_one, "above 1"), (a_scan, "looks like a scan"), (no_positions, "no position columns"),
    (bad_number, "not a number"), (long_row, "has 4 cells"), (other_json, "no detection file"),
    (torn_json, "as JSON"), (candidate_without_place, "without id, score, centre"),
    (candidate_at_nan, "finite"), (unknown_kind, "no kind"),
)  # fmt: skip


@pytest.mark.parametrize(("write", "message"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_file_is_refused_with_its_name(write, message: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    for read in (read_prediction, read_reference):
        with pytest.raises(InputError, match=message) as refusal:
            read(path, RULE)
        assert path.name in str(refusal.value)


@pytest.mark.parametrize(("write", "message"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_one_bad_scan_never_stops_the_others(write, message: str, tmp_path: Path, reference: Path) -> None:
    good = write_points(tmp_path / "good.csv", [CENTRES[0]])
    pairs = [Pair("bad", "bad", write(tmp_path), reference), Pair("good", "good", good, reference)]
    evaluation = evaluate_pairs(pairs, EvaluationSettings(RULE))
    assert [result.scan_id for result in evaluation.results] == ["good"]
    (problem,) = evaluation.problems
    assert problem["scan_id"] == "bad"
    assert problem["message"].startswith("Not evaluated")


def test_missing_sides_are_listed_and_a_missing_prediction_finds_nothing(tmp_path: Path, reference: Path) -> None:
    point = write_points(tmp_path / "p.csv", [CENTRES[0]])
    gone = tmp_path / "gone.nii.gz"
    pairs = [
        Pair("no_prediction", "a", None, reference), Pair("no_reference", "b", point, None),
        Pair("gone", "c", gone, reference), Pair("good", "d", point, reference),
    ]  # fmt: skip
    evaluation = evaluate_pairs(pairs, EvaluationSettings(RULE))
    assert [(result.scan_id, *outcome(result)) for result in evaluation.results] == [
        ("good", 1, 0, 1), ("no_prediction", 0, 0, 2),
    ]  # fmt: skip
    assert evaluation.results[1].missing_prediction
    said = {problem["scan_id"]: problem["message"] for problem in evaluation.problems}
    assert "every reference lesion counts as missed" in said["no_prediction"]
    assert "no reference" in said["no_reference"]
    assert "no file" in said["gone"]


def test_nothing_evaluated_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="None of the scans"):
        evaluate_pairs([Pair("a", "a", cut_off(tmp_path), None)], EvaluationSettings(RULE))


def test_scans_with_and_without_scores_say_why_there_is_no_froc(tmp_path: Path, reference: Path) -> None:
    pairs = [Pair("a", "a", as_detection(tmp_path), reference), Pair("b", "b", as_labels(tmp_path), reference)]
    evaluation = evaluate_pairs(pairs, EvaluationSettings(RULE))
    assert [problem["message"] for problem in evaluation.problems] == [
        "No FROC: the predictions of 1 of 2 scans, such as b, have no scores."
    ]
