"""Patches a second, and how long the training waits for them, beside a plain MONAI pipeline.

    python Testing/Benchmarks/patches_speed.py [--write]

The same four simulated-looking volumes (60 x 256 x 256 voxels of 0.5 x 0.5 x 1 mm, 12 microbleeds each) as NIfTI files;
both sides hold them ready in memory or mapped from the disk before the clock starts. The peer is `CacheDataset` (all
cached) with `RandCropByPosNegLabeld` (four crops a scan, positive and negative alike) in a `DataLoader`, then the
transforms of our preset `default` that MONAI has itself (flips, turns, affine, elastic, contrast, bias field, blur,
Rician noise) with the same probabilities. Patches are 28 x 80 x 80 voxels, four a batch; one worker process makes them.
The share of waiting is that of a real training of the default network in one process, one thread each. `--write` puts
the figures into Docs/benchmarks.md. Needs the extra `training`.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from benchmark_document import print_or_write
from monai.data import CacheDataset, DataLoader, list_data_collate
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    Rand3DElasticd,
    RandAdjustContrastd,
    RandAffined,
    RandBiasFieldd,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianSmoothd,
    RandRicianNoised,
    RandRotate90d,
)

from CMBNetLib.progress import Progress
from CMBNetLib.volume import Volume, write_volume
from CMBNetTrainingLib.patches import PatchPlan, sampling_of
from CMBNetTrainingLib.training_config import TrainingConfig
from CMBNetTrainingLib.training_data import Patches, PatchMaker, batches
from CMBNetTrainingLib.training_manifest import ScanEntry
from CMBNetTrainingLib.training_model import Learner
from CMBNetTrainingLib.training_processes import Team
from CMBNetTrainingLib.training_scans import ScanCache, TrainingScan

SHAPE, SPACING = (60, 256, 256), (0.5, 0.5, 1.0)
SCANS, SPOTS = 4, 12
SIZE, BATCH = (28, 80, 80), 4
BATCHES, STEPS = 60, 16
KEYS, MODES = ("image", "label"), ("bilinear", "nearest")


def write_scans(folder: Path) -> list[ScanEntry]:
    """Noisy ellipsoids with dark spots, normalised as training has them."""
    entries = []
    kji = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"), -1)
    radius = np.linalg.norm(kji, axis=-1)
    index = np.indices(SHAPE).transpose(1, 2, 3, 0) * SPACING[::-1]
    for number in range(SCANS):
        rng = np.random.default_rng(number)
        image = np.where(radius < 0.9, rng.normal(0, 0.1, SHAPE), -1.9)
        labels = np.zeros(SHAPE, np.uint16)
        places = np.argwhere(radius < 0.7)
        for spot in range(1, SPOTS + 1):
            center = places[rng.integers(len(places))] * SPACING[::-1]
            inside = np.linalg.norm(index - center, axis=-1) < 2.0
            image[inside], labels[inside] = -1.5, spot
        volume = Volume(image.astype(np.float32), np.diag([*SPACING, 1.0]), f"scan{number}")
        paths = {name: folder / name / f"scan{number}.nii.gz" for name in ("images", "labels", "brains")}
        write_volume(volume, paths["images"], dtype=np.float32)
        write_volume(volume.with_array(labels), paths["labels"])
        write_volume(volume.with_array((radius < 0.9).astype(np.uint8)), paths["brains"])
        entries.append(
            ScanEntry(
                f"scan{number}", paths["images"], paths["labels"], "synthetic", "train", paths["brains"], prepared=True
            )
        )
    return entries


def our_batches(scans: list[TrainingScan], augmentation: str, count: int) -> Iterator[Patches]:
    """Batches of ours."""
    config = TrainingConfig()
    sampling = sampling_of(config.sampling)
    plan = PatchPlan(scans, config.phases[0], config.network, sampling, BATCH, (1, 0))
    return batches(PatchMaker(scans, sampling, augmentation, 3), plan, range(count), Team(), 1)


def peer_data(entries: list[ScanEntry], augmentation: str) -> CacheDataset:
    """MONAI's data set, cached up to the first random transform."""
    load = [LoadImaged(KEYS), EnsureChannelFirstd(KEYS)]
    # MONAI's axes are those of the file: i, j, k.
    crop = RandCropByPosNegLabeld(KEYS, "label", SIZE[::-1], pos=1, neg=1, num_samples=BATCH)
    bend = {"mode": MODES, "padding_mode": "border"}
    changes: list[Any] = [
        *[RandFlipd(KEYS, prob=0.5, spatial_axis=axis) for axis in range(3)],
        RandRotate90d(KEYS, prob=0.5, max_k=1, spatial_axes=(0, 1)),
        RandAffined(KEYS, prob=0.12, rotate_range=(0, 0, np.pi / 12), scale_range=(0.08, 0.08, 0), **bend),
        Rand3DElasticd(KEYS, (4, 6), (20, 60), prob=0.03, **bend),
        RandAdjustContrastd("image", prob=1.0, gamma=(0.75, 1.3)),
        RandBiasFieldd("image", prob=0.2, degree=2, coeff_range=(0.0, 0.1)),
        RandGaussianSmoothd("image", prob=0.15, sigma_x=(0.3, 0.9), sigma_y=(0.3, 0.9), sigma_z=(0.01, 0.01)),
        RandRicianNoised("image", prob=0.25, std=0.06),
    ]
    data = [{"image": str(entry.image), "label": str(entry.label)} for entry in entries]
    chosen = changes if augmentation == "default" else []
    return CacheDataset(data, Compose([*load, crop, *chosen]), progress=False)


def peer_batches(dataset: CacheDataset) -> Iterator[Patches]:
    """Batches of the peer without end: four crops of one scan each, in the order of our axes."""
    loader = DataLoader(dataset, batch_size=1, shuffle=True, num_workers=1, collate_fn=list_data_collate,
                        persistent_workers=True)  # fmt: skip
    while True:
        for made in loader:
            image = made["image"].as_tensor()[:, 0].permute(0, 3, 2, 1).contiguous()
            classes = (made["label"].as_tensor()[:, 0].permute(0, 3, 2, 1) > 0).to(torch.uint8)
            yield image, classes, SPACING[2]


def patches_per_second(made: Iterator[Patches], count: int) -> float:
    """Rate after the first eight batches, when the worker runs."""
    for _ in range(8):
        next(made)
    started = time.monotonic()
    for _ in range(count - 8):
        next(made)
    return (count - 8) * BATCH / (time.monotonic() - started)


def waiting(made: Iterator[Patches]) -> tuple[float, float]:
    """Share of the time that a training waits, and seconds a step."""
    learner = Learner(TrainingConfig(), Team(), "cpu")
    learner.learn(*next(made), 0)
    waited, started = 0.0, time.monotonic()
    for step in range(STEPS):
        asked = time.monotonic()
        patches = next(made)
        waited += time.monotonic() - asked
        learner.learn(*patches, step)
    whole = time.monotonic() - started
    return waited / whole, whole / STEPS


def measure() -> str:
    """Run all of it and return a Markdown section."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        entries = write_scans(folder)
        scans = ScanCache(folder / "cache", SPACING[0], SPACING[2]).fill(entries, Progress())
        rows = []
        for augmentation in ("none", "default"):
            dataset = peer_data(entries, augmentation)
            ours = patches_per_second(our_batches(scans, augmentation, BATCHES), BATCHES)
            peer = patches_per_second(peer_batches(dataset), BATCHES)
            rows.append((augmentation, ours, peer))
            print(f"{augmentation}: {ours:.1f} and {peer:.1f} patches a second", flush=True)
        own_wait, own_step = waiting(our_batches(scans, "default", STEPS + 2))
        peer_wait, peer_step = waiting(peer_batches(dataset))
    shown = {"none": "cut only", "default": "cut and augmented"}
    lines = [f"| patches a second, {shown[n]} | {a:.0f} | {b:.0f} | **{a / b:.1f}** |" for n, a, b in rows]
    return "\n".join(
        [
            "## Patches",
            "",
            "`python Testing/Benchmarks/patches_speed.py`: 28 x 80 x 80 voxels, four a batch, one worker process, one "
            "thread each, four scans of 256 x 256 x 60 voxels. The peer is MONAI's `CacheDataset` with "
            "`RandCropByPosNegLabeld` and its own transforms with the probabilities of our preset.",
            "",
            "| | ours | MONAI | ratio |",
            "|---|---|---|---|",
            *lines,
            f"| share of a training's time that waits for patches | {own_wait:.1%} | {peer_wait:.1%} | |",
            f"| a step of the default network, s | {own_step:.2f} | {peer_step:.2f} | {peer_step / own_step:.2f} |",
            "",
            f"Python {platform.python_version()}, torch {torch.__version__}, monai {monai.__version__}, "
            f"{platform.machine()}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end.",
        ]
    )


if __name__ == "__main__":
    print_or_write("patches", measure, __doc__)
