"""Detection inside Slicer without any window; ends Slicer with the detector's exit code.

    Slicer --no-main-window --no-splash --python-script <this file> SCAN -o DIR [--scene FILE.mrb] [...]

The same run as ``cmbnet detect SCAN -o DIR``, with the same files. ``--scene`` also saves a scene with the scan, the
segmentation, the points and the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Slicer runs this file by its path, where only its own folder is known.
sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import slicer  # noqa: E402

from CMBNetLib.errors import CMBNetError, InputError  # noqa: E402
from CMBNetSlicer.blocking_job import run_blocking  # noqa: E402
from CMBNetSlicer.detection_node import DetectionNode  # noqa: E402
from CMBNetSlicer.detection_record import read_record  # noqa: E402
from CMBNetSlicer.job_command import CUSTOM, RunSettings, detect_command  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    """Run and return the exit code: 0 done, 2 bad input, 3 environment, 4 cancelled, 1 a bug."""
    parser = _parser()
    try:
        args = parser.parse_args(arguments)
    except SystemExit as end:  # argparse would end Slicer itself, with code 0 on some platforms
        return int(end.code or 0)
    level = args.operating_point if args.threshold is None else CUSTOM
    settings = RunSettings(args.model, level, args.threshold or 0.0, args.device)
    try:
        path = run_blocking(detect_command(args.scan.resolve(), args.output.resolve(), settings), _print_event)
        print(f"Results: {path}", flush=True)
        if args.scene is not None:
            _save_scene(args.scan, path, args.scene)
    except CMBNetError as problem:
        print(f"Error: {problem}", file=sys.stderr, flush=True)
        return problem.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headless_detect.py", description=__doc__.splitlines()[0])
    parser.add_argument("scan", type=Path, help="NIfTI, NRRD, MHA file or folder with one DICOM series")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--model", default="", help="id of the model")
    level = parser.add_mutually_exclusive_group()
    text = "sensitive, balanced (default) or specific"
    level.add_argument("--operating-point", default="balanced", metavar="P", help=text)
    level.add_argument("--threshold", type=float, metavar="T", help="score from which a candidate is a microbleed")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--scene", type=Path, metavar="FILE.mrb", help="also save a scene with the results")
    return parser


def _print_event(event: Mapping[str, Any]) -> None:
    if event["event"] == "progress":
        return
    text = event.get("message") or event.get("summary")
    if text:
        print(f"{event['event']}: {text}", flush=True)


def _save_scene(scan: Path, detection: Path, target: Path) -> None:
    """Load scan and result, and save them as one file."""
    if target.suffix != ".mrb":
        raise InputError(f"--scene takes a name that ends in .mrb, not {target.name}.")
    if scan.is_dir():
        raise InputError("--scene needs a scan in one file; DICOM folders are opened through Slicer's database.")
    volume = slicer.util.loadVolume(str(scan.resolve()))
    DetectionNode.create(read_record(detection), volume, follows_transform=True)
    if not slicer.util.saveScene(str(target.resolve())):
        raise InputError(f"The scene could not be written to {target}.")
    print(f"Scene: {target}", flush=True)


if __name__ == "__main__":
    slicer.util.exit(main(sys.argv[1:]))
