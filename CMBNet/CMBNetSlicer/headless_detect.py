"""Detection inside Slicer without any window; ends Slicer with the detector's exit code.

    Slicer --no-main-window --no-splash --python-script <this file> SCAN -o DIR [--scene FILE.mrb] [...]

The same run as ``cmbnet detect SCAN -o DIR``, with the same files. ``--scene`` also saves a scene with the scan, the
segmentation, the points and the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# Slicer runs this file by its path, where only its own folder is known.
sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import slicer  # noqa: E402

from CMBNetLib.errors import CMBNetError, InputError  # noqa: E402
from CMBNetLib.volume import read_volume  # noqa: E402
from CMBNetSlicer.blocking_job import run_blocking  # noqa: E402
from CMBNetSlicer.detection_node import DetectionNode  # noqa: E402
from CMBNetSlicer.detection_record import read_record  # noqa: E402
from CMBNetSlicer.job_command import CUSTOM, JobCommand, RunSettings, detect_command  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    """Run and return the exit code: 0 done, 2 bad input, 3 environment, 4 cancelled, 1 a bug."""
    parser = _parser()
    try:
        args = parser.parse_args(arguments)
    except SystemExit as end:  # argparse would end Slicer itself, with code 0 on some platforms
        return int(end.code or 0)
    try:
        if args.scene is not None and args.scene.suffix != ".mrb":
            raise InputError(f"--scene takes a name that ends in .mrb, not {args.scene.name}.")
        path = run_blocking(_command(args), _print_event)
        print(f"Results: {path}", flush=True)
        if args.scene is not None:
            _save_scene(args, path)
    except CMBNetError as problem:
        print(f"Error: {problem}", file=sys.stderr, flush=True)
        return problem.exit_code
    return 0


def _command(args: argparse.Namespace) -> JobCommand:
    level = args.operating_point if args.threshold is None else CUSTOM
    settings = RunSettings(args.model, level, args.threshold or 0.0, args.device)
    command = detect_command(args.scan.resolve(), args.output.resolve(), settings)
    more = ["--probability"] if args.probability else []
    more += [] if args.frame is None else ["--frame", str(args.frame)]
    more += [] if args.series is None else ["--series", args.series]
    return replace(command, arguments=(*command.arguments, *more))


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
    parser.add_argument("--probability", action="store_true", help="also write the probability map")
    parser.add_argument("--frame", type=int, metavar="N", help="which frame of a 4D file, from 0")
    parser.add_argument("--series", metavar="UID", help="which series of a DICOM folder")
    parser.add_argument("--scene", type=Path, metavar="FILE.mrb", help="also save a scene with the results")
    return parser


def _print_event(event: Mapping[str, Any]) -> None:
    if event["event"] == "progress":
        return
    text = event.get("message") or event.get("summary")
    if text:
        print(f"{event['event']}: {text}", flush=True)


def _save_scene(args: argparse.Namespace, detection: Path) -> None:
    """Put the scan and its result into the scene, and save that as one file."""
    scan = read_volume(args.scan, frame=args.frame, series=args.series)
    matrix = slicer.util.vtkMatrixFromArray(scan.ijk_to_ras)
    node = slicer.util.addVolumeFromArray(scan.array, matrix, scan.name)
    DetectionNode.create(read_record(detection), node, follows_transform=True)
    if not slicer.util.saveScene(str(args.scene.resolve())):
        raise InputError(f"The scene could not be written to {args.scene}.")
    print(f"Scene: {args.scene}", flush=True)


if __name__ == "__main__":
    slicer.util.exit(main(sys.argv[1:]))
