"""The module CMBNetTraining of 3D Slicer: brings data sets into one clean collection, and trains models on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
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
        parent.title = _("Cerebral Microbleeds: Training (CMBNet)")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Neuroimaging")]
        parent.dependencies = ["CMBNet"]
        parent.contributors = ["SlicerCMBNet maintainers"]
        parent.helpText = _(
            "Brings public data sets of cerebral microbleeds into one collection: checked, with points refined to "
            "masks, prepared as detection prepares a scan. Look at the pictures, write corrections, curate again. Then "
            "train a model on the collection, or go on with one, and export it into the list of the module CMBNet."
        )
        parent.acknowledgementText = _("How to cite, and what the method builds on, is in the README of SlicerCMBNet.")


class CMBNetTrainingWidget(ScriptedLoadableModuleWidget):
    """The module's panel; what it does is in `CMBNetSlicer.training_tab`."""

    def __init__(self, parent: Any = None) -> None:
        self.tabs: Any = None
        self.logic: CMBNetTrainingLogic | None = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        """Called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        from CMBNetSlicer.training_tab import TrainingTabs

        self.logic = CMBNetTrainingLogic()
        pages = [self.resourcePath(f"UI/{name}.ui") for name in ("CMBNetTraining", "CMBNetTrainingRun")]
        self.tabs = TrainingTabs(self.layout, *pages)

    @property
    def panel(self) -> Any:
        """The panel of curation; None after the end."""
        return self.tabs and self.tabs.curation

    @property
    def training(self) -> Any:
        """The panel of training; None after the end."""
        return self.tabs and self.tabs.training

    def cleanup(self) -> None:
        """Called when the module is reloaded or Slicer quits: a running curation or training ends here."""
        if self.tabs is not None:
            self.tabs.close()
            self.tabs = None

    def onReload(self) -> None:
        """Reload the packages too, not only this file."""
        import sys

        self.cleanup()
        packages = ("CMBNetSlicer", "CMBNetTrainingLib")
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class CMBNetTrainingLogic(ScriptedLoadableModuleLogic):
    """Curation and training for scripts, without any window."""

    def curate(self, arguments: Sequence[str]) -> int:
        """Run ``cmbnet curate`` with these arguments in this process; returns its exit code.

        Examples
        --------
        >>> CMBNetTrainingLogic().curate(["/data/valdo", "-o", "/data/collection", "--workers", "1"])
        """
        from CMBNetLib.cli import main

        return main(["curate", *map(str, arguments)])

    def train(
        self,
        config: str | Path | Mapping[str, Any],
        *arguments: str,
        on_event: Callable[[Mapping[str, Any]], None] = lambda _event: None,
    ) -> Mapping[str, Any]:
        """Run ``cmbnet train CONFIG ARGUMENTS`` in a process of its own, and wait for it.

        Parameters
        ----------
        config
            File (TOML or JSON), name of a ready configuration, or the settings as a dict.
        on_event
            Called with each event (``stage``, ``progress``, ``warning``) while it trains.

        Returns
        -------
        dict
            ``run`` (folder), ``steps``, ``best`` and, with ``--export``, ``bundle``.

        Raises
        ------
        CMBNetError
            What the process told; `InputError` for a mistake in the settings or the scans.

        Examples
        --------
        >>> settings = {"run": "/data/run", "manifests": ["/data/collection/manifest.csv"]}
        >>> CMBNetTrainingLogic().train(settings, "--export", "/data/my-model")["bundle"]
        """
        from CMBNetSlicer.training_job import train_and_wait

        return train_and_wait(config, arguments, on_event)


class CMBNetTrainingTest(ScriptedLoadableModuleTest):
    """Self-test: Slicer runs it, also from the button in developer mode."""

    def runTest(self) -> None:
        """Open the panels, refine a point in a small generated scan, and follow the curves of a run."""
        from CMBNetSlicer import curation_self_test, training_self_test

        slicer.mrmlScene.Clear()
        curation_self_test.run_self_test(self)
        training_self_test.run_self_test(self)
