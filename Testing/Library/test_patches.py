"""Which patches are drawn, and that the draw can be repeated."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from CMBNetLib.progress import Progress
from CMBNetTrainingLib.patches import PRESETS, PatchPlan, cut, draws_of, sampling_of
from CMBNetTrainingLib.training_config import NetworkConfig, PhaseConfig, SamplingConfig
from CMBNetTrainingLib.training_data import PatchMaker
from CMBNetTrainingLib.training_manifest import read_manifests
from CMBNetTrainingLib.training_scans import ScanCache, TrainingScan
from training_phantoms import write_collection

SMALL = replace(PRESETS["default"], per_scan=6, pixels=32, slices=8)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingScan]:
    folder = tmp_path_factory.mktemp("patches")
    entries = read_manifests([write_collection(folder / "c", 3, 0)])
    return ScanCache(folder / "cache", 1.5, 1.0).fill(entries, Progress())


def plan(scans: list[TrainingScan], seed: int = 1) -> PatchPlan:
    return PatchPlan(scans, PhaseConfig(), NetworkConfig(filters=(4, 8), pixel_mm=1.5), SMALL, 4, (seed, 0))


def test_the_seed_preset_is_the_seed_systems(scans: list[TrainingScan]) -> None:
    seed = PRESETS["seed"]
    assert (seed.per_scan, seed.pixels, seed.slices, seed.shift) == (30, 96, 96, 0.5)
    kinds = Counter(draw.kind for draw in draws_of(np.random.default_rng(0), scans, 0, seed))
    assert kinds == {"voxel": 27, "volume": 3}
    bare = replace(scans[0], centers={**scans[0].centers, "lesion": np.zeros((0, 3), int)}, lesion_voxels=[])
    kinds = Counter(draw.kind for draw in draws_of(np.random.default_rng(0), [bare], 0, seed))
    assert kinds == {"volume": 30}


def test_batches_are_repeated_by_their_number(scans: list[TrainingScan]) -> None:
    first, second = plan(scans), plan(scans)
    assert second[17] == first[17]
    assert [first[n] for n in range(20)] == [second[n] for n in range(20)]
    assert plan(scans, 2)[17] != first[17]
    maker = PatchMaker(scans, SMALL, "default", 3)
    a, b = maker.batch(first[3]), maker.batch(second[3])
    assert all(np.array_equal(x, y) for x, y in zip(a[:3], b[:3], strict=True))


def test_lesion_patches_hold_a_lesion(scans: list[TrainingScan]) -> None:
    rng = np.random.default_rng(0)
    held = [(cut(rng, scans[0], "lesion", (8, 32, 32), SMALL).classes == 1).any() for _ in range(50)]
    assert np.mean(held) == 1.0


def test_patches_beyond_the_scan_are_black_and_not_judged(scans: list[TrainingScan]) -> None:
    patch = cut(np.random.default_rng(0), scans[0], "brain", (20, 32, 32), SMALL)
    assert patch.image.shape == patch.classes.shape == patch.tissue.shape == patch.places.shape == (20, 32, 32)
    assert (patch.image[12:] == -2).all()
    assert (patch.classes[12:] == 255).all()
    assert not patch.tissue[12:].any()
    assert not patch.places[12:].any()


def test_the_mix_gives_roles_their_share(scans: list[TrainingScan]) -> None:
    mixed = [replace(s, entry=replace(s.entry, role="real" if n else "synthetic")) for n, s in enumerate(scans)]
    phase = PhaseConfig(mix={"real": 1.0, "synthetic": 0.0})
    batches = PatchPlan(mixed, phase, NetworkConfig(filters=(4, 8), pixel_mm=1.5), SMALL, 4, (1, 0))
    assert {draw.scan for n in range(10) for draw in batches[n].draws} == {1, 2}


def test_the_share_of_hard_places_can_be_set(scans: list[TrainingScan]) -> None:
    sampling = sampling_of(SamplingConfig(per_scan=20, hard=0.3))
    assert sum(sampling.shares.values()) == pytest.approx(1.0)
    kinds = Counter(draw.kind for draw in draws_of(np.random.default_rng(0), scans, 0, sampling))
    assert kinds["hard"] == 6
    assert sampling_of(SamplingConfig()) == PRESETS["default"]


def test_hard_places_are_visited(scans: list[TrainingScan]) -> None:
    still = replace(SMALL, shift=0.0)
    rng, hard = np.random.default_rng(0), np.array([[6, 30, 30]])
    patch = cut(rng, scans[0], "hard", (8, 32, 32), still, hard)
    assert np.array_equal(patch.image, scans[0].image[2:10, 14:46, 14:46].astype(np.float32))


def test_a_changed_file_is_prepared_again(tmp_path: Path) -> None:
    manifest = write_collection(tmp_path / "c", 1, 0)
    cache = ScanCache(tmp_path / "cache", 1.5, 1.0)
    assert len(cache.fill(read_manifests([manifest]), Progress())[0].lesion_voxels) == 4
    write_collection(tmp_path / "c", 1, 0, spots=1)
    assert len(cache.fill(read_manifests([manifest]), Progress())[0].lesion_voxels) == 1


def test_a_scan_whose_brain_another_anatomy_model_found_is_prepared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = read_manifests([write_collection(tmp_path / "c", 1, 0)])
    told, found = replace(entry, brain=entry.label), replace(entry, brain=None)
    cache = ScanCache(tmp_path / "cache", 1.5, 1.0)
    before = [cache._key(each) for each in (told, found)]
    monkeypatch.setattr("CMBNetTrainingLib.training_scans._anatomy_version", lambda: "another")
    after = [cache._key(each) for each in (told, found)]
    assert before[0] == after[0]
    assert before[1] != after[1]
