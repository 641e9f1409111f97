"""One run of the detector in the background: the process, its temporary folder, and how to stop it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import qt
import slicer

from CMBNetSlicer.child_process import ChildProcess
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.job_events import EventReader
from CMBNetSlicer.job_outcome import JobOutcome, JobReport, outcome_of
from CMBNetSlicer.process_tree import kill

# The detector stops between two windows. What has not stopped by then is killed; 2 s are promised to the user.
GRACE_MS = 1200


class JobListener(Protocol):
    """Who wants to know how the run goes on."""

    def on_event(self, event: Mapping[str, Any]) -> None:
        """A line of the process: ``stage``, ``progress``, ``warning`` or ``log``."""

    def on_outcome(self, outcome: JobOutcome) -> None:
        """The end, told once. Files of the run exist until this returns."""


class DetectionJob:
    """A run in the background; used once.

    The folder `folder` is for input and output of the run and is removed after it, whatever happens.
    """

    def __init__(self, listener: JobListener) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="CMBNet-", dir=slicer.app.temporaryPath))
        self._listener = listener
        self._events, self._complaints = EventReader(), EventReader()
        self._report = JobReport()
        self._child = ChildProcess(self._read, self._read_complaints, self._ended)
        self._reason: str | None = None
        self._asked: list[int] = []
        self._over = False

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return not self._over

    def start(self, make_command: Callable[[Path], JobCommand]) -> None:
        """Start the command that ``make_command`` makes for `folder`."""
        try:
            command = make_command(self.folder)
        except Exception:
            self._close()
            raise
        self._child.start(command)

    def cancel(self, reason: str) -> None:
        """Stop the run with everything it started, within 2 s; the outcome carries the reason."""
        if self._over or self._reason is not None:
            return
        self._reason = reason
        self._asked = self._child.ask_to_end()
        qt.QTimer.singleShot(GRACE_MS, self._kill)

    def abandon(self) -> None:
        """Stop the run at once, without an event loop and without telling anyone: the application ends."""
        if self._over:
            return
        self._over, self._reason = True, "abandoned"
        kill(self._child.tree)
        self._child.wait(1000)
        self._close()

    def _kill(self) -> None:
        """Kill what is left, also what lost its parent in the meantime."""
        if not self._over:
            kill(self._asked or self._child.tree)

    def _read(self, data: bytes) -> None:
        for event in self._events.feed(data):
            self._tell(event)

    def _read_complaints(self, data: bytes) -> None:
        for event in self._complaints.feed(data):
            self._tell_complaint(event)

    def _tell(self, event: Mapping[str, Any]) -> None:
        self._report.note(event)
        if event["event"] not in ("result", "error") and self._reason is None:
            self._listener.on_event(event)

    def _tell_complaint(self, event: Mapping[str, Any]) -> None:
        message = str(event.get("message", event))
        self._report.complaints.append(message)
        self._tell({"event": "log", "message": message})

    def _ended(self, exit_code: int | None) -> None:
        if self._over:
            return
        self._over = True
        for event in self._events.close():
            self._tell(event)
        for event in self._complaints.close():
            self._tell_complaint(event)
        outcome = outcome_of(self._report, exit_code)
        if self._reason is not None:
            kill(self._asked[1:])  # children that outlived the process we asked
            outcome = JobOutcome("cancelled", self._reason)
        elif self._child.problem():
            outcome = JobOutcome("failed", self._child.problem())
        try:
            self._listener.on_outcome(outcome)
        finally:
            self._close()

    def _close(self) -> None:
        self._over = True
        # On Windows a file may stay open for a moment; Slicer empties its temporary folder anyway.
        shutil.rmtree(self.folder, ignore_errors=True)
