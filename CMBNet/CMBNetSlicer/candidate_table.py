"""The table of a detection that is saved with the scene and can be exported: one row a candidate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import vtk

from CMBNetLib.candidates import Candidate
from CMBNetSlicer.detection_record import DetectionRecord

MICROBLEED = "microbleed"
_NOT_KNOWN = float("nan")


def make_table(node: Any, record: DetectionRecord) -> None:
    """Fill the table ``node`` with all candidates; positions are RAS mm at the time of the run."""
    modifying = node.StartModify()
    node.RemoveAllColumns()
    for name, kind, value in _COLUMNS:
        column = kind()
        column.SetName(name)
        for candidate in record.candidates:
            column.InsertNextValue(value(candidate))
        node.AddColumn(column)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.EndModify(modifying)


def mark_microbleeds(node: Any, n_microbleeds: int) -> None:
    """Write yes or no into the column ``microbleed``."""
    column = node.GetTable().GetColumnByName(MICROBLEED)
    if column is None:  # a user may have removed it
        return
    for row in range(column.GetNumberOfValues()):
        column.SetValue(row, "yes" if row < n_microbleeds else "no")
    column.Modified()
    node.GetTable().Modified()


def _shape(name: str) -> Callable[[Candidate], float]:
    def value(candidate: Candidate) -> float:
        found = None if candidate.shape is None else getattr(candidate.shape, name)
        return _NOT_KNOWN if found is None else float(found)

    return value


def _where(name: str) -> Callable[[Candidate], str]:
    return lambda candidate: "" if candidate.location is None else str(getattr(candidate.location, name))


def _axis(axis: int) -> Callable[[Candidate], float]:
    return lambda candidate: candidate.center_ras[axis]


_COLUMNS: tuple[tuple[str, Callable[[], Any], Callable[[Candidate], Any]], ...] = (
    ("id", vtk.vtkIntArray, lambda candidate: candidate.id),
    ("score", vtk.vtkDoubleArray, lambda candidate: candidate.score),
    (MICROBLEED, vtk.vtkStringArray, lambda candidate: ""),
    ("zone", vtk.vtkStringArray, _where("zone")),
    ("region", vtk.vtkStringArray, _where("region")),
    ("side", vtk.vtkStringArray, _where("side")),
    ("equivalent_diameter_mm", vtk.vtkDoubleArray, _shape("equivalent_diameter_mm")),
    ("volume_mm3", vtk.vtkDoubleArray, _shape("volume_mm3")),
    ("r_mm", vtk.vtkDoubleArray, _axis(0)),
    ("a_mm", vtk.vtkDoubleArray, _axis(1)),
    ("s_mm", vtk.vtkDoubleArray, _axis(2)),
)
