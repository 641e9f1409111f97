"""The inputs of the panel: scan, model, operating point, device, and where the files go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import slicer
from slicer.i18n import tr as _

from CMBNetLib.bundle import Bundle
from CMBNetSlicer.detection_parameters import DEVICES, DetectionParameters
from CMBNetSlicer.installed_models import installed_models, model_title, operating_point_title
from CMBNetSlicer.job_command import CUSTOM
from CMBNetSlicer.path_lines import follow_path


class InputsSection:
    """Shows the parameters and writes what the user chooses into them.

    Parameters
    ----------
    ui
        The named widgets of the panel.
    on_operating_point
        Called with the name of the operating point that the user chose.
    """

    def __init__(self, ui: Any, on_operating_point: Callable[[str], None]) -> None:
        self._ui = ui
        self._on_operating_point = on_operating_point
        self._parameters: DetectionParameters | None = None
        self._showing = False
        self._models: dict[str, Bundle] = {}
        self.problems: list[str] = []
        self._fill_devices()
        self.load_models()
        ui.scanSelector.setMRMLScene(slicer.mrmlScene)
        ui.scanSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._scan_chosen)
        # currentTextChanged has one form in all Qt versions; currentIndexChanged has two in Qt 5.
        ui.modelBox.currentTextChanged.connect(self._model_chosen)
        ui.operatingPointBox.currentTextChanged.connect(self._operating_point_chosen)
        ui.deviceBox.currentTextChanged.connect(self._device_chosen)
        ui.outputPath.filters = ctk.ctkPathLineEdit.Dirs
        follow_path(ui.outputPath, self._output_chosen)

    @property
    def model(self) -> Bundle | None:
        """The model chosen, None if there is none."""
        return self._models.get(chosen(self._ui.modelBox) or "")

    def load_models(self) -> None:
        """Look for models again."""
        models, self.problems = installed_models()
        self._models = {model.id: model for model in models}
        self._showing = True
        self._ui.modelBox.clear()
        for model in models:
            self._ui.modelBox.addItem(model_title(model), model.id)
        self._showing = False
        self._ui.modelBox.enabled = bool(models)

    def show(self, parameters: DetectionParameters | None) -> None:
        """Show these parameters from now on; None shows what was there and changes nothing."""
        self._parameters = parameters
        if parameters is None:
            return
        self._showing = True
        self._ui.scanSelector.setCurrentNode(parameters.inputVolume)
        choose(self._ui.modelBox, parameters.model)
        self._fill_operating_points()
        choose(self._ui.operatingPointBox, parameters.operatingPoint)
        choose(self._ui.deviceBox, parameters.device)
        if self._ui.outputPath.currentPath != parameters.outputFolder:  # or the caret jumps while a user types
            self._ui.outputPath.currentPath = parameters.outputFolder
        self._showing = False

    def set_enabled(self, enabled: bool) -> None:
        """Allow or forbid choosing what a run needs; the operating point can be changed at any time."""
        ui = self._ui
        for widget in (ui.scanSelector, ui.modelBox, ui.deviceBox, ui.outputPath):
            widget.enabled = enabled

    def threshold(self, operating_point: str) -> float | None:
        """Threshold of an operating point of the model chosen; None for ``custom``."""
        point = None if self.model is None else self.model.operating_points.get(operating_point)
        return None if point is None else point.threshold

    def _fill_devices(self) -> None:
        titles = (_("Automatic"), _("CPU"), _("GPU (CUDA)"))
        for device, title in zip(DEVICES, titles, strict=True):
            self._ui.deviceBox.addItem(title, device)

    def _fill_operating_points(self) -> None:
        box, model = self._ui.operatingPointBox, self.model
        names = [] if model is None else list(model.operating_points)
        wanted = [(operating_point_title(model, name), name) for name in names]
        wanted.append((_("custom: the threshold below"), CUSTOM))
        if [box.itemText(index) for index in range(box.count)] == [title for title, _name in wanted]:
            return
        box.clear()
        for title, name in wanted:
            box.addItem(title, name)

    def _scan_chosen(self, node: Any) -> None:
        if self._listening():
            self._parameters.inputVolume = node

    def _model_chosen(self, _title: str) -> None:
        if self._listening():
            self._parameters.model = chosen(self._ui.modelBox) or ""

    def _operating_point_chosen(self, _title: str) -> None:
        name = chosen(self._ui.operatingPointBox)
        if self._listening() and name:
            self._on_operating_point(name)

    def _device_chosen(self, _title: str) -> None:
        if self._listening():
            self._parameters.device = chosen(self._ui.deviceBox)

    def _output_chosen(self, path: str) -> None:
        if self._listening():
            self._parameters.outputFolder = str(path).strip()

    def _listening(self) -> bool:
        """Whether a change comes from the user and not from `show`."""
        return self._parameters is not None and not self._showing


def chosen(box: Any) -> str | None:
    """Data of the item that a combo box shows."""
    return box.itemData(box.currentIndex) if box.currentIndex >= 0 else None


def choose(box: Any, data: str) -> None:
    """Show the item with this data; the first one where there is none."""
    box.currentIndex = max(box.findData(data), 0) if box.count else -1
