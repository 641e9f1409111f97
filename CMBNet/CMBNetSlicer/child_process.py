"""One child process on Qt's event loop: bytes as they come, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt

from CMBNetSlicer.job_command import LAUNCHER, JobCommand
from CMBNetSlicer.process_tree import ask_to_end, process_tree


class ChildProcess:
    """A QProcess with three callbacks; used once.

    Parameters
    ----------
    on_output, on_error_output
        Called with bytes of stdout and stderr.
    on_end
        Called once, after all output, with the exit code; None when it crashed, was killed or never started.
    """

    def __init__(
        self,
        on_output: Callable[[bytes], None],
        on_error_output: Callable[[bytes], None],
        on_end: Callable[[int | None], None],
    ) -> None:
        self._on_output = on_output
        self._on_error_output = on_error_output
        self._on_end = on_end
        self._ended = self._ran = False
        self._program = ""
        self._process = qt.QProcess()
        self._process.readyReadStandardOutput.connect(self._read_output)
        self._process.readyReadStandardError.connect(self._read_error_output)
        # Unlike `finished`, this signal has one form only and comes also when the program cannot be started.
        self._process.stateChanged.connect(self._state_changed)

    def start(self, command: JobCommand) -> None:
        """Start the command."""
        self._program = command.program
        self._process.setWorkingDirectory(command.folder)
        self._process.start(command.program, list(command.arguments))

    @property
    def tree(self) -> list[int]:
        """Ids of the process and of all below it; empty while it does not run."""
        pid = int(self._process.processId())
        return process_tree(pid) if pid else []

    def ask_to_end(self) -> list[int]:
        """Ask it to clean up and end; returns all that were running.

        PythonSlicer is a launcher that would end at once, and be taken for the program, which is still saving then.
        Left alone it ends after the program, with its exit code.
        """
        running = self.tree
        launched = Path(self._program).name.startswith(LAUNCHER) and len(running) > 1
        ask_to_end(running[1:] if launched else running)
        return running

    @property
    def running(self) -> bool:
        return self._process.state() != qt.QProcess.NotRunning

    def wait(self, milliseconds: int) -> bool:
        """Wait for the end without an event loop; for the moment before the application ends."""
        return bool(self._process.waitForFinished(milliseconds))

    def problem(self) -> str:
        """Why there is no exit code."""
        return "" if self._ran else f"{self._program} could not be started."

    def _read_output(self) -> None:
        self._on_output(_bytes(self._process.readAllStandardOutput()))

    def _read_error_output(self) -> None:
        self._on_error_output(_bytes(self._process.readAllStandardError()))

    def _state_changed(self, state: int) -> None:
        self._ran = self._ran or state == qt.QProcess.Running
        if state != qt.QProcess.NotRunning or self._ended:
            return
        self._ended = True
        self._read_output()
        self._read_error_output()
        # Asking error() for FailedToStart would be too early: Qt sets it after this signal.
        crashed = self._process.exitStatus() == qt.QProcess.CrashExit
        self._on_end(None if crashed or not self._ran else int(self._process.exitCode()))


def _bytes(array: qt.QByteArray) -> bytes:
    data = array.data()
    return data if isinstance(data, bytes) else str(data).encode()
