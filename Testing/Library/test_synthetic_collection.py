"""Collections of simulated scans: blocks to train on, whole heads to validate with, and what is known of them."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from CMBNetLib.errors import InputError
from CMBNetLib.progress import Progress
from CMBNetLib.volume import read_volume
from CMBNetTrainingLib import synthetic_collection
from CMBNetTrainingLib.collection_splits import TRAIN, VALIDATION
from CMBNetTrainingLib.synthetic_collection import make_collection, tasks_of
from CMBNetTrainingLib.training_config import SynthesisConfig
from CMBNetTrainingLib.training_manifest import read_manifests
from test_synthesis import small_head


def plan_of(folder: Path, maps: int, **changes: object) -> SynthesisConfig:
    """A plan of label maps that are never read."""
    paths = [folder / f"map_{number:02d}.nii.gz" for number in range(maps)]
    for path in paths:
        path.touch()
    return SynthesisConfig(tuple(map(str, paths)), **changes)  # type: ignore[arg-type]


def test_training_heads_are_cut_into_blocks_and_validation_heads_stay_whole(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 3, validation_maps=1, scans_per_map=10, validation_scans_per_map=4, block_mm=80.0)
    tasks = tasks_of(plan, 0)
    assert Counter((task.split, task.block_mm) for task in tasks) == {(TRAIN, 80.0): 20, (VALIDATION, 0.0): 4}
    assert len({task.scan_id for task in tasks}) == len({task.seed for task in tasks}) == 24
    assert {task.label_map for task in tasks if task.split == VALIDATION} == {plan.label_maps[-1]}


def test_all_heads_may_be_for_validation_and_no_more(tmp_path: Path) -> None:
    tasks = tasks_of(plan_of(tmp_path, 2, validation_maps=2, scans_per_map=3), 0)
    assert Counter((task.split, task.block_mm) for task in tasks) == {(VALIDATION, 0.0): 6}
    with pytest.raises(InputError, match="2 label maps cannot give 3 for validation: give more maps"):
        tasks_of(plan_of(tmp_path, 2, validation_maps=3), 0)


def test_what_is_known_of_a_scan_comes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic_collection, "_head", lambda path: small_head())
    plan = plan_of(
        tmp_path, 2, validation_maps=1, scans_per_map=1, block_mm=80.0, fine_mm=1.0, pixel_mm=1.0, slice_mm=(2.0,)
    )  # fmt: skip
    make_collection(tmp_path / "c", plan, 0, Progress())
    train, held_out = read_manifests([tmp_path / "c" / "manifest.csv"])
    assert read_volume(train.image, whole=False).shape_ijk == (80, 80, 40)
    assert read_volume(held_out.image).shape_ijk[0] > 100
    # A validation scan is prepared as a user's is: its brain has to be found.
    assert train.brain is not None
    assert held_out.brain is None
    assert held_out.truth is not None
    assert held_out.decoys is not None
    with held_out.decoys.open(newline="") as stream:
        mimics = list(csv.DictReader(stream))
    with held_out.truth.open(newline="") as stream:
        visible = [row for row in csv.DictReader(stream) if row["kind"] != "microbleed" and row["visible"] == "1"]
    assert [(row["id"], row["mimic"]) for row in mimics] == [(row["id"], row["kind"]) for row in visible]
    assert held_out.attributes["dataset"] == "synthetic"
