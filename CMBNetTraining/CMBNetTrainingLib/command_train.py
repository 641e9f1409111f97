"""``cmbnet train``: a configuration in, a run with checkpoints, logs and pictures out."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError
from CMBNetLib.inference import DEVICES
from CMBNetLib.progress import ConsoleProgress, Progress

from .training_config import TrainingConfig, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("config", type=Path, help="configuration, TOML or JSON; see Docs/training.md")
    parser.add_argument("-o", "--output", type=Path, metavar="RUN", help="folder of the run (default: `run` in it)")
    text = "begin with the weights of a model (id, folder) or of a .safetensors file"
    parser.add_argument("--init", metavar="WEIGHTS", help=text)
    text = "tensors that do not learn, by name or pattern, for example 'down.*'"
    parser.add_argument("--freeze", nargs="+", metavar="PATTERN", help=text)
    parser.add_argument("--device", choices=DEVICES, help="where to compute (default: what the configuration says)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that make patches")
    parser.add_argument("--export", type=Path, metavar="BUNDLE", help="make a model of the run when it is done")


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Train, or go on with a run that was stopped; returns the exit code."""
    from .bundle_export import export_run
    from .trainer import train
    from .training_entries import entries_of

    config = _config(args)
    state = train(config, entries_of(config, progress), progress)
    best = ", ".join(f"{name} {entry['value']:.3f} at step {entry['step']}" for name, entry in state.best.items())
    payload = {"run": config.run, "steps": state.step, "best": state.best}
    if args.export:
        payload["bundle"] = str(export_run(Path(config.run), args.export, progress).folder)
    progress.result(payload)
    progress.close()
    if isinstance(progress, ConsoleProgress):
        print(f"{config.run}: {state.step} steps. Best: {best or 'not measured'}.")
    return 0


def _config(args: argparse.Namespace) -> TrainingConfig:
    config = read_config(args.config)
    # Absolute: the run remembers them, and may be resumed or exported from another folder.
    folder = args.config.parent.resolve()
    own: dict[str, Any] = {
        "run": str(args.output or (folder / config.run if config.run else "")),
        "manifests": tuple(str(folder / path) for path in config.manifests),
        "init": args.init or _beside(folder, config.init),
        "synthesis": replace(config.synthesis, label_maps=tuple(str(folder / p) for p in config.synthesis.label_maps)),
    }
    chosen = {name: value for name, value in (("device", args.device), ("workers", args.workers)) if value is not None}
    if args.freeze:
        chosen["freeze"] = tuple(args.freeze)
    if not own["run"]:
        raise InputError("Say where the run goes: -o RUN, or `run` in the configuration.")
    return replace(config, **own, **chosen)


def _beside(folder: Path, name: str) -> str:
    """A file or folder beside the configuration; else the name, which may be a model's id."""
    return str(folder / name) if name and (folder / name).exists() else name
