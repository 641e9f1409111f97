"""The module CMBNetTraining of 3D Slicer: brings data sets into one clean collection."""

from __future__ import annotations

from collections.abc import Sequence
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


class CMBNetTraining(ScriptedLoadableModule):
    """Describes the module to Slicer."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Cerebral Microbleeds: Training Data (CMBNet)")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Neuroimaging")]
        parent.dependencies = ["CMBNet"]
        parent.contributors = ["SlicerCMBNet maintainers"]
        parent.helpText = _(
            "Brings public data sets of cerebral microbleeds into one collection: checked, with points refined to "
            "masks, prepared as detection prepares a scan. Look at the pictures, write corrections, curate again."
        )
        parent.acknowledgementText = _("How to cite, and what the method builds on, is in the README of SlicerCMBNet.")


class CMBNetTrainingWidget(ScriptedLoadableModuleWidget):
    """The module's panel; what it does is in `CMBNetSlicer.curation_panel`."""

    def __init__(self, parent: Any = None) -> None:
        self.panel: Any = None
        self.logic: CMBNetTrainingLogic | None = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        """Called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        from CMBNetSlicer.curation_panel import CurationPanel

        widget = slicer.util.loadUI(self.resourcePath("UI/CMBNetTraining.ui"))
        self.layout.addWidget(widget)
        self.logic = CMBNetTrainingLogic()
        self.panel = CurationPanel(slicer.util.childWidgetVariables(widget))

    def cleanup(self) -> None:
        """Called when the module is reloaded or Slicer quits: a running curation ends here."""
        if self.panel is not None:
            self.panel.close()
            self.panel = None

    def onReload(self) -> None:
        """Reload the packages too, not only this file."""
        import sys

        self.cleanup()
        packages = ("CMBNetSlicer", "CMBNetTrainingLib")
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class CMBNetTrainingLogic(ScriptedLoadableModuleLogic):
    """Curation for scripts, without any window."""

    def curate(self, arguments: Sequence[str]) -> int:
        """Run ``cmbnet curate`` with these arguments in this process; returns its exit code.

        Examples
        --------
        >>> CMBNetTrainingLogic().curate(["/data/valdo", "-o", "/data/collection", "--workers", "1"])
        """
        from CMBNetLib.cli import main

        return main(["curate", *map(str, arguments)])


class CMBNetTrainingTest(ScriptedLoadableModuleTest):
    """Self-test: Slicer runs it, also from the button in developer mode."""

    def runTest(self) -> None:
        """Open the panel and refine a point in a small generated scan."""
        from CMBNetSlicer.curation_self_test import run_self_test

        slicer.mrmlScene.Clear()
        run_self_test(self)
