"""Runs: learning, logs, checkpoints, phases, early stop, kill and resume, several processes, full disk."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from CMBNetLib.errors import Cancelled, InputError
from CMBNetLib.inference import threads
from CMBNetLib.progress import Progress
from CMBNetLib.volume import read_volume
from CMBNetTrainingLib import trainer
from CMBNetTrainingLib.trainer import train
from CMBNetTrainingLib.training_checkpoint import LAST, checkpoint_path, read_checkpoint
from CMBNetTrainingLib.training_config import PhaseConfig, TrainingConfig, ValidationConfig
from CMBNetTrainingLib.training_log import read_log
from CMBNetTrainingLib.training_manifest import ScanEntry, read_manifests
from training_child import shared
from training_phantoms import small_config, write_collection

CHILD = Path(__file__).with_name("training_child.py")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="module")
def entries(manifest: Path) -> list[ScanEntry]:
    return read_manifests([manifest])


@pytest.fixture(scope="module")
def finished(entries: list[ScanEntry], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    run = tmp_path_factory.mktemp("run")
    train(small_config(run), entries, Progress())
    return run


def child(*arguments: object, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *launcher, str(CHILD), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment())


def environment() -> dict[str, str]:
    """The sums of a convolution depend on the number of threads."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads()), "PYTHONPATH": os.pathsep.join(sys.path)}


def same_tensors(first: Path, second: Path) -> bool:
    a, b = (read_checkpoint(checkpoint_path(run, LAST))[0] for run in (first, second))
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def distance(first: Path, second: Path) -> float:
    """Largest difference between two runs' averaged weights."""
    a, b = (read_checkpoint(checkpoint_path(run, LAST))[0] for run in (first, second))
    return max(float((a[key] - b[key]).abs().max()) for key in a if key.startswith("average."))


def test_a_run_leaves_logs_curves_and_checkpoints(finished: Path) -> None:
    steps, validations = read_log(finished / "log.csv"), read_log(finished / "validation.csv")
    assert [int(row["step"]) for row in steps] == [10, 20]
    assert [int(row["step"]) for row in validations] == [10, 20]
    assert float(validations[0]["lesions"]) == 8
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in (finished / "checkpoints").iterdir()} == {
        "last.safetensors", "best_froc.safetensors", "best_best_f1.safetensors", "best_loss.safetensors"
    }  # fmt: skip
    assert len(list((finished / "gallery" / "step_000020").glob("*_FN_*.png"))) > 0


def test_a_killed_run_goes_on_to_the_same_bits(
    manifest: Path, entries: list[ScanEntry], finished: Path, tmp_path: Path
) -> None:
    killed = child(manifest, tmp_path, "plain", 13)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    _, header = read_checkpoint(checkpoint_path(tmp_path, LAST))
    assert header["step"] == 10
    train(small_config(tmp_path), entries, Progress())
    assert same_tensors(tmp_path, finished)
    columns = ("step", "loss", "learning_rate")
    logs = [[[row[c] for c in columns] for row in read_log(run / "log.csv")] for run in (tmp_path, finished)]
    assert logs[0] == logs[1]
    assert read_log(tmp_path / "validation.csv") == read_log(finished / "validation.csv")


def test_a_stopped_run_saves_and_goes_on(entries: list[ScanEntry], finished: Path, tmp_path: Path) -> None:
    class StopAt(Progress):
        def advance(self, fraction: float) -> None:
            if fraction >= 0.35:
                self.cancel()

    with pytest.raises(Cancelled, match="step 7"):
        train(small_config(tmp_path), entries, StopAt())
    assert read_checkpoint(checkpoint_path(tmp_path, LAST))[1]["step"] == 7
    train(small_config(tmp_path), entries, Progress())
    assert same_tensors(tmp_path, finished)


@pytest.mark.parametrize("what", ["validate_scans", "candidates_of"])
def test_a_run_stopped_while_it_validates_goes_on_with_the_validation(
    what: str, entries: list[ScanEntry], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_arguments: object, **_options: object) -> None:
        raise Cancelled

    # Before the figures are there, and after they were logged, while hard negatives are looked for.
    with monkeypatch.context() as changed:
        changed.setattr(trainer, what, stop)
        with pytest.raises(Cancelled, match="step 10"):
            train(small_config(tmp_path), entries, Progress())
    assert read_checkpoint(checkpoint_path(tmp_path, LAST))[1]["step"] == 10
    train(small_config(tmp_path), entries, Progress())
    assert same_tensors(tmp_path, finished)
    assert read_log(tmp_path / "validation.csv") == read_log(finished / "validation.csv")


def test_data_workers_change_no_bit(
    entries: list[ScanEntry], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The trainer computes with two threads, a worker process always makes its patches with one.
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    alone, helped = tmp_path / "alone", tmp_path / "helped"
    train(small_config(alone), entries, Progress())
    train(small_config(helped, workers=2), entries, Progress())
    assert same_tensors(alone, helped)


def test_a_whole_process_tree_may_be_asked_to_end(manifest: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(CHILD), str(manifest), str(tmp_path), "workers"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True
    )
    deadline = time.monotonic() + 300
    while not checkpoint_path(tmp_path, LAST).is_file() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == Cancelled.exit_code, errors
    step = read_checkpoint(checkpoint_path(tmp_path, LAST))[1]["step"]
    assert f"Stopped at step {step}" in output


def test_two_processes_learn_what_one_learns(manifest: Path, entries: list[ScanEntry], tmp_path: Path) -> None:
    one, two, half = tmp_path / "one", tmp_path / "two", tmp_path / "half"
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    together = child(manifest, two, "shared", launcher=launcher)
    assert together.returncode == 0, together.stderr
    train(shared(one), entries, Progress())
    losses = [[float(row["loss"]) for row in read_log(run / "log.csv")] for run in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    # Steps enlarge what rounding leaves of sums in another order: how much depends on the processor. What counts is how
    # little that is beside half of the batch, which is what one of two processes would learn that do not share.
    train(replace(shared(half), batch=2), entries, Progress())
    assert distance(one, two) < 0.05 * distance(one, half)


def test_phases_use_their_roles_and_end_early(entries: list[ScanEntry], tmp_path: Path) -> None:
    real = [replace(e, role="real") if e.scan_id == "scan0" else e for e in entries]
    phases = (
        PhaseConfig("first", ("synthetic",), steps=30, learning_rate=1e-6, patience=1, watch="sensitivity_at_2"),
        PhaseConfig("second", ("real",), steps=5, begin_with="loss"),
    )
    config = small_config(
        tmp_path, phases=phases, validation=ValidationConfig(every=5, gallery=0, hard_negatives=False)
    )
    state = train(config, real, Progress())
    rows = read_log(tmp_path / "validation.csv")
    # The first validation is the best so far, the second is no better: that ends the phase.
    assert [(row["step"], row["phase"]) for row in rows] == [("5", "first"), ("10", "first"), ("15", "second")]
    assert state.step == 15


class FullDisk(Progress):
    """From the given part of the run on, the system refuses to write files of more than so many bytes."""

    def __init__(self, fraction: float, most_bytes: int) -> None:
        super().__init__()
        self._from, self._most = fraction, most_bytes
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def advance(self, fraction: float) -> None:
        super().advance(fraction)
        if fraction >= self._from:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._most, self._limits[1]))

    def room(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)


# Checkpoints are written at steps 10, 15 and 20, the log at 10 and, before the checkpoint, at 20.
@pytest.mark.parametrize(
    ("fraction", "step", "message"), [(0.65, 10, r"Cannot write .*last\.safetensors"), (0.8, 15, "log of the run")]
)
def test_a_full_disk_leaves_the_last_checkpoint(
    fraction: float, step: int, message: str, entries: list[ScanEntry], finished: Path, tmp_path: Path
) -> None:
    progress = FullDisk(fraction, 100)
    try:
        with pytest.raises(InputError, match=message):
            train(small_config(tmp_path), entries, progress)
    finally:
        progress.room()
    assert read_checkpoint(checkpoint_path(tmp_path, LAST))[1]["step"] == step
    assert not list((tmp_path / "checkpoints").glob(".cmbnet-*"))
    train(small_config(tmp_path), entries, Progress())
    assert same_tensors(tmp_path, finished)


def test_a_run_does_not_go_on_with_other_settings(entries: list[ScanEntry], finished: Path) -> None:
    config = small_config(finished)
    config = replace(config, optimiser=replace(config.optimiser, clip_norm=1.0))
    with pytest.raises(InputError, match=r"optimiser\.clip_norm"):
        train(config, entries, Progress())


def test_a_run_may_learn_from_slices_of_some_spacings_only(entries: list[ScanEntry], tmp_path: Path) -> None:
    spacing = read_volume(entries[0].image).spacing_mm[2]
    config = small_config(tmp_path / "none", slices_mm=(spacing + 1, spacing + 2))
    with pytest.raises(InputError, match=r"No training scan has slices that lie .* mm apart \(slices_mm\)"):
        train(config, entries, Progress())
    phase = (PhaseConfig(steps=1),)
    config = small_config(
        tmp_path / "all", slices_mm=(spacing, spacing + 1), phases=phase, validation=ValidationConfig(every=0)
    )
    assert train(config, entries, Progress()).step == 1


def test_a_run_of_a_version_that_knew_fewer_keys_goes_on(entries: list[ScanEntry], tmp_path: Path) -> None:
    config = small_config(tmp_path, phases=(PhaseConfig(steps=1),), validation=ValidationConfig(every=0))
    train(config, entries, Progress())
    known = json.loads((tmp_path / "config.json").read_text())
    del known["slices_mm"]
    (tmp_path / "config.json").write_text(json.dumps(known))
    assert train(config, entries, Progress()).step == 1


def test_a_damaged_checkpoint_is_named(entries: list[ScanEntry], tmp_path: Path) -> None:
    config = small_config(tmp_path, validation=ValidationConfig(every=0))
    path = checkpoint_path(tmp_path, LAST)
    path.parent.mkdir()
    path.write_bytes(b"no safetensors")
    with pytest.raises(InputError, match=r"last\.safetensors is damaged"):
        train(config, entries, Progress())


def variants(config: TrainingConfig) -> dict[str, TrainingConfig]:
    return {
        "seed": replace(config, loss="tversky-ce", augmentation="seed"),
        "focal": replace(config, loss="dice-focal", optimiser=replace(config.optimiser, name="sgd")),
        "deep": replace(config, network=replace(config.network, deep_supervision=True)),
        "two classes": replace(config, network=replace(config.network, classes=2)),
        "bfloat16": replace(config, precision="bfloat16"),
        "workers": replace(config, workers=2),
        "fresh": replace(config, sampling=replace(config.sampling, fresh_lesions=0.5)),
    }


@pytest.mark.parametrize("name", ["seed", "focal", "deep", "two classes", "bfloat16", "workers", "fresh"])
def test_every_variant_lowers_its_loss(name: str, entries: list[ScanEntry], tmp_path: Path) -> None:
    phases = (PhaseConfig(steps=60, learning_rate=2e-2, warm_up=5),)
    config = small_config(tmp_path, phases=phases, validation=ValidationConfig(every=0))
    train(variants(config)[name], entries, Progress())
    losses = [float(row["loss"]) for row in read_log(tmp_path / "log.csv")]
    assert losses[-1] < losses[0]
