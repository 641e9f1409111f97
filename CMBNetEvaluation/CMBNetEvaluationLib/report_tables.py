"""The tables of the report page: what is shown, under which name, with how many digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from CMBNetLib.burden import BURDEN_NAMES
from CMBNetLib.wording import number_of

from .estimates import Estimate

DASH = "–"
NAMES = {
    "f1": "F1",
    "f1_mean_of_scans": "F1, mean over scans",
    "f1_scans_with_lesions": "F1, scans with microbleeds only",
    "mean_sensitivity": "Mean FROC sensitivity (1/8 to 8 false positives per scan)",
    "false_positives_per_scan": "False positives per scan (all scans)",
    "false_positives_per_negative_scan": "False positives per scan without microbleeds",
    "false_positives_per_microbleed": "False positives per reference microbleed (not per scan)",
    "icc_agreement": "ICC, absolute agreement: ICC(A,1)",
    "icc_consistency": "ICC, consistency: ICC(C,1)",
    "limit_low": "Lower limit of agreement",
    "limit_high": "Upper limit of agreement",
    "bias": "Bias (predicted minus reference)",
    "slope": "Slope of the difference on the mean",
    "mean_score_minus_share_true": "Mean score minus share of true ones",
    "brier": "Brier score",
    "dataset": "Data set",
    "field_strength_t": "Field strength",
    "slice_thickness_mm": "Slice thickness",
    "size": "Size (equivalent diameter)",
    "shape": "Shape (elongation, 1 is round)",
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
    if key in NAMES:
        return NAMES[key]
    if key.startswith("sensitivity_at_"):
        return f"Sensitivity at {key.removeprefix('sensitivity_at_')} false positives per scan"
    return key[:1].upper() + key[1:].replace("_", " ").replace(" mm3", " (mm³)").replace(" mm", " (mm)")


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; whole numbers without a point."""
    if value is None:
        return DASH
    return f"{value:.0f}" if isinstance(value, int) else f"{value:.{digits}f}"


def shown(estimate: Estimate | None) -> list[str]:
    """Cells of value, interval, n."""
    if estimate is None or estimate.value is None:
        return [DASH, DASH, "0" if estimate is None else str(estimate.n)]
    interval = "" if estimate.low is None else f"{number(estimate.low)} to {number(estimate.high)}"
    if estimate.by_counts is not None:
        low, high = estimate.by_counts
        interval = f"{interval} [{number(low)} to {number(high)}]".strip()
    return [number(estimate.value), interval or DASH, str(estimate.n)]


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
    return {
        "title": f"{names[0]} and {names[1]} on {number_of(comparison['scans'], 'scan')}",
        "columns": columns,
        "rows": rows,
    }


def found_table(lesions: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Reference lesions by which of two models found them, with McNemar's test."""
    shown_as = {"both": "Both", "only_first": f"Only {names[0]}", "only_second": f"Only {names[1]}", "none": "Neither"}
    values = [*(str(lesions[key]) for key in shown_as), number(lesions["mcnemar_p"], 4)]
    columns = ["Reference lesions found by", *shown_as.values(), "p (McNemar, exact)"]
    return {"title": "", "columns": columns, "rows": [["Number", *values]]}


def compact(estimate: Estimate, digits: int = 2) -> str:
    """Value and interval in one cell; the interval from counts where draws of subjects give none."""
    if estimate.value is None:
        return DASH
    value, interval, ends = number(estimate.value, digits), (estimate.low, estimate.high), "()"
    if estimate.low is None:
        interval, ends = estimate.by_counts or (None, None), "[]"
    if interval[0] is None:
        return value
    low, high = (number(bound, digits) for bound in interval)
    # With a minus sign a dash between the two would be read as another one.
    return f"{value} {ends[0]}{low}{' to ' if '-' in low + high else '–'}{high}{ends[1]}"
