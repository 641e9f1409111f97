"""A small collection of phantom scans, as `cmbnet curate` leaves it, and a configuration to train on it in seconds."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from CMBNetLib.volume import Volume, write_volume
from CMBNetTrainingLib.collection_tables import MANIFEST
from CMBNetTrainingLib.training_config import (
    NetworkConfig,
    PhaseConfig,
    SamplingConfig,
    TrainingConfig,
    ValidationConfig,
)

SHAPE = (12, 64, 64)
SPACING_MM = (4.0, 1.5, 1.5)


def phantom(seed: int, spots: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalised image, labels and brain [k, j, i]: a noisy ellipsoid with dark spots of 2 to 3 voxels."""
    rng = np.random.default_rng(seed)
    kji = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"), -1)
    brain = np.linalg.norm(kji, axis=-1) < 0.9
    image = np.where(brain, 1 + 0.05 * rng.normal(size=SHAPE), 0.1)
    labels = np.zeros(SHAPE, np.uint16)
    places = np.argwhere(np.linalg.norm(kji, axis=-1) < 0.7)
    index = np.indices(SHAPE).transpose(1, 2, 3, 0)
    for number in range(1, spots + 1):
        center = places[rng.integers(len(places))]
        spot = np.linalg.norm((index - center) * SPACING_MM, axis=-1) < 3.2
        image[spot], labels[spot] = 0.2, number
    return (2 * (image - 1)).clip(-2, 3).astype(np.float32), labels, brain


def matrix() -> np.ndarray:
    """ijk_to_ras of the phantoms."""
    out = np.diag([*SPACING_MM[::-1], 1.0])
    out[:3, 3] = -np.array(SHAPE[::-1]) / 2 * SPACING_MM[::-1]
    return out


def write_collection(folder: Path, train: int = 3, validation: int = 2, *, spots: int = 4, first: int = 0) -> Path:
    """Write phantoms, numbered from ``first`` on; returns the manifest."""
    rows = []
    for number in range(first, first + train + validation):
        scan_id, split = f"scan{number}", "train" if number < first + train else "validation"
        image, labels, brain = phantom(number, spots)
        volume = Volume(image, matrix(), scan_id)
        write_volume(volume, folder / "images" / f"{scan_id}.nii.gz", dtype=np.float32)
        write_volume(volume.with_array(labels), folder / "labels" / f"{scan_id}.nii.gz")
        write_volume(volume.with_array(brain.astype(np.uint8)), folder / "brains" / f"{scan_id}.nii.gz")
        (folder / "records").mkdir(exist_ok=True)
        (folder / "records" / f"{scan_id}.json").write_text(json.dumps({"scan_id": scan_id}))
        rows.append({
            "scan_id": scan_id, "subject_id": scan_id, "image": f"images/{scan_id}.nii.gz", "split": split,
            "label": f"labels/{scan_id}.nii.gz", "dataset": "phantom", "role": "synthetic", "n_microbleeds": spots,
        })  # fmt: skip
    return write_manifest(folder / "manifest.csv", rows)


def write_manifest(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write a manifest."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, MANIFEST)
        writer.writeheader()
        writer.writerows(rows)
    return path


def small_config(run: Path, **changes: object) -> TrainingConfig:
    """Twenty steps of a network of a few thousand weights."""
    config = TrainingConfig(
        run=str(run),
        batch=2,
        checkpoint_every=5,
        device="cpu",
        augmentation="default",
        network=NetworkConfig(filters=(4, 8, 8), pixel_mm=1.5),
        sampling=SamplingConfig(per_scan=6, pixels=32, slices=8),
        validation=ValidationConfig(every=10, gallery=4, mined_scans=1),
        phases=(PhaseConfig(steps=20, learning_rate=5e-3, warm_up=5),),
    )
    return replace(config, **changes)  # type: ignore[arg-type]
