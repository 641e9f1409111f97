"""A training in a process of its own, which a test may kill: python training_child.py MANIFEST RUN WHAT [DIE_AT].

WHAT is a name of `CONFIGS`.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from CMBNetLib.errors import Cancelled
from CMBNetLib.progress import Progress, install_signal_handlers
from CMBNetTrainingLib import training_model
from CMBNetTrainingLib.trainer import train
from CMBNetTrainingLib.training_config import OptimiserConfig, PhaseConfig, TrainingConfig, ValidationConfig
from CMBNetTrainingLib.training_manifest import read_manifests
from training_phantoms import small_config


def plain(run: Path) -> TrainingConfig:
    """Twenty steps with validation."""
    return small_config(run)


def shared(run: Path) -> TrainingConfig:
    """Ten steps of plain gradient descent: AdamW would blow rounding errors of tiny gradients up to whole steps."""
    config = small_config(run, batch=4, validation=ValidationConfig(every=5, gallery=0))
    phases = (PhaseConfig(steps=10, learning_rate=0.02, warm_up=1),)
    return replace(config, phases=phases, optimiser=OptimiserConfig(name="sgd", momentum=0.0))


def workers(run: Path) -> TrainingConfig:
    """So many steps that it has to be stopped; patches are made by two processes."""
    return replace(small_config(run), workers=2, phases=(PhaseConfig(steps=5000),))


CONFIGS = {"plain": plain, "shared": shared, "workers": workers}


def main() -> None:
    """Train; with DIE_AT the process kills itself, as hard as can be, when it is about to make that step."""
    manifest, run, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    if len(sys.argv) > 4:
        _die_at(int(sys.argv[4]))
    progress = Progress()
    install_signal_handlers(progress)
    try:
        train(CONFIGS[what](run), read_manifests([manifest]), progress)
    except Cancelled as end:
        print(end)
        raise SystemExit(end.exit_code) from end


def _die_at(step: int) -> None:
    learn = training_model.Learner.learn

    def learn_or_die(self: training_model.Learner, *args: object) -> float:
        if self.step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return learn(self, *args)  # type: ignore[arg-type]

    training_model.Learner.learn = learn_or_die  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
