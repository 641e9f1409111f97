"""How long a reader looks at a finding, without the time in which the window is not in front."""

from __future__ import annotations

import time
from collections.abc import Callable


class ReadingClock:
    """A stopwatch that `take` reads and sets back, and that stands still while paused.

    Parameters
    ----------
    now : callable
        Monotonic seconds; tests pass their own.
    longest_s : float
        A stretch without any act counts at most this long: the reader has left the room with the window in
        front.

    Examples
    --------
    >>> times = iter([0.0, 4.0, 10.0, 11.0])
    >>> clock = ReadingClock(now=lambda: next(times))
    >>> clock.resume(); clock.pause(); clock.resume(); clock.take()
    5.0
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, longest_s: float = 300.0) -> None:
        self._now = now
        self._longest_s = longest_s
        self._kept = 0.0
        self._since: float | None = None

    @property
    def running(self) -> bool:
        """True between `resume` and `pause`."""
        return self._since is not None

    def resume(self) -> None:
        """Let the time run; without effect if it does."""
        if self._since is None:
            self._since = self._now()

    def pause(self) -> None:
        """Stop the time: the window lost the focus, or the module was left."""
        if self._since is not None:
            self._kept += max(0.0, self._now() - self._since)
            self._since = None

    def take(self) -> float:
        """Return the seconds since the last `take` and begin anew."""
        if self._since is not None:
            moment = self._now()
            self._kept += max(0.0, moment - self._since)
            self._since = moment
        seconds, self._kept = min(self._kept, self._longest_s), 0.0
        return seconds
