"""Where a run's scans come from: manifests, and scans simulated for it from label maps."""

from __future__ import annotations

from pathlib import Path

from CMBNetLib.errors import InputError
from CMBNetLib.progress import Progress

from .training_config import TrainingConfig
from .training_manifest import ScanEntry, read_manifests


def entries_of(config: TrainingConfig, progress: Progress) -> list[ScanEntry]:
    """The scans of a configuration; those to be simulated are made, once, in the run's folder ``synthetic``."""
    manifests = [Path(path) for path in config.manifests]
    if config.synthesis.label_maps:
        from .synthetic_collection import make_collection

        folder = Path(config.run) / "synthetic"
        make_collection(folder, config.synthesis, config.seed, progress, config.workers)
        manifests.append(folder / "manifest.csv")
    if not manifests:
        raise InputError("There is nothing to train on: give `manifests`, or `synthesis.label_maps`.")
    return read_manifests(manifests)
