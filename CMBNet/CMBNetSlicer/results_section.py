"""The results of the panel: one detection, its threshold, its candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from CMBNetLib.errors import InputError
from CMBNetSlicer.candidate_rows import CandidateRows
from CMBNetSlicer.detection_node import ATTRIBUTE, MARK, DetectionNode
from CMBNetSlicer.slice_jump import jump_to, show_scan


class ResultsSection:
    """Shows one detection and lets the user move its threshold.

    Parameters
    ----------
    ui
        The named widgets of the panel.
    on_detection
        Called with the text node (or None) that the user chose.
    on_threshold
        Called with the threshold that the user chose, after the detection shows it.
    """

    def __init__(
        self, ui: Any, on_detection: Callable[[Any], None], on_threshold: Callable[[float], None]
    ) -> None:
        self._ui = ui
        self._on_detection, self._on_threshold = on_detection, on_threshold
        self.detection: DetectionNode | None = None
        self._unusable: tuple[Any, str] = (None, "")
        self._problem = ""
        self._showing = False
        self._rows = CandidateRows(ui.candidateTable, self._jump)
        ui.detectionSelector.addAttribute("vtkMRMLTextNode", ATTRIBUTE, MARK)
        ui.detectionSelector.setMRMLScene(slicer.mrmlScene)
        ui.detectionSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._detection_chosen)
        ui.thresholdSlider.valueChanged.connect(self._slider_moved)
        ui.showAllBox.toggled.connect(self._show_all_toggled)
        ui.reportButton.clicked.connect(self._open_report)

    def show(self, node: Any) -> None:
        """Show the detection of this text node; None shows none."""
        present = None if self.detection is None else self.detection.node
        if node is not None and (node is present or (node, node.GetText()) == self._unusable):
            self._update()
            return
        self.detection = self._opened(node)
        self._rows.fill([] if self.detection is None else list(self.detection.record.candidates))
        self._update()

    def set_threshold(self, threshold: float) -> None:
        """Show the candidates from this score on as microbleeds."""
        if self.detection is None:
            return
        self.detection.set_threshold(threshold)
        self._update()

    def _opened(self, node: Any) -> DetectionNode | None:
        self._unusable, self._problem = (None, ""), ""
        if node is None:
            return None
        try:
            return DetectionNode(node)
        except InputError as problem:
            self._unusable, self._problem = (node, node.GetText()), str(problem)
            return None

    def _update(self) -> None:
        self._showing = True
        self._ui.detectionSelector.setCurrentNode(None if self.detection is None else self.detection.node)
        self._show_slider()
        self._show_words()
        if self.detection is not None:
            self._rows.show(self.detection.n_microbleeds, others=bool(self._ui.showAllBox.checked))
        self._showing = False

    def _show_slider(self) -> None:
        slider = self._ui.thresholdSlider
        slider.enabled = self.detection is not None
        slider.minimum = 0.0 if self.detection is None else self.detection.record.floor_threshold
        if self.detection is not None:
            slider.value = self.detection.threshold

    def _show_words(self) -> None:
        detection = self.detection
        none = self._problem or _("No detection yet.")
        self._ui.summaryLabel.text = none if detection is None else detection.summary
        remarks = [] if detection is None else detection.record.remarks
        self._ui.remarksLabel.text = "\n".join(remarks)
        self._ui.remarksLabel.visible = bool(remarks)
        self._ui.reportButton.enabled = detection is not None and detection.report is not None

    def _detection_chosen(self, node: Any) -> None:
        if not self._showing:
            self._on_detection(node)

    def _slider_moved(self, value: float) -> None:
        if not self._showing and self.detection is not None:
            self.set_threshold(float(value))
            self._on_threshold(float(value))

    def _open_report(self, _checked: bool = False) -> None:
        report = None if self.detection is None else self.detection.report
        if report is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(report)))

    def _show_all_toggled(self, _checked: bool) -> None:
        self._update()

    def _jump(self, candidate_id: int) -> None:
        if self.detection is None:
            return
        scan = self.detection.scan
        scene = self.detection.node.GetScene()
        if scan is not None:
            show_scan(scene, scan)
        jump_to(scene, self.detection.position(candidate_id))
