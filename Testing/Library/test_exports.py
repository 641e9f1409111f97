"""The files of a detection: complete or absent, on the scan's grid, and readable again."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk

from CMBNetLib import exports
from CMBNetLib.detection import DetectionResult
from CMBNetLib.detection_file import detection_schema, software_versions
from CMBNetLib.errors import InputError
from CMBNetLib.exports import CSV_COLUMNS, check_place, read_detection, result_names, summary_text, write_results
from CMBNetLib.progress import Progress
from CMBNetLib.volume import read_labels
from detection_example import example_result, head_grid

OBLIQUE_SAGITTAL = np.array([[0.0, 0.0995, 0.995], [0.0, 0.995, -0.0995], [-1.0, 0.0, 0.0]]).T[:, [1, 0, 2]]


@pytest.fixture(scope="module")
def result() -> DetectionResult:
    return example_result()


@pytest.fixture(scope="module")
def nothing_found() -> DetectionResult:
    return example_result(np.array([[30.0, 20.0, 10.0]]), [0.12])


@pytest.fixture(scope="module")
def written(result: DetectionResult, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_results(result, tmp_path_factory.mktemp("results") / "new folder", probability=True)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def edited(written: dict[str, Path], folder: Path, **changes: Any) -> Path:
    content = json.loads(written["json"].read_text()) | changes
    path = folder / "edited_detection.json"
    path.write_text(json.dumps(content))
    return path


def test_every_file_is_there_and_nothing_else(written: dict[str, Path]) -> None:
    assert {key: path.name for key, path in written.items()} == {
        "microbleeds": "sub-1_swi_microbleeds.nii.gz",
        "candidates": "sub-1_swi_candidates.nii.gz",
        "probability": "sub-1_swi_probability.nii.gz",
        "csv": "sub-1_swi_microbleeds.csv",
        "overview": "sub-1_swi_overview.png",
        "report": "sub-1_swi_report.html",
        "json": "sub-1_swi_detection.json",
    }
    assert sorted(written.values()) == sorted(written["json"].parent.iterdir())


def test_label_maps_hold_candidate_ids_on_the_grid_of_the_scan(
    result: DetectionResult, written: dict[str, Path]
) -> None:
    microbleeds, candidates = read_labels(written["microbleeds"]), read_labels(written["candidates"])
    assert microbleeds.array.dtype == candidates.array.dtype == np.uint16
    assert np.unique(microbleeds.array).tolist() == [0, 1, 2, 3]
    assert np.array_equal(candidates.array, result.labels.array)
    assert np.array_equal(microbleeds.array, np.where(result.labels.array <= 3, result.labels.array, 0))
    assert np.allclose(microbleeds.ijk_to_ras, result.scan.ijk_to_ras, atol=1e-4)


def test_label_maps_keep_an_oblique_sagittal_grid(tmp_path: Path) -> None:
    turned = example_result(grid=head_grid((3.0, 1.5, 1.5), OBLIQUE_SAGITTAL))
    files = write_results(turned, tmp_path)
    back = read_labels(files["candidates"])
    assert np.allclose(back.ijk_to_ras, turned.scan.ijk_to_ras, atol=1e-4)
    for candidate in turned.candidates:
        centre = back.ras_from_ijk(np.argwhere(back.array == candidate.id)[:, ::-1]).mean(axis=0)
        assert np.linalg.norm(centre - candidate.center_ras) < 2.0


def test_the_probability_map_is_written_only_when_asked_for(
    result: DetectionResult, written: dict[str, Path], tmp_path: Path
) -> None:
    kept = sitk.GetArrayFromImage(sitk.ReadImage(str(written["probability"])))
    assert np.allclose(kept, result.probability.array)
    assert "probability" not in write_results(result, tmp_path)


def test_the_detection_file_fits_its_schema_and_reads_back(written: dict[str, Path]) -> None:
    content = read_detection(written["json"])
    jsonschema.Draft202012Validator(detection_schema()).validate(content)
    assert content["summary"] == "3 microbleeds: 1 lobar, 1 deep, 1 infratentorial"
    assert content["counts"] == {"lobar": 1, "deep": 1, "infratentorial": 1, "outside": 0, "unknown": 0}
    assert [entry["is_microbleed"] for entry in content["candidates"]] == [True, True, True, False]
    assert content["files"]["report"] == "sub-1_swi_report.html"
    assert content["operating_points"]["balanced"]["measured_on"] == "40 synthetic scans"


def test_the_detection_file_says_what_made_it(result: DetectionResult, written: dict[str, Path]) -> None:
    content = read_detection(written["json"])
    assert content["scan"]["fingerprint"] == result.scan.fingerprint()
    assert content["scan"]["shape_ijk"] == list(result.scan.shape_ijk)
    assert np.allclose(content["scan"]["ijk_to_ras"], result.scan.ijk_to_ras)
    assert content["scan"]["echo_time_ms"] == 20.0
    assert content["model"] == result.model
    assert content["settings"]["device"] == "cpu"
    assert content["qc"] == result.qc
    assert content["software"]["numpy"] == np.__version__ == software_versions()["numpy"]


def test_candidates_carry_shape_and_place(result: DetectionResult, written: dict[str, Path]) -> None:
    entry, candidate = read_detection(written["json"])["candidates"][0], result.candidates[0]
    assert candidate.shape is not None
    assert entry["volume_mm3"] == pytest.approx(candidate.shape.volume_mm3, abs=1e-4)
    assert entry["contrast"] == pytest.approx(candidate.shape.contrast, abs=1e-4)
    assert (entry["zone"], entry["region"], entry["side"]) == ("lobar", "cortex", "right")
    assert entry["center_ras"] == pytest.approx(candidate.center_ras)


def test_the_table_has_one_row_a_microbleed(written: dict[str, Path]) -> None:
    rows = rows_of(written["csv"])
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert {row["schema_version"] for row in rows} == {"1.0"}
    assert {row["is_microbleed"] for row in rows} == {"true"}
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [float(rows[0][f"center_{axis}_mm"]) for axis in "ras"] == [40.0, 30.0, 20.0]


def test_zero_microbleeds_is_said_everywhere(nothing_found: DetectionResult, tmp_path: Path) -> None:
    files = write_results(nothing_found, tmp_path)
    content = read_detection(files["json"])
    assert content["n_microbleeds"] == 0
    assert content["summary"] == "No microbleeds (highest score 0.12, right lobar; threshold 0.50)"
    (row,) = rows_of(files["csv"])
    assert (row["n_microbleeds"], row["is_microbleed"], row["score"]) == ("0", "false", "0.12")
    assert not read_labels(files["microbleeds"]).array.any()
    assert read_labels(files["candidates"]).array.any()
    assert content["summary"] in files["report"].read_text(encoding="utf-8")


def test_a_score_equal_to_the_threshold_is_a_microbleed_in_every_file(tmp_path: Path) -> None:
    files = write_results(example_result(np.array([[30.0, 20.0, 10.0]]), [0.5], threshold=0.5), tmp_path)
    content = read_detection(files["json"])
    assert (content["n_microbleeds"], content["summary"]) == (1, "1 microbleed: 1 lobar")
    assert [row["is_microbleed"] for row in rows_of(files["csv"])] == ["true"]
    assert read_labels(files["microbleeds"]).array.max() == 1


def test_no_candidate_at_all_is_written_too(tmp_path: Path) -> None:
    files = write_results(example_result(np.zeros((0, 3)), []), tmp_path)
    assert read_detection(files["json"])["summary"] == "No microbleeds (and no candidate with a lower score)"
    (row,) = rows_of(files["csv"])
    assert (row["n_microbleeds"], row["id"], row["is_microbleed"]) == ("0", "", "false")


def test_without_anatomy_the_zones_are_unknown(tmp_path: Path) -> None:
    files = write_results(example_result(with_anatomy=False), tmp_path)
    content = read_detection(files["json"])
    assert content["counts"]["unknown"] == 3
    assert content["summary"] == "3 microbleeds (no zones: the anatomy is not known)"
    assert content["candidates"][0]["zone"] is None


def test_values_json_cannot_hold_become_null_or_text(tmp_path: Path) -> None:
    odd = example_result()
    odd.settings = {"folder": Path("a"), "margin": np.float32(0.5), "window": (np.int64(3), 4), "speed": float("inf")}
    settings = read_detection(write_results(odd, tmp_path)["json"])["settings"]
    assert settings["folder"] == "a"
    assert settings["margin"] == 0.5
    assert settings["window"] == [3, 4]
    assert settings["speed"] is None


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_package_costs_only_its_own_file(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    progress = Progress()
    files = write_results(example_result(), tmp_path, progress=progress)
    lost, kept = ("overview", "report") if package == "matplotlib" else ("report", "overview")
    assert lost not in files
    assert kept in files
    assert [warning["code"] for warning in progress.warnings] == [f"{lost}_missing"]
    assert package in progress.warnings[0]["message"]
    content = read_detection(files["json"])
    assert content["qc"][-1] == progress.warnings[0]
    assert lost not in content["files"]
    if kept == "report":
        assert package in files["report"].read_text(encoding="utf-8")


def test_a_missing_package_is_a_python_warning_where_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.warns(UserWarning, match="No report was made.*jinja2"):
        write_results(example_result(), tmp_path)


def test_files_of_an_earlier_run_do_not_stay_beside_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_results(example_result(), tmp_path, probability=True)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    files = write_results(example_result(), tmp_path, progress=Progress())
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


def test_a_failure_midway_leaves_the_earlier_results_and_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_found: DetectionResult
) -> None:
    files = write_results(example_result(), tmp_path)
    before = {path: path.read_bytes() for path in files.values()}

    def broken(*_args: Any, **_options: Any) -> str:
        raise RuntimeError("a bug in the template")

    monkeypatch.setattr(exports, "render_report", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        write_results(nothing_found, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, result: DetectionResult) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        write_results(result, tmp_path / "file" / "results")


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path, result: DetectionResult) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"Cannot write into .*file.*Choose another folder"):
        check_place(result.scan, tmp_path / "file" / "results")
    check_place(result.scan, tmp_path / "new" / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_results_of_another_scan_of_this_name_are_not_replaced(tmp_path: Path, result: DetectionResult) -> None:
    paths = write_results(result, tmp_path)
    check_place(result.scan, tmp_path)
    other = result.scan.with_array(result.scan.array + 1)
    with pytest.raises(InputError, match="holds the results of another scan or frame called"):
        check_place(other, tmp_path)
    paths["json"].write_text("{")
    check_place(other, tmp_path)


def test_labels_of_another_grid_are_refused(tmp_path: Path, result: DetectionResult) -> None:
    other = replace(result, labels=head_grid((2.0, 2.0, 2.0)))
    with pytest.raises(InputError, match="not on the grid"):
        write_results(other, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "stem"), [("3: SWI / mag", "3_ SWI _ mag"), ("..", "scan"), ("../up", "_up"), ("Å 7", "Å 7")]
)
def test_any_scan_name_gives_file_names_in_the_folder(name: str, stem: str) -> None:
    assert result_names(name)["json"] == f"{stem}_detection.json"


def test_summaries_count_zones(result: DetectionResult) -> None:
    candidates = result.candidates
    assert summary_text(candidates, 0.9) == "1 microbleed: 1 lobar"
    assert summary_text(candidates, 0.3) == "4 microbleeds: 2 lobar, 1 deep, 1 infratentorial"
    assert summary_text(candidates, 0.95) == "No microbleeds (highest score 0.93, right lobar; threshold 0.95)"
    near = [replace(candidates[0], score=0.4996)]
    assert summary_text(near, 0.5) == "No microbleeds (highest score 0.500, right lobar; threshold 0.500)"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema": "other"}, "is no detection file"),
        ({"schema_version": "2.0"}, "Update SlicerCMBNet"),
        ({"n_microbleeds": 2}, "n_microbleeds is not the number"),
        ({"counts": {"lobar": 9, "deep": 0, "infratentorial": 0}}, "counts do not add up"),
        ({"files": {"microbleeds": "../m.nii", "candidates": "c.nii", "csv": "c.csv"}}, "leads out of the folder"),
        ({"files": {"microbleeds": "..", "candidates": "c.nii", "csv": "c.csv"}}, "leads out of the folder"),
        ({"floor_threshold": "low"}, "floor_threshold must be of type number"),
    ],
)
def test_a_detection_file_that_does_not_fit_is_refused(
    written: dict[str, Path], tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        read_detection(edited(written, tmp_path, **changes))


def test_a_newer_minor_version_with_more_entries_is_read(written: dict[str, Path], tmp_path: Path) -> None:
    content = read_detection(edited(written, tmp_path, schema_version="1.7", mood="good"))
    assert content["mood"] == "good"


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [0, 1, 3]])
def test_candidates_out_of_order_are_refused(written: dict[str, Path], tmp_path: Path, order: list[int]) -> None:
    candidates = json.loads(written["json"].read_text())["candidates"]
    with pytest.raises(InputError, match="candidate"):
        read_detection(edited(written, tmp_path, candidates=[candidates[index] for index in order]))


@pytest.mark.parametrize("text", ["", "[1, 2", '{"schema": NaN}', "[" * 100000, "\xff"])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x_detection.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_detection(path)


def test_a_missing_detection_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no detection file"):
        read_detection(tmp_path / "none.json")


def test_importing_exports_loads_neither_matplotlib_nor_jinja2() -> None:
    import subprocess

    program = "import sys, CMBNetLib.exports; print({'matplotlib', 'jinja2', 'torch'} & set(sys.modules))"
    folder = Path(exports.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "set()", done.stderr
