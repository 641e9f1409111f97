"""Lesions from point lists: CSV files of RAS positions, as any tool can write them."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from CMBNetLib.errors import InputError

from .lesions import LesionSet, lesions_from_points

# Names that tools give to the RAS columns, in the order x, y, z.
_POSITION_NAMES = (
    ("center_r", "center_a", "center_s"), ("center_ras_x", "center_ras_y", "center_ras_z"), ("x_ras", "y_ras", "z_ras"),
    ("ras_x", "ras_y", "ras_z"), ("center_x", "center_y", "center_z"), ("r", "a", "s"), ("x", "y", "z"),
    ("x_mm", "y_mm", "z_mm"), ("center_r_mm", "center_a_mm", "center_s_mm"), ("r_mm", "a_mm", "s_mm"),
)  # fmt: skip
_SCORE_NAMES = ("score", "probability", "confidence", "p")
_IGNORE_NAMES = ("ignore", "ignored", "uncertain")
_UNCERTAIN = ("uncertain", "possible", "unsure")
_TRUE = ("1", "true", "yes", "y")
_KNOWN_ATTRIBUTES = (
    "zone", "region", "side", "mimic", "certainty", "is_microbleed", "diameter_mm", "equivalent_diameter_mm",
    "elongation", "sphericity", "contrast",
)  # fmt: skip


def read_point_list(path: str | os.PathLike[str]) -> LesionSet:
    """Read a CSV (comma, semicolon or tab) with one lesion a row.

    Columns of the position are ``x,y,z`` or ``r,a,s`` and the like, RAS millimetres; ``score``, ``ignore``,
    ``certainty``, ``zone``, ``region`` and ``mimic`` are read where they are there. Without a header, the first
    three columns are the position and the fourth, if any, the score.

    Raises
    ------
    InputError
        The file is missing, a position column is missing, or a number is not one.
    """
    path = Path(path)
    rows = read_rows(path)
    if not rows:
        return lesions_from_points(np.zeros((0, 3)))
    names = _position_columns(path, rows[0])
    points = np.array([[_number(path, row[name], number) for name in names] for number, row in enumerate(rows, 1)])
    scores = _scores(path, rows)
    attributes = [{key: row[key] for key in _KNOWN_ATTRIBUTES if row.get(key)} for row in rows]
    ids = [int(row["id"]) if row.get("id", "").strip().isdigit() else number for number, row in enumerate(rows, 1)]
    lesions = lesions_from_points(points, ids=ids, scores=scores, attributes=attributes)
    return replace(lesions, ignore=np.array([_is_ignored(row) for row in rows], dtype=bool))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV with lower-case column names; a file of bare numbers gets the names x, y, z, score.

    Raises
    ------
    InputError
        The file cannot be read as text, or a row is longer than the header.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read as a text table: {error}.") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        return []
    delimiter = max(",;\t", key=lines[0].count)
    table = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    if _all_numbers(table[0]):
        header = ["x", "y", "z", "score"][: len(table[0])]
    else:
        header, table = [name.lower() for name in table[0]], table[1:]
    for number, row in enumerate(table, 1):
        if len(row) > len(header):
            raise InputError(f"Row {number} of {path.name} has {len(row)} cells, the header {len(header)}.")
    return [dict(zip(header, row + [""] * (len(header) - len(row)), strict=True)) for row in table]


def _all_numbers(cells: Sequence[str]) -> bool:
    try:
        return len([float(cell) for cell in cells]) >= 3
    except ValueError:
        return False


def _position_columns(path: Path, row: Mapping[str, Any]) -> tuple[str, ...]:
    for names in _POSITION_NAMES:
        if all(name in row for name in names):
            return names
    found = ", ".join(row)
    raise InputError(f"{path.name} has no position columns (x, y, z in RAS mm); it has: {found}.")


def _scores(path: Path, rows: Sequence[Mapping[str, str]]) -> np.ndarray:
    name = next((name for name in _SCORE_NAMES if name in rows[0]), None)
    if name is None:
        return np.full(len(rows), np.nan)
    cells = [row[name] for row in rows]
    return np.array([_number(path, cell, number) if cell else np.nan for number, cell in enumerate(cells, 1)])


def _number(path: Path, cell: str, row: int) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise InputError(f"Row {row} of {path.name}: '{cell}' is not a number.") from error
    if not math.isfinite(value):
        raise InputError(f"Row {row} of {path.name}: a position or score cannot be {cell}.")
    return value


def _is_ignored(row: Mapping[str, str]) -> bool:
    marked = any(row.get(name, "").lower() in _TRUE for name in _IGNORE_NAMES)
    return marked or row.get("certainty", "").lower() in _UNCERTAIN
