"""One curation in the background; unlike a detection it keeps what it has done when it is cancelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qt

from CMBNetSlicer.child_process import ChildProcess
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.job_events import EventReader
from CMBNetSlicer.process_tree import kill

GRACE_MS = 1200
_LAST_LINES = 8


class CurationJob:
    """A process that prints events; used once.

    Parameters
    ----------
    on_event
        Called with each event but the last words.
    on_end
        Called once with the result event (None if there was none) and a sentence (empty when all is well).
    """

    CANCELLED = "The curation was cancelled; run it again to go on where it stopped."

    def __init__(
        self, on_event: Callable[[Mapping[str, Any]], None], on_end: Callable[[Mapping[str, Any] | None, str], None]
    ) -> None:
        self._on_event, self._on_end = on_event, on_end
        self._events, self._complaints = EventReader(), EventReader()
        self._lines: list[str] = []
        self._result: Mapping[str, Any] | None = None
        self._problem = ""
        self._cancelled = False
        self._asked: list[int] = []
        self._child = ChildProcess(self._read, self._read_complaints, self._ended)
        self.running = False

    def start(self, command: JobCommand) -> None:
        """Start the command."""
        self.running = True
        self._child.start(command)

    def cancel(self) -> None:
        """Stop it with all its processes; what has not ended by itself after 1.2 s is killed."""
        if self.running and not self._cancelled:
            self._cancelled = True
            self._asked = self._child.ask_to_end()
            qt.QTimer.singleShot(GRACE_MS, lambda: kill(self._asked) if self.running else None)

    def abandon(self) -> None:
        """Stop it at once, without an event loop: the application ends."""
        if self.running:
            self.running = False
            kill(self._child.tree)
            self._child.wait(1000)

    def _read(self, data: bytes) -> None:
        for event in self._events.feed(data):
            self._take(event)

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "result":
            self._result = event
        elif event["event"] == "error":
            self._problem = str(event.get("message", ""))
        elif not self._cancelled:
            self._on_event(event)

    def _read_complaints(self, data: bytes) -> None:
        for event in self._complaints.feed(data):
            self._lines.append(str(event.get("message", event)))

    def _ended(self, exit_code: int | None) -> None:
        if not self.running:
            return
        self.running = False
        for event in self._events.close():
            self._take(event)
        if self._cancelled:
            kill(self._asked[1:])  # children that outlived the process we asked
            self._on_end(None, self.CANCELLED)
        elif self._problem or self._result is not None:
            self._on_end(self._result, self._problem)
        else:
            last = "\n".join(self._lines[-_LAST_LINES:])
            self._on_end(
                None, f"The process ended with {exit_code} and without a result.\n{last or self._child.problem()}"
            )
