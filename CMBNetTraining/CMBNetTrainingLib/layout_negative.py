"""Scans whose reports mention no microbleed: negatives by report, not by a reader's look at the images."""

from __future__ import annotations

import re
from pathlib import Path

from CMBNetLib.files import scan_stem

from .layout_files import images_below, safe_id
from .source_scan import NEGATIVE, Listing, Problem, SourceScan, checked_listing

_SEQUENCE = re.compile(r"(?:^|_)(SWI|T2S)(?:_|$)", re.IGNORECASE)
_EXCLUDED = "EXCLUDED_"


class ReportNegative:
    """``Data/<StudyUID>/*_{SWI|T2S}_*.nii.gz``; SWI is taken where a study has both."""

    name = "negative"
    title = "report-negative scans"

    def misses(self, root: Path) -> str | None:
        studies = _studies(root)
        if not studies:
            return "no folder Data with one folder a study"
        if not any(_sequences(study) for study in studies):
            return "no image Data/<study>/*_SWI_*.nii.gz or *_T2S_*.nii.gz"
        return None

    def list_scans(self, root: Path) -> Listing:
        scans, problems = [], []
        for study in _studies(root):
            scan_id = f"{self.name}-{safe_id(study.name)}"
            found = _sequences(study)
            if not found:
                text = f"{scan_id} has no image whose name holds _SWI_ or _T2S_; {study} is left out."
                problems.append(Problem(scan_id, "missing_image", text))
                continue
            sequence = "SWI" if "SWI" in found else "T2S"
            if len(found[sequence]) > 1:
                names = ", ".join(path.name for path in found[sequence])
                text = f"{scan_id} has several {sequence} images ({names}). Keep one."
                problems.append(Problem(scan_id, "duplicate", text))
                continue
            scans.append(self._scan(scan_id, found[sequence][0], sequence))
        return checked_listing(scans, problems)

    def _scan(self, scan_id: str, image: Path, sequence: str) -> SourceScan:
        return SourceScan(
            scan_id, scan_id, image, self.name, role=NEGATIVE, points=(),
            sequence="SWI" if sequence == "SWI" else "T2*",
            notes=("Negative because its report mentions no microbleed; nobody looked for them in the images.",),
        )  # fmt: skip


def _studies(root: Path) -> list[Path]:
    data = root if root.name == "Data" else root / "Data"
    if not data.is_dir():
        return []
    return sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith((".", _EXCLUDED)))


def _sequences(study: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in images_below(study):
        match = _SEQUENCE.search(scan_stem(path))
        if match and not path.name.startswith(_EXCLUDED):
            found.setdefault(match.group(1).upper(), []).append(path)
    return found
