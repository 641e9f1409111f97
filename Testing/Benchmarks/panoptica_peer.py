"""Runs panoptica on pairs of masks; for a Python that has it, which is not the one of this project.

    python3 -m venv /tmp/panoptica && /tmp/panoptica/bin/pip install panoptica==2.1.7 SimpleITK
    /tmp/panoptica/bin/python Testing/Benchmarks/panoptica_peer.py --answers   # writes the answers the tests compare
    /tmp/panoptica/bin/python Testing/Benchmarks/panoptica_peer.py PAIRS.json  # what evaluation_speed.py calls

panoptica 2.1.7 wants numpy < 2.3, pandas < 3 and connected-components-3d < 4, so it cannot live beside the versions
in constraints.txt. A pair matches from an IoU of 0.5 on, where at most one prediction can fit a lesion, so its greedy
matching and an optimal one agree.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

LIBRARY = Path(__file__).resolve().parents[1] / "Library"
sys.path.insert(0, str(LIBRARY))

from panoptica import (  # noqa: E402
    ConnectedComponentsInstanceApproximator,
    InputType,
    NaiveThresholdMatching,
    Panoptica_Evaluator,
)
from panoptica.metrics import Metric  # noqa: E402

from panoptica_cases import IOU_LIMIT, known_cases  # noqa: E402

SPACING_KJI_MM = (2.0, 1.0, 1.0)


def evaluator(*more: Metric) -> Panoptica_Evaluator:
    """Components, IoU of at least 0.5, and the figures that both programs define alike."""
    return Panoptica_Evaluator(
        expected_input=InputType.SEMANTIC,
        instance_approximator=ConnectedComponentsInstanceApproximator(),
        instance_matcher=NaiveThresholdMatching(matching_metric=Metric.IOU, matching_threshold=IOU_LIMIT),
        instance_metrics=[Metric.IOU, Metric.DSC, Metric.ASSD, *more],
        global_metrics=[Metric.DSC],
    )


def answer(judge: Panoptica_Evaluator, prediction: np.ndarray, reference: np.ndarray, spacing: tuple) -> dict:
    """Counts, F1 (recognition quality), mean IoU and Dice of matches, Dice of the scan."""
    result = judge.evaluate(prediction, reference, voxelspacing=spacing)["ungrouped"]
    names = {"tp": "tp", "fp": "fp", "fn": "fn", "f1": "rq", "iou": "sq", "dice": "sq_dsc",
             "whole_dice": "global_bin_dsc"}  # fmt: skip
    values = {name: getattr(result, attribute) for name, attribute in names.items()}
    return {name: float(value) if np.isfinite(value) else None for name, value in values.items()}


def write_answers() -> None:
    """Record panoptica's figures of the known cases beside the tests."""
    judge, measurer = evaluator(), evaluator(Metric.CEDI)
    cases = {name: answer(judge, *pair, SPACING_KJI_MM) for name, pair in known_cases().items()}
    for name, (prediction, reference) in known_cases().items():
        # 2.1.7 stops with an error where it should give a distance of centres and nothing matches.
        if cases[name]["tp"]:
            result = measurer.evaluate(prediction, reference, voxelspacing=SPACING_KJI_MM)["ungrouped"]
            cases[name]["distance_mm"] = float(result.sq_cedi)
    content = {"panoptica": version("panoptica"), "spacing_kji_mm": SPACING_KJI_MM, "cases": cases}
    (LIBRARY / "panoptica_answers.json").write_text(json.dumps(content, indent=1) + "\n")


def measure(listing: Path) -> None:
    """Evaluate the listed files one after the other and print figures, seconds and the largest memory."""
    import SimpleITK as sitk

    pairs = json.loads(listing.read_text())
    judge, answers, began = evaluator(), {}, time.perf_counter()
    for name, (prediction, reference) in pairs.items():
        images = [sitk.ReadImage(path) for path in (prediction, reference)]
        arrays = [sitk.GetArrayFromImage(image) for image in images]
        answers[name] = answer(judge, *arrays, images[1].GetSpacing()[::-1])
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cost = {"seconds": seconds, "cpu_s": time.process_time(), "peak_mib": memory}
    report = {"version": version("panoptica"), **cost, "answers": answers}
    print(json.dumps(report))


def main() -> int:
    """Answers or a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="?", type=Path, help="JSON: scan -> [prediction, reference]")
    parser.add_argument("--answers", action="store_true", help="write Testing/Library/panoptica_answers.json")
    args = parser.parse_args()
    if args.answers:
        write_answers()
    elif args.pairs is not None:
        measure(args.pairs)
    else:
        parser.error("give a list of pairs, or --answers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
