"""``cmbnet detect``: a scan in, microbleeds out."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .bundle import DEFAULT_MODEL, find_bundle
from .progress import ConsoleProgress, Progress
from .volume import read_volume
from .wording import number_of

if TYPE_CHECKING:
    from .detection import DetectionResult

MOST_TABLE_ROWS = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("scan", type=Path, help="NIfTI, NRRD, MHA file or folder with one DICOM series")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="result folder (default: beside the scan)")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="id or folder of the model (default: %(default)s)")
    level = parser.add_mutually_exclusive_group()
    text = "sensitive, balanced or specific (default: %(default)s)"
    level.add_argument("--operating-point", default="balanced", metavar="P", help=text)
    text = "score from which a candidate is a microbleed, 0..1"
    level.add_argument("--threshold", type=float, metavar="T", help=text)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--probability", action="store_true", help="also write the probability map")
    parser.add_argument("--frame", type=int, metavar="N", help="which frame of a 4D file, from 0")
    parser.add_argument("--series", metavar="UID", help="which series of a DICOM folder")


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Detect, write the results, show a table; returns the exit code."""
    from .detection import DetectionSettings, detect
    from .exports import check_place, write_results

    settings = DetectionSettings(args.operating_point, args.threshold, args.device)
    bundle = find_bundle(args.model)
    progress.stage("read", f"Reading {args.scan.name or args.scan}")
    scan = read_volume(args.scan, frame=args.frame, series=args.series)
    check_place(scan, _output_folder(args))
    progress.advance(0.03)
    result = detect(scan, bundle, settings, progress)
    progress.stage("write", "Writing the results")
    progress.check_cancelled()
    files = write_results(result, _output_folder(args), probability=args.probability)
    progress.advance(1.0)
    progress.close()
    if isinstance(progress, ConsoleProgress):
        _print_table(result, files)
    from .exports import summary_text

    progress.result(
        {
            "detection": str(files["json"].resolve()),
            "n_microbleeds": len(result.microbleeds),
            "n_candidates": len(result.candidates),
            "summary": summary_text(result.candidates, result.threshold),
        }
    )
    return 0


def _output_folder(args: argparse.Namespace) -> Path:
    if args.output is not None:
        return args.output
    # Links are not followed: data sets under git-annex keep the files themselves elsewhere.
    return Path(os.path.abspath(args.scan)).parent


def _print_table(result: DetectionResult, files: dict[str, Path]) -> None:
    from .exports import summary_text

    print(f"{result.scan.name}: {summary_text(result.candidates, result.threshold)}")
    if result.microbleeds:
        print(f"{'id':>4} {'score':>6} {'zone':<15} {'region':<22} {'side':<8} {'mm':>5}   RAS (mm)")
    for c in result.microbleeds[:MOST_TABLE_ROWS]:
        zone, region, side = (c.location.zone, c.location.region, c.location.side) if c.location else ("", "", "")
        size = f"{c.shape.equivalent_diameter_mm:5.1f}" if c.shape else ""
        place = " ".join(f"{v:7.1f}" for v in c.center_ras)
        print(f"{c.id:>4} {c.score:6.2f} {zone:<15} {region:<22} {side:<8} {size:>5}  {place}")
    if len(result.microbleeds) > MOST_TABLE_ROWS:
        print(f"     and {len(result.microbleeds) - MOST_TABLE_ROWS} more, in the CSV")
    points = ", ".join(f"{name} {point['threshold']:g}" for name, point in result.operating_points.items())
    below = len(result.candidates) - len(result.microbleeds)
    print(f"Threshold {result.threshold:g} ({points}); {number_of(below, 'candidate')} below it kept.")
    print(f"Model {result.model['id']} {result.model['version']} ({result.model['status']}): for research use only.")
    for path in files.values():
        print(f"  {path}")
    sys.stdout.flush()
