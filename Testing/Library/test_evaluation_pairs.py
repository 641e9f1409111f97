"""Which prediction belongs to which reference: by folder, by table, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from CMBNetEvaluationLib.pairs import pairs_from_folders, pairs_from_table, scan_name, subject_of
from CMBNetLib.errors import InputError
from evaluation_cases import write_points


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("sub-1_swi_detection.json", "sub-1_swi"), ("sub-1_swi_mask.nii.gz", "sub-1_swi"), ("01_GT.nii", "01"),
        ("sub-1/prediction.nii.gz", "sub-1"), ("sub-1/readings/anna_round1.jsonl", "anna_round1"),
        ("sub-201_space-T2S_CMB.nii.gz", "sub-201"), ("case.v2_pred.csv", "case.v2"),
    ],
)  # fmt: skip
def test_the_name_of_a_scan_is_what_is_left_without_the_role(path: str, name: str) -> None:
    assert scan_name(Path(path)) == name


def test_subjects_are_taken_from_bids_names() -> None:
    assert subject_of("sub-03_ses-2_swi") == "sub-03"
    assert subject_of("patient7") == "patient7"


def test_folders_are_paired_by_name(tmp_path: Path) -> None:
    for name in ("a_detection.json", "a_microbleeds.nii.gz", "a_candidates.nii.gz", "b.csv", "only_here.csv"):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "p" / name).touch()
    for name in ("a_mask.nii.gz", "sub/b_swi_mask.nii.gz", "missed.nii.gz", "twice_mask.nii.gz", "twice_gt.nii.gz"):
        path = tmp_path / "r" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    pairs, problems = pairs_from_folders(tmp_path / "p", tmp_path / "r")
    found = {
        pair.scan_id: tuple(path.name if path else None for path in (pair.prediction, pair.reference)) for pair in pairs
    }
    assert found == {
        "a": ("a_detection.json", "a_mask.nii.gz"), "b": ("b.csv", "b_swi_mask.nii.gz"),
        "missed": (None, "missed.nii.gz"), "only_here": ("only_here.csv", None),
    }  # fmt: skip
    assert len(problems) == 1
    assert problems[0].startswith("twice: several files")


def test_a_table_names_pairs_and_what_is_known_of_them(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("scan_id,subject_id,prediction,reference,sequence\nx,s,p/x.csv,r/x.nii.gz,SWI\ny,s,,r/y.nii.gz,\n")
    first, second = pairs_from_table(table)
    assert (first.prediction, first.reference) == (tmp_path / "p/x.csv", tmp_path / "r/x.nii.gz")
    assert (first.subject_id, dict(first.attributes)) == ("s", {"sequence": "SWI"})
    assert (second.prediction, dict(second.attributes)) == (None, {})
    other = tmp_path / "other"
    write_points(other / "x.csv", [(11.0, 11.0, 9.0)])
    replaced = pairs_from_table(table, other, replace_predictions=True)
    assert [pair.prediction for pair in replaced] == [other / "x.csv", None]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "lists no scans"), ("a,b\n1,2\n", "needs columns"), ("scan_id,reference\nx,r\nx,r\n", "twice")],
)
def test_a_bad_table_is_refused(text: str, message: str, tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=message):
        pairs_from_table(table)
