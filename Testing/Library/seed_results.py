"""The published results of the seed system on DOU, scan by scan, and its figures as they should have read.

The lists are facts from MicrobleedNet's published result files (checkpoint of the least validation loss, overlap
matching, 20 SWI scans with 74 microbleeds). ``python Testing/Library/seed_results.py`` prints the table.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a test has these folders from pytest
    _REPOSITORY = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(_REPOSITORY / name) for name in ("CMBNet", "CMBNetEvaluation", "Testing/Library")]

import numpy as np

from CMBNetEvaluationLib.detection_metrics import detection_metrics, per_scan_values
from CMBNetEvaluationLib.estimates import SubjectBootstrap
from CMBNetEvaluationLib.scan_result import ScanResult, counts_of
from evaluation_cases import counted

# TP/FP/FN of the scans 01 to 20.
SCRATCH = (
    "1/0/0 1/0/0 4/0/0 0/0/1 1/2/0 1/0/0 0/0/1 1/0/0 4/0/7 6/0/2 "
    "2/0/0 1/0/0 1/0/0 3/0/0 9/5/4 7/3/4 3/0/4 3/0/0 1/0/0 2/1/0"
)
TRANSFER = (
    "0/0/1 0/0/1 3/1/1 1/0/0 1/0/0 0/0/1 0/3/1 1/1/0 7/2/4 6/0/2 "
    "2/0/0 1/0/0 1/1/0 3/0/0 10/8/3 5/2/6 5/1/2 3/2/0 1/0/0 2/2/0"
)
MODELS = {"Scratch": SCRATCH, "TL": TRANSFER}
# As printed by its authors: pooled, means over scans with standard deviation, and what they headed "FP per scan" in
# the abstract (of the run with distance matching: 10 false positives for 74 microbleeds, 51 found).
PUBLISHED: dict[str, dict[str, Any]] = {
    "Scratch": {"tp": 51, "fp": 11, "fn": 23, "precision": 0.823, "sensitivity": 0.689, "f1": 0.750,
                "fp_per_scan": 0.550, "fp_per_microbleed": 0.149, "macro_precision": (0.908, 0.191),
                "macro_sensitivity": (0.794, 0.338), "macro_f1": (0.868, 0.187)},
    "TL": {"tp": 52, "fp": 23, "fn": 22, "precision": 0.693, "sensitivity": 0.703, "f1": 0.698,
           "fp_per_scan": 1.150, "fp_per_microbleed": 0.311, "macro_precision": (0.749, 0.280),
           "macro_sensitivity": (0.704, 0.393), "macro_f1": (0.814, 0.162)},
}  # fmt: skip
HEADLINE = {"called": "false positives per scan", "value": 0.135, "fp": 10}


def results_of(model: str) -> list[ScanResult]:
    """The 20 scans of one model as results of an evaluation."""
    rows = [tuple(map(int, entry.split("/"))) for entry in MODELS[model].split()]
    return [counted(*row, scan_id=f"DOU-{number:02d}") for number, row in enumerate(rows, 1)]


def macro(model: str) -> dict[str, tuple[float, float]]:
    """Means and standard deviations (n - 1) over scans as the seed system made them.

    It left the scans out on which F1 is 0, so that its mean F1 lies above its F1 of the means.
    """
    of_scan = per_scan_values(counts_of(results_of(model)))
    of_scan["f1"] = np.where(of_scan["f1"] > 0, of_scan["f1"], np.nan)
    return {
        f"macro_{name}": (float(np.nanmean(values)), float(np.nanstd(values, ddof=1)))
        for name, values in of_scan.items()
        if name != "false_positives"
    }


def table(model: str) -> list[tuple[str, str, str]]:
    """Rows of name, published and computed here."""
    results = results_of(model)
    measured = detection_metrics(results, SubjectBootstrap([result.subject_id for result in results]))
    pooled, means, published = measured["pooled"], measured["per_scan_mean"], PUBLISHED[model]

    def with_interval(name: str) -> str:
        estimate = pooled[name]
        return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"

    rows = [(name, f"{published[name]:.3f}", with_interval(name)) for name in ("precision", "sensitivity", "f1")]
    rows.append(("false positives per scan", f"{published['fp_per_scan']:.3f}",
                 with_interval("false_positives_per_scan")))  # fmt: skip
    rows.append(("false positives per microbleed", f"{published['fp_per_microbleed']:.3f}",
                 with_interval("false_positives_per_microbleed")))  # fmt: skip
    for name, (mean, deviation) in macro(model).items():
        was = published[name]
        rows.append((f"{name}, as they did", f"{was[0]:.3f} +- {was[1]:.3f}", f"{mean:.3f} +- {deviation:.3f}"))
    rows.append(("macro_f1, scans with F1 = 0 kept", "", f"{means['f1'].value:.3f}"))
    return rows


def corrected_headline() -> str:
    """The headline of the abstract, put right."""
    n_scans = len(results_of("Scratch"))
    return (
        f'Abstract: {HEADLINE["value"]} "{HEADLINE["called"]}" is {HEADLINE["fp"]} false positives for 74 '
        f"microbleeds; per scan it is {HEADLINE['fp']} / {n_scans} = {HEADLINE['fp'] / n_scans:.2f}."
    )


def print_all() -> None:
    """The figures of both models, published and computed, side by side."""
    print(corrected_headline())
    for model in MODELS:
        print(f"\n{model} on DOU, overlap matching, 20 scans\n{'':34}{'published':>18}  computed (95 % interval)")
        for name, published, computed in table(model):
            print(f"{name:34}{published:>18}  {computed}")


if __name__ == "__main__":
    print_all()
