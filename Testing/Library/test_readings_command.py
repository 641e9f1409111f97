"""``cmbnet readings``: what a worklist leaves behind, as a program or a person calls it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from CMBNetEvaluationLib.review_sources import read_candidates
from CMBNetLib.cli import main
from CMBNetLib.readings import ReadingHeader, ReadingStore, readings_path
from CMBNetLib.review_case import CaseReview
from CMBNetLib.review_loading import read_case
from CMBNetLib.volume import read_labels
from CMBNetLib.worklist import Case, read_worklist, write_csv_worklist
from CMBNetTrainingLib.training_manifest import read_manifests
from review_cases import a_worklist, dots_of, ticking_clock

M, N, U = "microbleed", "not", "unsure"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A worklist file of three cases with 1, 2 and 3 points of some other tool as candidates."""
    cases = [_with_points(case, tmp_path) for case in a_worklist(tmp_path, 3).cases]
    return write_csv_worklist(tmp_path / "list.csv", cases)


def _with_points(case: Case, folder: Path) -> Case:
    points = folder / f"{case.case_id}.csv"
    candidates = dots_of(case, read_case(case).scan).candidates
    lines = [f"{each.id},{','.join(map(str, each.point_ras))}" for each in candidates]
    points.write_text("\n".join(["id,x,y,z", *lines]))
    return replace(case, candidates=points)


def read_by(case: Case, reader: str, verdicts: list[str], *, finish: bool = True) -> None:
    loaded = read_case(case, read_candidates)
    header = ReadingHeader(case.case_id, reader, 1, loaded.fingerprint)
    with ReadingStore(readings_path(case.folder, reader), header) as store:
        review = CaseReview(store, loaded.source, clock=ticking_clock())
        for verdict in verdicts:
            review.decide(verdict, mimic="vein" if verdict == N else None)
            review.step(1)
        if finish:
            review.finish()


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and events of the command."""
    code = main(["readings", *map(str, arguments), "--json-events"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def rows_of(path: str | Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_masks_and_tables_of_finished_readings(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = read_worklist(path).cases
    code, events = run(capsys, "reviewed", path)
    assert (code, events[-1]["event"]) == (2, "error")
    assert "No case is finished" in events[-1]["message"]
    read_by(cases[2], "ann", [M, N, M])
    read_by(cases[1], "ann", [M, N], finish=False)
    (cases[0].folder / "readings").mkdir(parents=True)
    (cases[0].folder / "readings" / "bad.jsonl").write_text("nonsense\n")
    code, events = run(capsys, "reviewed", path)
    assert code == 0
    mask, table = events[-1]["files"]
    assert "_desc-reviewedAnnRound1_mask" in mask
    assert set(np.unique(read_labels(mask).array)) == {0, 1, 2}
    assert [row["verdict"] for row in rows_of(table)] == [M, M, N]
    assert [event["event"] for event in events].count("warning") == 1


def test_consensus_adjudication_and_training_data_that_training_reads(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = read_worklist(path).cases[2]
    for reader, verdicts in (("ann", [M, M, N]), ("bob", [M, N, N])):
        read_by(case, reader, verdicts)
    read_by(read_worklist(path).cases[0], "ann", [N])
    code, events = run(capsys, "train", path, "-o", tmp_path / "set")
    assert code == 0
    assert "make a consensus first" in next(event["message"] for event in events if event["event"] == "warning")
    _code, events = run(capsys, "consensus", path)
    assert "1 disagreement, 1 of them open" in events[-1]["summary"]
    settle = read_worklist(Path(events[-1]["files"][-1]))
    _code, events = run(capsys, "train", path, "-o", tmp_path / "set")
    assert any("1 lesion still to adjudicate" in str(event.get("message")) for event in events)
    read_by(settle.cases[0], "judge", [M])
    _code, events = run(capsys, "consensus", path, "--adjudicator", "judge")
    assert "none of them open" in events[-1]["summary"]
    code, events = run(capsys, "train", path, "-o", tmp_path / "set")
    assert (code, [event["event"] for event in events].count("warning")) == (0, 0)
    entries = {entry.scan_id: entry for entry in read_manifests([Path(events[-1]["files"][0])])}
    assert {name: entry.role for name, entry in entries.items()} == {"case-01": "negative", "case-03": "real"}
    assert set(np.unique(read_labels(entries["case-03"].label).array)) == {0, 1, 2}
    mimics = rows_of(tmp_path / "set" / "mimics.csv")
    assert [(row["scan_id"], row["verdict"], row["mimic"]) for row in mimics] == [
        ("case-01", N, "vein"), ("case-03", N, "vein"),
    ]  # fmt: skip


def test_the_page_tells_cases_decisions_hours_and_agreement(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = read_worklist(path).cases
    read_by(cases[2], "ann", [M, M, N])
    read_by(cases[2], "bob", [M, N, N])
    read_by(cases[1], "ann", [U], finish=False)
    code, events = run(capsys, "summary", path)
    assert code == 0
    assert events[-1]["summary"].startswith("1 of 3 cases finished, 7 decisions in ")
    page = Path(events[-1]["page"]).read_text(encoding="utf-8")
    assert "<td>ann</td><td>2</td><td>1</td><td>4</td><td>2</td><td>1</td><td>1</td>" in page
    # Of three lesions both call one a microbleed, ann one more: 2 / 3, and kappa (2/3 - 4/9) / (1 - 4/9) = 0.4.
    assert (
        "<td>ann, bob</td><td>1</td><td>3</td><td>1</td><td>1</td><td>0</td><td>1</td><td>0.67</td><td>0.40</td>"
        in page
    )
    assert "case-01</td><td>–</td><td>–</td>" in page


def test_a_cancelled_job_stops_between_two_cases(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from CMBNetEvaluationLib import command_readings

    for case in read_worklist(path).cases:
        read_by(case, "ann", [M])
    seen = []

    class Impatient(command_readings.Progress):
        def advance(self, fraction: float) -> None:
            seen.append(fraction)
            self.cancel()

    import argparse

    parser = argparse.ArgumentParser()
    command_readings.add_arguments(parser)
    parser.add_argument("--json-events", action="store_true")
    with pytest.raises(command_readings.CMBNetError, match="ancel"):
        command_readings.run(parser.parse_args(["reviewed", str(path), "--json-events"]), Impatient())
    assert len(seen) == 1
