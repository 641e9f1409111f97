"""Training without any window: the script for `--python-script`, and the logic for other people's scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import host
from CMBNetLib.errors import InputError
from CMBNetTrainingLib.training_config import PhaseConfig, ValidationConfig, plain
from training_phantoms import small_config, write_collection

REPOSITORY = Path(__file__).resolve().parents[2]
RUNNER = Path(__file__).resolve().parent / "headless_train_runner.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("headless")
    write_collection(made / "collection")
    return made


@pytest.fixture
def logic() -> Iterator[Any]:
    yield host.load_module(REPOSITORY / "CMBNetTraining" / "CMBNetTraining.py").file.CMBNetTrainingLogic()
    host.unload_modules()


def settings(folder: Path) -> dict[str, Any]:
    config = small_config(
        folder / "run",
        phases=(PhaseConfig(steps=10),),
        validation=ValidationConfig(every=10, gallery=0, hard_negatives=False),
        manifests=(str(folder / "collection" / "manifest.csv"),),
    )
    return dict(plain(config))


def test_a_script_run_trains_and_exports(folder: Path, tmp_path: Path) -> None:
    config = {**settings(folder), "run": ""}
    (folder / "small.json").write_text(json.dumps(config))
    # Relative paths mean the folder the user is in.
    command = [sys.executable, str(RUNNER), "small.json", "-o", "scripted", "--export", str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"{folder.resolve() / 'scripted'}: 10 steps." in done.stdout
    assert (folder / "scripted" / "checkpoints" / "last.safetensors").is_file()
    assert (tmp_path / "model" / "configs" / "metadata.json").is_file()


def test_a_script_run_that_fails_ends_with_the_code_of_the_reason(tmp_path: Path) -> None:
    command = [sys.executable, str(RUNNER), "tinny", "-o", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 2
    assert "configuration: 'tinny' is unknown" in done.stderr
    assert "Did you mean 'tiny'?" in done.stderr


def test_the_logic_trains_in_a_process_of_its_own(logic: Any, folder: Path) -> None:
    told: list[str] = []
    result = logic.train(settings(folder), on_event=lambda event: told.append(event["event"]))
    assert result["steps"] == 10
    assert Path(result["run"]) == folder / "run"
    assert {"stage", "progress", "result"} <= set(told)
    assert "torch" not in sys.modules


def test_the_logic_raises_what_the_training_says(logic: Any, folder: Path) -> None:
    with pytest.raises(InputError, match="unknown key 'bath'"):
        logic.train({**settings(folder), "bath": 3})
