"""The part of the review panel that works in the background: detection before, results after reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from CMBNetLib.errors import CMBNetError, InputError
from CMBNetLib.worklist import Case
from CMBNetSlicer.curation_job import CurationJob
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.package_installer import PackageInstaller
from CMBNetSlicer.review_command import detect_case_command, readings_command
from CMBNetSlicer.review_desk import ReviewDesk
from CMBNetSlicer.review_detection_queue import DetectionQueue, undetected

# Button -> action of `cmbnet readings`.
ACTIONS = {
    "reviewedButton": "reviewed", "consensusButton": "consensus", "trainingButton": "train",
    "progressButton": "summary",
}  # fmt: skip
_STEPS = 1000


class JobsSection:
    """Starts child processes for the worklist that is open and shows how they go on; the reading goes on meanwhile.

    Parameters
    ----------
    ui
        The named widgets of ``CMBNetReview.ui``.
    on_detected
        Called with the id of a case whose candidates are there now.
    on_worklist
        Called with the path of a worklist that the reader wants to open.
    make_command
        Case -> command of the detector; tests pass their own.
    installer
        Knows whether the detector's packages are there.
    """

    def __init__(
        self,
        ui: Any,
        on_detected: Callable[[str], None],
        on_worklist: Callable[[str], None],
        make_command: Callable[[Case], JobCommand] = detect_case_command,
        installer: Any = None,
    ) -> None:
        self._ui = ui
        self._desk: ReviewDesk | None = None
        self._job: CurationJob | None = None
        self._action = self._settle = ""
        self._cancelled = False
        self.installer = installer or PackageInstaller()
        self.queue = DetectionQueue(self._show_queue, on_detected, make_command)
        for button, action in ACTIONS.items():
            getattr(ui, button).clicked.connect(lambda _checked=False, action=action: self.start(action))
        ui.detectAllButton.clicked.connect(lambda _checked=False: self.detect_all())
        ui.cancelJobButton.clicked.connect(lambda _checked=False: self.cancel())
        ui.settleButton.clicked.connect(lambda _checked=False: on_worklist(self._settle))
        ui.afterMessage.openExternalLinks = True
        ui.progressBar.maximum = _STEPS
        self._update()

    @property
    def running(self) -> bool:
        """Whether a process works."""
        return self.queue.running or (self._job is not None and self._job.running)

    def use(self, desk: ReviewDesk | None) -> None:
        """Work on the worklist of a desk; None on none, and then nothing goes on in the background."""
        self.queue.abandon()
        if self._job is not None:
            self._job.abandon()
        self._job, self._desk, self._settle = None, desk, ""
        self._update()

    def detect_all(self) -> None:
        """Detect in all cases that have no candidates yet."""
        try:
            cases = undetected(self._open_desk().room.worklist)
            state = self.installer.state()
            if state.kind != "ready":
                raise InputError(state.text)
            if not cases:
                raise InputError(_("All cases of the list have candidates."))
        except CMBNetError as error:
            self.say(str(error))
            return
        self.queue.start(cases)

    def start(self, action: str) -> None:
        """Start ``cmbnet readings`` with an action."""
        try:
            desk = self._open_desk()
            name = str(self._ui.adjudicatorEdit.text).strip()
            options = ("--adjudicator", name) if action == "consensus" and name else ()
            command = readings_command(action, desk.room.worklist, desk.room.setup, options)
        except CMBNetError as error:
            self.say(str(error))
            return
        self._action, self._cancelled = action, False
        self._warnings: list[str] = []
        self._job = CurationJob(self._on_event, self._on_end)
        self._job.start(command)
        self.say(_("Working…"))
        self._update(0.0)

    def cancel(self) -> None:
        """Stop what works."""
        self.queue.cancel()
        if self._job is not None and self._job.running:
            self._cancelled = True
            self._job.cancel()

    def say(self, text: str, page: str = "") -> None:
        """Tell the reader something, with a link to a page."""
        lines = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")
        url = qt.QUrl.fromLocalFile(page).toString() if page else ""
        self._ui.afterMessage.text = f'{lines} <a href="{url}">{Path(page).name}</a>' if url else lines

    def _open_desk(self) -> ReviewDesk:
        if self._desk is None:
            raise InputError(_("Open a worklist first."))
        return self._desk

    def _on_event(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "progress":
            self._update(float(event.get("fraction") or 0.0))
        elif event["event"] == "warning":
            self._warnings.append(str(event.get("message", "")))

    def _on_end(self, result: Mapping[str, Any] | None, problem: str) -> None:
        if self._cancelled:
            self.say(_("Cancelled. Files that are done stay."))
        elif result is None:
            self.say("\n".join([problem, *self._warnings]))
        else:
            files = [str(path) for path in result.get("files", [])]
            where = [str(Path(files[0]).parent)] if files and not result.get("page") else []
            self.say("\n".join([str(result["summary"]), *where, *self._warnings]), str(result.get("page") or ""))
            settle = [path for path in files if path.endswith("worklist.csv")]
            if self._action == "consensus":
                self._settle = settle[0] if settle else ""
        self._update()

    def _show_queue(self) -> None:
        self.say(self.queue.text)
        self._update(self.queue.fraction)

    def _update(self, fraction: float = 0.0) -> None:
        ui, running = self._ui, self.running
        for button in (*ACTIONS, "detectAllButton"):
            getattr(ui, button).enabled = self._desk is not None and not running
        ui.settleButton.enabled = bool(self._settle) and not running
        ui.cancelJobButton.enabled = ui.progressBar.enabled = running
        ui.progressBar.value = round(_STEPS * fraction)
