"""After reading: reviewed mask and table, consensus with adjudication, agreement, training data."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from CMBNetLib.errors import InputError
from CMBNetLib.readings import ReadingHeader, ReadingStore, read_readings, readings_path
from CMBNetLib.review_adjudication import build_consensus
from CMBNetLib.review_agreement import agreements
from CMBNetLib.review_case import CaseReview
from CMBNetLib.review_gathering import compare_cases, gather
from CMBNetLib.review_loading import read_case
from CMBNetLib.review_results import reviewed_paths, write_reviewed
from CMBNetLib.review_terms import ReviewTerms
from CMBNetLib.review_training import export_training
from CMBNetLib.volume import read_labels
from CMBNetLib.worklist import Case, Worklist, read_worklist
from review_cases import a_worklist, dots_of, ticking_clock

TERMS = ReviewTerms.default()
M, N, U = "microbleed", "not", "unsure"


def read_by(case: Case, reader: str, verdicts: list[str], *, finish: bool = True) -> None:
    """Decide on the candidates of a case in their order."""
    loaded = read_case(case, dots_of)
    header = ReadingHeader(case.case_id, reader, 1, loaded.fingerprint)
    with ReadingStore(readings_path(case.folder, reader), header) as store:
        review = CaseReview(store, loaded.source, clock=ticking_clock())
        for verdict in verdicts:
            review.decide(verdict, mimic="vein" if verdict == N else None)
            review.step(1)
        if finish:
            review.finish()


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def worklist(tmp_path: Path) -> Worklist:
    """Three cases of 1, 2 and 3 candidates."""
    return a_worklist(tmp_path, 3)


@pytest.mark.parametrize("verdicts", [[M, N, M], [U, N, N]])
def test_the_reviewed_mask_holds_the_microbleeds_and_the_table_all_findings(
    worklist: Worklist, verdicts: list[str]
) -> None:
    case = worklist.cases[2]
    read_by(case, "dr-ann", verdicts)
    reading = read_readings(readings_path(case.folder, "dr-ann"))
    loaded = read_case(case, dots_of)
    mask, table = write_reviewed(loaded, reading.header, reading.state, TERMS)
    assert mask.name == "case-03_desc-reviewedDrAnnRound1_mask.nii.gz"
    labels, rows = read_labels(mask), rows_of(table)
    assert np.allclose(labels.ijk_to_ras, loaded.scan.ijk_to_ras, atol=1e-4)
    assert len(rows) == 3
    bled = [row for row in rows if row["verdict"] == M]
    assert [int(row["label"]) for row in bled] == list(range(1, verdicts.count(M) + 1))
    assert [int((labels.array == n + 1).sum()) for n in range(len(bled))] == [int(row["n_voxels"]) for row in bled]
    assert {row["mimic"] for row in rows if row["verdict"] == N} == {"vein"}
    other = ReadingHeader(case.case_id, "dr.ann")
    assert reviewed_paths(case, other)[1] == table
    with pytest.raises(InputError, match="holds the reading of dr-ann"):
        write_reviewed(loaded, other, reading.state, TERMS)


def test_three_readers_are_joined_and_what_they_differ_on_goes_to_an_adjudicator(
    worklist: Worklist, tmp_path: Path
) -> None:
    case = worklist.cases[2]
    for reader, verdicts in (("ann", [M, M, N]), ("bob", [M, N, N]), ("sue", [M, U, N])):
        read_by(case, reader, verdicts)
    read_by(worklist.cases[0], "ann", [M])
    folder = tmp_path / "adjudication"
    first = build_consensus(gather(worklist), folder, TERMS, dots_of)
    assert (len(first.masks), first.n_lesions, first.n_disagreements, first.n_open) == (1, 3, 1, 1)
    rows = rows_of(case.derived("consensus", "microbleeds.csv"))
    assert [(row["verdict"], row["decided_by"]) for row in rows] == [(M, "all"), ("open", "nobody"), (N, "all")]
    assert first.worklist is not None
    settle = read_worklist(first.worklist)
    assert [each.case_id for each in settle.cases] == ["case-03"]
    assert [row["id"] for row in rows_of(settle.cases[0].candidates)] == ["2"]

    header = ReadingHeader("case-03", "judge")
    from CMBNetLib.reading_events import Event

    with ReadingStore(readings_path(settle.cases[0].folder, "judge"), header) as store:
        store.append(Event("decide", target="c2", candidate=2, verdict=M, certainty="certain"))
    second = build_consensus(gather(worklist), folder, TERMS, dots_of, adjudicator="judge")
    assert second.n_open == 0
    rows = rows_of(case.derived("consensus", "microbleeds.csv"))
    assert (rows[1]["verdict"], rows[1]["decided_by"]) == (M, "adjudicator")
    assert set(np.unique(read_labels(second.masks[0]).array)) == {0, 1, 2}


def test_agreement_counts_lesions_and_matches_the_formula(worklist: Worklist) -> None:
    read_by(worklist.cases[2], "ann", [M, M, N])
    read_by(worklist.cases[2], "bob", [M, N, N])
    compared, problems = compare_cases(gather(worklist), dots_of)
    assert problems == []
    pair = agreements(lesions for _found, _loaded, lesions in compared)[0]
    assert (pair.both, pair.only_first, pair.only_second, pair.neither) == (1, 1, 0, 1)
    assert pair.positive_agreement == pytest.approx(2 / 3)
    # Observed 2/3; by chance (2 * 1 + 1 * 2) / 9.
    assert pair.kappa == pytest.approx((2 / 3 - 4 / 9) / (1 - 4 / 9))


def test_finished_cases_become_training_data_and_others_do_not(worklist: Worklist, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No case is finished"):
        export_training(gather(worklist), tmp_path / "train", None, dots_of)
    read_by(worklist.cases[1], "ann", [M, N])
    read_by(worklist.cases[2], "ann", [M], finish=False)
    export = export_training(gather(worklist), tmp_path / "train", None, dots_of)
    assert (export.n_scans, export.n_microbleeds, export.n_mimics) == (1, 1, 1)
    row = rows_of(export.manifest)[0]
    assert (row["scan_id"], row["role"], row["split"]) == ("case-02", "real", "train")
    assert read_labels(export.manifest.parent / row["label"]).array.max() == 1
    assert rows_of(export.manifest.with_name("mimics.csv"))[0]["mimic"] == "vein"
