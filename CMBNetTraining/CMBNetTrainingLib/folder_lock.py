"""One program at a time in a folder, and none of the processes that a killed one left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from CMBNetLib.errors import InputError

# A process whose parent was killed ends once the library call it is in returns, after seconds for a large image.
ORPHANS_END_WITHIN_S = 120.0
POLL_S = 0.05
_joined: list[int] = []


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` as long as the block runs; the system lets go of it when the program dies.

    Waits until the processes that joined the lock of a program that was killed (see `join`) have ended.

    Raises
    ------
    InputError
        Another program holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _lock(descriptor):
            raise InputError(f"Another program is working on {path.parent.parent}. Wait for it, or stop it.")
        _wait_for_orphans(path)
        yield
    finally:
        os.close(descriptor)


def join(path: Path) -> None:
    """Say that this process, till it ends, works for the program that holds ``path``.

    Windows has no shared locks; there a worker only has its watch on its parent.
    """
    if os.name != "nt":
        import fcntl

        descriptor = os.open(_members(path), os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        _joined.append(descriptor)


def _members(path: Path) -> Path:
    return path.with_name(f"{path.name}.workers")


def _wait_for_orphans(path: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(_members(path), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        latest = time.monotonic() + ORPHANS_END_WITHIN_S
        while not _lock(descriptor):
            if time.monotonic() > latest:
                raise InputError(f"Processes of a killed program still work on {path.parent.parent}. Stop them.")
            time.sleep(POLL_S)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
