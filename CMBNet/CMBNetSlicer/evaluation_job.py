"""One evaluation in the background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from CMBNetSlicer.detection_job import DetectionJob


class EvaluationJob(DetectionJob):
    """A `DetectionJob` whose result is the JSON file of an evaluation or of a reader study."""

    def _tell(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "result":
            event = {**event, "detection": event.get("evaluation") or event.get("study")}
        super()._tell(event)
