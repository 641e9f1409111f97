"""MOMENI 2021 (CSIRO, AIBL): SWI with microbleeds or without, several visits, and scans with synthetic microbleeds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from CMBNetLib.errors import InputError
from CMBNetLib.files import scan_stem

from .layout_files import find_file, images_below, safe_id
from .source_scan import REAL, SYNTHETIC, Listing, Problem, SourcePoint, SourceScan, checked_listing
from .triplet_sheet import read_triplets

_NAME = re.compile(r"(?P<subject>.+?)_T(?P<visit>\d+)_.*?(?P<version>r?sCMB_V\d+)?", re.IGNORECASE)
# Folder -> role and the spreadsheet of its points; None: nobody found a microbleed there.
_PARTS: dict[str, tuple[str, str | None]] = {
    "rCMB_DefiniteSubject": (REAL, "rCMBInformationInfo.xlsx"),
    "NoCMBSubject": (REAL, None),
    "sCMB_DefiniteSubject": (SYNTHETIC, "sCMBInformationInfo.xlsx"),
    "sCMB_NoCMBSubject": (SYNTHETIC, "sCMBLocationInformationInfoNocmb.xlsx"),
}
Sheet = dict[str, tuple[SourcePoint, ...]]


class Momeni:
    """``rCMB_DefiniteSubject`` and three more folders of images, points in ``*.xlsx`` (voxels counted from 1)."""

    name = "momeni"
    title = "MOMENI 2021, real and synthetic"

    def misses(self, root: Path) -> str | None:
        if not _images(root):
            return f"no image below a folder {', '.join(_PARTS)}"
        return None

    def list_scans(self, root: Path) -> Listing:
        images = _images(root)
        problems: list[Problem] = []
        sheets = self._sheets(root, {part for _, part in images}, problems)
        scans = []
        for path, part in images:
            scan = self._scan(path, part, sheets, problems)
            if scan is not None:
                scans.append(scan)
        problems += self._rows_without_image(sheets, images)
        return checked_listing(scans, problems)

    def _sheets(self, root: Path, parts: Iterable[str], problems: list[Problem]) -> dict[str, Sheet]:
        """Return part -> its spreadsheet; a spreadsheet that cannot be read stands as a problem of the whole part."""
        sheets = {}
        for part in sorted(parts):
            name = _PARTS[part][1]
            if name is None:
                continue
            path = find_file(root, name)
            try:
                if path is None:
                    raise InputError(f"{name} is missing: the microbleeds of the scans in {part} are unknown.")
                sheets[part], damaged = read_triplets(path)
                problems += [Problem(f"{self.name}-{safe_id(stem)}", "damaged", text) for stem, text in damaged]
            except InputError as error:
                problems.append(
                    Problem(f"{self.name}-{name}", "missing_label" if path is None else "damaged", str(error))
                )
        return sheets

    def _scan(self, path: Path, part: str, sheets: dict[str, Sheet], problems: list[Problem]) -> SourceScan | None:
        stem = scan_stem(path)
        match = _NAME.fullmatch(stem)
        if match is None:
            text = f"{path.name} has no visit number (_T0_ ...) in its name, so its subject is unknown. Rename it."
            problems.append(Problem(f"{self.name}-{safe_id(stem)}", "values", text))
            return None
        role, sheet = _PARTS[part]
        visit = f"{match['subject']}_T{match['visit']}"
        scan_id = f"{self.name}-{safe_id(visit + ('_' + match['version'] if match['version'] else ''))}"
        points = () if sheet is None else sheets.get(part, {}).get(stem)
        if points is None:
            text = f"{scan_id} has no usable row in {sheet}; its microbleeds are unknown. Complete the spreadsheet."
            problems.append(Problem(scan_id, "missing_label", text))
            return None
        scan = SourceScan(
            scan_id, f"{self.name}-{safe_id(match['subject'])}", path, self.name, role=role, points=points,
            sequence="SWI", field_strength_t=3.0, echo_time_ms=20.0, session=f"T{match['visit']}",
        )  # fmt: skip
        return _with_real_points(scan, visit, sheets) if part == "sCMB_DefiniteSubject" else scan

    def _rows_without_image(self, sheets: dict[str, Sheet], images: list[tuple[Path, str]]) -> list[Problem]:
        there = {(part, scan_stem(path)) for path, part in images}
        return [
            Problem(
                f"{self.name}-{safe_id(stem)}", "missing_image", f"{_PARTS[part][1]} names {stem}, which has no image."
            )
            for part, sheet in sheets.items()
            for stem in sheet
            if (part, stem) not in there
        ]


def _images(root: Path) -> list[tuple[Path, str]]:
    """Return each image with the part of the data set it belongs to."""
    found = []
    for path in images_below(root):
        part = next((name for name in reversed(path.parts[:-1]) if name in _PARTS), None)
        if part is not None:
            found.append((path, part))
    return found


def _with_real_points(scan: SourceScan, visit: str, sheets: dict[str, Sheet]) -> SourceScan:
    """Add the subject's real microbleeds, which such a scan shows beside the synthetic ones.

    Where the spreadsheet lists them already, the cleaning of double points takes them out again.
    """
    real = [points for stem, points in sheets.get("rCMB_DefiniteSubject", {}).items() if stem.startswith(visit + "_")]
    if not real or scan.points is None:
        note = "The subject has real microbleeds too, but their points were not found; they may be unmarked."
        return replace(scan, notes=(*scan.notes, note))
    added = tuple(replace(point, attributes={**point.attributes, "origin": "real"}) for point in real[0])
    return replace(scan, points=(*scan.points, *added))
