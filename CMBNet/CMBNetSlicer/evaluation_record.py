"""What an evaluation wrote, read back for the panel: measures, calls, and the files of each scan."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError
from CMBNetLib.wording import number_of


@dataclass(frozen=True)
class CallRow:
    """One row of ``lesions.csv``.

    Attributes
    ----------
    position_ras
        RAS mm.
    score, diameter_mm
        None where not known.
    """

    scan_id: str
    outcome: str
    position_ras: tuple[float, float, float]
    score: float | None
    diameter_mm: float | None
    zone: str
    region: str
    cause: str


@dataclass(frozen=True)
class EvaluationRecord:
    """An evaluation.

    Attributes
    ----------
    path
        The ``evaluation.json``.
    document
        Its content.
    calls
        All calls.
    measures
        Rows of ``metrics.csv``.
    """

    path: Path
    document: Mapping[str, Any]
    calls: tuple[CallRow, ...]
    measures: tuple[Mapping[str, str], ...]

    @property
    def summary(self) -> str:
        """The pooled figures in one sentence."""
        detection = self.document["metrics"]["detection"]
        figures = detection["pooled"]
        names = (("sensitivity", "sensitivity"), ("precision", "precision"), ("f1", "F1"),
                 ("false_positives_per_scan", "false positives per scan"))  # fmt: skip
        parts = [f"{text} {_number(figures[name]['value'])}" for name, text in names]
        return f"{number_of(detection['counts']['scans'], 'scan')}: {', '.join(parts)}"

    @property
    def report(self) -> Path | None:
        """The HTML page, if it was written."""
        page = self.path.with_name("report.html")
        return page if page.exists() else None

    def files_of(self, scan_id: str) -> dict[str, Path]:
        """Prediction, reference and image of a scan, as far as they are still there."""
        paths = self.document["pairs"].get(scan_id, {})
        return {role: Path(path) for role, path in paths.items() if path and Path(path).exists()}


def read_evaluation(path: str | Path) -> EvaluationRecord:
    """Read an ``evaluation.json`` and the tables beside it.

    Raises
    ------
    InputError
        A file is missing or is not what an evaluation writes.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("schema") != "cmbnet-evaluation":
            raise InputError(f"{path} is not the result of an evaluation.")
        calls = tuple(_call(row) for row in _rows(path.with_name("lesions.csv")))
        measures = tuple(_rows(path.with_name("metrics.csv")))
    except (OSError, ValueError, KeyError, AttributeError) as problem:
        raise InputError(f"The evaluation in {path.parent} cannot be read: {problem}.") from problem
    return EvaluationRecord(path, document, calls, measures)


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _call(row: Mapping[str, str]) -> CallRow:
    x, y, z = (float(row[axis]) for axis in "xyz")
    score, diameter = (float(row[name]) if row[name] else None for name in ("score", "diameter_mm"))
    return CallRow(row["scan_id"], row["outcome"], (x, y, z), score, diameter, row["zone"], row["region"], row["cause"])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
