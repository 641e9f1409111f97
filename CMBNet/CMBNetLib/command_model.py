"""``cmbnet model``: which models there are, and import of another one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .bundle import Bundle, bundle_folders, find_bundle, load_bundle
from .bundle_import import import_bundle
from .errors import BundleError
from .progress import ConsoleProgress, Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|verify|import")
    actions.add_parser("list", help="the models that are installed")
    for name, text in (("show", "the model card"), ("verify", "check files, hashes and tensors")):
        action = actions.add_parser(name, help=text)
        action.add_argument("model", help="id or folder")
    action = actions.add_parser("import", help="unpack a zipped model into the user's models folder")
    action.add_argument("archive", type=Path)
    for action in actions.choices.values():
        # The default must not overwrite a flag that was given before the action.
        action.add_argument("--json-events", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Do the chosen action; returns the exit code."""
    actions = {"list": _list, "show": _show, "verify": _verify, "import": _import}
    payload, lines = actions[args.action](args, progress)
    if isinstance(progress, ConsoleProgress):
        print("\n".join(lines))
    progress.result(payload)
    return 0


def describe(bundle: Bundle) -> dict[str, Any]:
    """What a program wants to know of a bundle."""
    return {
        "id": bundle.id,
        "name": bundle.name,
        "version": bundle.version,
        "status": bundle.status,
        "path": str(bundle.folder),
        "sha256": bundle.weights_sha256,
        "operating_points": {name: point.threshold for name, point in bundle.operating_points.items()},
    }


def _list(_args: argparse.Namespace, progress: Progress) -> tuple[dict[str, Any], list[str]]:
    models = []
    for folder in bundle_folders():
        try:
            models.append(describe(load_bundle(folder)))
        except BundleError as error:
            progress.warning("bundle", str(error))
    return {"models": models}, [f"{m['id']:<24} {m['version']:<10} {m['status']:<9} {m['path']}" for m in models]


def _show(args: argparse.Namespace, _progress: Progress) -> tuple[dict[str, Any], list[str]]:
    bundle = find_bundle(args.model)
    return {**describe(bundle), "model_card": bundle.model_card}, [bundle.model_card]


def _verify(args: argparse.Namespace, _progress: Progress) -> tuple[dict[str, Any], list[str]]:
    bundle = find_bundle(args.model)
    networks = [bundle.load_network(slice_mm) for slice_mm in {0.0, bundle.thick_slices_mm or 0.0}]
    parameters = sum(p.numel() for network in networks for p in network.parameters())
    text = f"{bundle.id} {bundle.version} is intact: {parameters:,} parameters, sha256 {bundle.weights_sha256}"
    return {**describe(bundle), "parameters": parameters}, [text]


def _import(args: argparse.Namespace, _progress: Progress) -> tuple[dict[str, Any], list[str]]:
    bundle = import_bundle(args.archive)
    return describe(bundle), [f"Imported {bundle.id} {bundle.version} to {bundle.folder}"]
