"""Configurations and manifests: what is refused, and what the message says."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from CMBNetLib.bundle import find_bundle
from CMBNetLib.errors import InputError
from CMBNetLib.progress import Progress
from CMBNetLib.volume import Volume, read_labels, write_volume
from CMBNetTrainingLib.command_train import add_arguments, config_of
from CMBNetTrainingLib.patch_preview import preview_patches
from CMBNetTrainingLib.trainer import train
from CMBNetTrainingLib.training_config import (
    NetworkConfig,
    TrainingConfig,
    build,
    check_config,
    differences,
    plain,
    read_config,
)
from CMBNetTrainingLib.training_manifest import read_manifests
from CMBNetTrainingLib.training_model import new_network
from CMBNetTrainingLib.training_presets import PRESETS, TITLES
from training_phantoms import small_config, write_collection


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml = tmp_path / "c.toml"
    toml.write_text('batch = 6\n[network]\nfilters = [8, 16]\n[[phases]]\nname = "a"\nmix = {real = 1}\n')
    content = {"batch": 6, "network": {"filters": [8, 16]}, "phases": [{"name": "a", "mix": {"real": 1}}]}
    assert read_config(toml) == read_config(written(tmp_path / "c.json", content))
    assert read_config(toml).phases[0].mix == {"real": 1.0}


def test_the_shipped_model_fits_the_network_that_is_trained_by_default() -> None:
    filters = find_bundle().metadata["cmbnet"]["network"]["filters"]
    assert list(PRESETS["finetune"].network.filters) == list(PRESETS["default"].network.filters) == filters


def test_a_configuration_survives_its_json() -> None:
    config = TrainingConfig(batch=7)
    assert build(TrainingConfig, json.loads(json.dumps(plain(config))), "x") == config
    assert differences(plain(config), plain(TrainingConfig())) == ["batch"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"bath": 3}, "unknown key 'bath'. Did you mean 'batch'"),
        ({"phases": [{"learning_rat": 1}]}, r"phases\[0\]: unknown key 'learning_rat'. Did you mean 'learning_rate'"),
        ({"batch": "four"}, "batch: int is expected"),
        ({"batch": True}, "batch: int is expected"),
        ({"loss": "dice"}, "loss: 'dice' is unknown"),
        ({"phases": []}, "one phase at least"),
        ({"phases": [{"roles": ["fake"]}]}, "'fake' is unknown"),
        ({"network": {"filters": [8]}}, "network.filters"),
        ({"network": 3}, "a table of settings"),
        ({"batch": 0}, "batch is 1 or more"),
    ],
)
def test_mistakes_are_named(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_config(written(tmp_path / "c.json", content))


def test_broken_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("batch = = 3")
    with pytest.raises(InputError, match=r"c\.toml is not valid"):
        read_config(tmp_path / "c.toml")
    with pytest.raises(InputError, match="Cannot read"):
        read_config(tmp_path / "none.toml")


def test_missing_files_are_listed(tmp_path: Path) -> None:
    manifest = write_collection(tmp_path, 2, 1)
    (tmp_path / "images" / "scan1.nii.gz").unlink()
    with pytest.raises(InputError, match=r"1 files of the manifests are missing: .*scan1\.nii\.gz"):
        read_manifests([manifest])


def test_one_scan_cannot_be_validated(tmp_path: Path) -> None:
    entries = read_manifests([write_collection(tmp_path / "c", 1, 0)])
    with pytest.raises(InputError, match=r"validation\.every = 0"):
        train(small_config(tmp_path / "run"), entries, Progress())


def test_validation_scans_without_a_microbleed_measure_nothing(tmp_path: Path) -> None:
    train_scans = write_collection(tmp_path / "a", 2, 0)
    bare = write_collection(tmp_path / "b", 0, 2, spots=0, first=2)
    with pytest.raises(InputError, match="None of the 2 validation scans has a microbleed, so best_f1, froc cannot"):
        train(small_config(tmp_path / "run"), read_manifests([train_scans, bare]), Progress())


def test_ready_configurations_are_valid_and_titled() -> None:
    assert set(TITLES) == set(PRESETS)
    assert all(len(f"{name}: {title}") <= 40 for name, title in TITLES.items())
    for config in PRESETS.values():
        check_config(config)
        assert build(TrainingConfig, json.loads(json.dumps(plain(config))), "x") == config


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_the_command_line_changes_a_ready_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_of(arguments("seed", "--manifest", "c/manifest.csv", "-o", "run", "--workers", "3"))
    assert config.manifests == (str(tmp_path.resolve() / "c" / "manifest.csv"),)
    assert config.run == str(tmp_path.resolve() / "run")
    assert (config.workers, config.loss) == (3, "tversky-ce")
    with pytest.raises(InputError, match=r"'sede' is unknown.*Did you mean 'seed'"):
        config_of(arguments("sede", "-o", "run"))
    with pytest.raises(InputError, match="Cannot read the configuration"):
        config_of(arguments("none.toml", "-o", "run"))
    with pytest.raises(InputError, match="Say where the run goes"):
        config_of(arguments("seed"))
    with pytest.raises(InputError, match="workers is 0 or more"):
        config_of(arguments("seed", "-o", "run", "--workers", "-1"))


def test_a_preview_shows_patches_and_trains_nothing(tmp_path: Path) -> None:
    config = small_config(tmp_path / "run")
    entries = read_manifests([write_collection(tmp_path / "c", spots=8)])
    picture, patches = preview_patches(config, entries, tmp_path / "preview", Progress())
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(patches) == 6
    first = patches[0]["files"]
    assert list(first) == ["plain", "default 1", "default 2", "seed 1", "seed 2"]
    volumes = {name: read_labels(Path(files["classes"])) for name, files in first.items()}
    assert {volume.array.shape for volume in volumes.values()} == {(8, 32, 32)}
    np.testing.assert_allclose(volumes["plain"].spacing_mm, (1.5, 1.5, 4.0))
    assert any((read_labels(Path(p["files"]["plain"]["classes"])).array == 1).any() for p in patches)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_scans_without_a_microbleed_teach_nothing(tmp_path: Path) -> None:
    entries = read_manifests([write_collection(tmp_path / "c", spots=0)])
    with pytest.raises(InputError, match="None of the 3 training scans has a microbleed"):
        train(small_config(tmp_path / "run"), entries, Progress())


def test_a_label_on_another_grid_is_refused(tmp_path: Path) -> None:
    manifest = write_collection(tmp_path / "c")
    shifted = np.diag([1.5, 1.5, 4.0, 1.0])
    write_volume(Volume(np.zeros((12, 64, 64), np.uint16), shifted), tmp_path / "c" / "labels" / "scan0.nii.gz")
    with pytest.raises(InputError, match=r"scan0: .* does not lie on the grid"):
        train(small_config(tmp_path / "run"), read_manifests([manifest]), Progress())


def test_nearly_all_is_background_before_training_where_that_is_asked_for() -> None:
    torch.manual_seed(3)
    x = torch.randn(1, 1, 8, 32, 32)
    for first, low, high in ((0.0, 0.3, 0.95), (0.01, 0.0, 0.05)):
        network = new_network(NetworkConfig(filters=(4, 8), first_probability=first)).eval()
        with torch.no_grad():
            assert low < network(x, 2.0).softmax(1)[:, 1:].sum(1).mean() < high
