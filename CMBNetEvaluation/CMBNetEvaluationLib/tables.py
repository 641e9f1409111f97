"""The CSV files of an evaluation: one row a scan, a lesion, a measure, a stratum, a threshold."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from CMBNetLib.files import atomic_output

from .difference import Difference
from .estimates import Estimate
from .froc import FrocCurve
from .scan_result import Call, ScanResult

MEASURE_COLUMNS = (
    "section", "measure", "value", "low", "high", "wilson_low", "wilson_high", "poisson_low", "poisson_high", "n",
)  # fmt: skip
DIFFERENCE_COLUMNS = ("measure", "first", "second", "difference", "low", "high", "p")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows; numbers with 10 significant digits, nothing for None. `InputError` if the folder is closed."""
    with atomic_output(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row.get(column)) for column in columns])
    return path


def scan_rows(results: Sequence[ScanResult]) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of ``scans.csv``."""
    attributes = sorted({name for result in results for name in result.attributes})
    columns = [
        "scan_id", "subject_id", "reference_lesions", "predictions", "tp", "fp", "fn", "ignored", "dice",
        "prediction_mm3", "reference_mm3", "surface_mm", "hausdorff95_mm", "missing_prediction", *attributes,
        "warnings",
    ]  # fmt: skip
    return columns, [_scan_row(result) for result in results]


def lesion_rows(results: Sequence[ScanResult]) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of ``lesions.csv``: every call, in the order of the scans."""
    names = [field.name for field in fields(Call) if field.name not in ("center_ras", "reference_ras")]
    columns = ["scan_id", "outcome", "x", "y", "z", "reference_x", "reference_y", "reference_z", *names[1:]]
    rows = [_lesion_row(result.scan_id, call, names) for result in results for call in result.calls]
    return columns, rows


def measure_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of ``metrics.csv``: every estimate and every count, by the path of its section."""
    return list(_walk("", metrics))


def stratum_rows(strata: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of ``strata.csv``."""
    measures = ("precision", "sensitivity", "f1", "false_positives_per_scan")
    columns = ["key", "stratum", "scans", "tp", "fp", "fn"]
    columns += [f"{name}{suffix}" for name in measures for suffix in ("", "_low", "_high")]
    rows = []
    for key, groups in strata.items():
        for name, figures in groups.items():
            row = {"key": key, "stratum": name, **{count: figures[count] for count in ("scans", "tp", "fp", "fn")}}
            for measure in measures:
                estimate: Estimate = figures[measure]
                row |= {measure: estimate.value, f"{measure}_low": estimate.low, f"{measure}_high": estimate.high}
            rows.append(row)
    return columns, rows


def difference_rows(metrics: Mapping[str, Difference]) -> list[dict[str, Any]]:
    """Rows of ``comparison.csv``: one figure of two models each."""
    return [{"measure": name, **difference.as_dict()} for name, difference in metrics.items()]


def froc_rows(curve: FrocCurve) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of ``froc.csv``."""
    columns = ["threshold", "false_positives_per_scan", "sensitivity"]
    values = zip(curve.thresholds, curve.false_positives_per_scan, curve.sensitivity, strict=True)
    return columns, [dict(zip(columns, map(float, row), strict=True)) for row in values]


def _walk(section: str, content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, Mapping):
        for name, entry in content.items():
            if name in ("strata", "curve", "band", "zone_of_hits", "region_of_hits", "bins"):
                continue
            if isinstance(entry, Estimate):
                yield {"section": section, "measure": name, **entry.as_dict()}
            elif isinstance(entry, int | float) and not isinstance(entry, bool):
                yield {"section": section, "measure": name, "value": entry}
            else:
                yield from _walk(f"{section}.{name}" if section else str(name), entry)
    elif isinstance(content, list):
        for entry in content:
            if isinstance(entry, Mapping):
                yield from _walk(f"{section}.{entry.get('threshold', '')}", entry)
    elif isinstance(content, Estimate):
        yield {"section": section, "measure": section, **content.as_dict()}


def _scan_row(result: ScanResult) -> dict[str, Any]:
    row = {
        **result.attributes,
        "scan_id": result.scan_id,
        "subject_id": result.subject_id,
        "reference_lesions": result.n_reference,
        "predictions": result.n_predicted,
        "tp": result.tp,
        "fp": result.fp,
        "fn": result.fn,
        "ignored": result.n_ignored,
        "missing_prediction": int(result.missing_prediction),
        "warnings": " ".join(result.warnings),
    }
    if result.overlap is not None:
        names = ("dice", "prediction_mm3", "reference_mm3", "surface_mm", "hausdorff95_mm")
        row |= {name: getattr(result.overlap, name) for name in names}
    return row


def _lesion_row(scan_id: str, call: Call, names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"scan_id": scan_id, **{name: getattr(call, name) for name in names}}
    row |= dict(zip(("x", "y", "z"), call.center_ras, strict=True))
    if call.reference_ras is not None:
        row |= dict(zip(("reference_x", "reference_y", "reference_z"), call.reference_ras, strict=True))
    return row


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)
