"""Spreadsheets with a file name and any number of x, y, z triplets in each row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError
from CMBNetLib.files import scan_stem

from .source_scan import SourcePoint


def read_triplets(path: Path) -> tuple[dict[str, tuple[SourcePoint, ...]], list[tuple[str, str]]]:
    """Read a spreadsheet whose voxels are counted from 1.

    A file that several rows name gets the points of all of them.

    Returns
    -------
    dict
        Name without suffix -> points counted from 0.
    list of (name, sentence)
        Rows that cannot be understood; their files are not in the first.

    Raises
    ------
    InputError
        The file is no spreadsheet, or no row names a file with numbers behind it.
    """
    points: dict[str, tuple[SourcePoint, ...]] = {}
    damaged: list[tuple[str, str]] = []
    for number, row in enumerate(_rows(path), 1):
        name = str(row[0]).strip() if row and row[0] is not None else ""
        if not name or _is_heading(row):
            continue
        stem = scan_stem(name)
        try:
            points[stem] = (*points.get(stem, ()), *_triplets(row[1:], f"{path.name} row {number}"))
        except InputError as error:
            damaged.append((stem, str(error)))
    for stem, _ in damaged:
        points.pop(stem, None)
    if not points and not damaged:
        raise InputError(f"{path.name} has no row with a file name and voxel numbers; is it the right spreadsheet?")
    return points, damaged


def _rows(path: Path) -> list[Sequence[Any]]:
    from openpyxl import load_workbook

    try:
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            return [list(row) for row in sheet.iter_rows(values_only=True)]
        finally:
            book.close()
    # openpyxl shows a damaged file by whatever goes wrong first: BadZipFile, KeyError, ParseError, TypeError ...
    except Exception as error:
        raise InputError(f"{path.name} cannot be read as a spreadsheet ({error}); copy or save it again.") from error


def _is_heading(row: Sequence[Any]) -> bool:
    filled = [cell for cell in row[1:] if cell is not None]
    return bool(filled) and all(isinstance(cell, str) and _number(cell) is None for cell in filled)


def _triplets(cells: Sequence[Any], where: str) -> list[SourcePoint]:
    values = list(cells)
    while values and _is_blank(values[-1]):
        values.pop()
    found = []
    for start in range(0, len(values), 3):
        triplet = values[start : start + 3]
        if all(_is_blank(value) for value in triplet):
            continue
        numbers = [_number(value) for value in triplet]
        if len(numbers) < 3 or any(number is None for number in numbers):
            shown = ", ".join(str(value) for value in triplet)
            raise InputError(f"{where}: the point ({shown}) is not three numbers. Correct the spreadsheet.")
        i, j, k = (float(number) - 1 for number in numbers if number is not None)
        found.append(SourcePoint(f"{where} point {start // 3 + 1}", (i, j, k)))
    return found


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
