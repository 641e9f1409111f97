"""One scan of a data set to one scan of a collection: load, correct, refine, prepare, measure, describe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from CMBNetLib.anatomy import Anatomy, find_anatomy
from CMBNetLib.anatomy_bundle import anatomy_network
from CMBNetLib.location import locate
from CMBNetLib.places import prepare_with
from CMBNetLib.preparation import PIXEL_MM, THINNEST_SLICE_MM, Prepared
from CMBNetLib.shape import measure_shapes
from CMBNetLib.volume import Volume

from .label_transfer import to_working_grid
from .manual_fixes import ManualFix
from .mark_refinement import Lesion, apply_fixes, refine_marks
from .qc_pictures import lesion_picture
from .scan_loading import LoadedScan, Mark, load_scan
from .source_scan import SourceScan

RECORD_SCHEMA, RECORD_VERSION = "cmbnet-curation", "1.0"
PICTURES = ("all", "check", "none")
OUTSIDE = "outside"


@dataclass(frozen=True)
class CurationSettings:
    """How a collection is made; written into each record.

    Attributes
    ----------
    refine : str
        ``points``, ``all`` or ``nothing``, see `mark_refinement.REFINE`.
    pictures : str
        ``all``, ``check`` (only microbleeds to look at) or ``none``.
    pixel_mm, thinnest_slice_mm : float
        Working grid; the defaults are those of detection.
    """

    refine: str = "points"
    pictures: str = "all"
    pixel_mm: float = PIXEL_MM
    thinnest_slice_mm: float = THINNEST_SLICE_MM


@dataclass(frozen=True)
class CuratedScan:
    """What is written for one scan.

    Attributes
    ----------
    prepared : Prepared
        Image and brain mask on the working grid.
    labels : Volume
        uint16 on the same grid; value = ``id`` in the record.
    record : dict
        Everything done to the scan, as JSON.
    pictures : dict
        Name -> PNG.
    """

    prepared: Prepared
    labels: Volume
    record: dict[str, Any]
    pictures: dict[str, bytes] = field(default_factory=dict)


def curate_scan(
    source: SourceScan, settings: CurationSettings, fixes: Sequence[ManualFix] = (), root: Path | None = None
) -> CuratedScan:
    """Bring one scan into the form of the collection.

    Parameters
    ----------
    root : Path, optional
        Folder of the data set; paths in the record are relative to it.

    Raises
    ------
    InputError
        The scan cannot be taken; the message says why and what to do.
    """
    loaded = load_scan(source)
    steps = list(loaded.steps)
    paired = apply_fixes(loaded.marks, fixes, steps)
    lesions = refine_marks(loaded.scan, paired, settings.refine)
    anatomy = find_anatomy(loaded.scan, anatomy_network())
    prepared = prepare_with(
        loaded.scan, anatomy, pixel_mm=settings.pixel_mm, thinnest_slice_mm=settings.thinnest_slice_mm
    )
    labels, lost = to_working_grid(loaded.scan, lesions, prepared.image)
    entries = microbleed_entries(loaded.scan, lesions, anatomy, labels, lost)
    record = _record(source, loaded, settings, root) | {
        "anatomy": {"method": anatomy.method, "flags": list(anatomy.flags)},
        "prepared": {"shape_ijk": list(prepared.image.shape_ijk), "spacing_mm": _rounded(prepared.image.spacing_mm)},
        "steps": steps,
        "microbleeds": entries,
        "lost": [{"id": n, "source_id": lesions[n - 1].mark.source_id, "why": why} for n, why in sorted(lost.items())],
        "counts": _counts(loaded, steps, lesions, lost),
    }
    record["status"] = "check" if _needs_a_look(record) else "good"
    pictures = _pictures(source, loaded.scan, prepared, labels, lesions, entries, settings.pictures)
    return CuratedScan(prepared, labels, record, pictures)


def microbleed_entries(
    scan: Volume, lesions: Sequence[Lesion], anatomy: Anatomy, labels: Volume, lost: Mapping[int, str]
) -> list[dict[str, Any]]:
    """Return the entry of each lesion for the record: source, refinement, shape (own grid) and location."""
    native = np.zeros(scan.array.shape, dtype=np.int32)
    for number, lesion in enumerate(lesions, 1):
        native[lesion.window][lesion.mask] = number
    shapes = measure_shapes(scan.with_array(native), scan)
    counts = np.bincount(labels.array.ravel(), minlength=len(lesions) + 1)
    entries = []
    for number, lesion in enumerate(lesions, 1):
        center = tuple(lesion.details.get("center_ras", _rounded(lesion.mark.center_ras)))
        place = locate(np.array([center]), anatomy)[0]
        shape = {} if number not in shapes else {key: _short(v) for key, v in asdict(shapes[number]).items()}
        entry = {
            "id": number,
            "source_id": lesion.mark.source_id,
            "mark": lesion.mark.kind,
            "attributes": dict(lesion.mark.attributes),
            "source_center_ras": _rounded(lesion.mark.center_ras),
            **lesion.details,
            "center_ras": list(center),
            "n_voxels_source_grid": int(np.count_nonzero(lesion.mask)),
            "n_voxels": int(counts[number]),
            "shape": shape,
            "zone": place.zone,
            "region": place.region,
            "side": place.side,
        }
        if place.zone == OUTSIDE and number not in lost:
            entry["flags"] = [*entry.get("flags", []), "outside_brain"]
            entry["quality"] = "check" if entry["quality"] == "good" else entry["quality"]
        entries.append(entry)
    return entries


def voxel_digest(scan: Volume) -> str:
    """Return the SHA-256 of the voxels as float32, whatever the name, the header and the grid say."""
    return "sha256:" + hashlib.sha256(np.ascontiguousarray(scan.array, dtype="<f4").tobytes()).hexdigest()


def _record(source: SourceScan, loaded: LoadedScan, settings: CurationSettings, root: Path | None) -> dict[str, Any]:
    meta = loaded.scan.metadata
    return {
        "schema": RECORD_SCHEMA,
        "schema_version": RECORD_VERSION,
        "scan_id": source.scan_id,
        "subject_id": source.subject_id,
        "session": source.session,
        "dataset": source.dataset,
        "role": source.role,
        "sequence": meta.get("sequence"),
        "field_strength_t": meta.get("field_strength_t"),
        "echo_time_ms": meta.get("echo_time_ms"),
        "attributes": dict(source.attributes),
        "settings": asdict(settings),
        "source": {
            "image": _relative(source.image, root),
            "label": None if source.label is None else _relative(source.label, root),
            "shape_ijk": list(loaded.scan.shape_ijk),
            "spacing_mm": _rounded(loaded.scan.spacing_mm),
            "fingerprint": loaded.scan.fingerprint(),
            "voxels": voxel_digest(loaded.scan),
        },
        "mimics": [_mimic(mark) for mark in loaded.mimics],
    }


def _mimic(mark: Mark) -> dict[str, Any]:
    return {"source_id": mark.source_id, "center_ras": _rounded(mark.center_ras), "attributes": dict(mark.attributes)}


def _counts(
    loaded: LoadedScan, steps: Sequence[Mapping[str, Any]], lesions: Sequence[Lesion], lost: Mapping[int, str]
) -> dict[str, int]:
    """Return how many there were, went, came and are; the first minus and plus the others is the last."""
    fixes = [step["action"] for step in steps if step["step"] == "fix"]
    return {
        "source": loaded.n_in_source,
        "doubles": sum(step["step"] == "double" for step in steps),
        "removed_by_hand": fixes.count("remove"),
        "added_by_hand": fixes.count("add"),
        "lost": len(lost),
        "collection": len(lesions) - len(lost),
    }


def _needs_a_look(record: Mapping[str, Any]) -> bool:
    doubtful = any(entry["quality"] != "good" for entry in record["microbleeds"])
    return bool(doubtful or record["lost"] or record["anatomy"]["flags"])


def _pictures(
    source: SourceScan, scan: Volume, prepared: Prepared, labels: Volume, lesions: Sequence[Lesion],
    entries: Sequence[Mapping[str, Any]], which: str,
) -> dict[str, bytes]:  # fmt: skip
    pictures = {}
    for lesion, entry in zip(lesions, entries, strict=True):
        if which == "none" or (which == "check" and entry["quality"] == "good"):
            continue
        before = None
        if lesion.mark.mask is not None and lesion.mark.window is not None:
            before = np.zeros(scan.array.shape, dtype=bool)
            before[lesion.mark.window] = lesion.mark.mask
        number = int(entry["id"])
        flags = ", ".join(entry.get("flags", [])) or "no flags"
        rows = [
            (f"source: {lesion.mark.kind}, {lesion.mark.source_id}", scan, before),
            (f"collection: {entry['method']}, {entry['quality']}, {flags}", prepared.image, labels.array == number),
        ]
        title = f"{source.scan_id}  microbleed {number}"
        pictures[f"{number:03d}.png"] = lesion_picture(rows, tuple(entry["center_ras"]), title)
    return pictures


def _relative(path: Path, root: Path | None) -> str:
    if root is None or not path.is_relative_to(root):
        return path.as_posix()
    return path.relative_to(root).as_posix()


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 3) for value in values]


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
