"""A training run: phases, validation, checkpoints, and going on after a kill as if nothing had happened."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from CMBNetLib.errors import Cancelled, InputError
from CMBNetLib.inference import AS_IT_IS, choose_device, threads
from CMBNetLib.progress import Progress
from CMBNetTrainingLib.collection import write_json
from CMBNetTrainingLib.collection_splits import TRAIN, VALIDATION
from CMBNetTrainingLib.folder_lock import only_one
from CMBNetTrainingLib.patches import PatchPlan, sampling_of
from CMBNetTrainingLib.training_checkpoint import (
    LAST,
    TrainingState,
    checkpoint_path,
    read_checkpoint,
    state_as_header,
    state_of_header,
    write_checkpoint,
)
from CMBNetTrainingLib.training_config import PhaseConfig, TrainingConfig, build, differences, plain
from CMBNetTrainingLib.training_data import PatchMaker, batches
from CMBNetTrainingLib.training_log import TrainingLog
from CMBNetTrainingLib.training_manifest import ScanEntry, check_roles
from CMBNetTrainingLib.training_model import Learner, rate_at
from CMBNetTrainingLib.training_processes import Team, team_of_environment
from CMBNetTrainingLib.training_scans import ScanCache, TrainingScan
from CMBNetTrainingLib.training_validation import (
    candidates_of,
    draw_false_calls,
    figures,
    hard_voxels,
    validate_scans,
)
from CMBNetTrainingLib.weight_transfer import transfer_into

LOG_EVERY = 10
LOSS_BATCHES = 8
CONFIG = "config.json"
# What may differ between a run and its resume, because no weight depends on it.
FREE_KEYS = ("run", "device", "workers", "checkpoint_every", "validation.gallery")


def train(config: TrainingConfig, entries: Sequence[ScanEntry], progress: Progress) -> TrainingState:
    """Train as ``config`` says in the folder ``config.run``; goes on where that run stopped.

    Parameters
    ----------
    entries
        Scans for training and validation.

    Raises
    ------
    InputError
        The scans cannot be trained on, the folder holds a run of another configuration, or a file cannot be written.
    Cancelled
        After the state was saved.
    """
    device = choose_device(config.device)
    torch.set_num_threads(threads())
    with team_of_environment(device) as team:
        if not team.is_first:
            return _Run(config, entries, team, device, Progress()).result()
        with only_one(Path(config.run) / ".work" / "lock"):
            return _Run(config, entries, team, device, progress).result()


class _Run:
    """One run; each phase and each validation is a method."""

    def __init__(
        self, config: TrainingConfig, entries: Sequence[ScanEntry], team: Team, device: str, progress: Progress
    ) -> None:
        self.config, self.team, self.device, self.progress = config, team, device, progress
        self.folder = Path(config.run)
        check_roles(entries, validate=config.validation.every > 0)
        if team.is_first:
            self._remember_config()
        self.scans = self._load([e for e in entries if e.split == TRAIN])
        self.held_out = self._load([e for e in entries if e.split == VALIDATION]) if config.validation.every else []
        self._check_lesions()
        self.learner = Learner(config, team, device)
        self.state = TrainingState()
        sampling = sampling_of(config.sampling)
        classes, fresh = config.network.classes, config.sampling.fresh_lesions
        self.maker = PatchMaker(self.scans, sampling, config.augmentation, classes, fresh)
        self._resume()
        validated = self.state.step - self.state.to_validate
        self.log = TrainingLog(self.folder, self.state.step, validated) if team.is_first else None

    def result(self) -> TrainingState:
        """Do what is left to do."""
        total = sum(phase.steps for phase in self.config.phases)
        while self.state.phase < len(self.config.phases):
            phase = self.config.phases[self.state.phase]
            self.progress.stage(phase.name, f"Phase {phase.name}: step {self.state.phase_step} of {phase.steps}")
            self._run_phase(phase, total)
            self._next_phase()
        if self.log is not None:
            self.log.draw()
        self.progress.advance(1.0)
        return self.state

    # --- phases ------------------------------------------------------------------------------------------------------

    def _run_phase(self, phase: PhaseConfig, total: int) -> None:
        config, state = self.config, self.state
        plan = self._plan(phase)
        every = config.validation.every or phase.steps
        while state.to_validate or (state.phase_step < phase.steps and not self._is_over(phase)):
            if not state.to_validate:
                stop = min(phase.steps, (state.phase_step // every + 1) * every)
                self._run_segment(phase, plan, range(state.phase_step, stop), total)
            if config.validation.every:
                # Saved before: a run that is stopped while it validates goes on with the validation.
                state.to_validate = True
                self._save()
                self._validate(phase)
                state.to_validate = False
            self._save()

    def _run_segment(self, phase: PhaseConfig, plan: PatchPlan, steps: range, total: int) -> None:
        """Steps between two validations; false positives found by the last one are learnt from in all of them."""
        self.maker.hard = {name: np.array(voxels) for name, voxels in self.state.hard.items()}
        loader = batches(self.maker, plan, steps, self.team, self.config.workers, pin=self.device == "cuda")
        losses: list[float] = []
        started, waited = time.monotonic(), 0.0
        for step in steps:
            if self._is_cancelled():
                self._save()
                raise self._stopped()
            asked = time.monotonic()
            patches = next(loader)
            waited += time.monotonic() - asked
            losses.append(self.learner.learn(patches, step))
            self.state.phase_step, self.state.step = step + 1, self.learner.step
            if self.state.step % LOG_EVERY == 0 or step + 1 == steps.stop:
                seconds = time.monotonic() - started
                self._log_steps(phase, losses, seconds, waited)
                losses, started, waited = [], time.monotonic(), 0.0
            if self.state.step % self.config.checkpoint_every == 0 and step + 1 < steps.stop:
                self._save()
            self.progress.advance(self.state.step / total)

    def _next_phase(self) -> None:
        number = self.state.phase + 1
        if number < len(self.config.phases):
            phase = self.config.phases[number]
            if phase.begin_with != LAST:
                self.learner.take_weights(read_checkpoint(checkpoint_path(self.folder, phase.begin_with))[0])
            self.learner.begin_phase(phase)
        self.state.phase, self.state.phase_step = number, 0
        self.state.without_gain, self.state.phase_best = 0, None
        self._save()

    def _plan(self, phase: PhaseConfig) -> PatchPlan:
        if not any(scan.entry.role in phase.roles for scan in self.scans):
            raise InputError(f"Phase {phase.name} has no training scan of the roles {', '.join(phase.roles)}.")
        seed = (self.config.seed, self.state.phase)
        sampling = sampling_of(self.config.sampling)
        return PatchPlan(self.scans, phase, self.config.network, sampling, self.config.batch, seed)

    def _is_over(self, phase: PhaseConfig) -> bool:
        return bool(phase.patience) and self.state.without_gain >= phase.patience

    def _stopped(self) -> Cancelled:
        return Cancelled(f"Stopped at step {self.state.step}; the same command goes on from there.")

    def _is_cancelled(self) -> bool:
        # All processes of a team are sent the signal, but not at the same step.
        return self.team.told_by_first(float(self.progress.cancelled)) > 0

    # --- validation --------------------------------------------------------------------------------------------------

    def _validate(self, phase: PhaseConfig) -> None:
        try:
            self._share_findings(phase, self._measured(phase))
        except Cancelled:
            raise self._stopped() from None

    def _measured(self, phase: PhaseConfig) -> dict[str, float]:
        """What the first process measures; best checkpoints, gallery and hard negatives come with it."""
        measured: dict[str, float] = {}
        if self.team.is_first:
            self.progress.stage("validation", f"Validating at step {self.state.step}")
            most = self.config.validation.most_scans or len(self.held_out)
            # One view is enough to tell checkpoints apart; the figures of a bundle come from all of them.
            validated = validate_scans(
                self.learner.average, self.held_out[:most], self.device, self.progress, views=AS_IT_IS
            )
            measured = figures(validated) | {"loss": self._validation_loss()}
            if self.log is not None:
                self.log.validation({"step": self.state.step, "phase": phase.name, **_rounded(measured)})
            if self.config.validation.gallery:
                folder = self.folder / "gallery" / f"step_{self.state.step:06d}"
                draw_false_calls(validated, measured.get("threshold", 0.5), folder, self.config.validation.gallery)
            self._keep_best(measured)
            self._mine()
        return measured

    def _keep_best(self, measured: dict[str, float]) -> None:
        for name in self.config.validation.checkpoints:
            value, best = measured[name], self.state.best.get(name)
            if best is None or is_better(name, value, best["value"]):
                self.state.best[name] = {"value": value, "step": self.state.step}
                average = {key: tensor.detach().cpu() for key, tensor in self.learner.average.state_dict().items()}
                header = {"step": self.state.step, "figures": measured}
                write_checkpoint(checkpoint_path(self.folder, name), average, header)

    def _validation_loss(self) -> float:
        phase = replace(self.config.phases[0], roles=("real", "synthetic", "negative"), mix={})
        sampling = replace(sampling_of(self.config.sampling), thick=0.0)
        seed = (self.config.seed, 10_000)
        plan = PatchPlan(self.held_out, phase, self.config.network, sampling, self.config.batch, seed)
        maker = PatchMaker(self.held_out, sampling, "none", self.config.network.classes)
        return float(np.mean([self.learner.loss_without_learning(maker.batch(plan[n])) for n in range(LOSS_BATCHES)]))

    def _mine(self) -> None:
        """Look for false positives in a few training scans, others each time."""
        settings = self.config.validation
        if not settings.hard_negatives or not settings.mined_scans:
            return
        turn = self.state.step // settings.every * settings.mined_scans
        for number in range(turn, turn + min(settings.mined_scans, len(self.scans))):
            scan = self.scans[number % len(self.scans)]
            found = candidates_of(self.learner.average, scan, self.device, self.progress, views=AS_IT_IS)
            self.state.hard[scan.entry.scan_id] = hard_voxels(scan, found)

    def _share_findings(self, phase: PhaseConfig, measured: dict[str, float]) -> None:
        """Tell all processes what the first one found."""
        path = self.folder / ".work" / "hard_negatives.json"
        if self.team.size > 1:
            if self.team.is_first:
                write_json(path, self.state.hard)
            self.team.wait()
            self.state.hard = json.loads(path.read_text(encoding="utf-8"))
        value = self.team.told_by_first(measured.get(phase.watch, float("nan")))
        best = self.state.phase_best
        if best is None or is_better(phase.watch, value, best):
            self.state.phase_best, self.state.without_gain = value, 0
        else:
            self.state.without_gain += 1

    # --- state -------------------------------------------------------------------------------------------------------

    def _load(self, entries: Sequence[ScanEntry]) -> list[TrainingScan]:
        network = self.config.network
        cache = ScanCache(self.folder / "cache", network.pixel_mm, network.thinnest_slice_mm)
        if self.team.is_first:
            cache.fill(entries, self.progress)
        self.team.wait()
        low, high = self.config.slices_mm
        return [scan for scan in cache.fill(entries, self.progress) if low <= scan.slice_mm < high]

    def _check_lesions(self) -> None:
        if not self.scans:
            low, high = self.config.slices_mm
            raise InputError(f"No training scan has slices that lie {low:g} to {high:g} mm apart (slices_mm).")
        if not any(scan.lesion_voxels for scan in self.scans):
            raise InputError(f"None of the {len(self.scans)} training scans has a microbleed, so none can be learnt.")
        wanted = {*self.config.validation.checkpoints, *(p.watch for p in self.config.phases if p.patience)} - {"loss"}
        if self.held_out and wanted and not any(scan.lesion_voxels for scan in self.held_out):
            raise InputError(
                f"None of the {len(self.held_out)} validation scans has a microbleed, so {', '.join(sorted(wanted))} "
                "cannot be measured. Add scans with microbleeds, or set validation.checkpoints = ['loss']."
            )

    def _remember_config(self) -> None:
        path, own = self.folder / CONFIG, plain(self.config)
        if path.is_file():
            before = plain(config_of_run(self.folder))
            changed = [key for key in differences(before, own) if key not in FREE_KEYS]
            if changed:
                raise InputError(
                    f"{self.folder} holds a run with another configuration ({', '.join(changed)} differ). Choose "
                    "another folder, or remove that one."
                )
        write_json(path, own)

    def _resume(self) -> None:
        path = checkpoint_path(self.folder, LAST)
        if not path.is_file():
            if self.config.init:
                transfer_into(self.learner, self.config.init, self.progress if self.team.is_first else Progress())
            return
        tensors, header = read_checkpoint(path)
        self.state = state_of_header(header, path)
        self.learner.begin_phase(self.config.phases[min(self.state.phase, len(self.config.phases) - 1)])
        self.learner.load(tensors)
        self.learner.step = self.state.step
        if self.state.scaler:
            self.learner.scaler.load_state_dict(self.state.scaler)

    def _save(self) -> None:
        self.state.scaler = self.learner.scaler.state_dict()
        if self.team.is_first:
            path = checkpoint_path(self.folder, LAST)
            write_checkpoint(path, self.learner.tensors(), state_as_header(self.state))
        self.team.wait()

    def _log_steps(self, phase: PhaseConfig, losses: list[float], seconds: float, waited: float) -> None:
        self.state.seconds += seconds
        if self.log is None:
            return
        row: dict[str, Any] = {
            "step": self.state.step, "phase": phase.name, "phase_step": self.state.phase_step,
            "loss": round(float(np.mean(losses)), 6),
            "learning_rate": f"{rate_at(phase, self.state.phase_step - 1):.4g}",
            "seconds": round(self.state.seconds, 1), "wait_share": round(waited / max(seconds, 1e-9), 3),
            "patches_per_s": round(len(losses) * self.config.batch / max(seconds, 1e-9), 2),
        }  # fmt: skip
        self.log.step(row)


def config_of_run(folder: Path) -> TrainingConfig:
    """The configuration a run was started with."""
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"{folder} holds no training run ({CONFIG} is missing).")
    content = json.loads(path.read_text(encoding="utf-8"))
    # Runs of versions before 0.7.0 do not say so, but their networks were told no places.
    content.setdefault("network", {}).setdefault("places", False)
    return build(TrainingConfig, content, str(path))


def is_better(criterion: str, value: float, best: float) -> bool:
    """Whether a figure is better than the best so far; less is better for the loss only."""
    return value < best if criterion == "loss" else value > best


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {key: round(value, 5) for key, value in values.items()}
