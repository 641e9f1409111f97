"""What a person sees when looking through a collection: its microbleeds, their pictures, the list of corrections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError

RECORDS, PICTURES_FOLDER = "records", "pictures"
FIXES = "corrections.csv"


@dataclass(frozen=True)
class ReviewRow:
    """One microbleed of a collection.

    Attributes
    ----------
    point_ras : tuple of float
        Where the source marks it, RAS mm; a correction is found again by it, whatever the mask becomes.
    diameter_mm : float or None
        Of the sphere of the same volume.
    picture : Path
        Its picture (it may not exist).
    """

    scan_id: str
    id: int
    quality: str
    method: str
    flags: tuple[str, ...]
    diameter_mm: float | None
    point_ras: tuple[float, float, float]
    picture: Path

    @property
    def doubtful(self) -> bool:
        """Whether somebody should look at it."""
        return self.quality != "good"


def fixes_path(collection: Path) -> Path:
    """Return where a collection keeps its list of corrections."""
    return collection / FIXES


def read_record(path: Path) -> dict[str, Any]:
    """Return the record of one scan.

    Raises
    ------
    InputError
        It is no record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} is no record of a collection ({error}). Curate the scan again.") from error
    if not isinstance(record, dict) or not isinstance(record.get("microbleeds"), list):
        raise InputError(f"{path.name} is no record of a collection. Curate the scan again.")
    return record


def read_review_rows(collection: Path) -> list[ReviewRow]:
    """Return all microbleeds of a collection, by scan and id; none where it has no records yet.

    Raises
    ------
    InputError
        A record cannot be read.
    """
    rows = []
    for path in sorted((collection / RECORDS).glob("*.json")):
        record = read_record(path)
        try:
            rows += [_row(collection, str(record["scan_id"]), entry) for entry in record["microbleeds"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path.name} lacks {error}; curate the scan again.") from error
    return rows


def _row(collection: Path, scan_id: str, entry: Mapping[str, Any]) -> ReviewRow:
    diameter = entry["shape"].get("equivalent_diameter_mm")
    x, y, z = (float(value) for value in entry["source_center_ras"])
    return ReviewRow(
        scan_id=scan_id,
        id=int(entry["id"]),
        quality=str(entry["quality"]),
        method=str(entry["method"]),
        flags=tuple(entry.get("flags", ())),
        diameter_mm=None if diameter is None else float(diameter),
        point_ras=(x, y, z),
        picture=collection / PICTURES_FOLDER / scan_id / f"{int(entry['id']):03d}.png",
    )
