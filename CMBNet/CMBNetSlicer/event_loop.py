"""Waiting for something in the background while Qt goes on working."""

from __future__ import annotations

import time
from collections.abc import Callable

import qt

_POLL_MS = 20


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Let Qt deliver its events until the condition holds; whether it did within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        _work_for_a_moment()
    return True


def _work_for_a_moment() -> None:
    loop = qt.QEventLoop()
    qt.QTimer.singleShot(_POLL_MS, loop.quit)
    # PythonQt calls it exec_ where Qt is version 5.
    run_loop = getattr(loop, "exec", None) or loop.exec_
    run_loop()
