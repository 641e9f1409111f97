"""The real MRML scene of the stand-in, empty for every test, and a detection to put into it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import host

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "Testing" / "Panels")]
host.start([REPOSITORY / "CMBNet"])

import fake_detector  # noqa: E402
import slicer  # noqa: E402

from CMBNetSlicer.detection_record import DetectionRecord, read_record  # noqa: E402
from CMBNetSlicer.job_input import JobInput, write_job_input  # noqa: E402


@pytest.fixture(autouse=True)
def empty_scene() -> Iterator[None]:
    slicer.mrmlScene.Clear(False)
    yield
    slicer.mrmlScene.Clear(False)


@pytest.fixture
def a_scan() -> slicer.vtkMRMLScalarVolumeNode:
    """An oblique scan with flipped axes and thick slices: array (12, 40, 48) of 0.5 x 0.6 x 2 mm."""
    node = slicer.util.addVolumeFromArray(
        np.random.default_rng(3).normal(100.0, 5.0, (12, 40, 48)).astype(np.float32), name="Visit 1"
    )
    a, b = np.deg2rad(15.0), np.deg2rad(-8.0)
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn_z @ turn_x @ np.diag([-0.5, 0.6, -2.0])
    matrix[:3, 3] = (14.0, -22.0, 31.0)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    return node


def run_fake_detector(scan: slicer.vtkMRMLScalarVolumeNode, folder: Path) -> tuple[DetectionRecord, JobInput]:
    """What a run of the detector would give for the scan, without a process."""
    job_input = write_job_input(scan, folder)
    result = fake_detector.make_result(fake_detector.read_scan(job_input.path), 0.5, "balanced")
    path = fake_detector.write_detection(result, folder / "results")
    return read_record(path).placed(job_input.ijk_to_node), job_input


@pytest.fixture
def run_detector():
    return run_fake_detector
