"""What readers decided, as the review room exports it for training: images, numbered masks, points of mimics."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from CMBNetLib.errors import InputError
from CMBNetLib.review_training import MANIFEST, MIMICS

from .layout_files import safe_id
from .source_scan import INSTANCES, Listing, Problem, SourcePoint, SourceScan, checked_listing

_MANIFEST, _MIMICS = "manifest.csv", "mimics.csv"
_NEEDED = ("scan_id", "subject_id", "image", "label")
Row = Mapping[str, str]


class ReaderReadings:
    """``manifest.csv``, ``mimics.csv`` and ``labels/<case>.nii.gz`` of `CMBNetLib.review_training.export_training`."""

    name = "readings"
    title = "readings exported from the review room"

    def misses(self, root: Path) -> str | None:
        missing = [name for name in (_MANIFEST, _MIMICS) if not (root / name).is_file()]
        return f"no {' and no '.join(missing)}" if missing else None

    def list_scans(self, root: Path) -> Listing:
        try:
            rows, mimics = _rows(root / _MANIFEST, _NEEDED), _mimics(_rows(root / _MIMICS, MIMICS[:4]))
        except InputError as error:
            return Listing((), (Problem(f"{self.name}-{_MANIFEST}", "damaged", str(error)),))
        scans, problems = [], []
        for number, row in enumerate(rows, 1):
            found = self._scan(root, row, number, mimics)
            if isinstance(found, Problem):
                problems.append(found)
            else:
                scans.append(found)
        return checked_listing(scans, problems)

    def _scan(
        self, root: Path, row: Row, number: int, mimics: Mapping[str, tuple[SourcePoint, ...]]
    ) -> SourceScan | Problem:
        scan_id = f"{self.name}-{safe_id(row['scan_id'] or f'row {number}')}"
        empty = [name for name in _NEEDED if not row[name]]
        if empty:
            text = f"{_MANIFEST} row {number}: {', '.join(empty)} is empty. Export the readings again."
            return Problem(scan_id, "damaged", text)
        for name in ("image", "label"):
            if not (root / row[name]).is_file():
                text = f"{scan_id}: there is no {name} {row[name]}. Put it back, or export the readings again."
                return Problem(scan_id, f"missing_{name}", text)
        try:
            field, echo = (_number(row.get(name, ""), name, number) for name in ("field_strength_t", "echo_time_ms"))
        except InputError as error:
            return Problem(scan_id, "damaged", str(error))
        return SourceScan(
            scan_id,
            f"{self.name}-{safe_id(row['subject_id'])}",
            root / row["image"],
            self.name,
            label=root / row["label"],
            label_kind=INSTANCES,
            mimics=mimics.get(row["scan_id"], ()),
            sequence=row.get("sequence") or None,
            field_strength_t=field,
            echo_time_ms=echo,
        )


def _rows(path: Path, needed: tuple[str, ...]) -> list[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream, strict=True)
            rows: list[Row] = [{str(key): str(value or "").strip() for key, value in row.items()} for row in table]
            heading = table.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} cannot be read as a table ({error}); export the readings again.") from error
    missing = [name for name in needed if name not in heading]
    if missing:
        raise InputError(
            f"{path.name} lacks the columns {', '.join(missing)}; the review room writes "
            f"{', '.join(MANIFEST if path.name == _MANIFEST else MIMICS)}. Export the readings again."
        )
    return rows


def _mimics(rows: list[Row]) -> dict[str, tuple[SourcePoint, ...]]:
    """Return scan -> points of rejected findings, with what they are; unsure findings are no mimics."""
    found: dict[str, tuple[SourcePoint, ...]] = {}
    for number, row in enumerate(rows, 1):
        x, y, z = (_number(row[axis], axis, number, _MIMICS) for axis in "xyz")
        if x is None or y is None or z is None:
            raise InputError(f"{_MIMICS} row {number}: x, y and z are needed. Export the readings again.")
        if row.get("verdict") == "unsure":
            continue
        attributes = {"Type": row["mimic"]} if row.get("mimic") else {}
        point = SourcePoint(f"{_MIMICS} row {number}", (x, y, z), in_voxels=False, attributes=attributes)
        found[row["scan_id"]] = (*found.get(row["scan_id"], ()), point)
    return found


def _number(text: str, name: str, number: int, file: str = _MANIFEST) -> float | None:
    try:
        return float(text) if text else None
    except ValueError as error:
        raise InputError(f"{file} row {number}: {name} is '{text}', which is no number.") from error
