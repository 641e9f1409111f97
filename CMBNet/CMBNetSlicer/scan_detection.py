"""From a volume node to a detection in its scene; what the panel, scripts and headless runs share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import slicer

from CMBNetSlicer.blocking_job import run_blocking
from CMBNetSlicer.detection_node import DetectionNode, show_only
from CMBNetSlicer.detection_record import read_record
from CMBNetSlicer.job_command import JobCommand, RunSettings, detect_command
from CMBNetSlicer.job_input import JobInput, write_job_input

MakeCommand = Callable[[Path, Path, RunSettings], JobCommand]


def detect_in_scan(
    scan: Any,
    settings: RunSettings,
    on_event: Callable[[Mapping[str, Any]], None] = lambda event: None,
    make_command: MakeCommand = detect_command,
) -> DetectionNode:
    """Detect in a volume node, wait for the end, and add the result to the scene.

    Raises
    ------
    CMBNetError
        The scan cannot be used, a package is missing, or the run failed.
    """
    with tempfile.TemporaryDirectory(prefix="CMBNet-", dir=slicer.app.temporaryPath) as folder:
        job_input = write_job_input(scan, Path(folder))
        path = run_blocking(make_command(job_input.path, Path(folder) / "results", settings), on_event)
        return add_detection(path, scan, job_input)


def add_detection(path: str | Path, scan: Any, job_input: JobInput) -> DetectionNode:
    """Add the detection file of a run to the scene of the scan, and hide earlier detections of the same scan."""
    record = read_record(path).placed(job_input.ijk_to_node)
    detection = DetectionNode.create(record, scan, follows_transform=job_input.follows_transform)
    show_only(detection)
    return detection
