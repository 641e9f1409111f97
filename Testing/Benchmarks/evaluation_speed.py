"""Times `cmbnet evaluate` on a hundred large scans, and panoptica on some of the same pairs.

    python Testing/Benchmarks/evaluation_speed.py [--peer-python /tmp/panoptica/bin/python] [--write]

Masks of 400 x 400 x 150 voxels with 0 to 80 lesions are made in a temporary folder (not timed). panoptica runs in a
Python of its own (`panoptica_peer.py` says how to make one); both read the files with SimpleITK, and the counts, F1,
IoU and Dice of every pair must agree to 1e-9, or the benchmark fails.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = [str(REPOSITORY / name) for name in ("CMBNet", "CMBNetEvaluation", "CMBNetTraining", "Testing/Library")]
sys.path[:0] = PACKAGES

from benchmark_document import write_section  # noqa: E402

from CMBNetLib.volume import Volume, write_volume  # noqa: E402
from panoptica_cases import IOU_LIMIT, random_case  # noqa: E402

SPACING = (0.5, 0.5, 1.0)
LIMIT_S, LEAST_RATIO, EXACT = 60.0, 5.0, 1e-9
# Runs the command and tells what it cost, from inside: a parent would see the largest of all its children.
_PROGRAM = """
import json, resource, sys, time
from CMBNetLib.cli import main
began = time.perf_counter()
code = main(sys.argv[2:])
cost = {"code": code, "seconds": time.perf_counter() - began, "cpu_s": time.process_time(),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
open(sys.argv[1], "w").write(json.dumps(cost))
"""


def write_pairs(folder: Path, count: int, shape: tuple[int, int, int]) -> dict[str, tuple[str, str]]:
    """Masks of ``count`` scans; scan -> prediction and reference."""
    pairs = {}
    for number in range(count):
        name = f"sub-{number:03d}"
        paths = []
        for role, mask in zip(("predictions", "references"), random_case(number, shape, most=80), strict=True):
            path = folder / role / f"{name}_mask.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            paths.append(str(write_volume(Volume(mask, np.diag([*SPACING, 1.0])), path)))
        pairs[name] = (paths[0], paths[1])
    return pairs


def run_ours(folder: Path, output: Path, *options: str) -> dict[str, Any]:
    """Seconds and largest memory (MiB) of the whole command: reading, matching, intervals, tables, page."""
    cost = output.with_suffix(".cost.json")
    folders = ["--predictions", str(folder / "predictions"), "--references", str(folder / "references")]
    arguments = ["evaluate", *folders, "-o", str(output), *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PACKAGES), "OMP_NUM_THREADS": "2"}
    subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(cost), *arguments], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    return json.loads(cost.read_text())


def run_peer(python: str, pairs: dict[str, tuple[str, str]], folder: Path) -> dict[str, Any]:
    """What `panoptica_peer.py` prints on the last line."""
    listing = folder / "pairs.json"
    listing.write_text(json.dumps(pairs))
    program = str(Path(__file__).with_name("panoptica_peer.py"))
    done = subprocess.run([python, program, str(listing)], check=True, capture_output=True, text=True)
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


def own_answers(output: Path) -> dict[str, dict[str, float]]:
    """Counts, F1, mean IoU and Dice of matches and Dice of the scan, from the tables that were written."""
    with open(output / "lesions.csv", encoding="utf-8", newline="") as stream:
        calls = [row for row in csv.DictReader(stream) if row["outcome"] == "TP"]
    answers = {}
    with open(output / "scans.csv", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            tp, fp, fn = (int(row[name]) for name in ("tp", "fp", "fn"))
            found = [call for call in calls if call["scan_id"] == row["scan_id"]]
            means = {name: float(np.mean([float(call[name]) for call in found])) for name in ("iou", "dice") if found}
            whole = {"whole_dice": float(row["dice"])} if row["dice"] else {}
            f1 = {"f1": 2 * tp / (2 * tp + fp + fn)} if tp + fp + fn else {}
            answers[row["scan_id"]] = {"tp": tp, "fp": fp, "fn": fn, **f1, **means, **whole}
    return answers


def largest_difference(ours: dict[str, dict[str, float]], theirs: dict[str, dict[str, float]]) -> float:
    """Over all figures that both give."""
    return max(
        abs(ours[scan][name] - value)
        for scan, answer in theirs.items()
        for name, value in answer.items()
        if value is not None and name in ours[scan]
    )


def measure(args: argparse.Namespace, folder: Path) -> tuple[list[str], bool]:
    """The lines of the report, and whether all bars were met."""
    shape = tuple(args.shape[::-1])
    began = time.perf_counter()
    pairs = write_pairs(folder, args.scans, shape)
    print(f"made {len(pairs)} pairs in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    load = os.getloadavg()[0]
    whole = run_ours(folder, folder / "all")
    bare = run_ours(folder, folder / "bare", "--rule", "iou", "--limit", str(IOU_LIMIT), "--no-gallery")
    counts = json.loads((folder / "all" / "evaluation.json").read_text())["metrics"]["detection"]["counts"]
    lines = [
        f"{args.scans} pairs of {' x '.join(map(str, args.shape))} voxels, {counts['reference_lesions']} lesions, "
        f"{counts['predictions']} predictions; {os.cpu_count()} cores, load {load:.1f} before the run.",
        "",
        "| what | seconds | of CPU | CPU a scan | largest memory |",
        "|---|---|---|---|---|",
        row(f"cmbnet evaluate, with a picture of every false call (bar: {LIMIT_S:.0f} s)", whole, args.scans),
        row("the same without pictures, IoU of at least 0.5", bare, args.scans),
    ]
    met = whole["seconds"] < LIMIT_S
    if args.peer_python:
        more, peer_met = compare_with_peer(args, folder, pairs)
        lines, met = lines + more, met and peer_met
    return lines, met


def compare_with_peer(
    args: argparse.Namespace, folder: Path, pairs: dict[str, tuple[str, str]]
) -> tuple[list[str], bool]:
    """Both programs on the first pairs, and whether the numbers agree and the ratio is reached."""
    some = dict(list(pairs.items())[: args.peer_scans])
    part = folder / "part"
    for paths in some.values():
        for path in map(Path, paths):
            (part / path.parent.name).mkdir(parents=True, exist_ok=True)
            os.link(path, part / path.parent.name / path.name)
    load = os.getloadavg()[0]
    ours = run_ours(part, folder / "some", "--rule", "iou", "--limit", str(IOU_LIMIT), "--no-gallery")
    theirs = run_peer(args.peer_python, some, folder)
    difference = largest_difference(own_answers(folder / "some"), theirs["answers"])
    # Other work on the machine stretches seconds, but not those of the CPU.
    ratio, waited = (theirs[name] / ours[name] for name in ("cpu_s", "seconds"))
    lines = [
        row(f"cmbnet evaluate, the first {len(some)} pairs alone", ours, len(some)),
        row(f"panoptica {theirs['version']}, the same {len(some)} pairs", theirs, len(some)),
        "",
        f"Ratio **{ratio:.1f}** of CPU seconds (bar: {LEAST_RATIO:g}), {waited:.1f} of seconds at a load of "
        f"{load:.1f}; largest difference of any figure {difference:.1e}. Ours includes bootstrap intervals, strata, "
        "tables and the page; panoptica was asked for IoU, Dice and surface distance of matches and Dice of the scan, "
        "in one process as it is by default.",
    ]
    return lines, ratio >= LEAST_RATIO and difference <= EXACT


def row(name: str, cost: dict[str, Any], scans: int) -> str:
    """One line of the table."""
    times = f"{cost['seconds']:.1f} | {cost['cpu_s']:.1f} | {cost['cpu_s'] / scans:.2f}"
    return f"| {name} | {times} | {cost['peak_mib']:.0f} MiB |"


def main() -> int:
    """Print the figures; write them when asked; exit code 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=100)
    parser.add_argument("--shape", type=int, nargs=3, default=[400, 400, 150], metavar=("I", "J", "K"))
    parser.add_argument("--peer-python", help="a Python that has panoptica; see panoptica_peer.py")
    parser.add_argument("--peer-scans", type=int, default=40)
    parser.add_argument("--write", action="store_true", help="write the table into Docs/benchmarks.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cmbnet-speed-") as name:
        lines, met = measure(args, Path(name))
    text = "\n".join(["## Evaluation", "", "`python Testing/Benchmarks/evaluation_speed.py`", "", *lines])
    print(text)
    if args.write:
        write_section("evaluation", text)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
