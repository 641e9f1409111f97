"""The choices of the training tab: scans, preset or configuration, run, machine, checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctk
from slicer.i18n import tr as _

from CMBNetSlicer.path_lines import follow_path, remember_path
from CMBNetSlicer.training_command import TrainingRun

_PATHS = ("manifestPath", "configPath", "runPath")


class TrainingChoices:
    """Reads the widgets.

    Parameters
    ----------
    ui
        The named widgets of the panel.
    on_change
        Called when the user chooses something else.
    """

    def __init__(self, ui: Any, on_change: Callable[[str], None]) -> None:
        from CMBNetTrainingLib.training_config import CRITERIA
        from CMBNetTrainingLib.training_presets import TITLES

        self._ui = ui
        for name, title in TITLES.items():
            ui.presetBox.addItem(f"{name}: {title}", name)
        for device, title in (("auto", _("Automatic")), ("cpu", _("CPU")), ("cuda", _("GPU (CUDA)"))):
            ui.trainDeviceBox.addItem(title, device)
        for name in ("best", "last", *CRITERIA):
            ui.checkpointBox.addItem(name, name)
        ui.runPath.filters = ui.labelMapsPath.filters = ui.thickRunPath.filters = ctk.ctkPathLineEdit.Dirs
        ui.labelMapsPath.settingKey = "CMBNet/LabelMaps"
        ui.manifestPath.filters = ui.configPath.filters = ctk.ctkPathLineEdit.Files
        for name, key in zip(_PATHS, ("CMBNet/Manifest", "CMBNet/TrainingConfig", "CMBNet/Run"), strict=True):
            getattr(ui, name).settingKey = key
            follow_path(getattr(ui, name), on_change)
        ui.presetBox.currentTextChanged.connect(on_change)
        follow_path(ui.labelMapsPath, on_change)

    @property
    def run(self) -> TrainingRun:
        """What the widgets say."""
        ui = self._ui
        return TrainingRun(
            run=str(ui.runPath.currentPath).strip(),
            manifest=str(ui.manifestPath.currentPath).strip(),
            preset=_data(ui.presetBox),
            config=str(ui.configPath.currentPath).strip(),
            device=_data(ui.trainDeviceBox),
            workers=int(ui.patchWorkersSpin.value),
        )

    @property
    def label_maps(self) -> list[Path]:
        """Files to simulate scans from."""
        folder = str(self._ui.labelMapsPath.currentPath).strip()
        return sorted(path for path in Path(folder).glob("*.nii*") if path.is_file()) if folder else []

    @property
    def checkpoint(self) -> str:
        """Name of the checkpoint to export."""
        return _data(self._ui.checkpointBox)

    @property
    def thick_run(self) -> str:
        """Folder of the run whose network searches thick slices; empty for none."""
        return str(self._ui.thickRunPath.currentPath).strip()

    def remember(self) -> None:
        """Offer the present paths in the next session."""
        for name in (*_PATHS, "labelMapsPath"):
            remember_path(getattr(self._ui, name))

    def set_enabled(self, *, enabled: bool) -> None:
        """Allow or forbid choosing; what a run was begun with stays as it is."""
        ui = self._ui
        for name in ("manifestPath", "labelMapsPath", "runPath", "trainDeviceBox", "patchWorkersSpin"):
            getattr(ui, name).enabled = enabled
        for name in ("presetBox", "configPath"):
            getattr(ui, name).enabled = enabled and not self.run.has_begun


def _data(box: Any) -> str:
    return str(box.itemData(box.currentIndex))
