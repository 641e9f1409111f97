"""Drives the panel of the module CMBNet as a person does, in the stand-in and in the real application.

Written in the subset that PySide6 (with properties as attributes) and PythonQt share.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from CMBNetSlicer.event_loop import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
FAKE_DETECTOR = Path(__file__).resolve().parent / "fake_detector.py"
READY = "Ready (PyTorch 2.8.0)."



def add_scan(name: str = "Scan", shape: tuple[int, int, int] = (12, 40, 48)) -> Any:
    """Add a small volume, array [k, j, i], oblique, 0.5 x 0.5 x 2 mm."""
    array = np.random.default_rng(7).normal(100.0, 5.0, shape).astype(np.float32)
    node = slicer.util.addVolumeFromArray(array, name=name)
    turn = np.deg2rad(12.0)
    rotation = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation @ np.diag([-0.5, -0.5, 2.0])
    matrix[:3, 3] = (12.0, 31.0, -8.0)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    return node


def process_exists(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be collected does not."""
    if Path("/proc").is_dir():
        stat = Path(f"/proc/{pid}/stat")
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def fake_model() -> Any:
    """The model of the fake detector; no test of the panel needs the shipped one."""
    from fake_detector import POINTS

    from CMBNetLib.bundle import Bundle, OperatingPoint

    points = {name: OperatingPoint(threshold, 0.8, 1.5, "nothing") for name, threshold in POINTS.items()}
    metadata = {"name": "Fake model", "version": "1.0", "cmbnet": {"id": "fake", "status": "test"}}
    return Bundle(REPOSITORY, metadata, points)


class ReadyInstaller:
    """Says that all packages are there."""

    def state(self) -> Any:
        from CMBNetSlicer.package_installer import PackageState

        return PackageState("ready", READY)


class PanelDriver:
    """The panel with a fake detector behind it."""

    def __init__(self, widget: Any, top: Any) -> None:
        from CMBNetSlicer.detection_panel import DetectionPanel

        self.widget, self.top = widget, top
        self.panel: DetectionPanel = widget.panel
        self.ui = self.panel.ui
        self.mode = "done"
        self.panel.make_command = self._command
        self.use_installer(ReadyInstaller())

    def _command(self, scan: Path, output: Path, settings: Any) -> Any:
        from CMBNetSlicer.job_command import JobCommand, python_program

        arguments = (str(FAKE_DETECTOR), self.mode, str(scan), "-o", str(output), *settings.arguments())
        return JobCommand(python_program(), arguments, str(REPOSITORY))

    def use_installer(self, installer: Any) -> None:
        """Let another one look for packages and install them."""
        self.panel.packages.installer = installer
        self.panel.open()

    @property
    def parameters(self) -> Any:
        return self.panel.parameters

    @property
    def detection(self) -> Any:
        """The detection shown."""
        return self.panel.results.detection

    def choose_scan(self, node: Any) -> None:
        self.ui.scanSelector.setCurrentNode(node)

    def click_detect(self) -> None:
        self.ui.detectButton.click()

    def detect(self, mode: str = "done") -> bool:
        """Press the button and wait for the end; whether it came."""
        self.mode = mode
        self.click_detect()
        return self.wait_for_end()

    def start_waiting(self, mode: str = "waits") -> list[int]:
        """Start a run that does not end by itself; process ids of the detector and its child."""
        self.mode = mode
        self.click_detect()
        assert wait_until(lambda: self.ui.stageLabel.text.startswith("Waiting")), self.log
        return [int(number) for number in self.ui.stageLabel.text.split()[1:3]]

    def wait_for_end(self, seconds: float = 30.0) -> bool:
        return wait_until(lambda: not self.panel.run.running, seconds)

    @property
    def log(self) -> str:
        return str(self.ui.logText.plainText)

    def visible_rows(self) -> list[int]:
        """Candidate ids of the rows that show."""
        table = self.ui.candidateTable
        rows = [row for row in range(table.rowCount) if not table.isRowHidden(row)]
        return [int(table.item(row, 0).text()) for row in rows]

    def segment_names(self) -> list[str]:
        segmentation = self.detection.segmentation.GetSegmentation()
        return [segmentation.GetSegment(name).GetName() for name in segmentation.GetSegmentIDs()]

    def visible_points(self) -> list[str]:
        node = self.detection.points
        return [
            node.GetNthControlPointLabel(index)
            for index in range(node.GetNumberOfControlPoints())
            if node.GetNthControlPointVisibility(index)
        ]

    def left_behind(self) -> list[Path]:
        """Temporary folders of runs that still exist."""
        return sorted(Path(slicer.app.temporaryPath).glob("CMBNet-*"))


def open_panel() -> PanelDriver:
    """Load the module in the stand-in and open its panel."""
    import host

    module = host.load_module(REPOSITORY / "CMBNet" / "CMBNet.py")
    return PanelDriver(module.widget(), module.widgetRepresentation())

