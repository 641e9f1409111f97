"""Points of microbleeds in a table of text."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from CMBNetLib.errors import InputError

from .source_scan import SourcePoint

WORLD, VOXEL = ("x", "y", "z"), ("i", "j", "k")


def read_point_table(path: Path) -> list[SourcePoint]:
    """Read a tab-separated table with the columns x, y, z (RAS mm) or i, j, k (voxels counted from 0).

    Other columns become attributes. A table with a heading only says that the scan has no microbleed.

    Raises
    ------
    InputError
        No text, neither kind of columns, or a value that is no number.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        rows = list(csv.DictReader(lines, delimiter="\t", strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} cannot be read as a table of text ({error}).") from error
    heading = [name.strip() for name in lines[0].split("\t")] if lines else []
    columns = next((names for names in (WORLD, VOXEL) if set(names) <= set(heading)), None)
    if columns is None:
        raise InputError(f"{path.name} has neither the columns x, y, z (RAS mm) nor i, j, k (voxels); add them.")
    return [_point(path, number, row, columns) for number, row in enumerate(rows, 1)]


def _point(path: Path, number: int, row: Mapping[str | None, str | None], columns: tuple[str, ...]) -> SourcePoint:
    cells = {str(name).strip(): value for name, value in row.items() if name is not None}
    try:
        x, y, z = (float(cells[name] or "") for name in columns)
    except ValueError as error:
        raise InputError(f"{path.name} row {number}: {', '.join(columns)} are not three numbers.") from error
    if not all(map(math.isfinite, (x, y, z))):
        raise InputError(f"{path.name} row {number}: {', '.join(columns)} are not finite numbers.")
    attributes = {
        name: value for name, value in cells.items() if name not in columns and value not in (None, "", "n/a")
    }
    return SourcePoint(f"{path.name} row {number}", (x, y, z), columns == VOXEL, attributes)
