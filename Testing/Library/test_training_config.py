"""Configurations and manifests: what is refused, and what the message says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from CMBNetLib.errors import InputError
from CMBNetLib.progress import Progress
from CMBNetLib.volume import Volume, write_volume
from CMBNetTrainingLib.trainer import train
from CMBNetTrainingLib.training_config import TrainingConfig, build, differences, plain, read_config
from CMBNetTrainingLib.training_manifest import read_manifests
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
