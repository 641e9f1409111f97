"""``cmbnet evaluate`` from files to files: what it prints and writes, and that it writes the same every time."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from CMBNetLib.cli import main
from CMBNetLib.volume import Volume, write_volume
from evaluation_cases import SHAPE, SPACING, boxes, write_labels, write_points

STAMP = re.compile(rb"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


def write_study(folder: Path) -> Path:
    """Four scans of three subjects: two lesions of which one is found; a false call alone; nothing; no prediction."""
    labels = {
        "sub-1_ses-1_swi": boxes(((4, 10, 10), (2, 3, 3)), ((14, 25, 25), (2, 3, 3))),
        "sub-1_ses-2_swi": np.zeros(SHAPE, np.uint16),
        "sub-2_swi": np.zeros(SHAPE, np.uint16),
        "sub-3_swi": boxes(((8, 20, 20), (3, 4, 4))),
    }
    for name, array in labels.items():
        write_labels(folder / "references" / f"{name}_mask.nii.gz", array)
        image = np.where(array > 0, 30.0, 100.0) + np.add.outer(np.arange(SHAPE[0]) % 3, np.zeros(SHAPE[1:]))
        write_volume(Volume(image.astype(np.float32), np.diag([*SPACING, 1.0])), folder / "images" / f"{name}.nii.gz")
    first = np.zeros(SHAPE, np.float32)
    first[4:6, 10:13, 11:14], first[20:22, 5:7, 5:7] = 0.9, 0.3
    second = np.zeros(SHAPE, np.float32)
    second[10:12, 30:33, 30:33] = 0.7
    maps = {"sub-1_ses-1_swi": first, "sub-1_ses-2_swi": second, "sub-2_swi": np.zeros(SHAPE, np.float32)}
    for name, array in maps.items():
        write_labels(folder / "predictions" / f"{name}_probability.nii.gz", array)
    (folder / "manifest.csv").write_text(
        "scan_id,subject_id,image,sequence,dataset\n"
        + "".join(f"{name},{name[:5]},images/{name}.nii.gz,SWI,{'A' if name[4] < '3' else 'B'}\n" for name in labels)
    )
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


def read_volume_array(path: Path) -> np.ndarray:
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def evaluate(study: Path, output: Path, *options: Any) -> int:
    folders = ["--predictions", study / "predictions", "--references", study / "references", "-o", output]
    return main(["evaluate", *map(str, [*folders, *options])])


@pytest.fixture(scope="module")
def results(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("results") / "out"
    images = ["--images", study / "images", "--manifest", study / "manifest.csv"]
    assert evaluate(study, output, *images, "--title", "Four <scans>") == 0
    return output


def document(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_figures_are_those_worked_out_on_paper(results: Path) -> None:
    """TP 1, FP 1 (on a negative scan), FN 2; the candidate at 0.3 is below the operating point of 0.5."""
    detection = document(results)["metrics"]["detection"]
    pooled = {name: estimate["value"] for name, estimate in detection["pooled"].items()}
    assert pooled == {
        "precision": 0.5, "sensitivity": pytest.approx(1 / 3), "f1": pytest.approx(0.4),
        "false_positives_per_scan": 0.25, "false_positives_per_negative_scan": 0.5,
        "false_positives_per_microbleed": pytest.approx(1 / 3),
    }  # fmt: skip
    counts = detection["counts"]
    assert (counts["scans"], counts["subjects"], counts["scans_without_prediction"]) == (4, 3, 1)


def test_every_file_is_written(results: Path) -> None:
    names = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    assert {"evaluation.json", "report.html", "scans.csv", "lesions.csv", "metrics.csv", "strata.csv", "froc.csv",
            "figures/froc.png", "figures/bland_altman.png", "figures/calibration.png",
            "figures/strata_dataset.png"} <= names  # fmt: skip
    assert not [name for name in names if "/." in name or name.startswith(".")]
    listed = set(document(results)["files"].values())
    assert {"report.html", "scans.csv", "lesions.csv"} <= listed


def test_tables_hold_every_scan_lesion_and_measure(results: Path) -> None:
    scans = {row["scan_id"]: row for row in rows(results / "scans.csv")}
    assert [(row["tp"], row["fp"], row["fn"]) for row in scans.values()] == [
        ("1", "0", "1"), ("0", "1", "0"), ("0", "0", "0"), ("0", "0", "1"),
    ]  # fmt: skip
    assert scans["sub-3_swi"]["missing_prediction"] == "1"
    assert scans["sub-1_ses-1_swi"]["slice_thickness_mm"] == "2"
    calls = rows(results / "lesions.csv")
    assert [row["outcome"] for row in calls] == ["TP", "FN", "FP", "FN"]
    # Predicted one voxel to the right of the reference: the centres are 1 mm apart, two of three columns are common.
    assert (calls[0]["distance_mm"], calls[0]["dice"], calls[0]["score"]) == ("1", "0.6666666667", "0.8999999762")
    assert (calls[1]["x"], calls[1]["y"], calls[1]["z"]) == ("26", "26", "29")
    assert [row["candidate_score"] for row in calls] == [""] * 4
    measures = {(row["section"], row["measure"]): row for row in rows(results / "metrics.csv")}
    assert measures["detection.pooled", "precision"]["value"] == "0.5"
    assert measures["classification.1", "specificity"]["value"] == "0.5"
    assert measures["froc.sensitivity_at", "0.25"]["value"] == "0.3333333333"
    strata = {(row["key"], row["stratum"]): row for row in rows(results / "strata.csv")}
    assert (strata["dataset", "A"]["tp"], strata["dataset", "A"]["fp"], strata["dataset", "B"]["fn"]) == ("1", "1", "1")


def test_the_page_stands_alone_and_shows_every_false_call(results: Path) -> None:
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "Four &lt;scans&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    targets = re.findall(r'href="#([a-z0-9]+)"', page)
    assert len(targets) > 8
    assert [target for target in targets if f'id="{target}"' not in page] == []
    assert "4 scans: sensitivity 0.333, precision 0.500, F1 0.400, 0.250 false positives per scan." in page
    assert "With only 3 subjects those by bootstrap tend to be too narrow." in page
    for heading in ("Missed microbleeds (2)", "False positives (1)", "Found microbleeds (1)", "Methods", "FROC"):
        assert heading in page, heading
    assert "False positives per reference microbleed (not per scan)" in page
    assert "sub-3_swi: There is no prediction for this scan" in page


def test_methods_state_rule_intervals_and_versions(results: Path) -> None:
    methods = document(results)["methods"]
    for phrase in (
        "4 scans of 3 subjects with 3 reference microbleeds", "2 of the scans without any", "1 scan had no prediction",
        "at most 5 mm apart", "one to one", "26-connected", "over all scans", "2000 bootstrap samples of subjects",
        "Wilson", "Garwood", "ICC(A,1)", "linear and quadratic weights", "numpy",
    ):  # fmt: skip
        assert phrase in methods, phrase


def test_two_runs_write_the_same_bytes_but_for_the_time(study: Path, results: Path, tmp_path: Path) -> None:
    images = ["--images", study / "images", "--manifest", study / "manifest.csv"]
    assert evaluate(study, tmp_path / "again", *images, "--title", "Four <scans>") == 0
    names = sorted(path.relative_to(results) for path in results.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.*"))
    differing = []
    for name in names:
        one, other = (results / name).read_bytes(), (tmp_path / "again" / name).read_bytes()
        if one != other:
            differing.append(name.name)
            assert STAMP.sub(b"", one) == STAMP.sub(b"", other), name
    assert set(differing) <= {"evaluation.json", "report.html"}


def test_a_missed_lesion_tells_of_the_candidate_that_was_not_called(study: Path, tmp_path: Path) -> None:
    """With a threshold above 0.9 the lesion that was found at 0.9 is missed, and its candidate is named."""
    images = ["--images", study / "images", "--threshold", "0.95"]
    assert evaluate(study, tmp_path / "out", *images) == 0
    missed = [row for row in rows(tmp_path / "out" / "lesions.csv") if row["outcome"] == "FN"]
    assert [row["candidate_score"][:4] for row in missed] == ["0.89", "", ""]
    assert "best candidate 0.90" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_table_of_pairs_gives_what_folders_give(study: Path, results: Path, tmp_path: Path) -> None:
    lines = ["scan_id,subject_id,prediction,reference"]
    for path in sorted((study / "references").iterdir()):
        name = path.name.removesuffix("_mask.nii.gz")
        prediction = study / "predictions" / f"{name}_probability.nii.gz"
        lines.append(f"{name},{name[:5]},{prediction if prediction.exists() else ''},{path}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n")
    assert main(["evaluate", "--pairs", str(tmp_path / "pairs.csv"), "-o", str(tmp_path / "out")]) == 0
    assert document(tmp_path / "out")["metrics"]["detection"] == document(results)["metrics"]["detection"]


def test_a_second_model_is_compared_and_its_faults_are_told(study: Path, tmp_path: Path) -> None:
    """The second model finds the lesion of sub-3 too and calls nothing on the negative scan of sub-1."""
    other = tmp_path / "other"
    write_points(other / "sub-1_ses-1_swi.csv", [(11, 11, 9)])
    write_points(other / "sub-3_swi.csv", [(21.5, 21.5, 18)])
    (other / "sub-2_swi.csv").write_text("a,b\n1,2\n")
    options = ["--compare", other, "--names", "Old", "New", "--no-gallery"]
    assert evaluate(study, tmp_path / "out", *options) == 0
    content = document(tmp_path / "out")
    comparison = content["comparison"]
    assert comparison["models"] == ["Old", "New"]
    assert comparison["scans"] == 3
    assert comparison["lesions"] == {"both": 1, "only_first": 0, "only_second": 1, "none": 1, "mcnemar_p": 1.0}
    sensitivity = comparison["metrics"]["sensitivity"]
    assert (sensitivity["first"], sensitivity["second"]) == pytest.approx((1 / 3, 2 / 3))
    told = [problem["message"] for problem in content["problems"] if problem["message"].startswith("New: ")]
    assert len(told) == 2
    assert any("no position columns" in text for text in told)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for text in ("Old and New on 3 scans", "Only New", "not adjusted for the number of figures"):
        assert text in page, text
    written = {row["measure"]: row for row in rows(tmp_path / "out" / "comparison.csv")}
    assert float(written["sensitivity"]["difference"]) == pytest.approx(1 / 3)


def test_two_models_with_scores_are_compared_by_their_froc(study: Path, tmp_path: Path) -> None:
    """The second model is the first with all scores halved, which changes no FROC,."""
    other = tmp_path / "other"
    for path in sorted((study / "predictions").iterdir()):
        scores = read_volume_array(path)
        write_labels(other / path.name, (scores / 2).astype(np.float32))
    options = ["--compare", other, "--names", "One", "Half", "--threshold", "0.2", "--no-gallery"]
    assert evaluate(study, tmp_path / "out", *options) == 0
    comparison = document(tmp_path / "out")["comparison"]
    mean = comparison["metrics"]["mean_sensitivity"]
    assert (mean["difference"], mean["p"]) == (0.0, 1.0)
    assert comparison["metrics"]["sensitivity_at_1"]["p"] == 1.0
    first, second = comparison["curves"]
    assert first["sensitivity"] == second["sensitivity"]
    assert [score / 2 for score in first["thresholds"]] == pytest.approx(second["thresholds"])
    assert (tmp_path / "out" / "figures" / "comparison_froc.png").stat().st_size > 5000
    assert "ranked by the false positives per scan" in document(tmp_path / "out")["methods"]


def test_methods_say_how_many_scans_were_left_out(study: Path, tmp_path: Path) -> None:
    write_points(tmp_path / "predictions" / "sub-2_swi.csv", [])
    (tmp_path / "predictions" / "sub-3_swi.csv").write_text("a,b\n1,2\n")
    write_points(tmp_path / "predictions" / "sub-9_swi.csv", [])
    folders = ["--predictions", tmp_path / "predictions", "--references", study / "references"]
    assert main(["evaluate", *map(str, folders), "-o", str(tmp_path / "out"), "--no-gallery"]) == 0
    methods = document(tmp_path / "out")["methods"]
    assert "3 scans of 2 subjects" in methods
    assert "2 further scans could not be evaluated and were left out." in methods


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rule", "overlap", "--limit", "3"], "no limit"), (["--limit", "-1"], "cannot be met"),
        (["--threshold", "2"], "between 0 and 1"), (["--floor", "-0.1"], "between 0 and 1"),
        (["--predictions", "/nowhere"], "no folder"), (["--manifest", "/nowhere.csv"], "no file"),
    ],
)  # fmt: skip
def test_bad_options_end_with_code_2(
    study: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(study, tmp_path / "out", *options) == 2
    captured = capsys.readouterr()
    assert message in captured.out + captured.err
    assert not (tmp_path / "out").exists()


def test_another_rule_and_threshold_change_the_result(study: Path, tmp_path: Path) -> None:
    options = ["--threshold", "0.2", "--rule", "iou", "--limit", "0.6", "--no-gallery"]
    assert evaluate(study, tmp_path / "out", *options) == 0
    content = document(tmp_path / "out")
    # IoU of the hit is 1/2: nothing is found, and the candidate at 0.3 is called.
    counts = content["metrics"]["detection"]["counts"]
    assert [counts[name] for name in ("true_positives", "false_positives", "false_negatives")] == [0, 3, 3]
    assert content["settings"]["rule"]["name"] == "iou with limit 0.6"
    assert "called from a score of 0.2" in content["methods"]
    assert not (tmp_path / "out" / "gallery").exists()


def test_json_events_are_one_object_a_line(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(study, tmp_path / "out", "--json-events", "--no-gallery") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    result = events[-1]
    assert result["event"] == "result"
    assert result["scans"] == 4
    assert Path(result["evaluation"]).exists()
    fractions = [event["fraction"] for event in events if event["event"] == "progress"]
    assert fractions == sorted(fractions)
