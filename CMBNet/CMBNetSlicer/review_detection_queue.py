"""Detection of the cases of a worklist that have none yet: one child process after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from slicer.i18n import tr as _

from CMBNetLib.worklist import Case, Worklist
from CMBNetSlicer.detection_job import DetectionJob
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.job_outcome import JobOutcome
from CMBNetSlicer.review_command import detect_case_command


def undetected(worklist: Worklist) -> list[Case]:
    """The cases whose scan is there and that have candidates neither of ours nor of another tool."""
    return [
        case
        for case in worklist.cases
        if case.image.exists() and case.candidates is None and not case.detection.exists()
    ]


class DetectionQueue:
    """Runs the detector on cases, and tells of each one that is done.

    Parameters
    ----------
    on_change
        Called when there is something new in `text` or `fraction`.
    on_done
        Called with the id of a case whose candidates are there now.
    make_command
        Case -> command; tests pass their own.

    Attributes
    ----------
    text : str
        How far it is, in a sentence.
    fraction : float
        Part of the whole done.
    problems : list of str
        Cases that could not be detected.
    """

    def __init__(
        self,
        on_change: Callable[[], None],
        on_done: Callable[[str], None],
        make_command: Callable[[Case], JobCommand] = detect_case_command,
    ) -> None:
        self._on_change, self._on_done, self.make_command = on_change, on_done, make_command
        self._waiting: list[Case] = []
        self._case: Case | None = None
        self._job: DetectionJob | None = None
        self._total = self._ended = 0
        self.text, self.fraction = "", 0.0
        self.problems: list[str] = []

    @property
    def running(self) -> bool:
        """Whether a case is being detected."""
        return self._case is not None

    def start(self, cases: Iterable[Case]) -> None:
        """Detect these cases one after the other."""
        self._waiting, self.problems = list(cases), []
        self._total, self._ended = len(self._waiting), 0
        self._next()

    def cancel(self) -> None:
        """Stop; cases that are done stay done."""
        self._waiting.clear()
        if self._job is not None:
            self._job.cancel("cancelled")

    def abandon(self) -> None:
        """Stop at once, without telling anyone: the room closes."""
        self._waiting.clear()
        job, self._job, self._case = self._job, None, None
        if job is not None:
            job.abandon()

    def on_event(self, event: Mapping[str, Any]) -> None:
        """A line of the process."""
        if event["event"] == "progress" and self._case is not None:
            self._tell(float(event.get("fraction") or 0.0))

    def on_outcome(self, outcome: JobOutcome) -> None:
        """The process of a case has ended."""
        case, self._case, self._job = self._case, None, None
        if case is None:
            return
        self._ended += outcome.status != "cancelled"
        if outcome.status == "done":
            self._on_done(case.case_id)
        elif outcome.status == "failed":
            self.problems.append(f"{case.case_id}: {outcome.message}")
        if outcome.status == "cancelled":
            self._waiting.clear()
            self._finish(_("Cancelled; {n} of {total} cases were detected."))
        else:
            self._next()

    def _next(self) -> None:
        if not self._waiting:
            self._finish(_("{n} of {total} cases were detected."))
            return
        case = self._case = self._waiting.pop(0)
        self._job = DetectionJob(self)
        self._tell(0.0)
        self._job.start(lambda _folder: self.make_command(case))

    def _tell(self, fraction: float) -> None:
        assert self._case is not None
        self.fraction = (self._ended + fraction) / max(self._total, 1)
        self.text = _("Detecting in {case} ({n} of {total})").format(
            case=self._case.case_id, n=self._ended + 1, total=self._total
        )
        self._on_change()

    def _finish(self, text: str) -> None:
        done = self._ended - len(self.problems)
        self.text, self.fraction = text.format(n=done, total=self._total), 1.0
        self.text = "\n".join([self.text, *self.problems])
        self._on_change()
