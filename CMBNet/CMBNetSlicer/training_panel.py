"""The training tab of the module CMBNetTraining: scans, preview, a run that can be paused, curves, export."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from CMBNetLib.errors import CMBNetError
from CMBNetLib.resources import user_models_dir
from CMBNetLib.wording import number_of
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.job_events import remaining_text
from CMBNetSlicer.library_command import library_command
from CMBNetSlicer.package_installer import reason_packages_are_missing
from CMBNetSlicer.training_choices import TrainingChoices
from CMBNetSlicer.training_command import TrainingRun, model_id
from CMBNetSlicer.training_curves import CHARTS, TrainingCurves
from CMBNetSlicer.training_job import TrainingJob
from CMBNetSlicer.training_patches import PatchSection
from CMBNetSlicer.training_pictures import TrainingPictures
from CMBNetSlicer.training_scan_table import ScanSection
from CMBNetSlicer.training_views import TrainingViews

_STEPS = 1000  # of the progress bar
TRAIN, PREVIEW, SIMULATE, EXPORT = "train", "preview", "simulate", "export"


class TrainingPanel:
    """Joins the widgets of ``Resources/UI/CMBNetTrainingRun.ui`` with one job at a time.

    Parameters
    ----------
    ui
        The named widgets.
    make_command
        Makes the command line of the arguments of ``cmbnet``; tests pass their own.
    models_dir
        Folder of the user's models.
    """

    def __init__(
        self,
        ui: Any,
        make_command: Callable[[Sequence[str]], JobCommand] = library_command,
        models_dir: Callable[[], Path] = user_models_dir,
    ) -> None:
        self.ui, self.make_command, self._models_dir = ui, make_command, models_dir
        self._job: TrainingJob | None = None
        self._kind = self._stage = ""
        self.choices = TrainingChoices(ui, self._choice_changed)
        self.curves = TrainingCurves(slicer.mrmlScene)
        self.pictures = TrainingPictures(ui)
        self.views = TrainingViews(slicer.mrmlScene)
        self.scans = ScanSection(ui, self.views, self._say)
        self.patches = PatchSection(ui, self.views, self._say)
        for title in CHARTS:
            ui.curvesBox.addItem(_(title), title)
        ui.curvesBox.currentTextChanged.connect(self._plot_chosen)
        ui.trainButton.clicked.connect(self._train_clicked)
        ui.stopButton.clicked.connect(self._stop_clicked)
        ui.previewButton.clicked.connect(self._preview_clicked)
        ui.simulateButton.clicked.connect(self._simulate_clicked)
        ui.exportButton.clicked.connect(self._export_clicked)
        ui.modelNameLine.textChanged.connect(self._choice_changed)
        self._choice_changed()

    @property
    def running(self) -> bool:
        """Whether a training, a preview or an export goes on."""
        return self._job is not None and self._job.running

    def close(self) -> None:
        """Stop what goes on and let go of the scene; the panel is not used after it."""
        if self._job is not None:
            self._job.abandon()
        self.views.close()

    # --- buttons -----------------------------------------------------------------------------------------------------

    def _train_clicked(self, _checked: bool = False) -> None:
        if self.running:
            self._job.pause()
            self._stage = _("Pausing: the state is saved after this step…")
            self.ui.trainStageLabel.text = self._stage
            self.ui.trainButton.enabled = False
        else:
            run = self.choices.run
            self._start(TRAIN, run.train_arguments())
            self._follow(run)

    def _stop_clicked(self, _checked: bool = False) -> None:
        if self.running:
            self._job.cancel()
            self.ui.trainStageLabel.text = _("Stopping…")
            self.ui.stopButton.enabled = False

    def _preview_clicked(self, _checked: bool = False) -> None:
        self._start(PREVIEW, self.choices.run.preview_arguments())

    def _simulate_clicked(self, _checked: bool = False) -> None:
        try:
            arguments = self.choices.run.simulate_arguments(self.choices.label_maps)
        except CMBNetError as problem:
            self._say(str(problem))
            return
        self._start(SIMULATE, arguments)

    def _export_clicked(self, _checked: bool = False) -> None:
        name = str(self.ui.modelNameLine.text).strip()
        folder = self._models_dir() / model_id(name)
        self.ui.exportLabel.text = ""
        choices = self.choices
        self._start(EXPORT, choices.run.export_arguments(folder, name, choices.checkpoint, choices.thick_run))

    def _plot_chosen(self, _title: str = "") -> None:
        self.curves.show(str(self.ui.curvesBox.itemData(self.ui.curvesBox.currentIndex)))

    # --- the job -----------------------------------------------------------------------------------------------------

    def _start(self, kind: str, arguments: Sequence[str]) -> None:
        self.ui.trainLogText.plainText = ""
        try:
            command = self.make_command(arguments)
        except CMBNetError as problem:
            self._say(str(problem))
            return
        self.choices.remember()
        self._kind, self._stage = kind, _("Starting")
        self._job = TrainingJob(self._on_event, self._on_end)
        self._job.start(command)
        self._show_progress(0.0, None)
        self._update()

    def _on_event(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "progress":
            self._show_progress(float(event.get("fraction") or 0.0), event.get("remaining_s"))
        elif event["event"] == "stage":
            self._stage = str(event.get("message", ""))
            self.ui.trainStageLabel.text = self._stage
        else:
            self.ui.trainLogText.appendPlainText(str(event.get("message", "")))
        if self._kind == TRAIN and self.curves.update():
            self._load_pictures()

    def _on_end(self, result: Mapping[str, Any] | None, problem: str) -> None:
        summary = "" if result is None else str(result.get("summary", ""))
        if self._kind == TRAIN:
            self._follow(self.choices.run)
        elif result is not None:
            done = {PREVIEW: self._previewed, SIMULATE: self._simulated, EXPORT: self._exported}[self._kind]
            summary = done(result) or summary
        self._say("\n".join(text for text in (summary, problem) if text))
        self._update()

    def _previewed(self, result: Mapping[str, Any]) -> str:
        self._load_pictures()
        self.pictures.show(Path(str(result["picture"])))
        self.patches.show(result["patches"])
        return ""

    def _simulated(self, result: Mapping[str, Any]) -> str:
        self.ui.manifestPath.currentPath = str(Path(str(result["collection"])) / "manifest.csv")
        counts = number_of(result["n_scans"], "simulated scan"), number_of(result["n_microbleeds"], "microbleed")
        return _("{0} with {1}.").format(*counts)

    def _exported(self, _result: Mapping[str, Any]) -> str:
        text = _("The module CMBNet now lists the model {name}.").format(name=self.ui.modelNameLine.text)
        self.ui.exportLabel.text = text
        _list_models_again()
        return text

    def _follow(self, run: TrainingRun) -> None:
        """Show the curves and pictures of a run."""
        self.curves.follow(Path(run.run))
        self._plot_chosen()
        self._load_pictures()

    def _load_pictures(self) -> None:
        manifest = self.choices.run.manifest
        self.pictures.load(self.choices.run.run, str(Path(manifest).parent) if manifest else "")

    # --- what shows --------------------------------------------------------------------------------------------------

    def _choice_changed(self, _text: str = "") -> None:
        self.scans.open(self.choices.run.manifest)
        self._load_pictures()
        self._update()

    def _say(self, text: str) -> None:
        self.ui.trainStageLabel.text = text
        if text:
            self.ui.trainLogText.appendPlainText(text)

    def _show_progress(self, fraction: float, remaining_s: float | None) -> None:
        self.ui.trainProgressBar.value = round(fraction * _STEPS)
        left = remaining_text(remaining_s)
        self.ui.trainStageLabel.text = f"{self._stage} ({left})" if left else self._stage

    def _update(self) -> None:
        ui, run, running = self.ui, self.choices.run, self.running
        reason = reason_packages_are_missing("torch", "safetensors", "monai") or run.reason_not_to_run()
        training = running and self._kind == TRAIN
        ui.trainProgressBar.visible = running
        ui.trainButton.text = _("Pause") if training else _("Resume") if run.has_begun else _("Start")
        ui.trainButton.enabled = training or (not running and not reason)
        ui.trainButton.toolTip = _("Save the state and end; Resume goes on from there.") if training else (
            reason or _("Train, or go on where the run stopped.")
        )  # fmt: skip
        ui.stopButton.enabled = running
        ui.previewButton.enabled = not running and not reason
        ui.simulateButton.enabled = not running and bool(str(ui.labelMapsPath.currentPath))
        missing = self._reason_not_to_export(run)
        ui.exportButton.enabled = not running and not missing
        ui.exportButton.toolTip = missing or _("Measure the model and add it to the models of the module CMBNet.")
        self.choices.set_enabled(enabled=not running)

    def _reason_not_to_export(self, run: TrainingRun) -> str:
        if not run.can_export:
            return _("The run has no checkpoint yet.")
        return "" if model_id(str(self.ui.modelNameLine.text)) else _("Give the model a name.")


def _list_models_again() -> None:
    """Tell the panel of the module CMBNet; one that is not open yet looks for models when it opens."""
    widget = getattr(slicer.modules, "CMBNetWidget", None)
    panel = getattr(widget, "panel", None)
    if panel is not None:
        panel.inputs.load_models()
        panel.inputs.show(panel.parameters)
