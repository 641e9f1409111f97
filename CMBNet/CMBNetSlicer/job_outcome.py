"""How a run ended, told from the events and the exit code of its process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CANCELLED_EXIT_CODE = 4
_LAST_LINES = 8


@dataclass
class JobReport:
    """What a running process said so far.

    Attributes
    ----------
    result, error : dict or None
        The event of that name, if it came.
    complaints : list of str
        Lines of stderr.
    """

    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    complaints: list[str] = field(default_factory=list)

    def note(self, event: Mapping[str, Any]) -> None:
        """Keep the event if the outcome depends on it."""
        if event["event"] == "result":
            self.result = event
        elif event["event"] == "error":
            self.error = event


@dataclass(frozen=True)
class JobOutcome:
    """How a run ended.

    Attributes
    ----------
    status : str
        ``done``, ``failed`` or ``cancelled``.
    message : str
        A sentence for the user; empty when done.
    detection : str
        Path of the detection file when done.
    """

    status: str
    message: str = ""
    detection: str = ""


def outcome_of(report: JobReport, exit_code: int | None) -> JobOutcome:
    """The outcome of a process that ended by itself.

    Parameters
    ----------
    exit_code
        None if it crashed, was killed from outside, or never started.
    """
    if exit_code == CANCELLED_EXIT_CODE:
        return JobOutcome("cancelled", "The detection was cancelled.")
    if report.error is not None:
        return JobOutcome("failed", str(report.error.get("message") or report.error.get("kind") or "Unknown error."))
    if exit_code == 0 and report.result is not None and report.result.get("detection"):
        return JobOutcome("done", detection=str(report.result["detection"]))
    return JobOutcome("failed", _unexpected(report, exit_code))


def _unexpected(report: JobReport, exit_code: int | None) -> str:
    how = "was ended from outside or crashed" if exit_code is None else f"ended with exit code {exit_code}"
    if exit_code == 0:
        how = "ended without a result"
    hint = " The computer may have run out of memory." if exit_code is None else ""
    last = "\n".join(report.complaints[-_LAST_LINES:])
    return f"The detector's process {how}.{hint}" + (f"\n{last}" if last else "")
