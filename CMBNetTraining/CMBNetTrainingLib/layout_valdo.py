"""VALDO 2021, task 2: T2* scans without skull, binary masks."""

from __future__ import annotations

import re
from pathlib import Path

from .layout_files import by_key, images_below, paired
from .source_scan import BINARY, Listing, SourceScan, checked_listing

_IMAGE = re.compile(r"(sub-\w+?)_space-T2S_desc-masked_T2S", re.IGNORECASE)
_LABEL = re.compile(r"(sub-\w+?)_space-T2S_CMB", re.IGNORECASE)
# The challenge's three cohorts by the first digit of the subject. Only the second has its own echo time: the others
# are 3 T studies with 21 and 23 ms, and nothing tells which digit is which.
_COHORTS: dict[str, tuple[float, float | None]] = {"1": (3.0, None), "2": (1.5, 31.0), "3": (3.0, None)}


class Valdo:
    """``sub-NNN/sub-NNN_space-T2S_desc-masked_T2S.nii.gz`` and ``sub-NNN_space-T2S_CMB.nii.gz``."""

    name = "valdo"
    title = "VALDO 2021 task 2"

    def misses(self, root: Path) -> str | None:
        if images_below(root, "sub-*_desc-masked_T2S.nii*") and images_below(root, "sub-*_space-T2S_CMB.nii*"):
            return None
        return "no sub-NNN_space-T2S_desc-masked_T2S.nii.gz with a sub-NNN_space-T2S_CMB.nii.gz"

    def list_scans(self, root: Path) -> Listing:
        files = images_below(root, "sub-*.nii*")
        images, labels = by_key(files, _key(_IMAGE)), by_key(files, _key(_LABEL))
        pairs, problems = paired(images, labels, self.name)
        return checked_listing([self._scan(*pair) for pair in pairs], problems)

    def _scan(self, subject: str, image: Path, label: Path) -> SourceScan:
        digits = re.sub(r"\D", "", subject)
        field, echo = _COHORTS.get(digits[:1], (None, None)) if len(digits) == 3 else (None, None)
        return SourceScan(
            scan_id=f"{self.name}-{subject}",
            subject_id=f"{self.name}-{subject}",
            image=image,
            dataset=self.name,
            label=label,
            label_kind=BINARY,
            sequence="T2*",
            field_strength_t=field,
            echo_time_ms=echo,
        )


def _key(pattern: re.Pattern[str]):  # type: ignore[no-untyped-def]
    def key(stem: str) -> str | None:
        match = pattern.fullmatch(stem)
        return match.group(1) if match else None

    return key
