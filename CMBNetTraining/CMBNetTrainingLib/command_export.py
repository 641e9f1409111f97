"""``cmbnet export``: make a model of a training run."""

from __future__ import annotations

import argparse
from pathlib import Path

from CMBNetLib.progress import ConsoleProgress, Progress

from .training_config import CRITERIA, THICK_FROM_MM


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="folder of the run")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="folder of the model")
    text = "which weights: best (by FROC where it was kept), last, or the best by a figure (default: %(default)s)"
    parser.add_argument("--checkpoint", choices=("best", "last", *CRITERIA), default="best", help=text)
    text = "another run, whose network shall search scans with thick slices"
    parser.add_argument("--thick", type=Path, metavar="RUN", help=text)
    text = "slice spacing in mm from which on they are thick (default: %(default)s)"
    parser.add_argument("--thick-from", type=float, default=THICK_FROM_MM, metavar="MM", help=text)
    parser.add_argument("--name", default="", help="name that people see (default: that of the folder)")
    text = "text of the licence of the weights (default: it says that you decide)"
    parser.add_argument("--license", type=Path, metavar="FILE", help=text)
    text = "further scans that the model card shall tell of: implanted, untouched ones (no threshold is chosen by them)"
    parser.add_argument("--check", type=Path, nargs="+", default=[], metavar="CSV", help=text)
    parser.add_argument("--no-calibration", action="store_true", help="leave the scores as the network gives them")


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Export; returns the exit code."""
    from .bundle_export import export_run

    bundle = export_run(
        args.folder, args.output, progress,
        checkpoint=args.checkpoint, thick=(args.thick, args.thick_from) if args.thick else None,
        calibrate=not args.no_calibration, name=args.name,
        license_file=args.license, checks=args.check,
    )  # fmt: skip
    points = {name: vars(point) for name, point in bundle.operating_points.items()}
    progress.result({"bundle": str(bundle.folder), "id": bundle.id, "operating_points": points})
    progress.close()
    if isinstance(progress, ConsoleProgress):
        print(f"{bundle.folder}")
        for name, point in bundle.operating_points.items():
            figures = (
                f"sensitivity {point.sensitivity:.3f} at {point.false_positives_per_scan:.3f} false positives a scan"
            )
            print(f"  {name:<10} threshold {point.threshold:.4f}: {figures}")
    return 0
