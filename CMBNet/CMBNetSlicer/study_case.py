"""One case of a reader study in the views: the scan, and what every rater marked on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import slicer

from CMBNetSlicer.evaluation_case import COLOURS, EvaluationCase, add_points
from CMBNetSlicer.slice_jump import show_scan

_RATER_COLOURS = {"model": COLOURS["prediction"], "reference": COLOURS["reference"]}
# Of the readers, apart from the two above and from each other for colour-blind eyes (Okabe and Ito).
_READER_COLOURS = ((0.0, 0.62, 0.45), (0.80, 0.47, 0.65), (0.94, 0.89, 0.26), (0.84, 0.37, 0.0), (0.0, 0.45, 0.70))


class StudyCase(EvaluationCase):
    """Opens one case at a time; without a scan (a study run without ``--images``) its marks are shown alone."""

    def _load(self, record: Any, case_id: str) -> None:
        image = record.image_of(case_id)
        if image is not None:
            self.nodes["image"] = slicer.util.loadVolume(str(image), {"name": case_id})
            show_scan(self._scene, self.nodes["image"])
        panel = list(record.document["panel"])
        for rater, marks in record.marks_of(case_id).items():
            number = panel.index(rater) if rater in panel else 0
            colour = _RATER_COLOURS.get(rater, _READER_COLOURS[number % len(_READER_COLOURS)])
            places = [tuple(float(mark[axis]) for axis in "xyz") for mark in marks]
            self.nodes[rater] = add_points(self._scene, rater, places, [_label(mark) for mark in marks], colour)


def _label(mark: Mapping[str, str]) -> str:
    return mark["rater"] + ("?" if mark["vote"] == "unsure" else "")
