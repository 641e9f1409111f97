"""A reader study in the scene: its tables, and plots of agreement and of the raters against the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from CMBNetSlicer.evaluation_nodes import COLOURS, add_chart, add_series, add_table
from CMBNetSlicer.study_record import TABLES, StudyRecord


def show_study(scene: Any, record: StudyRecord) -> dict[str, Any]:
    """Add the nodes of a study to the scene: its tables by name, and the charts ``raters`` and ``agreement``.

    A chart without data is None: ``raters`` without references, ``agreement`` with one rater alone.
    """
    name = record.path.parent.name or "Reader study"
    nodes = {
        table: add_table(scene, f"{name} {table}", _columns(record.tables[table]))
        for table in TABLES
        if record.tables.get(table)
    }
    return {**nodes, "raters": _raters(scene, record, name), "agreement_chart": _agreement(scene, record, name)}


def _raters(scene: Any, record: StudyRecord, name: str) -> Any:
    """Sensitivity of each rater over its false positives a scan."""
    figures = [
        (rater, *(detection["pooled"][key]["value"] for key in ("false_positives_per_scan", "sensitivity")))
        for rater, detection in record.document["against_reference"].items()
    ]
    known = [row for row in figures if None not in row]
    if not known:
        return None
    raters, rates, sensitivities = (list(column) for column in zip(*known, strict=True))
    columns = [("False positives per scan", rates), ("Sensitivity", sensitivities), ("Rater", raters)]
    series = add_series(scene, f"{name} raters", columns, COLOURS[0])
    series.SetPlotType(series.PlotTypeScatter)
    series.SetLineStyle(series.LineStyleNone)
    chart = add_chart(scene, f"{name} raters chart", "Raters against the reference", (columns[0][0], columns[1][0]))
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart


def _agreement(scene: Any, record: StudyRecord, name: str) -> Any:
    """F1 of lesions of each two raters."""
    pairs = [entry for entry in record.document["pairs"] if entry["f1"]["value"] is not None]
    if not pairs:
        return None
    values = [entry["f1"]["value"] for entry in pairs]
    columns = [
        ("Pair", [float(number) for number in range(1, len(pairs) + 1)]),
        ("F1", values),
        ("Raters", [f"{entry['first']} / {entry['second']}" for entry in pairs]),
    ]
    series = add_series(scene, f"{name} agreement", columns, COLOURS[0])
    series.SetPlotType(series.PlotTypeBar)
    chart = add_chart(scene, f"{name} agreement chart", "Agreement two by two", ("Raters", "F1 of lesions"))
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart


def _columns(rows: Sequence[Mapping[str, str]]) -> list[tuple[str, list[Any]]]:
    """Columns of a table: of numbers where every filled cell is one."""
    columns: list[tuple[str, list[Any]]] = []
    for key in rows[0]:
        cells = [row[key] for row in rows]
        numbers = [_number(cell) for cell in cells]
        text = any(cell and number is None for cell, number in zip(cells, numbers, strict=True))
        columns.append((key, cells if text else [float("nan") if n is None else n for n in numbers]))
    return columns


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
