"""A list of corrections that a person made after looking at the pictures of a collection."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from CMBNetLib.errors import InputError
from CMBNetLib.files import atomic_output

COLUMNS = ("scan_id", "x", "y", "z", "action", "diameter_mm", "note")
# What to do with the microbleed at the point.
ACTIONS = {
    "accept": "looked at and right; nothing changes",
    "remove": "no microbleed",
    "add": "a microbleed that the source lacks",
    "sphere": "a sphere of the stated diameter stands for it",
    "grow": "grow it from the point, whatever the source has",
    "keep": "keep the mask of the source as it is",
}
# A point clicked on a picture is at most this far from the centre of its microbleed.
MATCH_MM = 5.0
LARGEST_MM = 20.0


@dataclass(frozen=True)
class ManualFix:
    """One correction.

    Attributes
    ----------
    scan_id : str
        Scan of the collection.
    x, y, z : float
        RAS mm, in or near the microbleed.
    action : str
        One of `ACTIONS`.
    diameter_mm : float, optional
        Diameter (not radius); needed by ``sphere``, expected size for ``grow`` and ``add``.
    note : str
        Free text.
    """

    scan_id: str
    x: float
    y: float
    z: float
    action: str = "sphere"
    diameter_mm: float | None = None
    note: str = ""

    @property
    def point_ras(self) -> tuple[float, float, float]:
        """The point, RAS mm."""
        return self.x, self.y, self.z


def read_fixes(path: Path) -> list[ManualFix]:
    """Read a list of corrections (CSV with a heading, comma or semicolon).

    Raises
    ------
    InputError
        No such file, missing columns, or a row that makes no sense; the message names the row.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        delimiter = ";" if ";" in text.partition("\n")[0] else ","
        rows = list(csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} cannot be read as a list of corrections ({error}).") from error
    heading = set(rows[0]) if rows else set(text.partition("\n")[0].strip().split(delimiter))
    missing = [name for name in COLUMNS[:4] if name not in heading]
    if missing:
        raise InputError(f"{path.name} lacks the columns {', '.join(missing)}; it needs {', '.join(COLUMNS)}.")
    return [_fix(row, f"{path.name} row {number}") for number, row in enumerate(rows, 1)]


def write_fixes(fixes: Iterable[ManualFix], path: Path) -> Path:
    """Write a list of corrections; the file is complete or not there."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for fix in fixes:
        row = asdict(fix)
        row |= {axis: f"{row[axis]:.3f}" for axis in "xyz"}
        row["diameter_mm"] = "" if fix.diameter_mm is None else f"{fix.diameter_mm:g}"
        writer.writerow(row)
    with atomic_output(path) as temporary:
        temporary.write_text(stream.getvalue(), encoding="utf-8")
    return path


def _fix(row: Mapping[str | None, str | None], where: str) -> ManualFix:
    cells = {str(name): (value or "").strip() for name, value in row.items() if isinstance(value, str) or value is None}
    x, y, z = (_number(cells.get(axis, ""), where, axis) for axis in "xyz")
    if x is None or y is None or z is None:
        raise InputError(f"{where}: x, y and z are needed (RAS mm).")
    diameter = _number(cells.get("diameter_mm", ""), where, "diameter_mm")
    action = cells.get("action") or ("sphere" if diameter is not None else "")
    if action not in ACTIONS:
        raise InputError(f"{where}: unknown action '{action}'; choose one of {', '.join(ACTIONS)}.")
    if action == "sphere" and diameter is None:
        raise InputError(f"{where}: a sphere needs a diameter_mm.")
    if diameter is not None and not 0 < diameter <= LARGEST_MM:
        raise InputError(f"{where}: a diameter of {diameter:g} mm makes no sense (0 to {LARGEST_MM:g} mm).")
    if not cells.get("scan_id"):
        raise InputError(f"{where}: the scan_id is missing.")
    return ManualFix(cells["scan_id"], x, y, z, action, diameter, cells.get("note", ""))


def _number(text: str, where: str, name: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {name} is '{text}', which is no number.")
    return value
