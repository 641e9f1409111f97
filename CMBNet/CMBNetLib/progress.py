"""What a running job tells its caller: stage, fraction, remaining time, warnings, result; and how it is cancelled."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from .errors import Cancelled, CMBNetError

_SMALLEST_STEP = 0.002  # of the whole job: a pipe is not flooded by a loop over thousands of windows
_SMALLEST_FRACTION_FOR_ESTIMATE = 0.02


class Progress:
    """Silent progress; the base of the others.

    Parameters
    ----------
    clock
        Monotonic seconds; tests pass their own.

    Attributes
    ----------
    warnings : list of dict
        ``{"code", "message"}`` of each warning so far, each told once.
    fraction : float
        Part of the whole job done, 0..1; never falls.
    remaining_s : float or None
        Estimate from the time spent so far; None while too little is done to tell.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._cancelled = False
        self.warnings: list[dict[str, str]] = []
        self.fraction = 0.0
        self.remaining_s: float | None = None

    def stage(self, name: str, text: str) -> None:
        """Begin the stage ``name`` (a code) described by ``text`` (for people)."""

    def advance(self, fraction: float) -> None:
        """Report the whole-job ``fraction`` done (clipped to 0..1; a smaller one than before is ignored)."""
        fraction = min(max(float(fraction), 0.0), 1.0)
        if fraction <= self.fraction:
            return
        self.fraction = fraction
        if fraction >= _SMALLEST_FRACTION_FOR_ESTIMATE:
            elapsed = self._clock() - self._start
            self.remaining_s = elapsed * (1.0 - fraction) / fraction

    def warning(self, code: str, text: str) -> None:
        """Tell a problem that does not stop the job; the same one is told once."""
        entry = {"code": code, "message": text}
        if entry not in self.warnings:
            self.warnings.append(entry)
            self._show_warning(entry)

    def result(self, payload: dict[str, Any]) -> None:
        """Tell what the job made."""

    def error(self, exc: CMBNetError) -> None:
        """Tell why the job ends without a result."""

    def close(self) -> None:
        """Give back the terminal; called once, at the end."""

    def cancel(self) -> None:
        """Ask the job to stop at its next `check_cancelled`. Safe in a signal handler and from other threads."""
        self._cancelled = True

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def check_cancelled(self) -> None:
        """Raise `Cancelled` when `cancel` was called."""
        if self._cancelled:
            raise Cancelled

    def _show_warning(self, entry: dict[str, str]) -> None:
        """Show a new warning; the silent base keeps it only in `warnings`."""


class JsonProgress(Progress):
    """One JSON object a line on ``stream``, flushed at once, for a program that started us.

    When the reader of the stream is gone, the job is cancelled: nobody waits for it any more.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._stream = sys.stdout if stream is None else stream
        self._last_sent = 0.0

    def stage(self, name: str, text: str) -> None:
        self._send({"event": "stage", "stage": name, "message": text})

    def advance(self, fraction: float) -> None:
        super().advance(fraction)
        if self.fraction - self._last_sent >= _SMALLEST_STEP or (self.fraction >= 1.0 > self._last_sent):
            self._last_sent = self.fraction
            remaining = None if self.remaining_s is None else round(self.remaining_s, 1)
            self._send({"event": "progress", "fraction": round(self.fraction, 4), "remaining_s": remaining})

    def result(self, payload: dict[str, Any]) -> None:
        self._send({"event": "result", **payload})

    def error(self, exc: CMBNetError) -> None:
        kind = type(exc).__name__
        self._send({"event": "error", "kind": kind, "message": str(exc), "exit_code": exc.exit_code})

    def _show_warning(self, entry: dict[str, str]) -> None:
        self._send({"event": "warning", **entry})

    def _send(self, event: dict[str, Any]) -> None:
        # allow_nan=False: NaN is not JSON, and the reader on the other side may be strict.
        line = json.dumps(event, allow_nan=False, default=str)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError, OSError):
            self.cancel()


class ConsoleProgress(Progress):
    """A bar on ``stream`` (stderr) for a person; plain lines where it is no terminal or rich is missing."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._stream = sys.stderr if stream is None else stream
        self._bar: Any = None
        self._task: Any = None
        if self._stream.isatty():
            self._open_bar()

    def stage(self, name: str, text: str) -> None:
        if self._bar is None:
            self._print(text)
        else:
            self._bar.update(self._task, description=text)

    def advance(self, fraction: float) -> None:
        super().advance(fraction)
        if self._bar is not None:
            self._bar.update(self._task, completed=self.fraction, left=self._remaining_text())

    def error(self, exc: CMBNetError) -> None:
        self.close()
        self._print(f"Error: {exc}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show_warning(self, entry: dict[str, str]) -> None:
        self._print(f"Warning: {entry['message']}")

    def _remaining_text(self) -> str:
        if self.remaining_s is None or self.fraction >= 1.0:
            return ""
        minutes, seconds = divmod(round(self.remaining_s), 60)
        return f"about {minutes}:{seconds:02d} left"

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self._stream, flush=True)

    def _open_bar(self) -> None:
        try:
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn
            from rich.progress import Progress as RichProgress
        except ImportError:
            return  # Slicer's Python has no rich; plain lines serve as well
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = RichProgress(*columns, console=Console(file=self._stream), transient=True)
        self._task = self._bar.add_task("Starting", total=1.0, left="")
        self._bar.start()


def install_signal_handlers(progress: Progress) -> None:
    """Make SIGTERM and SIGINT (Ctrl-C) cancel the job; a second Ctrl-C interrupts at once.

    Call from the main thread; Python allows handlers only there.
    """

    def on_signal(number: int, _frame: Any) -> None:
        progress.cancel()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
