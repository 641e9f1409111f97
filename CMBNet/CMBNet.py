"""The module CMBNet of 3D Slicer: finds cerebral microbleeds on SWI and T2*-weighted MRI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class CMBNet(ScriptedLoadableModule):
    """Describes the module to Slicer."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Cerebral Microbleeds (CMBNet)")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Neuroimaging")]
        parent.dependencies = []
        parent.contributors = ["SlicerCMBNet maintainers"]
        parent.helpText = _(
            "Finds cerebral microbleeds on SWI and T2*-weighted gradient-echo MRI. Choose a scan, press Detect, and "
            "go through the candidates in the table. A scan to try it on is in Sample Data, category Cerebral "
            "microbleeds. For research use only; not a medical device."
        )
        parent.acknowledgementText = _("How to cite, and what the method builds on, is in the README of SlicerCMBNet.")
        slicer.app.connect("startupCompleted()", self.register_sample_scan)

    def register_sample_scan(self) -> None:
        """Add the sample scan to Sample Data."""
        from CMBNetSlicer.sample_scan import register_sample_scan

        register_sample_scan(self.resourcePath("Icons/CMBNetSample.png"))


class CMBNetWidget(ScriptedLoadableModuleWidget):
    """The module's panel; what it does is in `CMBNetSlicer.detection_panel`."""

    def __init__(self, parent: Any = None) -> None:
        self.panel: Any = None
        self.tabs: Any = None
        self.logic: CMBNetLogic | None = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        """Called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        from CMBNetSlicer.detection_panel import DetectionPanel
        from CMBNetSlicer.review_tab import ModuleTabs

        widget = slicer.util.loadUI(self.resourcePath("UI/CMBNet.ui"))
        self.tabs = ModuleTabs(self.layout, widget, self.resourcePath("UI/CMBNetReview.ui"))
        self.logic = CMBNetLogic()
        self.panel = DetectionPanel(slicer.util.childWidgetVariables(widget), self.logic)

    def enter(self) -> None:
        """Called each time the user opens the module."""
        if self.panel is not None:
            self.panel.open()
            self.tabs.enter()

    def exit(self) -> None:
        """Called each time the user leaves the module."""
        if self.tabs is not None:
            self.tabs.exit()

    def cleanup(self) -> None:
        """Called when the module is reloaded or Slicer quits: a running detection ends here."""
        if self.panel is not None:
            self.tabs.close()
            self.panel.close()
            self.panel = self.tabs = None

    def onReload(self) -> None:
        """Reload the packages too, not only this file."""
        import sys

        self.cleanup()
        for name in [name for name in sys.modules if name.partition(".")[0] in ("CMBNetSlicer", "CMBNetLib")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class CMBNetLogic(ScriptedLoadableModuleLogic):
    """Detection for scripts, without any window.

    Examples
    --------
    >>> volume = slicer.util.loadVolume("swi.nii.gz")
    >>> detection = slicer.modules.cmbnet.widgetRepresentation().self().logic.detect(volume)
    >>> print(detection.summary, detection.segmentation.GetName())
    """

    def detect(
        self,
        volumeNode: Any,
        *,
        model: str = "",
        operatingPoint: str = "balanced",
        threshold: float | None = None,
        device: str = "auto",
        onEvent: Callable[[Mapping[str, Any]], None] = lambda event: None,
    ) -> Any:
        """Find the microbleeds of a scalar volume node; waits until it is done.

        Parameters
        ----------
        volumeNode
            The scan, in a scene.
        model
            Id of the bundle; empty for the default one.
        operatingPoint, threshold
            Named threshold, or a score from 0 to 1 instead of it.
        device
            ``auto``, ``cpu`` or ``cuda``.
        onEvent
            Told each event of the run, for example ``{"event": "progress", "fraction": 0.4, ...}``.

        Returns
        -------
        CMBNetSlicer.detection_node.DetectionNode
            With `segmentation`, `points`, `table`, `record`, `summary` and `set_threshold`.

        Raises
        ------
        CMBNetLib.errors.CMBNetError
            The scan cannot be used, a package is missing, or the run failed.
        """
        from CMBNetSlicer.job_command import CUSTOM, RunSettings
        from CMBNetSlicer.scan_detection import detect_in_scan

        name = operatingPoint if threshold is None else CUSTOM
        settings = RunSettings(model, name, 0.0 if threshold is None else float(threshold), device)
        return detect_in_scan(volumeNode, settings, onEvent)

    process = detect  # the name that Slicer's own modules use


class CMBNetTest(ScriptedLoadableModuleTest):
    """Self-test: Slicer runs it, also from the button in developer mode."""

    def runTest(self) -> None:
        """Detect in the sample scan, or say what is missing."""
        from CMBNetSlicer.self_test import run_self_test

        slicer.mrmlScene.Clear()
        run_self_test(CMBNetLogic(), self)
