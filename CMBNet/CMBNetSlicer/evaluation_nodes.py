"""An evaluation in the scene: a table of measures, a table of calls, and the FROC as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import vtk

from CMBNetSlicer.evaluation_record import EvaluationRecord

_RATE, _SENSITIVITY = "False positives per scan", "Sensitivity"


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
    numbers = ("value", "low", "high", "wilson_low", "wilson_high", "n")
    columns: list[tuple[str, Sequence[Any]]] = [
        (key, [row[key] for row in record.measures]) for key in ("section", "measure")
    ]
    columns += [(key, [float(row[key]) if row[key] else float("nan") for row in record.measures]) for key in numbers]
    return _table(scene, f"{name} measures", columns)


def _calls_table(scene: Any, record: EvaluationRecord, name: str) -> Any:
    calls = record.calls
    texts = ("scan_id", "outcome", "zone", "region", "cause")
    columns: list[tuple[str, Sequence[Any]]] = [(key, [getattr(call, key) for call in calls]) for key in texts]
    for key in ("score", "diameter_mm"):
        columns.append((key, [_or_nan(getattr(call, key)) for call in calls]))
    for axis, key in enumerate(("r_mm", "a_mm", "s_mm")):
        columns.append((key, [call.position_ras[axis] for call in calls]))
    return _table(scene, f"{name} calls", columns)


def _froc(scene: Any, record: EvaluationRecord, name: str) -> Any:
    froc = record.document["metrics"]["froc"]
    if froc is None or not froc["curve"]["sensitivity"]:
        return None
    curve = froc["curve"]
    columns = [(_RATE, curve["false_positives_per_scan"]), (_SENSITIVITY, curve["sensitivity"])]
    table = _table(scene, f"{name} FROC points", columns)
    series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", f"{name} FROC")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName(_RATE)
    series.SetYColumnName(_SENSITIVITY)
    series.SetPlotType(series.PlotTypeScatter)
    series.SetMarkerStyle(series.MarkerStyleCircle)
    series.SetColor(0.0, 0.45, 0.70)
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", f"{name} FROC chart")
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetTitle("FROC")
    chart.SetXAxisTitle(f"{_RATE} (all scans)")
    chart.SetYAxisTitle(_SENSITIVITY)
    chart.SetYAxisRange(0.0, 1.0)
    chart.SetYAxisRangeAuto(False)
    return chart


def _table(scene: Any, name: str, columns: Sequence[tuple[str, Sequence[Any]]]) -> Any:
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
