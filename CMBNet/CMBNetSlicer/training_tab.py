"""The tabs of the module CMBNetTraining: Collection and Training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from CMBNetSlicer.curation_panel import CurationPanel
from CMBNetSlicer.training_panel import TrainingPanel

_MANIFEST = "manifest.csv"


class TrainingTabs:
    """The two panels of the module; a collection that was made is the one to train on.

    Parameters
    ----------
    layout
        Layout of the module's panel.
    collection_ui, training_ui
        Paths of ``CMBNetTraining.ui`` and ``CMBNetTrainingRun.ui``.
    """

    def __init__(self, layout: Any, collection_ui: str, training_ui: str) -> None:
        self.widget = qt.QTabWidget()
        self.widget.objectName = "trainingTabs"
        collection, training = (slicer.util.loadUI(path) for path in (collection_ui, training_ui))
        self.widget.addTab(collection, _("Collection"))
        self.widget.addTab(training, _("Training"))
        self.curation = CurationPanel(slicer.util.childWidgetVariables(collection))
        self.training = TrainingPanel(slicer.util.childWidgetVariables(training))
        self.widget.currentChanged.connect(self._changed)
        layout.addWidget(self.widget)

    def close(self) -> None:
        """Stop what goes on; the panels are not used after it."""
        self.curation.close()
        self.training.close()

    def _changed(self, _index: int) -> None:
        """Take over the collection of the first tab where the second has none."""
        line, folder = self.training.ui.manifestPath, str(self.curation.ui.collectionPath.currentPath)
        manifest = Path(folder) / _MANIFEST
        if folder and not line.currentPath and manifest.is_file():
            line.currentPath = str(manifest)
