"""The page of a reader study, and its methods paragraph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from CMBNetLib.wording import number_of

from .comparison import PERMUTATIONS
from .methods_text import intervals_sentence, versions_sentence
from .page_template import render, section
from .pairs import subject_of
from .reader_study import CONDITIONS, ReaderStudy
from .report_tables import compact, comparison_table, found_table
from .scan_evaluation import EvaluationSettings

_PAIR_FIGURES = {
    "f1": "F1", "cohen_kappa": "Cohen's kappa", "gwet_ac1": "Gwet's AC1", "distance_mm": "Distance (mm)",
    "dice": "Dice", "icc_agreement": "ICC of counts",
}  # fmt: skip
_TOLD = 60  # rows of the adjudication list on the page; the file has all


def study_page(
    title: str,
    created: str,
    study: ReaderStudy,
    *,
    methods: str,
    rule: str,
    problems: Sequence[Mapping[str, str]] = (),
    figures: Mapping[str, bytes] | None = None,
) -> str:
    """The page as text; ``figures`` are PNG by name."""
    pictures = figures or {}
    sections = [
        _section("Two by two", _pair_tables(study), pictures, ("agreement",), _PAIR_NOTE, dense=True),
        _section("All readers together", [_group_table(study)], pictures, ("votes",)),
        _section("Time a case", [_time_table(study)], pictures, ("time",), _TIME_NOTE),
    ]
    if study.against_reference:
        table = _reference_table(study)
        sections.insert(0, _section("Each rater against the reference", [table], pictures, ("against_reference",)))
    if study.assistance is not None:
        names = [name.capitalize() for name in CONDITIONS.values()]
        table = {**comparison_table(study.assistance, names), "title": f"{study.assistance['scans']} readings twice"}
        tables = [table, found_table(study.assistance["lesions"], list(CONDITIONS.values()))]
        sections.insert(1, _section("Without and with assistance", tables, pictures, ("assistance",), _HELP_NOTE))
    sections.append(_adjudication(study))
    cases = {reading.case_id for reading in study.readings}
    return render(
        title, created, sections=sections, methods=methods, rule=rule, problems=problems,
        lead=f"{number_of(len(study.readings), 'reading')} of {number_of(len(cases), 'case')} by "
        f"{number_of(len({reading.reader for reading in study.readings}), 'reader')}.",
        n_subjects=len({subject_of(case) for case in cases}),
    )  # fmt: skip


_PAIR_NOTE = (
    "F1 is 2 x lesions of both / (lesions of the first + lesions of the second). Kappa and AC1 are over all places "
    "that anyone marked on the case, the model and the reference included; a rater without a mark there said no. So "
    "they depend on who took part, and kappa is low where few places are denied by both; AC1 suffers less from that."
)
_HELP_NOTE = (
    "Intervals draw readers and subjects, so that they hold for other readers too; the permutation test swaps all "
    "readings of a subject and speaks of these readers. p values are not adjusted for the number of figures."
)
_TIME_NOTE = "The time with assistance includes the first look where the candidates were shown only after it."


def methods_of(study: ReaderStudy, settings: EvaluationSettings) -> str:
    """The methods paragraph."""
    cases = {reading.case_id for reading in study.readings}
    readers = {reading.reader for reading in study.readings}
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
            intervals_sentence(),
            "Differences with assistance have intervals by samples of readers and of subjects, and two-sided p by "
            f"{PERMUTATIONS} permutations by subject."
            if study.assistance is not None
            else "",
            versions_sentence(),
        )
    )


def _section(
    title: str,
    tables: Sequence[Mapping[str, Any]],
    figures: Mapping[str, bytes] | None = None,
    wanted: Sequence[str] = (),
    note: str = "",
    dense: bool = False,
) -> dict[str, Any]:
    return section(title, [table for table in tables if table["rows"]], figures, wanted, note, dense)


def _pair_tables(study: ReaderStudy) -> list[dict[str, Any]]:
    """One table for each kind of pair."""
    kinds = dict.fromkeys(entry["kind"] for entry in study.pairs)
    return [_pair_table(kind, [entry for entry in study.pairs if entry["kind"] == kind]) for kind in kinds]


def _pair_table(kind: str, pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    counts = ("cases", "both", "only_first", "only_second")
    rows = [
        [
            f"{entry['first']} / {entry['second']}", *(str(entry[name]) for name in counts),
            *(compact(entry[name]) for name in _PAIR_FIGURES),
        ]
        for entry in pairs
    ]  # fmt: skip
    columns = ["Raters", "Cases", "Both", "Only first", "Only second", *_PAIR_FIGURES.values()]
    return {"title": kind[:1].upper() + kind[1:], "columns": columns, "rows": rows}


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
    table = {"title": "", "columns": columns, "rows": rows}
    return _section("To be settled between the readers", [table], note=note)
