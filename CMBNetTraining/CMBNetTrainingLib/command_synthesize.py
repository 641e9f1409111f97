"""``cmbnet synthesize``: scans with microbleeds of known place and size, simulated or implanted into real ones."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError
from CMBNetLib.progress import ConsoleProgress, Progress
from CMBNetLib.wording import number_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    text = "label maps with FreeSurfer codes, 1 mm; with --implant: real scans"
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help=text)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="COLLECTION")
    parser.add_argument("--scans", type=int, default=4, help="of each label map (default: %(default)s)")
    text = "mean number a scan; every fifth scan has none (default: %(default)s)"
    parser.add_argument("--microbleeds", type=float, default=12.0, help=text)
    text = "slice spacings in mm, taken in turn (default: 1 1.5 2 4)"
    parser.add_argument("--slice-mm", type=float, nargs="+", default=[1.0, 1.5, 2.0, 4.0], metavar="MM", help=text)
    parser.add_argument(
        "--pixel-mm", type=float, default=0.5, metavar="MM", help="in-plane pixel (default: %(default)s)"
    )
    text = "grid of the simulation in mm (default: %(default)s)"
    parser.add_argument("--fine-mm", type=float, default=0.5, metavar="MM", help=text)
    text = "the last N label maps are for validation (default: %(default)s)"
    parser.add_argument("--validation-maps", type=int, default=0, metavar="N", help=text)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    text = "put N microbleeds into each of the given scans instead, --scans times each (0: leave them untouched)"
    parser.add_argument("--implant", type=int, metavar="N", help=text)


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Simulate; scans that are there are kept, so a stopped run goes on. Returns the exit code."""
    _check(args)
    rows = _simulated(args, progress) if args.implant is None else _implanted(args)
    microbleeds = sum(int(row["n_microbleeds"]) for row in rows)
    progress.advance(1.0)
    progress.result({"collection": str(args.output), "n_scans": len(rows), "n_microbleeds": microbleeds})
    progress.close()
    if isinstance(progress, ConsoleProgress):
        kinds = {None: ("simulated scan", ""), 0: ("untouched scan", "")}
        made = number_of(len(rows), *kinds.get(args.implant, ("real scan with implants", "real scans with implants")))
        print(f"{args.output}: {made}, {number_of(microbleeds, 'visible microbleed')}.")
    return 0


def _simulated(args: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    from CMBNetLib.inference import choose_device

    from .synthetic_collection import make_collection
    from .training_config import SynthesisConfig

    plan = SynthesisConfig(
        label_maps=tuple(str(path) for path in args.sources), validation_maps=args.validation_maps,
        scans_per_map=args.scans, microbleeds=args.microbleeds, fine_mm=args.fine_mm, pixel_mm=args.pixel_mm,
        slice_mm=tuple(args.slice_mm),
    )  # fmt: skip
    return make_collection(args.output, plan, args.seed, progress, args.workers, choose_device(args.device))


def _implanted(args: argparse.Namespace) -> list[dict[str, Any]]:
    from .implanted_scans import make_implanted

    return make_implanted(args.output, args.sources, args.implant, args.scans, args.seed)


def _check(args: argparse.Namespace) -> None:
    if args.implant is not None and args.implant < 0:
        raise InputError("--implant is 0 or more.")
    if args.scans < 1 or args.microbleeds < 0 or args.workers < 0 or args.seed < 0:
        raise InputError("--scans is 1 or more; --microbleeds, --workers and --seed are 0 or more.")
    if not 0.3 <= args.pixel_mm <= 1.5 or not 0.3 <= args.fine_mm <= 1.5:
        raise InputError("--pixel-mm and --fine-mm lie between 0.3 and 1.5 mm.")
    if not all(0.5 <= edge <= 7 for edge in args.slice_mm):
        raise InputError("--slice-mm lie between 0.5 and 7 mm.")
