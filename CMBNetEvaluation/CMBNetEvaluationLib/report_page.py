"""One HTML page with everything: tables with intervals, figures, methods, and a picture of every false call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from CMBNetLib.wording import number_of

from .froc import RATES
from .page_template import base64_text, render, section
from .report_tables import (
    burden_rows,
    classification_table,
    comparison_table,
    count_table,
    estimate_table,
    found_table,
    froc_table,
    name_of,
    number,
    place_table,
    stratum_table,
)
from .scan_result import Call, ScanResult

_GALLERIES = (
    ("FN", "Missed microbleeds", "Every one is shown."),
    ("FP", "False positives", "Every one is shown."),
    ("TP", "Found microbleeds", "A selection."),
)


_FOUND_ONLY = (
    "Figures on found lesions are of those alone: a model that finds fewer, easier lesions may look better there."
)


def report_html(
    title: str,
    created: str,
    results: Sequence[ScanResult],
    metrics: Mapping[str, Any],
    *,
    methods: str,
    rule: str,
    problems: Sequence[Mapping[str, str]] = (),
    figures: Mapping[str, bytes] | None = None,
    gallery: Path | None = None,
    comparison: tuple[Mapping[str, Any], Sequence[str]] | None = None,
) -> str:
    """The page as text.

    Parameters
    ----------
    created
        Time stamp, the only thing that differs between two runs.
    figures
        PNG by name.
    gallery
        Folder with the pictures that the calls name.
    rule
        The matching rule in words.
    comparison
        Result of `compare_models` and the names of the two models.
    """
    sections = [*_sections(metrics, figures or {})]
    if comparison is not None:
        sections.insert(1, _comparison_section(comparison, figures or {}))
    return render(
        title, created, sections=sections, methods=methods, rule=rule, problems=problems,
        n_subjects=metrics["detection"]["counts"]["subjects"], lead=summary_text(metrics["detection"]) + ".",
        galleries=[] if gallery is None else _galleries(results, gallery),
    )  # fmt: skip


def summary_text(detection: Mapping[str, Any]) -> str:
    """The result in one line, from the ``detection`` section of the measures."""
    pooled, counts = detection["pooled"], detection["counts"]

    def value(name: str) -> str:
        return number(pooled[name].value)

    return (
        f"{number_of(counts['scans'], 'scan')}: sensitivity {value('sensitivity')}, precision {value('precision')}, "
        f"F1 {value('f1')}, {value('false_positives_per_scan')} false positives per scan"
    )


def _sections(metrics: Mapping[str, Any], figures: Mapping[str, bytes]) -> list[dict[str, Any]]:
    detection, segmentation = metrics["detection"], metrics["segmentation"]
    sections = [
        section("Detection, pooled over all scans", [estimate_table("", detection["pooled"])]),
        section(
            "Detection, scan by scan",
            [
                estimate_table("Mean", detection["per_scan_mean"]),
                estimate_table("Median", detection["per_scan_median"]),
            ],
        ),
        section("What was counted", [count_table(detection["counts"])]),
    ]
    if metrics["froc"] is not None:
        sections.append(
            section("FROC", [froc_table(metrics["froc"])], figures, ("froc",), _end_of_curve(metrics["froc"]))
        )
    names = {"matched_lesions": "On found lesions", "whole_scan": "On whole scans"}
    outlines = [estimate_table(names[key], value) for key, value in segmentation.items() if value is not None]
    if outlines:
        sections.append(section("Segmentation", outlines, note=_FOUND_ONLY))
    counting = metrics["counting"]
    tables = [estimate_table("", counting), burden_rows(counting["burden_table"])]
    sections.append(section("Counting", tables, figures, ("bland_altman",)))
    sections.append(_classification_section(metrics))
    if metrics["calibration"] is not None:
        tables = [estimate_table("", metrics["calibration"])]
        sections.append(section("Calibration of the scores", tables, figures, ("calibration",)))
    return [*sections, _strata_section(metrics, figures), *_cause_sections(metrics)]


def _classification_section(metrics: Mapping[str, Any]) -> dict[str, Any]:
    tables = [classification_table(metrics["classification"])]
    if metrics["scan_auc"] is not None:
        tables.append(estimate_table("Highest score against any microbleed", {"area_under_roc": metrics["scan_auc"]}))
    note = "A scan is positive by how many microbleeds are counted, whether or not they are the right ones."
    return section("Scans called positive by their count", tables, note=note)


def _end_of_curve(froc: Mapping[str, Any]) -> str:
    most = froc["most_false_positives_per_scan"]
    if most >= RATES[-1]:
        return ""
    return (
        f"All candidates together give {most:.2f} false positives per scan; at higher rates the sensitivity is that at "
        "the end of the curve, which is the least it could be."
    )


def _comparison_section(
    comparison: tuple[Mapping[str, Any], Sequence[str]], figures: Mapping[str, bytes]
) -> dict[str, Any]:
    found, names = comparison
    tables = [comparison_table(found, names), found_table(found["lesions"], names)]
    note = (
        f"Difference: {names[1]} minus {names[0]}. Intervals and permutations are by subject; p values are not "
        "adjusted for the number of figures. McNemar's test takes lesions as independent."
    )
    return section("Comparison of models", tables, figures, ("comparison_froc",), note)


def _strata_section(metrics: Mapping[str, Any], figures: Mapping[str, bytes]) -> dict[str, Any]:
    strata = metrics["strata"]
    note = (
        "Lesions are counted where the reference puts them, false positives where they lie; a hit whose two regions "
        "differ stays one hit. In a stratum of few subjects the interval by bootstrap is too narrow: see the counts."
    )
    tables = [stratum_table(key, groups) for key, groups in strata.items()]
    return section("Strata", tables, figures, [f"strata_{key}" for key in strata], note)


def _cause_sections(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    sections = []
    if metrics["false_positive_causes"]:
        sections.append(section("False positives by cause", [count_table(metrics["false_positive_causes"])]))
    places = [(key, metrics[f"{key}_of_hits"]) for key in ("zone", "region") if metrics[f"{key}_of_hits"]]
    if places:
        tables = [place_table(f"By {name_of(key).lower()}", table) for key, table in places]
        sections.append(section("Where hits lie", tables))
    return sections


def _galleries(results: Sequence[ScanResult], folder: Path) -> list[dict[str, Any]]:
    groups = []
    for outcome, title, note in _GALLERIES:
        entries = [
            {"text": caption(result.scan_id, call), "data": base64_text((folder / call.picture).read_bytes())}
            for result in results
            for call in result.calls
            if call.outcome == outcome and call.picture
        ]
        if entries:
            groups.append({"title": f"{title} ({len(entries)})", "note": note, "entries": entries})
    return groups


def caption(scan_id: str, call: Call) -> str:
    """Scan, score, place, size and what is known about a call, in one line."""
    parts = [scan_id, f"RAS {call.center_ras[0]:.1f}, {call.center_ras[1]:.1f}, {call.center_ras[2]:.1f}"]
    if call.score is not None:
        parts.append(f"score {call.score:.2f}")
    if call.candidate_score is not None:
        parts.append(f"best candidate {call.candidate_score:.2f}")
    parts += [text for text in (call.zone, call.region, call.relation) if text]
    if call.diameter_mm is not None:
        parts.append(f"{call.diameter_mm:.1f} mm")
    if call.cause and call.cause != call.relation:
        parts.append(f"cause: {call.cause}")
    return " · ".join(parts)
