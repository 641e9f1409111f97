"""An evaluation in the scene: a table of measures, a table of calls, and the FROC as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import vtk

from CMBNetSlicer.evaluation_record import EvaluationRecord

_RATE, _SENSITIVITY = "False positives per scan", "Sensitivity"
COLOURS = ((0.0, 0.45, 0.70), (0.84, 0.37, 0.0))


@dataclass(frozen=True)
class EvaluationNodes:
    """The nodes; `froc` is a plot chart node, or None where the predictions had no scores."""

    metrics: Any
    calls: Any
    froc: Any


def show_evaluation(scene: Any, record: EvaluationRecord) -> EvaluationNodes:
    """Add the nodes of an evaluation to the scene."""
    name = record.path.parent.name or "Evaluation"
    return EvaluationNodes(
        _metrics_table(scene, record, name), _calls_table(scene, record, name), _froc(scene, record, name)
    )


def _metrics_table(scene: Any, record: EvaluationRecord, name: str) -> Any:
    numbers = ("value", "low", "high", "wilson_low", "wilson_high", "poisson_low", "poisson_high", "n")
    columns: list[tuple[str, Sequence[Any]]] = [
        (key, [row[key] for row in record.measures]) for key in ("section", "measure")
    ]
    columns += [(key, [float(row[key]) if row[key] else float("nan") for row in record.measures]) for key in numbers]
    return add_table(scene, f"{name} measures", columns)


def _calls_table(scene: Any, record: EvaluationRecord, name: str) -> Any:
    calls = record.calls
    texts = ("scan_id", "outcome", "zone", "region", "cause")
    columns: list[tuple[str, Sequence[Any]]] = [(key, [getattr(call, key) for call in calls]) for key in texts]
    for key in ("score", "diameter_mm"):
        columns.append((key, [_or_nan(getattr(call, key)) for call in calls]))
    for axis, key in enumerate(("r_mm", "a_mm", "s_mm")):
        columns.append((key, [call.position_ras[axis] for call in calls]))
    return add_table(scene, f"{name} calls", columns)


def _froc(scene: Any, record: EvaluationRecord, name: str) -> Any:
    """A chart with the FROC, and with that of a second model where one was compared."""
    froc, comparison = record.document["metrics"]["froc"], record.document.get("comparison") or {}
    if froc is None or not froc["curve"]["sensitivity"]:
        return None
    curves = [froc["curve"], *(comparison.get("curves") or ())[1:]]
    titles = ["FROC", *(f"FROC {model}" for model in comparison.get("models", ())[1:])]
    chart = add_chart(scene, f"{name} FROC chart", "FROC", (f"{_RATE} (all scans)", _SENSITIVITY))
    for curve, title, colour in zip(curves, titles, COLOURS, strict=False):
        columns = [(_RATE, curve["false_positives_per_scan"]), (_SENSITIVITY, curve["sensitivity"])]
        series = add_series(scene, f"{name} {title}", columns, colour)
        series.SetPlotType(series.PlotTypeScatter)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart


def add_chart(scene: Any, name: str, title: str, axes: tuple[str, str]) -> Any:
    """A plot chart node whose vertical axis goes from 0 to 1."""
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", scene.GenerateUniqueName(name))
    chart.SetTitle(title)
    chart.SetXAxisTitle(axes[0])
    chart.SetYAxisTitle(axes[1])
    chart.SetYAxisRange(0.0, 1.0)
    chart.SetYAxisRangeAuto(False)
    return chart


def add_series(
    scene: Any, name: str, columns: Sequence[tuple[str, Sequence[Any]]], colour: tuple[float, float, float]
) -> Any:
    """A plot series of the first two columns of a new table; a third column labels the points."""
    table = add_table(scene, f"{name} points", columns)
    series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", scene.GenerateUniqueName(name))
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName(columns[0][0])
    series.SetYColumnName(columns[1][0])
    if len(columns) > 2:
        series.SetLabelColumnName(columns[2][0])
    series.SetMarkerStyle(series.MarkerStyleCircle)
    series.SetColor(*colour)
    return series


def add_table(scene: Any, name: str, columns: Sequence[tuple[str, Sequence[Any]]]) -> Any:
    """A table node; a column is of text where its first value is."""
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
    modifying = node.StartModify()
    for title, values in columns:
        column = vtk.vtkStringArray() if values and isinstance(values[0], str) else vtk.vtkDoubleArray()
        column.SetName(title)
        for value in values:
            column.InsertNextValue(value)
        node.AddColumn(column)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.EndModify(modifying)
    return node


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
