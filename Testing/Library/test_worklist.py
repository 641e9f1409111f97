"""Worklists: from a CSV, a BIDS data set or a folder; rows that are wrong are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from CMBNetLib.errors import InputError
from CMBNetLib.reading_events import Event
from CMBNetLib.readings import ReadingHeader, ReadingStore, readings_path
from CMBNetLib.worklist import Case, read_worklist, unique_names, worklist_of_paths, write_csv_worklist
from CMBNetLib.worklist_status import CaseStatus, case_status, filter_statuses


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def table(tmp_path: Path, text: str, **options: str) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(text, **options)  # type: ignore[arg-type]
    return path


def test_a_csv_lists_cases_with_paths_relative_to_it(tmp_path: Path) -> None:
    touch(tmp_path / "scans" / "a.nii.gz", tmp_path / "scans" / "b.nii.gz", tmp_path / "scans" / "b_phase.nii.gz")
    text = 'case_id,image,prior,notes,second\na,scans/a.nii.gz,,"fell, twice",\nb,scans/b.nii.gz,scans/a.nii.gz,,'
    worklist = read_worklist(table(tmp_path, text + "scans/b_phase.nii.gz\n\n"))
    first, second = worklist.cases
    assert (first.case_id, first.image, first.prior) == ("a", tmp_path / "scans" / "a.nii.gz", None)
    assert first.notes == "fell, twice"
    assert (second.prior, second.second) == (tmp_path / "scans/a.nii.gz", tmp_path / "scans/b_phase.nii.gz")
    assert worklist.output_folder == tmp_path / "cmbnet-review"
    assert first.derived("reviewed", "mask.nii.gz") == tmp_path / "cmbnet-review/a/a_desc-reviewed_mask.nii.gz"
    assert first.detection == tmp_path / "cmbnet-review" / "a" / "a_detection.json"
    assert worklist.problems == ()
    assert worklist.index("b") == 1


def test_semicolons_a_byte_order_mark_and_short_rows_are_read(tmp_path: Path) -> None:
    touch(tmp_path / "a.nii")
    text = "Case_ID;Image;Notes;Ward\r\na;a.nii\r\n"
    worklist = read_worklist(table(tmp_path, text, encoding="utf-8-sig", newline=""))
    assert [case.case_id for case in worklist.cases] == ["a"]
    assert worklist.problems == ("Column 'ward' of list.csv is not used.",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the columns case_id, image"),
        ("case_id,scan\na,a.nii\n", "lacks the column image"),
        ("case_id,image\n", "lists no case"),
        ("case_id,image\na,a.nii\n,b.nii\nc,\n", "no case_id or no image in line 3, 4"),
        ("case_id,image\na,a.nii\nb,b.nii\nA,c.nii\n", r"more than once: 'a' \(lines 2, 4\)"),
        ("case_id,image\n../a,a.nii\n", r"cannot be used in a file name: '\.\./a' \(line 2\)"),
        ("case_id,image\na,a.nii,b,c\n", "Line 2 .* has 4 fields, the first line has 2"),
    ],
)
def test_wrong_tables_are_refused_with_their_lines(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_worklist(table(tmp_path, text))


def test_no_worklist_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no worklist"):
        read_worklist(tmp_path / "nothing.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as text"):
        read_worklist(tmp_path / "binary.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no scan"):
        read_worklist(tmp_path / "empty")
    with pytest.raises(InputError, match="Load a scan"):
        worklist_of_paths([], tmp_path)


def test_a_missing_file_is_told_and_does_not_hide_the_other_cases(tmp_path: Path) -> None:
    touch(tmp_path / "a.nii")
    worklist = read_worklist(table(tmp_path, "case_id,image,reference\na,a.nii,truth.nii\nb,b.nii,\n"))
    assert worklist.problems == (
        f"Case a: reference {tmp_path / 'truth.nii'} is missing.",
        f"Case b: image {tmp_path / 'b.nii'} is missing.",
    )
    assert [case_status(case, "ann").status for case in worklist.cases] == ["new", "missing"]


def test_a_bids_data_set_gives_cases_priors_and_phase(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").parent.mkdir(exist_ok=True)
    touch(
        tmp_path / "dataset_description.json",
        tmp_path / "sub-1/ses-1/swi/sub-1_ses-1_swi.nii.gz",
        tmp_path / "sub-1/ses-2/swi/sub-1_ses-2_swi.nii.gz",
        tmp_path / "sub-2/anat/sub-2_part-mag_T2starw.nii.gz",
        tmp_path / "sub-2/anat/sub-2_part-phase_T2starw.nii.gz",
        tmp_path / "sub-2/anat/sub-2_T1w.nii.gz",
        tmp_path / "sub-2/anat/sub-2_label-CMB_swi.nii.gz",
        tmp_path / "derivatives/other/sub-1/anat/sub-1_swi.nii.gz",
    )
    worklist = read_worklist(tmp_path)
    assert [case.case_id for case in worklist.cases] == ["sub-1_ses-1_swi", "sub-1_ses-2_swi", "sub-2_part-mag_T2starw"]
    first, second, third = worklist.cases
    assert (first.prior, second.prior, third.prior) == (None, first.image, None)
    assert third.second == tmp_path / "sub-2/anat/sub-2_part-phase_T2starw.nii.gz"
    derived = tmp_path / "derivatives/cmbnet/sub-1/ses-2"
    assert second.folder == derived / "sub-1_ses-2_swi"
    name = "sub-1_ses-2_space-orig_label-CMB_desc-reviewed_mask.nii.gz"
    assert second.derived("reviewed", "mask.nii.gz") == derived / "anat" / name


def test_the_prior_is_that_of_the_session_before_by_number(tmp_path: Path) -> None:
    for session in ("M6", "M12", "M24"):
        touch(tmp_path / f"sub-1/ses-{session}/anat/sub-1_ses-{session}_swi.nii.gz")
    cases = {case.image.parts[-3]: case for case in read_worklist(tmp_path).cases}
    priors = {session: case.prior.parts[-3] if case.prior else None for session, case in cases.items()}
    assert priors == {"ses-M6": None, "ses-M12": "ses-M6", "ses-M24": "ses-M12"}


def test_a_series_beside_other_files_is_found(tmp_path: Path) -> None:
    touch(*(tmp_path / "a" / name for name in (".DS_Store", "AUTORUN.INF", "CHECKSUM.TXT", "DESKTOP.INI")))
    for path in (tmp_path / "a" / "IM0001", tmp_path / "DICOMDIR"):
        path.write_bytes(b"\0" * 128 + b"DICM")
    assert [case.image for case in read_worklist(tmp_path).cases] == [tmp_path / "a"]


def test_a_folder_gives_scans_and_dicom_folders_without_masks_and_our_own_files(tmp_path: Path) -> None:
    touch(
        tmp_path / "x" / "scan.nii.gz",
        tmp_path / "y" / "scan.nii.gz",
        tmp_path / "y" / "scan_mask.nii.gz",
        tmp_path / "b.nrrd",
        tmp_path / "notes.txt",
        tmp_path / "cmbnet-review" / "b" / "b_other.nii.gz",
    )
    dicom = tmp_path / "dicom" / "1.2.3"
    dicom.mkdir(parents=True)
    (dicom / "i1").write_bytes(bytes(128) + b"DICM" + bytes(9))
    worklist = read_worklist(tmp_path)
    assert {case.case_id: case.image.relative_to(tmp_path).as_posix() for case in worklist.cases} == {
        "b": "b.nrrd",
        "1.2.3": "dicom/1.2.3",
        "x_scan": "x/scan.nii.gz",
        "y_scan": "y/scan.nii.gz",
    }


def test_names_become_unique_and_valid() -> None:
    assert unique_names(["a b", "a b", "_x", "ü"]) == ["a-b", "a-b-2", "x", "case"]


def test_a_worklist_can_be_written_and_read_again(tmp_path: Path) -> None:
    touch(tmp_path / "a.nii", tmp_path / "points.csv")
    case = Case("a", tmp_path / "a.nii", tmp_path, candidates=tmp_path / "points.csv", notes="c3; c7 disagree")
    path = write_csv_worklist(tmp_path / "out" / "adjudicate.csv", [case])
    (again,) = read_worklist(path).cases
    assert (again.case_id, again.image, again.candidates, again.notes) == ("a", case.image, case.candidates, case.notes)


def a_case(tmp_path: Path, n_candidates: int) -> Case:
    touch(tmp_path / "a.nii")
    case = Case("a", tmp_path / "a.nii", tmp_path / "out" / "a")
    case.folder.mkdir(parents=True)
    case.detection.write_text(json.dumps({"candidates": [{}] * n_candidates}))
    return case


def test_the_status_follows_the_reading(tmp_path: Path) -> None:
    case = a_case(tmp_path, 4)
    assert case_status(case, "ann") == CaseStatus("a", "new", "ann", 4)
    with ReadingStore(readings_path(case.folder, "ann"), ReadingHeader("a", "ann")) as store:
        store.append(Event("decide", target="c1", verdict="unsure", seconds=30.0))
        store.append(Event("add", point_ras=(1.0, 2.0, 3.0), verdict="microbleed", seconds=60.0))
        assert case_status(case, "ann") == CaseStatus("a", "started", "ann", 5, 2, 1.5)
        store.append(Event("finish"))
    assert case_status(case, "ann").status == "finished"
    assert case_status(case, "bob").status == "new"
    assert case_status(case, "ann", 2).status == "new"


def test_a_blinded_reader_is_not_told_how_many_candidates_there_are(tmp_path: Path) -> None:
    case = a_case(tmp_path, 4)
    assert case_status(case, "ann", blinded=True).candidates is None
    with ReadingStore(readings_path(case.folder, "ann"), ReadingHeader("a", "ann"), mode="blinded") as store:
        store.append(Event("add", point_ras=(1.0, 2.0, 3.0), verdict="microbleed"))
        assert case_status(case, "ann", blinded=True).candidates == 1
        store.append(Event("finish"))
        store.append(Event("reveal"))
    assert case_status(case, "ann", blinded=True).candidates == 5


def test_a_damaged_readings_file_is_told_in_its_row(tmp_path: Path) -> None:
    case = a_case(tmp_path, 1)
    path = readings_path(case.folder, "ann")
    touch(path)
    row = case_status(case, "ann")
    assert row.status == "damaged"
    assert "ann_round1.jsonl" in row.message


def test_filter_and_search_narrow_the_table() -> None:
    rows = [CaseStatus("Sub-01", "new"), CaseStatus("sub-02", "started"), CaseStatus("sub-11", "finished")]
    assert [row.case_id for row in filter_statuses(rows, "to do")] == ["Sub-01", "sub-02"]
    assert [row.case_id for row in filter_statuses(rows, "finished")] == ["sub-11"]
    assert [row.case_id for row in filter_statuses(rows, "all", "SUB 01")] == ["Sub-01"]
    assert filter_statuses(rows, "missing") == []
    with pytest.raises(InputError, match="Unknown filter"):
        filter_statuses(rows, "best")
