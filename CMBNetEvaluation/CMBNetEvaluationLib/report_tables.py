"""The tables of the report page: what is shown, under which name, with how many digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .counting import BURDEN_NAMES
from .estimates import Estimate

DASH = "–"
NAMES = {
    "f1": "F1",
    "false_positives_per_scan": "False positives per scan (all scans)",
    "false_positives_per_negative_scan": "False positives per scan without microbleeds",
    "false_positives_per_microbleed": "False positives per reference microbleed (not per scan)",
    "icc_agreement": "ICC, absolute agreement: ICC(A,1)",
    "icc_consistency": "ICC, consistency: ICC(C,1)",
    "limit_low": "Lower limit of agreement",
    "limit_high": "Upper limit of agreement",
    "bias": "Bias (predicted minus reference)",
    "kappa_quadratic": "Weighted kappa of burden classes, quadratic",
    "kappa_linear": "Weighted kappa of burden classes, linear",
    "area_under_roc": "Area under the ROC curve",
    "ppv": "PPV",
    "npv": "NPV",
    "iou": "IoU",
    "hausdorff95_mm": "95 % Hausdorff distance (mm)",
    "surface_mm": "Average surface distance (mm)",
    "distance_mm": "Distance of centres (mm)",
    "dice_mean": "Dice, mean over scans with voxels",
    "dice_median": "Dice, median over scans with voxels",
    "dice_positive_mean": "Dice, mean over scans with microbleeds",
    "dice_pooled": "Dice, all voxels pooled",
}


def name_of(key: str) -> str:
    """Words for a key of the results."""
    return NAMES.get(key) or key[:1].upper() + key[1:].replace("_", " ").replace(" mm3", " (mm³)").replace(
        " mm", " (mm)"
    )


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; whole numbers without a point."""
    if value is None:
        return DASH
    return f"{value:.0f}" if isinstance(value, int) else f"{value:.{digits}f}"


def shown(estimate: Estimate | None) -> list[str]:
    """Cells of value, interval, n."""
    if estimate is None or estimate.value is None:
        return [DASH, DASH, "0" if estimate is None else str(estimate.n)]
    interval = DASH if estimate.low is None else f"{number(estimate.low)} to {number(estimate.high)}"
    if estimate.wilson is not None:
        interval += f" [{number(estimate.wilson[0])} to {number(estimate.wilson[1])}]"
    return [number(estimate.value), interval, str(estimate.n)]


def estimate_table(title: str, estimates: Mapping[str, Any]) -> dict[str, Any]:
    """Measure, value, interval, n for each `Estimate` of a section."""
    rows = [[name_of(key), *shown(value)] for key, value in estimates.items() if isinstance(value, Estimate)]
    return {"title": title, "columns": ["Measure", "Value", "95 % interval", "n"], "rows": rows}


def count_table(counts: Mapping[str, int]) -> dict[str, Any]:
    """Names and counts."""
    rows = [[name_of(key), str(value)] for key, value in counts.items()]
    return {"title": "", "columns": ["", "Number"], "rows": rows}


def froc_table(froc: Mapping[str, Any]) -> dict[str, Any]:
    """Sensitivity at each rate, their mean, average precision."""
    rows = [[f"At {rate} false positives per scan", *shown(value)] for rate, value in froc["sensitivity_at"].items()]
    rows += [
        ["Mean of these", *shown(froc["mean_sensitivity"])],
        ["Average precision", *shown(froc["average_precision"])],
    ]
    return {"title": "Sensitivity", "columns": ["", "Value", "95 % interval", "Lesions"], "rows": rows}


def classification_table(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row for each threshold of the count."""
    measures = ("sensitivity", "specificity", "ppv", "npv", "f1")
    rows = [
        [f"{entry['threshold']} or more", *(str(entry[key]) for key in ("tp", "fp", "fn", "tn")),
         *(compact(entry[name]) for name in measures)]
        for entry in entries
    ]  # fmt: skip
    columns = ["Microbleeds", "TP", "FP", "FN", "TN", *(name_of(name) for name in measures)]
    return {"title": "", "columns": columns, "rows": rows}


def burden_rows(table: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Scans by burden class of the reference (rows) and of the prediction (columns)."""
    rows = [[f"Reference {name}", *map(str, row)] for name, row in zip(BURDEN_NAMES, table, strict=True)]
    return {"title": "Burden classes", "columns": ["", *(f"Predicted {name}" for name in BURDEN_NAMES)], "rows": rows}


def stratum_table(key: str, groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One row a stratum."""
    measures = ("sensitivity", "precision", "f1", "false_positives_per_scan")
    rows = [
        [
            name,
            *(str(figures[count]) for count in ("scans", "tp", "fp", "fn")),
            *(compact(figures[m]) for m in measures),
        ]
        for name, figures in groups.items()
    ]
    columns = [name_of(key), "Scans", "TP", "FP", "FN", "Sensitivity", "Precision", "F1", "FP per scan"]
    return {"title": f"By {name_of(key).lower()}", "columns": columns, "rows": rows}


def place_table(title: str, table: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Hits by the place that the reference and the prediction name."""
    columns = sorted({name for row in table.values() for name in row})
    rows = [[f"Reference {name}", *(str(row.get(column, 0)) for column in columns)] for name, row in table.items()]
    return {"title": title, "columns": ["", *(f"Predicted {name}" for name in columns)], "rows": rows}


def comparison_table(comparison: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Two models and their difference."""
    rows = []
    for key, difference in comparison["metrics"].items():
        interval = DASH if difference.low is None else f"{number(difference.low)} to {number(difference.high)}"
        values = [number(getattr(difference, name)) for name in ("first", "second", "difference")]
        rows.append([name_of(key), *values, interval, number(difference.p, 4)])
    columns = ["Measure", *names, "Difference", "95 % interval (paired)", "p (permutation)"]
    return {"title": f"{names[0]} and {names[1]} on {comparison['scans']} scans", "columns": columns, "rows": rows}


def compact(estimate: Estimate, digits: int = 2) -> str:
    """Value and interval in one cell."""
    if estimate.value is None:
        return DASH
    if estimate.low is None:
        return number(estimate.value, digits)
    low, high = number(estimate.low, digits), number(estimate.high, digits)
    # With a minus sign a dash between the two would be read as another one.
    return f"{number(estimate.value, digits)} ({low}{' to ' if '-' in low + high else '–'}{high})"
