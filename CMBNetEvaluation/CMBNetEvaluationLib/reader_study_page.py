"""The page of a reader study, and its methods paragraph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .estimates import REPLICATES, SEED
from .methods_text import number_of, software_versions
from .page_template import PAGE
from .reader_study import CONDITIONS, ReaderStudy
from .report_tables import compact, comparison_table
from .scan_evaluation import EvaluationSettings

_PAIR_FIGURES = {
    "f1": "F1", "cohen_kappa": "Cohen's kappa", "gwet_ac1": "Gwet's AC1", "distance_mm": "Distance (mm)",
    "dice": "Dice", "icc_agreement": "ICC of counts",
}  # fmt: skip
_TOLD = 60  # rows of the adjudication list on the page; the file has all


def study_page(
    title: str, created: str, study: ReaderStudy, methods: str, problems: Sequence[Mapping[str, str]] = ()
) -> str:
    """The page as text."""
    from jinja2 import Environment

    sections = [
        _section("Two by two", [_pair_table(study)], note=_PAIR_NOTE),
        _section("All readers together", [_group_table(study)]),
        _section("Time a case", [_time_table(study)], note=_TIME_NOTE),
    ]
    if study.against_reference:
        sections.insert(0, _section("Each rater against the reference", [_reference_table(study)]))
    if study.assistance is not None:
        names = [name.capitalize() for name in CONDITIONS.values()]
        table = {**comparison_table(study.assistance, names), "title": f"{study.assistance['scans']} readings twice"}
        sections.insert(1, _section("Without and with assistance", [table]))
    sections.append(_adjudication(study))
    template = Environment(autoescape=True, trim_blocks=True).from_string(PAGE)
    return template.render(
        title=title, created=created, problems=problems, sections=sections, methods=methods, galleries=[]
    )


_PAIR_NOTE = (
    "F1 is 2 x lesions of both / (lesions of the first + lesions of the second). Kappa and AC1 are over all places "
    "that anyone marked on the case; a rater without a mark there said no. Intervals in brackets."
)
_TIME_NOTE = "The time with assistance includes the first look where the candidates were shown only after it."


def methods_of(study: ReaderStudy, settings: EvaluationSettings) -> str:
    """The methods paragraph."""
    cases = {reading.case_id for reading in study.readings}
    readers = {reading.reader for reading in study.readings}
    versions = ", ".join(f"{name} {number}" for name, number in software_versions().items())
    return " ".join(
        (
            f"{number_of(len(study.readings), 'reading')} of {number_of(len(cases), 'case')} by "
            f"{number_of(len(readers), 'reader')} were compared.",
            settings.rule.sentence(),
            "What a rater was unsure about counted neither as marked nor as missed. Kappa coefficients were computed "
            f"over places: marks of several raters at most {settings.rule.limit:g} mm apart, one of each, nearest "
            "first; a rater who marked nothing at a place answered no.",
            f"The consensus is that of {', '.join(study.panel)}: majority means more than half of the votes given; "
            "ties are left open.",
            f"95 % intervals are percentiles of {REPLICATES} bootstrap samples of subjects (seed {SEED}).",
            f"Computed with {versions}.",
        )
    )


def _section(title: str, tables: Sequence[Mapping[str, Any]], note: str = "") -> dict[str, Any]:
    return {"title": title, "tables": [table for table in tables if table["rows"]], "figures": [], "note": note}


def _pair_table(study: ReaderStudy) -> dict[str, Any]:
    counts = ("cases", "both", "only_first", "only_second")
    rows = [
        [
            f"{entry['first']} / {entry['second']}", entry["kind"], *(str(entry[name]) for name in counts),
            *(compact(entry[name]) for name in _PAIR_FIGURES),
        ]
        for entry in study.pairs
    ]  # fmt: skip
    columns = ["Raters", "", "Cases", "Both", "Only first", "Only second", *_PAIR_FIGURES.values()]
    return {"title": "", "columns": columns, "rows": rows}


def _group_table(study: ReaderStudy) -> dict[str, Any]:
    figures = ("fleiss_kappa", "gwet_ac1", "agreeing_pairs")
    rows = [
        [
            name.capitalize(), *(str(group[key]) for key in ("readers", "cases", "places")),
            *(compact(group[key]) for key in figures),
        ]
        for name, group in study.groups.items()
    ]  # fmt: skip
    columns = ["Readers", "Readers", "Cases", "Places", "Fleiss' kappa", "Gwet's AC1", "Agreeing pairs of votes"]
    return {"title": "", "columns": ["", *columns[1:]], "rows": rows}


def _time_table(study: ReaderStudy) -> dict[str, Any]:
    rows = [
        [_initial(name), str(entry["readings"]), compact(entry["mean_s"], 1), compact(entry["median_s"], 1)]
        for name, entry in study.times.items()
    ]  # fmt: skip
    return {"title": "", "columns": ["", "Readings", "Mean (s)", "Median (s)"], "rows": rows}


def _initial(name: str) -> str:
    """The name of a condition as the start of a row; names of readers stay as they are."""
    return name[:1].upper() + name[1:] if name.startswith("with") else name


def _reference_table(study: ReaderStudy) -> dict[str, Any]:
    names = ("sensitivity", "precision", "f1", "false_positives_per_scan")
    rows = []
    for rater, detection in study.against_reference.items():
        counts, pooled = detection["counts"], detection["pooled"]
        totals = [str(counts[key]) for key in ("scans", "true_positives", "false_positives", "false_negatives")]
        rows.append([rater, *totals, *(compact(pooled[name]) for name in names)])
    columns = ["Rater", "Scans", "TP", "FP", "FN", "Sensitivity", "Precision", "F1", "FP per scan"]
    return {"title": "", "columns": columns, "rows": rows}


def _adjudication(study: ReaderStudy) -> dict[str, Any]:
    open_rows = [row for row in study.votes if not row["agreed"]]
    rows = [
        [row["case_id"], f"{row['x']:.1f}, {row['y']:.1f}, {row['z']:.1f}",
         *(str(row[name]) for name in ("yes", "no", "unsure", "majority", "said_yes"))]
        for row in open_rows[:_TOLD]
    ]  # fmt: skip
    columns = ["Case", "RAS (mm)", "Yes", "No", "Unsure", "Majority", "Said yes"]
    agreed = len(study.votes) - len(open_rows)
    note = f"{number_of(agreed, 'place')} agreed on, {len(open_rows)} to settle; adjudication.csv has all of them."
    return _section("To be settled between the readers", [{"title": "", "columns": columns, "rows": rows}], note)
