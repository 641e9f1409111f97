"""The scans a training is made from: rows of manifests, checked before anything is loaded."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from CMBNetLib.errors import InputError

from .collection import BRAINS, PLACE_MAPS, RECORDS
from .collection_splits import TRAIN, VALIDATION
from .source_scan import NEGATIVE, REAL, SYNTHETIC

COLUMNS = ("scan_id", "image", "label", "role", "split")
CLASS_MAPS = "classes"
# Point lists beside the images of a simulated collection: what is known of every object, and the mimics among them.
TRUTH, DECOYS = "truth", "decoys"
# Columns by which figures are told apart.
STRATA_COLUMNS = ("dataset", "sequence", "field_strength_t")
ROLES = (REAL, SYNTHETIC, NEGATIVE)
# Names a message lists before it counts the rest.
_NAMED = 5


@dataclass(frozen=True)
class ScanEntry:
    """One scan.

    Attributes
    ----------
    image, label
        Files; a negative scan may have no label.
    brain, places, classes
        Mask of the brain; kinds of tissue (`CMBNetLib.places.PLACES`); class map (0 background, 1 microbleed, 2 mimic,
        255 not to be judged). None where not given.
    prepared
        The image is on the working grid and normalised already, as `cmbnet curate` writes it.
    truth, decoys
        Tables of what was simulated; validation tells by them where misses lie and what false positives are.
    attributes
        What the manifest says in `STRATA_COLUMNS`.
    """

    scan_id: str
    image: Path
    label: Path | None
    role: str
    split: str
    brain: Path | None = None
    places: Path | None = None
    classes: Path | None = None
    prepared: bool = False
    truth: Path | None = None
    decoys: Path | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        """Those that training reads."""
        files = (self.image, self.label, self.brain, self.places, self.classes)
        return [path for path in files if path is not None]


def read_manifests(paths: Sequence[Path]) -> list[ScanEntry]:
    """The scans of all manifests that are for training or validation.

    Raises
    ------
    InputError
        A manifest or its columns are missing, a file it names is not there, an id occurs twice, nothing is in it.
    """
    entries = [entry for path in paths for entry in _read(path) if entry.split in (TRAIN, VALIDATION)]
    if not entries:
        raise InputError("There is no scan with the split 'train' or 'validation' in the manifests.")
    seen: set[str] = set()
    for entry in entries:
        if entry.scan_id in seen:
            raise InputError(f"The scan {entry.scan_id} occurs twice in the manifests.")
        seen.add(entry.scan_id)
    _check_files(entries)
    return entries


def check_roles(entries: Sequence[ScanEntry], *, validate: bool) -> None:
    """Raise `InputError` where there is nothing to train on, or nothing to validate with."""
    train = [entry for entry in entries if entry.split == TRAIN]
    if not train:
        raise InputError("No scan of the manifests has the split 'train', so there is nothing to learn from.")
    if validate and len(train) == len(entries):
        raise InputError(
            f"None of the {len(entries)} scans has the split 'validation'. Add some, let `cmbnet curate --validation "
            "0.15` split the collection, or set validation.every = 0 to train without."
        )


def _read(path: Path) -> list[ScanEntry]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows, columns = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot read the manifest {path}: {reason}.") from error
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise InputError(f"The manifest {path} lacks the columns {', '.join(missing)}.")
    return [_entry(path, number, row) for number, row in enumerate(rows, 2)]


def _entry(manifest: Path, line: int, row: dict[str, str | None]) -> ScanEntry:
    scan_id, role = (row["scan_id"] or "").strip(), (row["role"] or "").strip()
    if not scan_id or not (row["image"] or "").strip():
        raise InputError(f"{manifest.name}, line {line}: scan_id and image are needed.")
    if role not in ROLES:
        raise InputError(f"{manifest.name}, line {line}: role is one of {', '.join(ROLES)}, not '{role}'.")
    folder = manifest.parent
    label = (row["label"] or "").strip()
    if not label and role != NEGATIVE:
        raise InputError(f"{manifest.name}, line {line}: only a negative scan can do without a label.")
    beside = {name: folder / name / f"{scan_id}.nii.gz" for name in (BRAINS, PLACE_MAPS, CLASS_MAPS)}
    beside |= {name: folder / name / f"{scan_id}.csv" for name in (TRUTH, DECOYS)}
    present = {name: path if path.is_file() else None for name, path in beside.items()}
    return ScanEntry(
        scan_id=scan_id,
        image=folder / str(row["image"]),
        label=folder / label if label else None,
        role=role,
        split=(row["split"] or "").strip(),
        brain=present[BRAINS],
        places=present[PLACE_MAPS],
        classes=present[CLASS_MAPS],
        prepared=present[BRAINS] is not None and (folder / RECORDS / f"{scan_id}.json").is_file(),
        truth=present[TRUTH],
        decoys=present[DECOYS],
        attributes={name: str(row[name]) for name in STRATA_COLUMNS if row.get(name)},
    )


def _check_files(entries: Sequence[ScanEntry]) -> None:
    lost = [str(path) for entry in entries for path in entry.files if not path.exists()]
    if lost:
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        raise InputError(f"{len(lost)} files of the manifests are missing: {', '.join(lost[:_NAMED])}{more}.")
