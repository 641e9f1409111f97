"""Every layout is read back from disk: scans, marks, attributes; and what is wrong with it is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import curation_sources as sources
from CMBNetLib.errors import InputError
from CMBNetLib.readings import ReadingHeader, ReadingStore, readings_path
from CMBNetLib.review_case import CaseReview
from CMBNetLib.review_gathering import gather
from CMBNetLib.review_loading import read_case
from CMBNetLib.review_training import export_training
from CMBNetTrainingLib.dataset_layouts import LAYOUTS, choose_layout
from CMBNetTrainingLib.scan_loading import load_scan
from CMBNetTrainingLib.source_scan import Listing, SourceError, SourceScan
from head_phantom import SPOTS_RAS
from review_cases import a_worklist, dots_of, ticking_clock


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sets")
    for name, (make, _) in sources.MAKERS.items():
        make(folder / name)
    return {name: folder / name for name in sources.MAKERS}


@pytest.fixture
def copy_of(roots: dict[str, Path], tmp_path: Path):
    def copy(name: str) -> Path:
        return Path(shutil.copytree(roots[name], tmp_path / name))

    return copy


def listed(root: Path, name: str) -> Listing:
    return choose_layout(root, name).list_scans(root)


def codes(listing: Listing) -> list[tuple[str, str]]:
    return [(problem.scan_id, problem.code) for problem in listing.problems]


def by_id(listing: Listing) -> dict[str, SourceScan]:
    return {scan.scan_id: scan for scan in listing.scans}


def distance_to_spots(points: list[tuple[float, float, float]]) -> np.ndarray:
    away = np.linalg.norm(np.array(points)[:, None] - np.array(SPOTS_RAS)[None], axis=-1)
    return np.sort(away.min(axis=0))


@pytest.mark.parametrize("name", list(sources.MAKERS))
def test_a_layout_is_recognised_and_no_other_fits_it(roots: dict[str, Path], name: str) -> None:
    assert choose_layout(roots[name]).name == name
    assert [layout.name for layout in LAYOUTS if layout.misses(roots[name]) is None] == [name]


@pytest.mark.parametrize("name", list(sources.MAKERS))
def test_all_scans_and_microbleeds_come_back(roots: dict[str, Path], name: str, tmp_path: Path) -> None:
    listing = listed(roots[name], "auto")
    assert listing.problems == ()
    assert len(listing.scans) == sources.MAKERS[name][1]
    expected = sources.MAKERS[name][0](tmp_path / "again")
    loaded = [load_scan(scan) for scan in listing.scans]
    assert sum(len(item.marks) for item in loaded) == expected
    assert len({item.scan.fingerprint() for item in loaded}) == len(loaded)


@pytest.mark.parametrize("name", ["valdo", "dou", "rodeja", "redbrick", "bids"])
def test_marks_lie_where_the_microbleeds_are(roots: dict[str, Path], name: str) -> None:
    loaded = load_scan(listed(roots[name], name).scans[0])
    assert distance_to_spots([mark.center_ras for mark in loaded.marks])[-1] < 1.7  # half a voxel's diagonal


def test_valdo_has_its_outside_repaired_and_an_empty_label_is_a_scan_without_microbleeds(roots) -> None:
    scans = by_id(listed(roots["valdo"], "valdo"))
    first, second = (load_scan(scan) for scan in scans.values())
    assert np.isfinite(first.scan.array).all()
    assert "values" in [step["step"] for step in first.steps]
    assert "empty" in [step["step"] for step in second.steps]
    assert second.marks == ()
    assert scans["valdo-sub-205"].echo_time_ms == 31.0
    assert first.scan.metadata["sequence"] == "T2*"


def test_momeni_keeps_visits_and_roles_and_drops_repeated_points(roots) -> None:
    scans = by_id(listed(roots["momeni"], "momeni"))
    assert scans["momeni-305_T0"].subject_id == scans["momeni-305_T1"].subject_id == "momeni-305"
    assert {scan.role for scan in scans.values()} == {"real", "synthetic"}
    assert scans["momeni-411_T0"].points == ()
    first = load_scan(scans["momeni-305_T0"])
    assert first.n_in_source == 5
    assert len(first.marks) == 3
    assert sum(step["step"] == "double" for step in first.steps) == 2
    mixed = load_scan(scans["momeni-305_T0_rsCMB_V1"])
    assert sum(mark.attributes.get("origin") == "real" for mark in mixed.marks) == 3


def test_redbrick_splits_entries_and_keeps_attributes_and_mimics(roots) -> None:
    loaded = load_scan(listed(roots["redbrick"], "redbrick").scans[0])
    assert [mark.kind for mark in loaded.marks] == ["dots"] * 3
    assert loaded.marks[0].attributes == {"Multiple": True}
    assert loaded.marks[2].attributes["Location"] == "Cortex"
    assert [mark.attributes["Type"] for mark in loaded.mimics] == ["cavernoma"]
    assert {step["step"] for step in loaded.steps} >= {"split", "other"}


def test_negatives_prefer_swi_and_say_where_their_name_comes_from(roots) -> None:
    scans = by_id(listed(roots["negative"], "negative"))
    assert {name: scan.sequence for name, scan in scans.items()} == {"negative-s1": "SWI", "negative-s2": "T2*"}
    assert all(scan.role == "negative" and scan.notes for scan in scans.values())


def test_bids_reads_sidecars_sessions_and_columns_of_the_table(roots) -> None:
    scans = by_id(listed(roots["bids"], "bids"))
    first, second, third = (load_scan(scan) for scan in scans.values())
    assert first.scan.metadata["field_strength_t"] == 3
    assert first.scan.metadata["echo_time_ms"] == pytest.approx(20)
    assert second.marks[0].attributes == {"certainty": "high"}
    assert [scan.session for scan in scans.values()] == ["", "1", "2"]
    assert len(third.marks) == 3


def test_readings_keep_mimics_and_leave_out_what_readers_were_unsure_of(roots) -> None:
    scans = by_id(listed(roots["readings"], "readings"))
    first, second = (load_scan(scan) for scan in scans.values())
    assert [mark.attributes for mark in first.mimics] == [{"Type": "vein"}]
    assert first.scan.metadata["sequence"] == "SWI"
    assert {scan.subject_id for scan in scans.values()} == {"readings-sub-01", "readings-sub-02"}
    assert second.marks == ()


def test_what_the_review_room_exports_is_a_data_set(tmp_path: Path) -> None:
    worklist = a_worklist(tmp_path, 1, seed=2)
    (case,) = worklist.cases
    loaded = read_case(case, dots_of)
    header = ReadingHeader(case.case_id, "ann", 1, loaded.fingerprint)
    with ReadingStore(readings_path(case.folder, "ann"), header) as store:
        review = CaseReview(store, loaded.source, clock=ticking_clock())
        review.decide("microbleed")
        review.finish()
    export_training(gather(worklist), tmp_path / "train", None, dots_of)
    (scan,) = listed(tmp_path / "train", "auto").scans
    taken = load_scan(scan)
    assert len(taken.marks) == taken.n_in_source == 1
    assert np.linalg.norm(np.subtract(taken.marks[0].center_ras, loaded.source.candidates[0].point_ras)) < 0.5


def test_damaged_exports_of_readings_are_named(copy_of) -> None:
    root = copy_of("readings")
    (root / "labels" / "sub-01_swi.nii.gz").unlink()
    manifest = (root / "manifest.csv").read_text()
    (root / "manifest.csv").write_text(manifest.replace("sub-02,", ",", 1))
    assert codes(listed(root, "readings")) == [
        ("readings-sub-01_swi", "missing_label"), ("readings-sub-02_swi", "damaged"),
    ]  # fmt: skip
    (root / "mimics.csv").write_text("scan_id,x,y\n")
    assert codes(listed(root, "readings")) == [("readings-manifest.csv", "damaged")]


def test_a_folder_of_nothing_gets_a_sentence_for_every_reader(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        choose_layout(tmp_path)
    assert all(f"{layout.name} (" in str(error.value) for layout in LAYOUTS)
    with pytest.raises(InputError, match="no folder"):
        choose_layout(tmp_path / "none")
    with pytest.raises(InputError, match="Unknown data set"):
        choose_layout(tmp_path, "kitti")


def test_a_folder_that_fits_two_readers_asks_which(tmp_path: Path) -> None:
    sources.make_dou(tmp_path)
    sources.make_negative(tmp_path)
    with pytest.raises(InputError, match="--dataset"):
        choose_layout(tmp_path)


def test_missing_and_double_files_are_named(copy_of) -> None:
    valdo = copy_of("valdo")
    (valdo / "sub-101" / "sub-101_space-T2S_CMB.nii.gz").unlink()
    assert codes(listed(valdo, "valdo")) == [("valdo-sub-101", "missing_label")]
    dou = copy_of("dou")
    (dou / "ground_truth" / "02.mat").unlink()
    shutil.copy(dou / "nii" / "01.nii", dou / "nii" / "1.nii")
    assert codes(listed(dou, "dou")) == [("dou-01", "duplicate"), ("dou-02", "missing_label")]
    rodeja = copy_of("rodeja")
    (rodeja / "cph_annotated" / "images" / "00300.nii.gz").unlink()
    assert codes(listed(rodeja, "rodeja")) == [("rodeja-reader_00300", "missing_image")]
    redbrick = copy_of("redbrick")
    shutil.rmtree(redbrick / "1.2.3.4" / "segmentations")
    assert codes(listed(redbrick, "redbrick")) == [("redbrick-1.2.3.4", "missing_label")]
    bids = copy_of("bids")
    (bids / "sub-01" / "anat" / "sub-01_T2starw.nii.gz").unlink()
    assert codes(listed(bids, "bids")) == [("bids-sub-01_label-CMB_mask", "missing_image")]

    negative = copy_of("negative")
    shutil.copy(negative / "Data" / "s1" / "a_SWI_1.nii.gz", negative / "Data" / "s1" / "a_SWI_2.nii.gz")
    (negative / "Data" / "s3").mkdir()
    assert codes(listed(negative, "negative")) == [("negative-s1", "duplicate"), ("negative-s3", "missing_image")]


def test_momeni_names_bad_rows_missing_images_and_missing_rows(copy_of) -> None:
    root = copy_of("momeni")
    public = root / "data" / "PublicDataShare_2020"
    name = "305_T{}_MRI_SWI_BFC_50mm_HM.nii.gz"
    rows = [[name.format(0), 10, 11, 12, "x", 5, 6], [name.format(7), 1, 2, 3]]
    sources.write_sheet(public / "rCMBInformationInfo.xlsx", rows)
    found = codes(listed(root, "momeni"))
    assert ("momeni-305_T0_MRI_SWI_BFC_50mm_HM", "damaged") in found
    assert ("momeni-305_T7_MRI_SWI_BFC_50mm_HM", "missing_image") in found
    assert ("momeni-305_T1", "missing_label") in found
    (public / "rCMBInformationInfo.xlsx").write_bytes(b"PK\3\4 no spreadsheet")
    assert ("momeni-rCMBInformationInfo.xlsx", "damaged") in codes(listed(root, "momeni"))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("shift", "grid", "not on the grid"),
        ("crop", "grid", "not on the grid"),
        ("two", "values", "0 and one other value"),
        ("negative", "values", "negative"),
        ("inverted", "values", "more than microbleeds can fill"),
        ("gone", "missing_label", "missing"),
        ("torn", "damaged", "CMB"),
    ],
)
def test_labels_that_do_not_fit_are_refused_by_name(copy_of, change: str, code: str, words: str) -> None:
    root = copy_of("valdo")
    scan = by_id(listed(root, "valdo"))["valdo-sub-101"]
    _change_label(scan.label, sources.mask(sources.scan()), change)
    with pytest.raises(SourceError, match=words) as error:
        load_scan(scan)
    assert error.value.code == code


def _change_label(path: Path, label, change: str) -> None:  # type: ignore[no-untyped-def]
    array, matrix = label.array.astype(np.int16), label.ijk_to_ras.copy()
    if change == "gone":
        path.unlink()
        return
    if change == "torn":
        path.write_bytes(path.read_bytes()[:200])
        return
    if change == "shift":
        matrix[0, 3] += 3
    array = {
        "crop": array[:-1],
        "two": np.where(np.cumsum(array).reshape(array.shape) > 20, array * 2, array),
        "negative": -array,
        "inverted": 1 - array,
    }.get(change, array)
    sources.save(type(label)(np.ascontiguousarray(array), matrix), path)


def test_points_outside_of_the_image_are_named(copy_of) -> None:
    from scipy.io import savemat

    root = copy_of("dou")
    savemat(root / "ground_truth" / "01.mat", {"cen": [[10, 10, 10], [500, 10, 10]]})
    with pytest.raises(SourceError, match=r"01\.mat row 2 at voxel \(499") as error:
        load_scan(listed(root, "dou").scans[0])
    assert error.value.code == "outside"


def test_values_that_the_table_does_not_name_are_refused(copy_of) -> None:
    root = copy_of("redbrick")
    tasks = json.loads((root / "tasks.json").read_text())
    del tasks[0]["series"][0]["segmentMap"]["3"]
    (root / "tasks.json").write_text(json.dumps(tasks))
    with pytest.raises(SourceError, match="does not name"):
        load_scan(listed(root, "redbrick").scans[0])


def test_a_mat_file_may_be_empty_but_not_of_words(tmp_path: Path) -> None:
    from scipy.io import savemat

    from CMBNetTrainingLib.layout_dou import read_centres

    savemat(tmp_path / "a.mat", {"cen": np.zeros((0, 3))})
    assert read_centres(tmp_path / "a.mat") == ()
    for content in ({"cen": "words"}, {"cen": np.ones((2, 2))}, {"other": 1}, {"cen": [[np.nan, 1, 1]]}):
        savemat(tmp_path / "b.mat", content)
        with pytest.raises(InputError):
            read_centres(tmp_path / "b.mat")
