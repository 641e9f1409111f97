"""BIDS: raw T2starw or swi images; microbleeds as masks or points in derivatives or beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from CMBNetLib.errors import InputError
from CMBNetLib.files import scan_stem

from .layout_files import images_below, safe_id
from .point_table import read_point_table
from .source_scan import BINARY, INSTANCES, Listing, Problem, SourceScan, checked_listing

SEQUENCES = {"t2starw": "T2*", "swi": "SWI"}
LABELS = {"cmb", "lesion", "microbleed", "microbleeds"}
REVIEWED = "reviewed"
# Entities that only derived files carry.
_DERIVED = {"label", "desc", "space", "res", "den"}


@dataclass(frozen=True)
class Named:
    """A BIDS file: its entities (``sub`` -> ``01``) and its suffix."""

    path: Path
    entities: Mapping[str, str]
    suffix: str

    @property
    def visit(self) -> dict[str, str]:
        return {key: value for key, value in self.entities.items() if key not in _DERIVED and key != "part"}


class Bids:
    """``sub-*/[ses-*/]{anat,swi}/*_{T2starw,swi}.nii.gz`` with ``label-CMB`` or ``label-Lesion`` masks or a TSV."""

    name = "bids"
    title = "BIDS"

    def misses(self, root: Path) -> str | None:
        if not _raw(root):
            return "no sub-*/anat/*_T2starw.nii.gz or *_swi.nii.gz"
        if not _labels(root):
            return "no *_label-CMB_mask.nii.gz, *_label-Lesion_mask.nii.gz, *_dseg.nii.gz or *_label-CMB_points.tsv"
        return None

    def list_scans(self, root: Path) -> Listing:
        raw, labels = _raw(root), _labels(root)
        scans, problems = [], []
        for image in raw:
            scan_id = f"{self.name}-{safe_id(scan_stem(image.path))}"
            fitting = [label for label in labels if _belongs(label, image, raw)]
            if len(fitting) != 1:
                problems.append(_not_one(scan_id, fitting))
                continue
            try:
                scans.append(self._scan(scan_id, image, fitting[0]))
            except InputError as error:
                problems.append(Problem(scan_id, "damaged", str(error)))
        return checked_listing(scans, problems + self._orphans(labels, raw))

    def _scan(self, scan_id: str, image: Named, label: Named) -> SourceScan:
        is_table = label.path.suffix == ".tsv"
        points = tuple(read_point_table(label.path)) if is_table else None
        # Our own reviewed masks number the microbleeds, as every dseg does.
        numbered = label.suffix == "dseg" or label.entities.get("desc") == REVIEWED
        return SourceScan(
            scan_id,
            f"{self.name}-{safe_id(image.entities['sub'])}",
            image.path,
            self.name,
            label=None if is_table else label.path,
            label_kind=INSTANCES if numbered else BINARY,
            points=points,
            sequence=SEQUENCES[image.suffix.lower()],
            session=image.entities.get("ses", ""),
        )

    def _orphans(self, labels: list[Named], raw: list[Named]) -> list[Problem]:
        return [
            Problem(
                f"{self.name}-{safe_id(scan_stem(label.path))}",
                "missing_image",
                f"{label.path.name} belongs to no T2starw or swi image. Complete the data set, or remove the file.",
            )
            for label in labels
            if not any(_belongs(label, image, raw) for image in raw)
        ]


def _not_one(scan_id: str, fitting: list[Named]) -> Problem:
    if fitting:
        names = ", ".join(label.path.name for label in fitting)
        return Problem(scan_id, "duplicate", f"{scan_id} has several files of microbleeds ({names}). Keep one.")
    text = f"{scan_id} has no mask or points of microbleeds. A scan without any needs an empty mask."
    return Problem(scan_id, "missing_label", text)


def _named(path: Path) -> Named | None:
    stem = path.name[:-4] if path.suffix == ".tsv" else scan_stem(path)
    *pairs, suffix = stem.split("_")
    entities = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    return Named(path, entities, suffix) if "sub" in entities else None


def _raw(root: Path) -> list[Named]:
    found = [_named(path) for folder in _subjects(root) for path in images_below(folder)]
    return [
        item
        for item in found
        if item and item.suffix.lower() in SEQUENCES and item.entities.get("part", "mag") == "mag"
        and not _DERIVED & set(item.entities)
    ]  # fmt: skip


def _labels(root: Path) -> list[Named]:
    found = []
    for folder in [root / "derivatives", *_subjects(root)]:
        tables = sorted(folder.rglob("*.tsv")) if folder.is_dir() else []
        for path in [*images_below(folder), *tables]:
            item = _named(path)
            if item and item.suffix in ("mask", "dseg", "points") and _marks_microbleeds(item):
                found.append(item)
    return found


def _marks_microbleeds(item: Named) -> bool:
    return item.entities.get("label", "").lower() in LABELS or item.entities.get("desc") in (REVIEWED, "cmb")


def _subjects(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("sub-*") if path.is_dir())


def _belongs(label: Named, image: Named, raw: list[Named]) -> bool:
    """Tell whether a label is of an image: same visit; where two sequences share it, the name must tell which."""
    if label.visit != image.visit:
        return False
    rivals = [other for other in raw if other.visit == image.visit]
    mentioned = image.suffix.lower() in (label.entities.get("space", "") + label.entities.get("desc", "")).lower()
    return len(rivals) == 1 or mentioned
