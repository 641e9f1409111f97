"""RODEJA: SWI of a Copenhagen cohort, one integer a microbleed."""

from __future__ import annotations

import re
from pathlib import Path

from CMBNetLib.files import scan_stem

from .layout_files import by_key, find_folder, images_below, paired, safe_id
from .source_scan import INSTANCES, Listing, SourceScan, checked_listing

_MIP = "cph_annotated_mip"


class Rodeja:
    """``cmb_annotations/Annotations/**/<study>mask*.nii*``, ``cph_annotated[_mip]/images/<study>.nii.gz``."""

    name = "rodeja"
    title = "RODEJA"

    def misses(self, root: Path) -> str | None:
        if find_folder(root, "cmb_annotations") is None:
            return "no folder cmb_annotations"
        if find_folder(root, "cph_annotated") is None and find_folder(root, _MIP) is None:
            return "no folder cph_annotated or cph_annotated_mip"
        return None

    def list_scans(self, root: Path) -> Listing:
        folders = [find_folder(root, name) for name in ("cph_annotated", _MIP)]
        images = [path for folder in folders if folder for path in images_below(folder / "images")]
        names = sorted({scan_stem(path) for path in images}, key=len, reverse=True)
        annotations = find_folder(root, "cmb_annotations")
        masks = images_below(annotations) if annotations else []
        # Masks carry the study somewhere before the word mask: the longest study name that fits is meant.
        labels = by_key(masks, lambda stem: _study_of(stem, names))
        pairs, problems = paired(by_key(images, lambda stem: stem), labels, self.name)
        return checked_listing([self._scan(*pair) for pair in pairs], problems)

    def _scan(self, study: str, image: Path, label: Path) -> SourceScan:
        projected = _MIP in image.parts
        subject = study.split("-")[0] if re.match(r"\d+-", study) else study
        note = "The source calls this scan a projection (mIP); veins look like microbleeds in it."
        return SourceScan(
            scan_id=f"{self.name}-{safe_id(study)}",
            subject_id=f"{self.name}-{safe_id(subject)}",
            image=image,
            dataset=self.name,
            label=label,
            label_kind=INSTANCES,
            sequence="SWI",
            attributes={"projection": projected},
            notes=(note,) if projected else (),
        )


def _study_of(stem: str, names: list[str]) -> str | None:
    head = re.split(r"[_-]?mask", stem, maxsplit=1, flags=re.IGNORECASE)[0]
    if head == stem:
        return None
    return next((name for name in names if head == name or head.endswith(name)), head.strip("_-") or None)
