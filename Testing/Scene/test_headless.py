"""Detection without any window: the script for `--python-script`, and the logic for other people's scripts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer

import host
from CMBNetLib.errors import CMBNetError, InputError
from CMBNetLib.volume import Volume, write_volume
from CMBNetSlicer.detection_node import detections_of

REPOSITORY = Path(__file__).resolve().parents[2]
RUNNER = Path(__file__).resolve().parent / "headless_runner.py"


@pytest.fixture
def scan_file(tmp_path: Path) -> Path:
    """A small oblique scan, 24 x 120 x 120 voxels of 1.6 x 1.6 x 5 mm, that reading accepts."""
    k, j, i = np.ogrid[-12:12, -60:60, -60:60]
    head = ((k / 11) ** 2 + (j / 50) ** 2 + (i / 45) ** 2) < 1
    noise = np.random.default_rng(5).normal(0.0, 4.0, head.shape)
    matrix = np.diag([-1.6, -1.6, 5.0, 1.0])
    matrix[:3, 3] = (90.0, 70.0, -40.0)
    return write_volume(Volume((head * 100 + noise).astype(np.float32), matrix), tmp_path / "visit_1.nii.gz")


def run_headless(mode: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUNNER), mode, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=REPOSITORY)


def test_a_script_run_writes_results_and_a_scene(scan_file: Path, tmp_path: Path) -> None:
    done = run_headless("done", scan_file, "-o", tmp_path / "out", "--threshold", 0.3, "--scene", tmp_path / "case.mrb")
    assert done.returncode == 0, done.stderr
    assert f"Results: {tmp_path / 'out' / 'visit_1_detection.json'}" in done.stdout
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "case.mrb"))
    (detection,) = detections_of(slicer.util.getNode("visit_1"))
    assert detection.n_microbleeds == 4
    assert detection.segmentation.GetSegmentation().GetNumberOfSegments() == 4
    for candidate in detection.record.candidates:
        np.testing.assert_allclose(detection.position(candidate.id), candidate.center_ras, atol=1e-3)


@pytest.mark.parametrize(
    ("mode", "arguments", "code", "words"),
    [
        ("refuses", (), 2, "Error: The scan has 7 slices; at least 10 are needed."),
        ("crashes", (), 1, "MemoryError: no memory left"),
        ("done", ("--scene", "case.nrrd"), 2, "--scene takes a name that ends in .mrb, not case.nrrd."),
        ("done", ("--no-such-option",), 2, "unrecognized arguments: --no-such-option"),
    ],
)
def test_a_script_run_that_fails_ends_with_the_code_of_the_reason(
    scan_file: Path, tmp_path: Path, mode: str, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run_headless(mode, scan_file, "-o", tmp_path / "out", *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert not (tmp_path / "case.nrrd").exists()


@pytest.fixture
def logic():
    yield host.load_module(REPOSITORY / "CMBNet" / "CMBNet.py").file.CMBNetLogic()
    host.unload_modules()


def test_the_logic_raises_what_the_real_detector_says(logic, a_scan) -> None:
    told = []
    with pytest.raises(InputError, match="24 x 24 x 24 mm, too little for a head"):
        logic.detect(a_scan, onEvent=told.append)
    assert [event["event"] for event in told][-1] == "error"
    with pytest.raises(InputError, match="A threshold lies between 0 and 1"):
        logic.detect(a_scan, threshold=2.0)
    with pytest.raises(CMBNetError, match="no model 'other'"):
        logic.detect(a_scan, model="other")
    assert sorted(Path(slicer.app.temporaryPath).glob("CMBNet-*")) == []


def test_the_logic_refuses_a_volume_without_an_image(logic) -> None:
    with pytest.raises(InputError, match="holds no image"):
        logic.detect(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty"))
