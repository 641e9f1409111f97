"""Reader studies: agreement worked out on paper, consensus, assistance and time, from readings files."""

from __future__ import annotations

import csv
import json
import re
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from CMBNetEvaluationLib.agreement import cohen_kappa, fleiss_kappa, gwet_ac1, rating_sums
from CMBNetEvaluationLib.lesions import lesions_from_points
from CMBNetEvaluationLib.reader_study import measure_study
from CMBNetEvaluationLib.reading_files import Reading, read_study
from CMBNetEvaluationLib.rules import rule_of
from CMBNetEvaluationLib.scan_evaluation import EvaluationSettings
from CMBNetEvaluationLib.sites import join_marks
from CMBNetLib.cli import main
from CMBNetLib.errors import InputError
from CMBNetLib.reading_events import Event
from evaluation_cases import write_points
from reading_acts import a_mask
from reading_study import P1, P2, P3, P4, P5, unsure, write_reading, write_three_readers, yes

EXACT = 1e-9
SETTINGS = EvaluationSettings()


def a_reading(rater: str, places: list[Any], votes: list[float] | None = None, case: str = "c") -> Reading:
    positions = np.array(places, float).reshape(-1, 3)
    return Reading(case, rater, rater, 1, False, positions, np.array(votes or [1.0] * len(positions)),
                   (None,) * len(positions))  # fmt: skip


def pairs_of(study: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(entry["first"], entry["second"]): entry for entry in study.pairs}


# --- coefficients ---


def test_gwets_own_example() -> None:
    """Gwet 2008: 118 both yes, 5 and 2 apart, none both no of 125: kappa -0.0234, AC1 0.9408."""
    ratings = np.repeat([[1, 1], [1, 0], [0, 1]], [118, 5, 2], axis=0).astype(float)
    table = np.array([[[0, 2], [5, 118]]])
    assert cohen_kappa(table)[0] == pytest.approx(-0.0234, abs=5e-5)
    assert gwet_ac1(rating_sums(ratings)[None])[0] == pytest.approx(0.9408, abs=5e-5)


def test_fleiss_on_paper() -> None:
    """Four items by three raters, yes 3, 2, 0, 1: agreeing pairs 1, 1/3, 1, 1/3 (mean 2/3), yes 1/2, kappa 1/3."""
    ratings = np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0], [0, 1, 0]], float)
    assert fleiss_kappa(rating_sums(ratings)[None])[0] == pytest.approx(1 / 3, abs=EXACT)


def test_cohen_as_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(5)
    first = generator.integers(0, 2, 90)
    second = np.where(generator.random(90) < 0.8, first, 1 - first)
    table = np.zeros((1, 2, 2))
    np.add.at(table[0], (first, second), 1)
    assert cohen_kappa(table)[0] == pytest.approx(metrics.cohen_kappa_score(first, second), abs=EXACT)


def test_missing_ratings_leave_an_item_with_those_that_are_there() -> None:
    """The second item has one rating: it says how often yes is said, not how often raters agree."""
    ratings = np.array([[1, 1], [1, np.nan], [np.nan, np.nan]])
    assert rating_sums(ratings).tolist() == [1, 1, 2, 2]


def test_nothing_marked_has_no_coefficient() -> None:
    nothing = rating_sums(np.zeros((0, 3)))[None]
    assert np.isnan(fleiss_kappa(nothing)[0])
    assert np.isnan(gwet_ac1(nothing)[0])
    assert np.isnan(cohen_kappa(np.zeros((1, 2, 2)))[0])


# --- places ---


def test_marks_of_one_rater_never_share_a_place() -> None:
    """Two marks of anna 2 mm apart and one of ben between them, nearer to the second."""
    sites = join_marks([a_reading("anna", [(0, 0, 0), (2, 0, 0)]), a_reading("ben", [(1.2, 0, 0)])], 5.0)
    assert sites.ratings.tolist() == [[1, 0], [1, 1]]
    assert sites.centers_ras.tolist() == [[0, 0, 0], [1.6, 0, 0]]


def test_a_chain_is_not_one_place() -> None:
    """Marks at 0, 4 and 8 mm with 5 mm allowed: the ends are 8 mm apart and stay apart."""
    sites = join_marks([a_reading(name, [(x, 0, 0)]) for name, x in (("a", 0.0), ("b", 4.0), ("c", 8.0))], 5.0)
    assert len(sites.centers_ras) == 2


def test_the_order_of_raters_changes_no_place() -> None:
    generator = np.random.default_rng(1)
    readings = [a_reading(name, generator.integers(0, 12, (5, 3)).astype(float)) for name in "abc"]
    found = []
    for order in permutations(readings):
        sites = join_marks(order, 5.0)
        columns = [sites.raters.index(name) for name in "abc"]
        rows = sorted(zip(sites.centers_ras.round(6).tolist(), sites.ratings[:, columns].tolist(), strict=True))
        found.append(rows)
    assert all(rows == found[0] for rows in found)


# --- a study on paper ---


@pytest.fixture
def three(tmp_path: Path) -> Path:
    write_three_readers(tmp_path / "study")
    return tmp_path / "study"


def test_two_by_two_on_paper(three: Path) -> None:
    """anna P1 P2 P3; ben P1 P2, unsure P4; cleo P1 P4: F1 4/5, 2/5 and (P4 excused) 2/3."""
    readings, problems = read_study(three)
    assert problems == []
    pairs = pairs_of(measure_study(readings, SETTINGS))
    assert {names: entry["f1"].value for names, entry in pairs.items()} == pytest.approx(
        {("anna", "ben"): 4 / 5, ("anna", "cleo"): 2 / 5, ("ben", "cleo"): 2 / 3}, abs=EXACT
    )
    counts = [pairs["anna", "ben"][name] for name in ("cases", "both", "only_first", "only_second")]
    assert counts == [1, 2, 1, 0]
    # Places P1 to P5 but P4, on which ben is unsure: 3 of 4 alike, yes 3/4 and 2/4, by chance 1/2.
    assert pairs["anna", "ben"]["cohen_kappa"].value == pytest.approx(0.5, abs=EXACT)
    assert pairs["anna", "ben"]["gwet_ac1"].value == pytest.approx(0.5, abs=EXACT)
    # P1 is 1 mm apart, P2 2 mm.
    assert pairs["anna", "ben"]["distance_mm"].value == pytest.approx(1.5, abs=EXACT)
    assert {entry["kind"] for entry in pairs.values()} == {"between readers"}


def test_all_together_on_paper(three: Path) -> None:
    """Agreeing pairs of votes 1, 1/3, 1/3, 0, 1 (mean 8/15), yes 1, 2/3, 1/3, 1/2, 0 (mean 1/2): kappa 1/15."""
    group = measure_study(read_study(three)[0], SETTINGS).groups["without assistance"]
    assert (group["readers"], group["cases"], group["places"]) == (3, 1, 5)
    assert group["fleiss_kappa"].value == pytest.approx(1 / 15, abs=EXACT)
    assert group["gwet_ac1"].value == pytest.approx(1 / 15, abs=EXACT)
    assert group["agreeing_pairs"].value == pytest.approx(8 / 15, abs=EXACT)


def test_votes_and_what_is_to_be_settled(three: Path) -> None:
    study = measure_study(read_study(three)[0], SETTINGS)
    assert study.panel == ("anna", "ben", "cleo")
    rows = [(row["yes"], row["no"], row["unsure"], row["majority"], row["agreed"]) for row in study.votes]
    # P5, which nobody calls a microbleed, is no question.
    assert rows == [(3, 0, 0, "yes", 1), (2, 1, 0, "yes", 0), (1, 2, 0, "no", 0), (1, 1, 1, "tie", 0)]
    assert study.votes[1]["said_yes"] == "anna ben"
    assert study.votes[0]["x"] == pytest.approx(1 / 3, abs=1e-3)


def test_outlines_are_compared_where_both_drew_one(tmp_path: Path) -> None:
    """Cubes of 2 x 2 x 2 voxels, one shifted by a voxel: 4 of 8 and 8 are common, Dice 1/2."""
    for reader, offset in (("anna", (3, 4, 5)), ("ben", (4, 4, 5))):
        outlined = Event("add", point_ras=P1, verdict="microbleed", mask=a_mask(2, offset))
        write_reading(tmp_path, "sub-1", reader, [outlined, yes(P2)])
    (entry,) = measure_study(read_study(tmp_path)[0], SETTINGS).pairs
    assert (entry["both"], entry["dice"].value, entry["dice"].n) == (2, 0.5, 1)


# --- rounds, the model, the reference ---


def test_rounds_of_one_reader_and_the_model_are_compared(tmp_path: Path) -> None:
    write_reading(tmp_path, "sub-1", "anna", [yes(P1), yes(P2)])
    write_reading(tmp_path, "sub-1", "anna", [yes(P1)], round_number=2)
    model = {"sub-1": lesions_from_points(np.array([P1, P3]))}
    pairs = pairs_of(measure_study(read_study(tmp_path)[0], SETTINGS, predictions=model))
    assert {names: (entry["kind"], entry["f1"].value) for names, entry in pairs.items()} == {
        ("anna", "anna round 2"): ("between rounds", pytest.approx(2 / 3)),
        ("anna", "model"): ("with the model", pytest.approx(1 / 2)),
        ("anna round 2", "model"): ("with the model", pytest.approx(2 / 3)),
    }


def test_each_reader_is_measured_against_the_reference(three: Path) -> None:
    reference = {"sub-1": lesions_from_points(np.array([P1, P2, P4]))}
    study = measure_study(read_study(three)[0], SETTINGS, references=reference)
    counts = {
        rater: tuple(found["counts"][f"{kind}"] for kind in ("true_positives", "false_positives", "false_negatives"))
        for rater, found in study.against_reference.items()
    }
    assert counts == {"anna": (2, 1, 1), "ben": (2, 0, 1), "cleo": (2, 0, 1)}


# --- with and without assistance ---


def second_look(folder: Path, case: str, reader: str, first: list[Event], then: list[Event]) -> Path:
    return write_reading(folder, case, reader, [*first, Event("reveal"), *then], mode="second reader")


def test_a_second_look_gives_two_readings(tmp_path: Path) -> None:
    second_look(tmp_path, "sub-1", "anna", [yes(P1, 20)], [yes(P2, 10)])
    before, after = read_study(tmp_path)[0]
    assert (before.rater, before.n_microbleeds, before.seconds) == ("anna", 1, 20.0)
    assert (after.rater, after.n_microbleeds, after.seconds) == ("anna assisted", 2, 30.0)


def test_a_concurrent_reading_is_assisted_throughout(tmp_path: Path) -> None:
    write_reading(tmp_path, "sub-1", "anna", [yes(P1)], mode="concurrent")
    assert [reading.rater for reading in read_study(tmp_path)[0]] == ["anna assisted"]


def test_what_help_brought_on_paper(tmp_path: Path) -> None:
    """Two readers, two cases, lesions P1 and P2 each: unaided 1 of 2 everywhere; aided both, ben with a false one."""
    for case in ("sub-1", "sub-2"):
        second_look(tmp_path, case, "anna", [yes(P1, 20)], [yes(P2, 10)])
        second_look(tmp_path, case, "ben", [yes(P1, 40)], [yes(P2, 5), yes(P5)])
    reference = {case: lesions_from_points(np.array([P1, P2])) for case in ("sub-1", "sub-2")}
    study = measure_study(read_study(tmp_path)[0], SETTINGS, references=reference)
    assistance = study.assistance
    assert assistance["scans"] == 4
    figures = {name: (found.first, found.second) for name, found in assistance["metrics"].items()}
    assert figures["sensitivity"] == (0.5, 1.0)
    assert figures["precision"] == (1.0, 8 / 10)
    assert figures["false_positives_per_scan"] == (0.0, 0.5)
    times = study.times
    assert times["without assistance"]["mean_s"].value == 30.0
    assert times["with assistance"]["mean_s"].value == pytest.approx((30 + 45) / 2)
    assert times["with minus without assistance"]["mean_s"].value == 7.5
    assert times["with minus without assistance"]["readings"] == 4


# --- files ---


def test_unfinished_readings_are_left_out_and_told(tmp_path: Path) -> None:
    write_reading(tmp_path, "sub-1", "anna", [yes(P1)])
    write_reading(tmp_path, "sub-1", "ben", [yes(P1)], finish=False)
    second_look(tmp_path, "sub-2", "cleo", [yes(P1)], [])
    path = write_reading(tmp_path, "sub-3", "dora", [yes(P1), Event("reveal")], mode="second reader", finish=False)
    (tmp_path / "sub-1" / "readings" / "eve_round1.jsonl").write_text("nonsense\n")
    readings, problems = read_study(tmp_path)
    assert [(r.case_id, r.rater) for r in readings] == [
        ("sub-1", "anna"), ("sub-2", "cleo"), ("sub-2", "cleo assisted"), ("sub-3", "dora"),
    ]  # fmt: skip
    told = " ".join(problem["message"] for problem in problems)
    assert "ben_round1.jsonl is not finished; not used" in told
    assert f"{path.name} is not finished; only its first look is used" in told
    assert "Not used" in told


def test_copies_of_a_reading_are_used_once(three: Path) -> None:
    copy = three / "copy" / "anna_round1.jsonl"
    copy.parent.mkdir()
    copy.write_bytes((three / "sub-1" / "readings" / "anna_round1.jsonl").read_bytes())
    readings, problems = read_study(three)
    assert len(readings) == 3
    assert "two files of this case" in problems[0]["message"]


def test_a_folder_without_readings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished reading"):
        read_study(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        read_study(tmp_path / "nowhere")


def test_rules_about_masks_are_refused(three: Path) -> None:
    with pytest.raises(InputError, match="distance of places"):
        measure_study(read_study(three)[0], EvaluationSettings(rule_of("overlap")))


def test_the_command_writes_tables_consensus_and_a_page(three: Path, tmp_path: Path) -> None:
    write_points(tmp_path / "references" / "sub-1_points.csv", [P1, P2])
    write_points(tmp_path / "model" / "sub-1_points.csv", [(*P1, 0.9), (*P4, 0.4)], header="x,y,z,score")
    folders = ["--readings", three, "--references", tmp_path / "references", "--predictions", tmp_path / "model"]
    assert main(["evaluate", *map(str, folders), "-o", str(tmp_path / "out"), "--title", "Three readers"]) == 0
    out = tmp_path / "out"
    document = json.loads((out / "reader_study.json").read_text())
    assert len(document["pairs"]) == 3 + 4 + 3
    assert document["against_reference"]["anna"]["pooled"]["sensitivity"]["value"] == 1.0
    assert "3 readings of 1 case by 3 readers" in document["methods"]
    with open(out / "adjudication.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["yes"], row["majority"]) for row in rows] == [("2", "yes"), ("1", "no"), ("1", "tie")]
    page = (out / "report.html").read_text(encoding="utf-8")
    for text in ("Three readers", "Between readers", "With the model", "To be settled between the readers"):
        assert text in page, text
    for name in ("agreement", "votes", "against_reference", "time"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
        assert f'alt="{name}"' in page, name
    with open(out / "metrics.csv", encoding="utf-8", newline="") as stream:
        measures = {(row["section"], row["measure"]): row["value"] for row in csv.DictReader(stream)}
    assert measures["against_reference.anna.pooled", "sensitivity"] == "1"
    assert measures["times.without assistance", "mean_s"] == "20"


def test_two_runs_write_the_same_bytes_but_for_the_time(three: Path, tmp_path: Path) -> None:
    write_points(tmp_path / "references" / "sub-1_points.csv", [P1, P2])
    folders = ["--readings", three, "--references", tmp_path / "references", "-o"]
    stamp = re.compile(rb"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
    written = []
    for name in ("one", "two"):
        assert main(["evaluate", *map(str, [*folders, tmp_path / name])]) == 0
        files = [path for path in sorted((tmp_path / name).rglob("*")) if path.is_file()]
        written.append({path.relative_to(tmp_path / name): stamp.sub(b"", path.read_bytes()) for path in files})
    assert len(written[0]) > 12
    assert written[0] == written[1]


def test_a_model_without_a_file_found_nothing_and_that_is_told(three: Path, tmp_path: Path) -> None:
    write_points(tmp_path / "references" / "sub-1_points.csv", [P1, P2])
    write_points(tmp_path / "model" / "sub-9_points.csv", [P1])
    folders = ["--readings", three, "--references", tmp_path / "references", "--predictions", tmp_path / "model"]
    assert main(["evaluate", *map(str, folders), "-o", str(tmp_path / "out")]) == 0
    document = json.loads((tmp_path / "out" / "reader_study.json").read_text())
    assert document["against_reference"]["model"]["counts"]["false_negatives"] == 2
    assert [problem["scan_id"] for problem in document["problems"]] == ["sub-1"]


def test_what_help_brought_is_drawn_and_written(tmp_path: Path) -> None:
    for case in ("sub-1", "sub-2"):
        second_look(tmp_path / "study", case, "anna", [yes(P1, 20)], [yes(P2, 10)])
        second_look(tmp_path / "study", case, "ben", [yes(P1, 40)], [yes(P2, 5), yes(P5)])
        write_points(tmp_path / "references" / f"{case}.csv", [P1, P2])
    folders = ["--readings", tmp_path / "study", "--references", tmp_path / "references", "-o", tmp_path / "out"]
    assert main(["evaluate", *map(str, folders)]) == 0
    assert (tmp_path / "out" / "figures" / "assistance.png").stat().st_size > 5000
    with open(tmp_path / "out" / "assistance.csv", encoding="utf-8", newline="") as stream:
        rows = {row["measure"]: row for row in csv.DictReader(stream)}
    # Ben alone has false calls with assistance: drawing readers too, their difference is 0 to 1 a scan.
    rate = rows["false_positives_per_scan"]
    assert (rate["difference"], rate["low"], rate["high"]) == ("0.5", "0", "1")


def test_a_consensus_serves_as_reference(three: Path, tmp_path: Path) -> None:
    """Majority: P1 and P2 count, the tie P4 is ignored; union: P1 to P4 count."""
    assert main(["evaluate", "--readings", str(three), "-o", str(tmp_path / "out")]) == 0
    write_points(tmp_path / "model" / "sub-1.csv", [P1, P4])
    found = {}
    for kind in ("majority", "union"):
        folders = ["--predictions", tmp_path / "model", "--references", tmp_path / "out" / "consensus" / kind]
        output = tmp_path / kind
        assert main(["evaluate", *map(str, folders), "-o", str(output), "--no-gallery"]) == 0
        counts = json.loads((output / "evaluation.json").read_text())["metrics"]["detection"]["counts"]
        names = ("true_positives", "false_positives", "false_negatives", "ignored_reference_lesions")
        found[kind] = tuple(counts[name] for name in names)
    assert found == {"majority": (1, 0, 1, 1), "union": (2, 0, 2, 0)}


def test_one_reader_alone_has_times_and_no_agreement(tmp_path: Path) -> None:
    write_reading(tmp_path / "study", "sub-1", "anna", [yes(P1, 3), unsure(P2)])
    assert main(["evaluate", "--readings", str(tmp_path / "study"), "-o", str(tmp_path / "out")]) == 0
    document = json.loads((tmp_path / "out" / "reader_study.json").read_text())
    assert document["pairs"] == []
    assert document["groups"] == {}
    assert document["times"]["anna"]["mean_s"]["value"] == 3.0
