"""The logs of a run in the scene: two tables, and a chart of losses and one of lesion-level figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
import vtk

_BLUE, _RED, _GREEN = (0.0, 0.45, 0.70), (0.84, 0.37, 0.0), (0.0, 0.62, 0.45)
_LOGS = ("log.csv", "validation.csv")


@dataclass(frozen=True)
class Curve:
    """A column of a log, drawn with this title and colour."""

    log: str
    column: str
    title: str
    colour: tuple[float, float, float]


LOSS, FOUND = "Loss", "Microbleeds found"
CHARTS = {
    LOSS: (Curve("log.csv", "loss", "training", _BLUE), Curve("validation.csv", "loss", "validation", _RED)),
    FOUND: (
        Curve("validation.csv", "froc", "FROC, mean sensitivity", _BLUE),
        Curve("validation.csv", "best_f1", "best F1", _RED),
        Curve("validation.csv", "sensitivity_at_2", "sensitivity at 2 false/scan", _GREEN),
    ),
}


class TrainingCurves:
    """Follows the logs of one run at a time.

    Attributes
    ----------
    charts : dict
        Title -> plot chart node; empty while no run is followed.
    tables : dict
        Name of the log -> table node.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._run: Path | None = None
        self._sizes: dict[str, int] = {}
        self.tables: dict[str, Any] = {}
        self.charts: dict[str, Any] = {}

    @property
    def _present(self) -> bool:
        return all(self._scene.IsNodePresent(node) for node in (*self.tables.values(), *self.charts.values()))

    def follow(self, run: Path) -> None:
        """Show the logs of this run from now on; its nodes are made where the scene does not have them."""
        if self._run != run or not self.charts or not self._present:
            self._run = run
            self.tables = {log: self._table(f"{run.name} {log.removesuffix('.csv')}") for log in _LOGS}
            self.charts = {title: self._chart(f"{run.name} {title}", curves) for title, curves in CHARTS.items()}
        self._sizes = {}
        self.update()

    def update(self) -> bool:
        """Read the logs again where they have grown; whether one had."""
        from CMBNetTrainingLib.training_log import read_log

        if not self._present:  # the scene was closed meanwhile
            self.follow(self._run)
            return True
        changed = False
        for log, table in self.tables.items():
            path = self._run / log
            size = path.stat().st_size if path.is_file() else 0
            if size != self._sizes.get(log):
                self._sizes[log] = size
                _fill(table, _numeric(log), read_log(path))
                changed = True
        if changed:
            for chart in self.charts.values():
                chart.Modified()
        return changed

    def show(self, title: str) -> None:
        """Put a chart into the plot view; without a main window there is none."""
        if title in self.charts and slicer.app.layoutManager() is not None:
            slicer.modules.plots.logic().ShowChartInLayout(self.charts[title])

    def _table(self, name: str) -> Any:
        node = self._scene.AddNewNodeByClass("vtkMRMLTableNode", self._scene.GenerateUniqueName(name))
        node.SetUseColumnTitleAsColumnHeader(True)
        return node

    def _chart(self, name: str, curves: Sequence[Curve]) -> Any:
        chart = self._scene.AddNewNodeByClass("vtkMRMLPlotChartNode", self._scene.GenerateUniqueName(name))
        for curve in curves:
            series = self._scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", curve.title)
            series.SetAndObserveTableNodeID(self.tables[curve.log].GetID())
            series.SetXColumnName("step")
            series.SetYColumnName(curve.column)
            series.SetPlotType(series.PlotTypeScatter)
            style = series.MarkerStyleNone if curve.log == "log.csv" else series.MarkerStyleCircle
            series.SetMarkerStyle(style)
            series.SetColor(*curve.colour)
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
        chart.SetTitle(name)
        chart.SetXAxisTitle("step")
        chart.SetLegendVisibility(True)
        return chart


def _numeric(log: str) -> tuple[str, ...]:
    from CMBNetTrainingLib.training_log import STEPS, VALIDATIONS

    columns = STEPS if log == "log.csv" else VALIDATIONS
    return tuple(column for column in columns if column != "phase")


def _fill(node: Any, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    modifying = node.StartModify()
    node.RemoveAllColumns()
    for name in columns:
        column = vtk.vtkDoubleArray()
        column.SetName(name)
        for row in rows:
            column.InsertNextValue(float(row[name]) if row.get(name) else float("nan"))
        node.AddColumn(column)
    node.EndModify(modifying)
