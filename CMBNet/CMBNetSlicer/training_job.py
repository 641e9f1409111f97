"""One training, preview or export in the background."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from CMBNetLib.errors import BundleError, Cancelled, CMBNetError, EnvironmentProblem, InputError
from CMBNetSlicer.curation_job import CurationJob
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.job_events import EventReader
from CMBNetSlicer.library_command import library_command
from CMBNetSlicer.process_tree import NO_WINDOW, kill, process_tree

_ERRORS = {error.__name__: error for error in (BundleError, Cancelled, EnvironmentProblem, InputError)}
_LAST_CHARACTERS = 2000


class TrainingJob(CurationJob):
    """A job that can also be paused: it saves its state before it ends."""

    CANCELLED = "The training was stopped; Resume goes on from its last checkpoint."

    def pause(self) -> None:
        """Ask it to save and end after the step it is at; it tells at which one."""
        if self.running:
            self._child.ask_to_end()


def command_here(arguments: Sequence[str]) -> JobCommand:
    """The command that runs ``cmbnet`` with these arguments in the folder we are in, where relative paths mean it."""
    return replace(library_command(arguments), folder=str(Path.cwd()))


def train_and_wait(
    config: str | Path | Mapping[str, Any], arguments: Sequence[str], on_event: Callable[[Mapping[str, Any]], None]
) -> Mapping[str, Any]:
    """Train as ``cmbnet train CONFIG ARGUMENTS`` does; see `run_and_wait`.

    Parameters
    ----------
    config
        File, name of a ready configuration, or the settings themselves.
    """
    if not isinstance(config, Mapping):
        return run_and_wait(command_here(["train", str(config), *arguments]), on_event)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings.json"
        path.write_text(json.dumps(_absolute(config)), encoding="utf-8")
        return run_and_wait(command_here(["train", str(path), *arguments]), on_event)


def _absolute(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings whose paths do not depend on where they are written."""
    out = dict(config)
    if out.get("run"):
        out["run"] = str(Path(out["run"]).resolve())
    if out.get("init") and Path(out["init"]).exists():  # else it is the id of a model
        out["init"] = str(Path(out["init"]).resolve())
    if "manifests" in out:
        out["manifests"] = [str(Path(path).resolve()) for path in out["manifests"]]
    if "label_maps" in out.get("synthesis", {}):
        maps = [str(Path(path).resolve()) for path in out["synthesis"]["label_maps"]]
        out["synthesis"] = {**out["synthesis"], "label_maps": maps}
    return out


def run_and_wait(command: JobCommand, on_event: Callable[[Mapping[str, Any]], None]) -> Mapping[str, Any]:
    """Run the command without an event loop, tell each event, and return the event ``result``.

    Raises
    ------
    CMBNetError
        Of the kind that the process reported.
    """
    ends: dict[str, Mapping[str, Any]] = {}
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command.line, cwd=command.folder, stdout=subprocess.PIPE, stderr=complaints, creationflags=NO_WINDOW
        )
        try:
            for event in _events(process):
                ends[event["event"]] = event
                on_event(event)
            exit_code = process.wait()
        finally:
            # Also on KeyboardInterrupt, and when the caller's callback raises: nobody waits for it any more.
            if process.poll() is None:
                kill(process_tree(process.pid))
                process.wait()
        complaints.seek(0)
        last = complaints.read().decode("utf-8", errors="replace")[-_LAST_CHARACTERS:]
    if "error" in ends:
        raise _ERRORS.get(str(ends["error"].get("kind")), CMBNetError)(str(ends["error"].get("message")))
    if exit_code or "result" not in ends:
        raise CMBNetError(f"The process ended with {exit_code} and without a result.\n{last}")
    return ends["result"]


def _events(process: subprocess.Popen[bytes]) -> Any:
    reader = EventReader()
    assert process.stdout is not None
    with process.stdout as stream:
        for line in stream:
            yield from reader.feed(line)
    yield from reader.close()
