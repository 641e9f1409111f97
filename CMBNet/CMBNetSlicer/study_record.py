"""What a reader study wrote, read back for the panel: agreement, votes, and the marks of every rater."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError
from CMBNetLib.wording import number_of

TABLES = ("readings", "agreement", "votes", "metrics", "assistance")
_LEAST = ("votes", "marks")  # without these no place can be shown


@dataclass(frozen=True)
class StudyRecord:
    """A reader study.

    Attributes
    ----------
    path
        The ``reader_study.json``.
    document
        Its content.
    tables
        Rows of its CSV files by name.
    """

    path: Path
    document: Mapping[str, Any]
    tables: Mapping[str, tuple[Mapping[str, str], ...]]

    @property
    def summary(self) -> str:
        """Who read what, how well they agreed, what assistance brought and what it cost, in a few sentences."""
        readings = self.tables["readings"]
        readers, cases = (len({row[name] for row in readings}) for name in ("reader", "case_id"))
        who = f"{number_of(cases, 'case')} by {number_of(readers, 'reader')}"
        parts = [f"{number_of(len(readings), 'reading')} of {who}."]
        for name, group in self.document["groups"].items():
            parts.append(f"Fleiss' kappa {name} {_number(group['fleiss_kappa'])}, AC1 {_number(group['gwet_ac1'])}.")
        if self.document["assistance"] is not None:
            found = self.document["assistance"]["metrics"]["sensitivity"]
            parts.append(f"Sensitivity {found['first']:.3f} without and {found['second']:.3f} with assistance.")
        for name, time in self.document["times"].items():
            if name.endswith("assistance") and "minus" not in name:
                parts.append(f"Median {_number(time['median_s'], 0)} s a case {name}.")
        open_places = [row for row in self.tables["votes"] if row["agreed"] == "0"]
        parts.append(f"{number_of(len(open_places), 'place')} to settle.")
        return " ".join(parts)

    @property
    def report(self) -> Path | None:
        """The HTML page, if it was written."""
        page = self.path.with_name("report.html")
        return page if page.exists() else None

    def image_of(self, case_id: str) -> Path | None:
        """The scan of a case, if it is known and still there."""
        name = self.document["images"].get(case_id)
        return Path(name) if name and Path(name).exists() else None

    def marks_of(self, case_id: str) -> dict[str, list[Mapping[str, str]]]:
        """Marks on a case by rater: the readers of the panel, the model and the reference."""
        shown = (*self.document["panel"], "model", "reference")
        marks: dict[str, list[Mapping[str, str]]] = {}
        for row in self.tables["marks"]:
            if row["case_id"] == case_id and row["rater"] in shown and row["vote"] != "not":
                marks.setdefault(row["rater"], []).append(row)
        return marks


def read_study_record(path: str | Path) -> StudyRecord:
    """Read a ``reader_study.json`` and the tables beside it.

    Raises
    ------
    InputError
        A file is missing or is not what a reader study writes.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("schema") != "cmbnet-reader-study":
            raise InputError(f"{path} is not the result of a reader study.")
        names = [name for name in (*TABLES, "marks") if name in _LEAST or path.with_name(f"{name}.csv").exists()]
        tables = {name: _rows(path.with_name(f"{name}.csv")) for name in names}
    except (OSError, ValueError, AttributeError) as problem:
        raise InputError(f"The reader study in {path.parent} cannot be read: {problem}.") from problem
    return StudyRecord(path, document, tables)


def _rows(path: Path) -> tuple[dict[str, str], ...]:
    with open(path, encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(stream))


def _number(estimate: Mapping[str, Any], digits: int = 2) -> str:
    return "–" if estimate["value"] is None else f"{estimate['value']:.{digits}f}"
