"""Real scans with implanted microbleeds: to measure how many a model finds on a background that nobody simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from CMBNetLib.anatomy import find_anatomy
from CMBNetLib.anatomy_bundle import anatomy_network
from CMBNetLib.errors import InputError
from CMBNetLib.location import locate
from CMBNetLib.preparation import slices_first
from CMBNetLib.volume import Volume, read_volume, resample_to, write_volume

from .collection import IMAGES, LABELS, write_json, write_text
from .collection_splits import VALIDATION
from .collection_tables import MANIFEST, csv_text
from .implants import implant
from .noise import noise_of
from .protocol import THINNEST_2D_MM, Protocol
from .source_scan import NEGATIVE, SYNTHETIC

TRUTH = "truth"
# What is assumed where a scan does not say: the commonest field, and an echo that suits it.
USUAL_FIELD_T, USUAL_ECHO_MS = 3.0, 20.0
# In-plane resolution that scanners acquire before they interpolate (mm); finer pixels are taken for zero-filled.
USUAL_RESOLUTION_MM = 0.8


def implant_into(scan: Volume, count: int, seed: int) -> tuple[Volume, Volume, dict[str, Any]]:
    """A scan with implanted microbleeds, their labels, and a description for JSON.

    Raises
    ------
    InputError
        No brain is found in the scan.
    """
    turned = slices_first(scan)
    anatomy = find_anatomy(scan, anatomy_network())
    brain = resample_to(anatomy.brain, turned, interpolation="nearest").array > 0
    noise = noise_of(turned.array, brain)
    protocol = protocol_of(turned, snr=float(np.median(turned.array[brain])) / max(noise, 1e-6))
    image, labels, implants = implant(np.random.default_rng(seed), turned.array, brain, protocol, count, noise)
    rows = []
    for each in implants:
        ras = turned.ras_from_ijk(np.array(each.center_kji[::-1])[None])[0]
        place = locate(ras[None], anatomy)[0]
        described = {**asdict(each), "center_ras": [round(float(v), 2) for v in ras]}
        rows.append({**described, "zone": place.zone, "region": place.region})
    about = {"source": scan.name, "seed": seed, "implanted": True, "noise": noise, "protocol": asdict(protocol)}
    return turned.with_array(image), turned.with_array(labels), {**about, "objects": rows}


def protocol_of(scan: Volume, snr: float) -> Protocol:
    """The protocol of a scan whose k axis runs across the slices, from what is known about it."""
    i, j, k = scan.spacing_mm
    pixel = (i + j) / 2
    b_i, b_j, b_k = scan.direction[2]
    return Protocol(
        sequence=scan.metadata.get("sequence") or "T2*",
        dimensions=2 if k >= THINNEST_2D_MM else 3,
        field_t=float(scan.metadata.get("field_strength_t") or USUAL_FIELD_T),
        echo_time_ms=float(scan.metadata.get("echo_time_ms") or USUAL_ECHO_MS),
        resolution_mm=max(pixel, USUAL_RESOLUTION_MM),
        pixel_mm=pixel,
        slice_spacing_mm=k,
        slice_fill=1.0,
        snr=snr,
        phase_sign=1,
        ghost=0.0,
        motion_mm=0.0,
        # The tilt that gives the static field its direction in array axes; about the field itself any turn does.
        tilt_deg=(0.0, -float(np.degrees(np.arcsin(b_i))), float(np.degrees(np.arctan2(-b_j, b_k)))),
    )


def make_implanted(folder: Path, scans: Sequence[Path], count: int, copies: int, seed: int) -> list[dict[str, Any]]:
    """Write ``copies`` of each scan with other implants each; returns the rows of the manifest.

    With a ``count`` of 0 scans stay as they are: they measure false positives, where they have no
    microbleeds of theirs.

    Raises
    ------
    InputError
        A scan cannot be read, or two have the same name.
    """
    rows: list[dict[str, Any]] = []
    dataset, suffix = ("implanted", "implants") if count else ("untouched", "untouched")
    for path in scans:
        scan = read_volume(path)
        for copy in range(copies):
            scan_id = f"{scan.name}_{suffix}{copy:02d}"
            if any(row["scan_id"] == scan_id for row in rows):
                raise InputError(f"Two scans are called {scan.name}; rename one.")
            image, labels, about = implant_into(scan, count, seed + copy)
            write_volume(image, folder / IMAGES / f"{scan_id}.nii.gz")
            write_volume(labels, folder / LABELS / f"{scan_id}.nii.gz")
            write_json(folder / TRUTH / f"{scan_id}.json", about)
            rows.append(_row(scan, scan_id, about, dataset))
    write_text(folder / "manifest.csv", csv_text(MANIFEST, rows))
    return rows


def _row(scan: Volume, scan_id: str, about: dict[str, Any], dataset: str) -> dict[str, Any]:
    protocol = about["protocol"]
    visible = sum(each["visible"] for each in about["objects"])
    return {
        "scan_id": scan_id,
        "subject_id": scan.name,
        "image": f"{IMAGES}/{scan_id}.nii.gz",
        "label": f"{LABELS}/{scan_id}.nii.gz",
        "dataset": dataset,
        "sequence": protocol["sequence"],
        "field_strength_t": protocol["field_t"],
        "echo_time_ms": round(protocol["echo_time_ms"], 2),
        "role": SYNTHETIC if visible else NEGATIVE,
        "split": VALIDATION,
        "n_microbleeds": visible,
    }
