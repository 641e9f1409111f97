"""An evaluation as the panel lists it: its calls, and the scan of the one that is selected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from CMBNetSlicer.evaluation_case import EvaluationCase
from CMBNetSlicer.evaluation_nodes import show_evaluation
from CMBNetSlicer.evaluation_record import CallRow, read_evaluation

_FILTERS = (("False calls", ("FN", "FP")), ("Missed (FN)", ("FN",)), ("False positives (FP)", ("FP",)),
            ("Found (TP)", ("TP",)), ("All", ("TP", "FP", "FN", "ignored")))  # fmt: skip


class EvaluationResults:
    """What `evaluation.json` and its tables say; tables and FROC go into the scene at once.

    Parameters
    ----------
    scene
        The MRML scene.
    path
        The ``evaluation.json``; `InputError` if it cannot be read.
    """

    def __init__(self, scene: Any, path: str | Path) -> None:
        self.record = read_evaluation(path)
        self.case = EvaluationCase(scene)
        self.nodes = show_evaluation(scene, self.record)
        self.summary, self.report, self.chart = self.record.summary, self.record.report, self.nodes.froc
        self.filters = [_(name) for name, _outcomes in _FILTERS]
        self.titles = [_("Scan"), _("Call"), _("Score"), _("Ø mm"), _("Zone"), _("Region"), _("Cause")]
        self._calls: list[CallRow] = []

    def rows(self, chosen: int) -> list[Sequence[Any]]:
        """Values of the calls that a filter lets through."""
        outcomes = _FILTERS[chosen][1]
        self._calls = [call for call in self.record.calls if call.outcome in outcomes]
        return [_values(call) for call in self._calls]

    def open(self, number: int) -> None:
        """Show the scan of a row at its place; `InputError` if a file cannot be read any more."""
        call = self._calls[number]
        self.case.open(self.record, call.scan_id, call.position_ras)

    def agreement(self) -> tuple[list[str], list[Sequence[Any]]]:
        """Titles and rows of agreement between raters: there are no raters here."""
        return [], []

    def close(self) -> None:
        """Take the case off the scene."""
        self.case.close()


def _values(call: CallRow) -> list[Any]:
    score = None if call.score is None else round(call.score, 3)
    diameter = None if call.diameter_mm is None else round(call.diameter_mm, 1)
    return [call.scan_id, call.outcome, score, diameter, call.zone, call.region, call.cause]
