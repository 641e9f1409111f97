"""The module CMBNetEvaluation of 3D Slicer: compares detections and readings with a reference."""

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


class CMBNetEvaluation(ScriptedLoadableModule):
    """Describes the module to Slicer."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Cerebral Microbleeds: Evaluation (CMBNet)")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Neuroimaging")]
        parent.dependencies = ["CMBNet"]
        parent.contributors = ["SlicerCMBNet maintainers"]
        parent.helpText = _(
            "Compares detections of microbleeds with a reference: choose the two folders and press Evaluate. Every "
            "missed microbleed and every false positive is listed; select one to open its scan at that place. A reader "
            "study compares readers with each other, with a model and with a reference. For research use only; not a "
            "medical device."
        )
        parent.acknowledgementText = _("How to cite, and what the method builds on, is in the README of SlicerCMBNet.")


class CMBNetEvaluationWidget(ScriptedLoadableModuleWidget):
    """The module's panel; what it does is in `CMBNetSlicer.evaluation_panel`."""

    def __init__(self, parent: Any = None) -> None:
        self.panel: Any = None
        self.logic: CMBNetEvaluationLogic | None = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        """Called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        from CMBNetSlicer.evaluation_panel import EvaluationPanel

        widget = slicer.util.loadUI(self.resourcePath("UI/CMBNetEvaluation.ui"))
        self.layout.addWidget(widget)
        self.logic = CMBNetEvaluationLogic()
        self.panel = EvaluationPanel(slicer.util.childWidgetVariables(widget))

    def cleanup(self) -> None:
        """Called when the module is reloaded or Slicer quits: a running evaluation ends here."""
        if self.panel is not None:
            self.panel.close()
            self.panel = None

    def onReload(self) -> None:
        """Reload the packages too, not only this file."""
        import sys

        self.cleanup()
        packages = ("CMBNetSlicer", "CMBNetLib", "CMBNetEvaluationLib")
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class CMBNetEvaluationLogic(ScriptedLoadableModuleLogic):
    """Evaluation for scripts, without any window."""

    def evaluate(self, arguments: Sequence[str]) -> int:
        """Run ``cmbnet evaluate`` with these arguments in this process; returns its exit code.

        Examples
        --------
        >>> CMBNetEvaluationLogic().evaluate(["--predictions", "/data/p", "--references", "/data/r", "-o", "/data/out"])
        """
        from CMBNetLib.cli import main

        return main(["evaluate", *map(str, arguments)])

    def show(self, evaluation: str) -> Any:
        """Put the tables and the FROC of an ``evaluation.json`` into the scene.

        Returns
        -------
        CMBNetSlicer.evaluation_nodes.EvaluationNodes
            With `metrics`, `calls` (table nodes) and `froc` (a plot chart node, or None without scores).
        """
        from CMBNetSlicer.evaluation_nodes import show_evaluation
        from CMBNetSlicer.evaluation_record import read_evaluation

        return show_evaluation(slicer.mrmlScene, read_evaluation(evaluation))

    def show_study(self, study: str) -> dict[str, Any]:
        """Put the tables and plots of a ``reader_study.json`` into the scene.

        Returns
        -------
        dict
            Table nodes by name, and the plot chart nodes ``raters`` and ``agreement_chart``, None without data.
        """
        from CMBNetSlicer.study_nodes import show_study
        from CMBNetSlicer.study_record import read_study_record

        return show_study(slicer.mrmlScene, read_study_record(study))


class CMBNetEvaluationTest(ScriptedLoadableModuleTest):
    """Self-test: Slicer runs it, also from the button in developer mode."""

    def runTest(self) -> None:
        """Evaluate two small generated scans and open a false call."""
        from CMBNetSlicer.evaluation_self_test import run_self_test

        slicer.mrmlScene.Clear()
        run_self_test(CMBNetEvaluationLogic(), self)
