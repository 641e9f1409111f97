"""A reader study as the panel lists it: places to settle, and the case of the one that is selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from CMBNetSlicer.study_case import StudyCase
from CMBNetSlicer.study_nodes import show_study
from CMBNetSlicer.study_record import read_study_record

_FILTERS = (("To settle", ("0",)), ("Agreed on", ("1",)), ("All places", ("0", "1")))
_FIGURES = ("f1", "cohen_kappa", "gwet_ac1", "distance_mm", "dice")


class StudyResults:
    """What `reader_study.json` and its tables say; tables and plots go into the scene at once.

    Parameters
    ----------
    scene
        The MRML scene.
    path
        The ``reader_study.json``; `InputError` if it cannot be read.
    """

    def __init__(self, scene: Any, path: str | Path) -> None:
        self.record = read_study_record(path)
        self.case = StudyCase(scene)
        self.nodes = show_study(scene, self.record)
        self.summary, self.report = self.record.summary, self.record.report
        self.chart = self.nodes["raters"] or self.nodes["agreement_chart"]
        self.filters = [_(name) for name, _agreed in _FILTERS]
        self.titles = [_("Case"), _("Majority"), _("Yes"), _("No"), _("Unsure"), _("Said yes")]
        self._places: list[Mapping[str, str]] = []

    def rows(self, chosen: int) -> list[Sequence[Any]]:
        """Values of the places that a filter lets through."""
        agreed = _FILTERS[chosen][1]
        self._places = [row for row in self.record.tables["votes"] if row["agreed"] in agreed]
        counts = ("yes", "no", "unsure")
        return [
            [row["case_id"], row["majority"], *(int(row[name]) for name in counts), row["said_yes"]]
            for row in self._places
        ]

    def open(self, number: int) -> None:
        """Show the case of a row at its place."""
        row = self._places[number]
        self.case.open(self.record, row["case_id"], [float(row[axis]) for axis in "xyz"])

    def agreement(self) -> tuple[list[str], list[Sequence[Any]]]:
        """Titles and rows of the agreement of each two raters."""
        titles = [_("Raters"), _("F1"), _("Kappa"), _("AC1"), _("mm"), _("Dice"), _("Cases"), _("Compared")]
        rows: list[Sequence[Any]] = []
        for entry in self.record.document["pairs"]:
            figures = [_rounded(entry[name]["value"]) for name in _FIGURES]
            rows.append([f"{entry['first']} / {entry['second']}", *figures, entry["cases"], entry["kind"]])
        return titles, rows

    def close(self) -> None:
        """Take the case off the scene."""
        self.case.close()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
