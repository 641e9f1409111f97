"""A lock file beside a readings file, so that two programs never write the same one."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from pathlib import Path
from typing import Any

from .errors import InputError

# Taking over a dead program's lock lasts milliseconds; a guard this old was left by a crash in that moment.
_STALE_GUARD_S = 60.0


class LockedError(InputError):
    """Another program has the readings file open, or may have; the message says which."""


class ReadingLock:
    """Exclusive right to write one readings file, held by a neighbour file with our process id and host name.

    The lock file is made with O_EXCL, which network folders honour, unlike advisory locks. A lock of a dead
    process of this host is taken over; of another host only with ``force``, since nobody here can tell.

    Parameters
    ----------
    path : Path
        The readings file.

    Raises
    ------
    LockedError
        The file is in use.
    OSError
        The folder cannot be written.
    """

    def __init__(self, path: Path, *, force: bool = False) -> None:
        self.path = path.with_name(path.name + ".lock")
        self._token = secrets.token_hex(8)
        if self._create(self.path):
            return
        self._take_over(force=force)

    @property
    def held(self) -> bool:
        """True while the lock file is still ours; a forced takeover by someone else ends that."""
        return _read(self.path).get("token") == self._token

    def release(self) -> None:
        """Remove the lock file if it is still ours."""
        if self.held:
            self.path.unlink(missing_ok=True)

    def _create(self, path: Path) -> bool:
        # Written first and linked then: a program killed in between leaves no lock that does not say whose it is.
        written = path.with_name(f"{path.name}.{self._token}")
        self._write(written)
        try:
            os.link(written, path)
        except FileExistsError:
            return False
        except OSError:  # a disk without hard links
            try:
                self._write(path)
            except FileExistsError:
                return False
        finally:
            written.unlink(missing_ok=True)
        return True

    def _write(self, path: Path) -> None:
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "token": self._token, "since": _now()}
        with open(path, "x", encoding="utf-8") as stream:
            json.dump(owner, stream)
            stream.flush()
            os.fsync(stream.fileno())

    def _take_over(self, *, force: bool) -> None:
        # The guard makes one of several programs that see the same dead lock win; the others must not remove
        # the winner's new lock.
        guard = self.path.with_name(self.path.name + ".takeover")
        if not self._create(guard) and not self._replace_old_guard(guard):
            raise LockedError(f"Another program is opening {self._target()} at this moment. Try again.")
        try:
            owner = _read(self.path)
            if not force and self.path.exists() and _may_be_alive(owner):
                raise LockedError(_in_use(self._target(), owner, self.path))
            self.path.unlink(missing_ok=True)
            if not self._create(self.path):
                raise LockedError(f"Another program has just opened {self._target()}. Try again.")
        finally:
            guard.unlink(missing_ok=True)

    def _replace_old_guard(self, guard: Path) -> bool:
        with contextlib.suppress(FileNotFoundError):
            if time.time() - guard.stat().st_mtime < _STALE_GUARD_S:
                return False
            guard.unlink(missing_ok=True)
        return self._create(guard)

    def _target(self) -> str:
        return self.path.name.removesuffix(".lock")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _may_be_alive(owner: dict[str, Any]) -> bool:
    if owner.get("host") != socket.gethostname():
        # An empty or torn lock file tells nothing: its program may be writing it now.
        return True
    return process_is_alive(int(owner.get("pid", 0)))


def process_is_alive(pid: int) -> bool:
    """True if a process with this id runs on this computer."""
    if pid <= 0:
        return False
    if os.name == "nt":
        return _windows_process_is_alive(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    # A killed child that nobody waited for still answers signal 0 but writes nothing any more.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return False
    return bool(fields) and fields[0] == "Z"


def _windows_process_is_alive(pid: int) -> bool:
    # os.kill(pid, 0) would end the process on Windows.
    import ctypes

    kernel: Any = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return False
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == 259  # STILL_ACTIVE


def _in_use(name: str, owner: dict[str, Any], lock: Path) -> str:
    if not owner:
        return f"{name} is locked, but {lock.name} does not say by whom. Delete that file if nobody has it open."
    who = f"process {owner.get('pid')} on {owner.get('host')} since {owner.get('since')}"
    return f"{name} is open in {who}. Close it there, choose another reader name or round, or take it over."


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
