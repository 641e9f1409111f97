"""Runs a reader study from its files and writes tables, consensus references and one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError
from CMBNetLib.progress import Progress
from CMBNetLib.wording import number_of

from .consensus import consensus_points
from .estimates import Estimate
from .evaluation import plain
from .evaluation_output import write_figures, write_text
from .lesion_sources import read_prediction, read_reference
from .lesions import LesionSet, no_lesions
from .methods_text import software_versions
from .pairs import files_by_scan, look_up
from .reader_figures import draw_study_figures
from .reader_study import ReaderStudy, check_rule, measure_study
from .reader_study_page import methods_of, study_page
from .reading_files import read_study, verdict_of
from .scan_evaluation import EvaluationSettings
from .tables import DIFFERENCE_COLUMNS, MEASURE_COLUMNS, difference_rows, measure_rows, write_csv

SCHEMA, SCHEMA_VERSION = "cmbnet-reader-study", "1.0"
CONSENSUS = ("majority", "union")
_VOTE_COLUMNS = (
    "case_id", "x", "y", "z", "readers", "yes", "no", "unsure", "majority", "agreed", "said_yes",
)  # fmt: skip
_MARK_COLUMNS = ("case_id", "rater", "reader", "round", "assisted", "x", "y", "z", "vote")


def run_reader_study(
    readings_folder: Path,
    references: Path | None,
    predictions: Path | None,
    settings: EvaluationSettings,
    output: Path,
    progress: Progress,
    *,
    images: Path | None = None,
    title: str = "Reader study",
) -> dict[str, Any]:
    """Measure a study and write it; returns what the command reports.

    Raises
    ------
    InputError
        No reading can be used, the rule does not fit, or the output folder cannot be written.
    """
    check_rule(settings.rule)
    progress.stage("read", "Reading the readings")
    readings, problems = read_study(readings_folder)
    cases = sorted({reading.case_id for reading in readings})
    known = _lesions(references, "reference", cases, settings, problems)
    model = _lesions(predictions, "prediction", cases, settings, problems)
    compared = f"{number_of(len(readings), 'reading')} of {number_of(len(cases), 'case')}"
    progress.stage("measure", f"Comparing {compared}")
    study = measure_study(readings, settings, predictions=model, references=known)
    progress.advance(0.9)
    pictures = _images(images, cases)
    paths = write_study(output, study, settings, problems, title=title, images=pictures, progress=progress)
    progress.advance(1.0)
    return {
        "study": str(paths["json"].resolve()),
        "report": str(paths["report"].resolve()) if "report" in paths else None,
        "readings": len(readings),
        "cases": len(cases),
        "problems": len(problems),
        "adjudicate": sum(not row["agreed"] for row in study.votes),
    }


def write_study(
    folder: Path,
    study: ReaderStudy,
    settings: EvaluationSettings,
    problems: Sequence[Mapping[str, str]] = (),
    *,
    title: str = "Reader study",
    images: Mapping[str, Path] | None = None,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Write JSON, CSV, figures, consensus references and the page; returns the paths by kind.

    ``images`` are the scans of the cases, so that a case can be opened again.
    """
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    methods = methods_of(study, settings)
    paths = {
        "readings": write_csv(folder / "readings.csv", *_reading_rows(study)),
        "marks": write_csv(folder / "marks.csv", _MARK_COLUMNS, _mark_rows(study)),
        "agreement": write_csv(folder / "agreement.csv", *_pair_rows(study)),
        "votes": write_csv(folder / "votes.csv", _VOTE_COLUMNS, study.votes),
        "adjudication": write_csv(
            folder / "adjudication.csv", _VOTE_COLUMNS, [row for row in study.votes if not row["agreed"]]
        ),
    }
    measures = {name: getattr(study, name) for name in ("against_reference", "groups", "times")}
    paths["metrics"] = write_csv(folder / "metrics.csv", MEASURE_COLUMNS, measure_rows(measures))
    if study.assistance is not None:
        rows = difference_rows(study.assistance["metrics"])
        paths["assistance"] = write_csv(folder / "assistance.csv", DIFFERENCE_COLUMNS, rows)
    _write_consensus(folder / "consensus", study)
    figures = write_figures(folder, draw_study_figures, (study,), progress or Progress())
    if find_spec("jinja2") is not None:
        page = study_page(
            title, created, study, methods=methods, rule=settings.rule.sentence(), problems=problems, figures=figures
        )
        paths["report"] = write_text(folder / "report.html", page)
    document = {
        "schema": SCHEMA, "schema_version": SCHEMA_VERSION, "created": created, "title": title,
        "software": software_versions(), "rule": settings.rule.as_dict(), "methods": methods,
        "problems": list(problems), **_content(study),
        "images": {case: str(path.resolve()) for case, path in sorted((images or {}).items())},
        "files": {kind: path.name for kind, path in paths.items()},
    }  # fmt: skip
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    paths["json"] = write_text(folder / "reader_study.json", text)
    return paths


def _content(study: ReaderStudy) -> dict[str, Any]:
    names = ("pairs", "groups", "panel", "against_reference", "assistance", "times")
    return {name: plain(getattr(study, name)) for name in names}


def _lesions(
    folder: Path | None, role: str, cases: Sequence[str], settings: EvaluationSettings, problems: list[dict[str, str]]
) -> dict[str, LesionSet]:
    """Lesions of the model or the reference by case.

    A file that cannot be read is told and left out; a model without a prediction found nothing, which is told too.
    """
    if folder is None:
        return {}
    unclear: list[str] = []
    files = files_by_scan(folder, role, unclear)
    problems += [{"scan_id": role, "message": text} for text in unclear]
    found = {}
    for case in cases:
        path = look_up(files, case)
        try:
            if path is None and role == "prediction":
                problems.append({"scan_id": case, "message": "There is no prediction for this case: nothing found."})
            elif path is None:
                raise InputError("There is no reference for this case.")
            found[case] = no_lesions() if path is None else _read(path, role, settings)
        except InputError as error:
            problems.append({"scan_id": case, "message": str(error)})
    return found


def _images(folder: Path | None, cases: Sequence[str]) -> dict[str, Path]:
    """The scan of each case, as far as there is one."""
    files = {} if folder is None else files_by_scan(folder, "image", [])
    found = {case: look_up(files, case) for case in cases}
    return {case: path for case, path in found.items() if path is not None}


def _read(path: Path, role: str, settings: EvaluationSettings) -> LesionSet:
    if role == "reference":
        return read_reference(path, settings.rule)
    return read_prediction(path, settings.rule, floor=settings.floor, threshold=settings.threshold).called


def _reading_rows(study: ReaderStudy) -> tuple[list[str], list[dict[str, Any]]]:
    columns = ["case_id", "rater", "reader", "round", "assisted", "microbleeds", "marks", "seconds"]
    rows = [
        {
            "case_id": reading.case_id, "rater": reading.rater, "reader": reading.reader, "round": reading.round,
            "assisted": int(reading.assisted), "microbleeds": reading.n_microbleeds, "marks": len(reading.votes),
            "seconds": reading.seconds,
        }
        for reading in study.readings
    ]  # fmt: skip
    return columns, rows


def _mark_rows(study: ReaderStudy) -> list[dict[str, Any]]:
    """Every mark of readers, model and reference."""
    rows = []
    for reading in (*study.readings, *study.others):
        about = {name: getattr(reading, name) for name in ("case_id", "rater", "reader", "round")}
        for place, vote in zip(reading.positions_ras, reading.votes, strict=True):
            position = dict(zip("xyz", (round(float(value), 3) + 0.0 for value in place), strict=True))
            rows.append({**about, "assisted": int(reading.assisted), **position, "vote": verdict_of(vote)})
    return rows


def _pair_rows(study: ReaderStudy) -> tuple[list[str], list[dict[str, Any]]]:
    """One row for each two raters; an estimate takes three columns."""
    rows: list[dict[str, Any]] = []
    columns: dict[str, None] = dict.fromkeys(("kind", "first", "second", "cases", "both", "only_first", "only_second"))
    for entry in study.pairs:
        row: dict[str, Any] = {}
        for name, value in entry.items():
            if isinstance(value, Estimate):
                row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            else:
                row[name] = value
        columns |= dict.fromkeys(row)
        rows.append(row)
    return list(columns), rows


def _write_consensus(folder: Path, study: ReaderStudy) -> None:
    """Point lists that serve as references: one file a case and kind, cases without any place included."""
    panel = [reading for reading in study.readings if reading.rater in study.panel]
    columns = ("id", "x", "y", "z", "yes", "no", "unsure", "certainty")
    for case in sorted({reading.case_id for reading in panel}):
        rows = [row for row in study.votes if row["case_id"] == case]
        for kind in CONSENSUS:
            write_csv(folder / kind / f"{case}.csv", columns, consensus_points(rows, kind))
