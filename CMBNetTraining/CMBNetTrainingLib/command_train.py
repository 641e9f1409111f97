"""``cmbnet train``: a configuration in, a run with checkpoints, logs and pictures out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError
from CMBNetLib.inference import DEVICES
from CMBNetLib.progress import ConsoleProgress, Progress
from CMBNetLib.wording import number_of

from .training_config import TrainingConfig, check_config, one_of, read_config
from .training_manifest import ScanEntry
from .training_presets import PRESETS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    text = f"configuration, TOML or JSON (see Docs/training.md), or one that is ready: {', '.join(PRESETS)}"
    parser.add_argument("config", type=Path, help=text)
    parser.add_argument("-o", "--output", type=Path, metavar="RUN", help="folder of the run (default: `run` in it)")
    text = "scans to train on, instead of those of the configuration"
    parser.add_argument("--manifest", type=Path, nargs="+", metavar="CSV", help=text)
    text = "label maps to simulate scans from, instead of those of the configuration; the last ones are for validation"
    parser.add_argument("--label-maps", type=Path, nargs="+", metavar="MAP", help=text)
    text = "begin with the weights of a model (id, folder) or of a .safetensors file"
    parser.add_argument("--init", metavar="WEIGHTS", help=text)
    text = "tensors that do not learn, by name or pattern, for example 'down.*'"
    parser.add_argument("--freeze", nargs="+", metavar="PATTERN", help=text)
    parser.add_argument("--device", choices=DEVICES, help="where to compute (default: what the configuration says)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that make patches")
    parser.add_argument("--export", type=Path, metavar="BUNDLE", help="make a model of the run when it is done")
    text = "train nothing: write pictures and volumes of the first patches and what augmentation makes of them"
    parser.add_argument("--preview", type=Path, metavar="FOLDER", help=text)


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Train, or go on with a run that was stopped; returns the exit code."""
    from .training_entries import entries_of

    config = config_of(args)
    entries = entries_of(config, progress)
    payload = _previewed(config, entries, args, progress) if args.preview else _trained(config, entries, args, progress)
    summary = payload["summary"]
    progress.result(payload)
    progress.close()
    if isinstance(progress, ConsoleProgress):
        print(summary)
    return 0


def config_of(args: argparse.Namespace) -> TrainingConfig:
    """The configuration that the arguments name, with what they change in it."""
    config, folder = _named(args.config)
    label_maps = args.label_maps or [folder / path for path in config.synthesis.label_maps]
    manifests = args.manifest or [folder / path for path in config.manifests]
    own: dict[str, Any] = {
        "run": str(args.output.resolve() if args.output else folder / config.run if config.run else ""),
        "manifests": tuple(str(path.resolve()) for path in manifests),
        "init": args.init or _beside(folder, config.init),
        "synthesis": replace(config.synthesis, label_maps=tuple(str(path.resolve()) for path in label_maps)),
    }
    chosen = {name: value for name, value in (("device", args.device), ("workers", args.workers)) if value is not None}
    if args.freeze:
        chosen["freeze"] = tuple(args.freeze)
    if not own["run"]:
        raise InputError("Say where the run goes: -o RUN, or `run` in the configuration.")
    changed = replace(config, **own, **chosen)
    check_config(changed)
    return changed


def _trained(
    config: TrainingConfig, entries: Sequence[ScanEntry], args: argparse.Namespace, progress: Progress
) -> dict[str, Any]:
    from .bundle_export import export_run
    from .trainer import train

    state = train(config, entries, progress)
    payload: dict[str, Any] = {"run": config.run, "steps": state.step, "best": state.best}
    if args.export:
        payload["bundle"] = str(export_run(Path(config.run), args.export, progress).folder)
    best = ", ".join(f"{name} {entry['value']:.3f} at step {entry['step']}" for name, entry in state.best.items())
    return {**payload, "summary": f"{config.run}: {state.step} steps. Best: {best or 'not measured'}."}


def _previewed(
    config: TrainingConfig, entries: Sequence[ScanEntry], args: argparse.Namespace, progress: Progress
) -> dict[str, Any]:
    from .patch_preview import preview_patches

    picture, patches = preview_patches(config, entries, args.preview, progress)
    return {
        "preview": str(args.preview.resolve()),
        "picture": str(picture.resolve()),
        "patches": patches,
        "summary": f"{picture}: {number_of(len(patches), 'patch', 'patches')}.",
    }


def _named(config: Path) -> tuple[TrainingConfig, Path]:
    """A configuration, and the folder that its paths are relative to.

    It is absolute: the run remembers the paths, and may be resumed or exported from another folder.
    """
    if config.exists() or config.suffix:
        return read_config(config), config.parent.resolve()
    one_of("configuration", str(config), tuple(PRESETS))
    return PRESETS[str(config)], Path.cwd()


def _beside(folder: Path, name: str) -> str:
    """A file or folder beside the configuration; else the name, which may be a model's id."""
    return str(folder / name) if name and (folder / name).exists() else name
