"""``cmbnet readings``: what comes after reading a worklist."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from CMBNetLib.errors import CMBNetError, InputError
from CMBNetLib.files import atomic_output
from CMBNetLib.progress import Progress
from CMBNetLib.review_adjudication import adjudication_folder, build_consensus
from CMBNetLib.review_gathering import CaseReadings, compare_cases, gather, load_for
from CMBNetLib.review_progress import progress_of
from CMBNetLib.review_progress_page import progress_page
from CMBNetLib.review_results import write_reviewed
from CMBNetLib.review_terms import ReviewTerms
from CMBNetLib.review_training import export_training
from CMBNetLib.wording import number_of
from CMBNetLib.worklist import Worklist, read_worklist

from .review_sources import read_candidates

HELP = "reviewed masks, consensus, training data and progress of the readings of a worklist"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("action", choices=list(_ACTIONS), help="what to make of the readings")
    parser.add_argument("worklist", type=Path, help="CSV file, BIDS data set or folder of scans")
    parser.add_argument("--kept", type=Path, metavar="DIR", help="where the readings are, if not at the usual place")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of the training data or page")
    parser.add_argument("--reader", metavar="NAME", help="only this reading, as the progress page names it")
    parser.add_argument("--adjudicator", metavar="NAME", help="reader whose decisions settle the disagreements")
    parser.add_argument("--scale", default="bombs", metavar="NAME", help="bombs, mars or a file (%(default)s)")


@dataclass(frozen=True)
class _Work:
    """What an action works on."""

    args: argparse.Namespace
    worklist: Worklist
    cases: list[CaseReadings]
    terms: ReviewTerms
    progress: Progress

    def each(self) -> Iterator[CaseReadings]:
        """The cases one by one; tells how far it is, and stops where the job is cancelled."""
        for number, case in enumerate(self.cases):
            self.progress.check_cancelled()
            self.progress.advance(number / len(self.cases))
            yield case


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Run the command; exit code 0."""
    worklist = read_worklist(args.worklist, args.kept)
    progress.stage("read", f"Reading the readings of {number_of(len(worklist.cases), 'case')}")
    terms = ReviewTerms.load(args.scale if args.scale in ("bombs", "mars") else Path(args.scale))
    result = _ACTIONS[args.action](_Work(args, worklist, gather(worklist), terms, progress))
    for problem in result.pop("problems"):
        progress.warning("left_out", problem)
    progress.advance(1.0)
    if not args.json_events:
        print(result["summary"])
        print("\n".join(result["files"]))
    progress.result(result)
    return 0


def _reviewed(work: _Work) -> dict[str, Any]:
    files: list[str] = []
    problems: list[str] = []
    n_readings = 0
    for found in work.each():
        problems += found.problems
        wanted = [reading for name, reading in found.finished.items() if work.args.reader in (None, name)]
        try:
            loaded = load_for(found, read_candidates) if wanted else None
            for reading in wanted:
                assert loaded is not None
                files += map(str, write_reviewed(loaded, reading.header, reading.state, work.terms))
                n_readings += 1
        except CMBNetError as error:
            problems.append(str(error))
    if not files:
        raise InputError(" ".join(["No case is finished yet, so there is nothing to write.", *problems]))
    return {"summary": f"Mask and table of {n_readings} finished readings.", "files": files, "problems": problems}


def _consensus(work: _Work) -> dict[str, Any]:
    folder = work.args.output or adjudication_folder(work.worklist)
    made = build_consensus(work.each(), folder, work.terms, read_candidates, work.args.adjudicator)
    files = [str(path) for path in (*made.masks, made.worklist) if path is not None]
    return {"summary": made.summary, "files": files, "problems": made.problems}


def _train(work: _Work) -> dict[str, Any]:
    folder = work.args.output or work.worklist.output_folder / "training"
    made = export_training(work.each(), folder, work.args.reader, read_candidates)
    return {"summary": made.summary, "files": [str(made.manifest)], "problems": made.problems}


def _summary(work: _Work) -> dict[str, Any]:
    compared, problems = compare_cases(work.each(), read_candidates)
    told = progress_of(work.cases, [lesions for _found, _loaded, lesions in compared], problems)
    path = (work.args.output or work.worklist.output_folder) / "progress.html"
    created = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    with atomic_output(path) as temporary:
        temporary.write_text(progress_page("Progress of the annotation", created, told), encoding="utf-8")
    return {"summary": told.summary, "files": [str(path)], "page": str(path), "problems": problems}


_ACTIONS: dict[str, Callable[[_Work], dict[str, Any]]] = {
    "reviewed": _reviewed, "consensus": _consensus, "train": _train, "summary": _summary,
}  # fmt: skip
