"""The run of the panel: the button, the progress, the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from CMBNetSlicer.detection_job import DetectionJob
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.job_events import remaining_text
from CMBNetSlicer.job_outcome import JobOutcome

_STEPS = 1000  # of the progress bar


class RunSection:
    """Starts and stops one run at a time and shows how it goes on; the listener of its job.

    Parameters
    ----------
    ui
        The named widgets of the panel.
    on_detect
        Called when the user asks for a run.
    on_done
        Called with the path of the detection file; returns the sentence to show.
    on_change
        Called when a run started or ended.
    """

    def __init__(
        self, ui: Any, on_detect: Callable[[], None], on_done: Callable[[str], str], on_change: Callable[[], None]
    ) -> None:
        self._ui = ui
        self._on_detect, self._on_done, self._on_change = on_detect, on_done, on_change
        self._job: DetectionJob | None = None
        self._stage = ""
        ui.detectButton.clicked.connect(self._clicked)

    @property
    def running(self) -> bool:
        """Whether a run goes on."""
        return self._job is not None and self._job.running

    def start(self, make_command: Callable[[Path], JobCommand]) -> None:
        """Start a run; ``make_command`` writes the input into the folder it is given and returns the command."""
        self._ui.logText.plainText = ""
        self._stage = _("Starting")
        job = DetectionJob(self)
        try:
            job.start(make_command)
        except Exception as problem:
            self.say(str(problem))
            raise
        self._job = job
        self._show_progress(0.0, None)
        self._update()

    def cancel(self, reason: str) -> None:
        """Stop the run if there is one."""
        if self.running:
            self._job.cancel(reason)
            self._ui.stageLabel.text = _("Cancelling…")
            self._ui.detectButton.enabled = False

    def abandon(self) -> None:
        """Stop the run at once; the application ends."""
        if self._job is not None:
            self._job.abandon()

    def allow(self, reason_not: str) -> None:
        """Enable the button, or say by its tool tip why a run cannot start now."""
        if self.running:
            return
        self._ui.detectButton.enabled = not reason_not
        self._ui.detectButton.toolTip = reason_not or _("Find the microbleeds of the scan.")

    def say(self, text: str) -> None:
        """Show a sentence below the button and keep it in the log."""
        self._ui.stageLabel.text = text
        if text:
            self._ui.logText.appendPlainText(text)

    def on_event(self, event: Mapping[str, Any]) -> None:
        """See `JobListener`."""
        kind = event["event"]
        if kind == "progress":
            self._show_progress(float(event.get("fraction") or 0.0), event.get("remaining_s"))
        elif kind == "stage":
            self._stage = str(event.get("message", ""))
            self.say(self._stage)
        elif kind == "warning":
            self._ui.logText.appendPlainText(_("Warning: {text}").format(text=event.get("message", "")))
        else:
            self._ui.logText.appendPlainText(str(event.get("message", "")))

    def on_outcome(self, outcome: JobOutcome) -> None:
        """See `JobListener`."""
        try:
            self.say(self._on_done(outcome.detection) if outcome.status == "done" else outcome.message)
        finally:
            self._update()

    def _clicked(self, _checked: bool = False) -> None:
        if self.running:
            self.cancel(_("The detection was cancelled."))
        else:
            self._on_detect()

    def _show_progress(self, fraction: float, remaining_s: float | None) -> None:
        self._ui.progressBar.value = round(fraction * _STEPS)
        left = remaining_text(remaining_s)
        self._ui.stageLabel.text = f"{self._stage} ({left})" if left else self._stage

    def _update(self) -> None:
        running = self.running
        self._ui.progressBar.visible = running
        self._ui.detectButton.text = _("Cancel") if running else _("Detect microbleeds")
        self._ui.detectButton.toolTip = _("Stop the run.") if running else _("Find the microbleeds of the scan.")
        self._ui.detectButton.enabled = True
        self._on_change()
