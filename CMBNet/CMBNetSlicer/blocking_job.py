"""One run of the detector that a script waits for; needs no event loop and no window."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from CMBNetLib.errors import BundleError, Cancelled, CMBNetError, EnvironmentProblem, InputError
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.job_events import EventReader
from CMBNetSlicer.job_outcome import JobReport, outcome_of
from CMBNetSlicer.process_tree import NO_WINDOW, kill, process_tree

_ERRORS = {error.__name__: error for error in (BundleError, EnvironmentProblem, InputError)}


def run_blocking(command: JobCommand, on_event: Callable[[Mapping[str, Any]], None]) -> Path:
    """Run the command, tell each event, and return the path of the detection file.

    Raises
    ------
    CMBNetError
        Of the kind that the detector reported; `Cancelled` if it was stopped.
    """
    report = JobReport()
    with tempfile.TemporaryFile() as complaints:
        exit_code = _run(command, complaints, _noting(report, on_event))
        complaints.seek(0)
        report.complaints += complaints.read().decode("utf-8", errors="replace").splitlines()
    outcome = outcome_of(report, exit_code if exit_code >= 0 else None)
    if outcome.status == "done":
        return Path(outcome.detection)
    if outcome.status == "cancelled":
        raise Cancelled(outcome.message)
    kind = str((report.error or {}).get("kind"))
    raise _ERRORS.get(kind, CMBNetError)(outcome.message)


def _noting(
    report: JobReport, on_event: Callable[[Mapping[str, Any]], None]
) -> Callable[[Mapping[str, Any]], None]:
    def tell(event: Mapping[str, Any]) -> None:
        report.note(event)
        on_event(event)

    return tell


def _run(command: JobCommand, complaints: Any, tell: Callable[[Mapping[str, Any]], None]) -> int:
    """Exit code of the command; negative where a signal ended it."""
    process = subprocess.Popen(
        command.line, cwd=command.folder, stdout=subprocess.PIPE, stderr=complaints, creationflags=NO_WINDOW
    )
    reader = EventReader()
    assert process.stdout is not None
    try:
        for line in process.stdout:
            for event in reader.feed(line):
                tell(event)
        for event in reader.close():
            tell(event)
        return process.wait()
    finally:
        # Also on KeyboardInterrupt, and when the caller's callback raises: nobody waits for the process any more.
        if process.poll() is None:
            kill(process_tree(process.pid))
            process.wait()
        process.stdout.close()
