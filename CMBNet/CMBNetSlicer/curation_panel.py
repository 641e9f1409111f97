"""The panel of the module CMBNetTraining: curate a data set, look at the pictures, write corrections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ctk
from slicer.i18n import tr as _

from CMBNetLib.errors import CMBNetError
from CMBNetSlicer.curation_command import CurationRun, curate_command
from CMBNetSlicer.curation_job import CurationJob
from CMBNetSlicer.curation_review import CurationReview
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.job_events import remaining_text
from CMBNetSlicer.package_installer import reason_packages_are_missing
from CMBNetSlicer.path_lines import follow_path, remember_path

_STEPS = 1000  # of the progress bar
DATASETS = ("auto", "valdo", "dou", "momeni", "rodeja", "redbrick", "negative", "bids", "readings")


class CurationPanel:
    """Joins the widgets of ``Resources/UI/CMBNetTraining.ui`` with a run and the review of its pictures.

    Parameters
    ----------
    ui
        The named widgets.
    make_command
        What makes the command line; tests pass their own.
    """

    def __init__(self, ui: Any, make_command: Callable[[CurationRun, Path], JobCommand] = curate_command) -> None:
        self.ui, self.make_command = ui, make_command
        self._job: CurationJob | None = None
        self._stage = ""
        self.review = CurationReview(ui, self._say)
        self._fill()
        for line in (ui.sourcePath, ui.collectionPath):
            follow_path(line, self._path_changed)
        ui.curateButton.clicked.connect(self._clicked)
        self._update()

    @property
    def running(self) -> bool:
        """Whether a curation goes on."""
        return self._job is not None and self._job.running

    @property
    def chosen(self) -> CurationRun:
        """What the widgets say."""
        return CurationRun(
            source=self.ui.sourcePath.currentPath,
            collection=self.ui.collectionPath.currentPath,
            dataset=self._data(self.ui.datasetBox),
            refine=self._data(self.ui.refineBox),
            workers=self.ui.workersSpin.value,
            retry=self.ui.retryBox.checked,
        )

    def close(self) -> None:
        """Stop a run; the panel is not used after it."""
        if self._job is not None:
            self._job.abandon()

    def start(self) -> None:
        """Start a curation with what is chosen; corrections in the list are applied."""
        run = self.chosen
        self.ui.logText.plainText = ""
        try:
            fixes = self.review.save()
            command = self.make_command(run, fixes)
        except CMBNetError as problem:
            self._say(str(problem))
            return
        for line in (self.ui.sourcePath, self.ui.collectionPath):
            remember_path(line)
        self._job = CurationJob(self._on_event, self._on_end)
        self._job.start(command)
        self._stage = _("Starting")
        self._show_progress(0.0, None)
        self._update()

    def _fill(self) -> None:
        ui = self.ui
        ui.sourcePath.filters = ui.collectionPath.filters = ctk.ctkPathLineEdit.Dirs
        ui.sourcePath.settingKey, ui.collectionPath.settingKey = "CMBNet/Source", "CMBNet/Collection"
        for name in DATASETS:
            ui.datasetBox.addItem(name, name)
        titles = {
            "points": _("points and dots"),
            "all": _("points, dots and masks"),
            "nothing": _("nothing: points become spheres"),
        }
        for name, title in titles.items():
            ui.refineBox.addItem(title, name)

    def _clicked(self, _checked: bool = False) -> None:
        if self._job is not None and self._job.running:
            self._job.cancel()
            self.ui.stageLabel.text = _("Cancelling…")
            self.ui.curateButton.enabled = False
        else:
            self.start()

    def _on_event(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "progress":
            self._show_progress(float(event.get("fraction") or 0.0), event.get("remaining_s"))
        elif event["event"] == "stage":
            self._stage = str(event.get("message", ""))
            self.ui.stageLabel.text = self._stage
        else:
            self.ui.logText.appendPlainText(str(event.get("message", "")))

    def _on_end(self, result: Mapping[str, Any] | None, problem: str) -> None:
        summary = "" if result is None else str(result.get("summary", ""))
        self._say("\n".join(text for text in (summary, problem) if text))
        self.review.load()
        self._update()

    def _say(self, text: str) -> None:
        self.ui.stageLabel.text = text
        if text:
            self.ui.logText.appendPlainText(text)

    def _show_progress(self, fraction: float, remaining_s: float | None) -> None:
        self.ui.progressBar.value = round(fraction * _STEPS)
        left = remaining_text(remaining_s)
        self.ui.stageLabel.text = f"{self._stage} ({left})" if left else self._stage

    def _path_changed(self, _path: str) -> None:
        self.review.open(self.ui.collectionPath.currentPath)
        self._update()

    def _update(self) -> None:
        missing = reason_packages_are_missing("skimage", "matplotlib")
        reason = "" if self.running else missing or self.chosen.reason_not_to_run()
        self.ui.progressBar.visible = self.running
        self.ui.curateButton.text = _("Cancel") if self.running else _("Curate")
        self.ui.curateButton.enabled = not reason
        self.ui.curateButton.toolTip = reason or (_("Stop the run.") if self.running else _("Make the collection."))
        for widget in (self.ui.sourcePath, self.ui.collectionPath, self.ui.datasetBox, self.ui.refineBox):
            widget.enabled = not self.running

    def _data(self, box: Any) -> str:
        return str(box.itemData(box.currentIndex))
