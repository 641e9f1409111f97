"""Ending a process with all processes below it: PythonSlicer is a launcher, and ending it alone ends nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# On Windows a console program opens a window of its own, which a user may close; elsewhere this is 0.
NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)


def process_tree(pid: int) -> list[int]:
    """The process and everything below it, parents first; on Windows the process alone."""
    children = defaultdict(list)
    for child, parent in _parents():
        children[parent].append(child)
    tree = [pid]
    for each in tree:
        tree += children[each]
    return tree


def ask_to_end(pids: Iterable[int]) -> None:
    """Ask the processes to clean up and end; those that are gone already are fine. On Windows nothing can be asked."""
    if sys.platform == "win32":
        kill(pids)
        return
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)


def kill(pids: Iterable[int]) -> None:
    """End the processes at once, and what is below them at this moment."""
    if sys.platform == "win32":
        for pid in pids:
            _taskkill(pid)
        return
    for pid in {below for top in pids for below in process_tree(top)}:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _parents() -> list[tuple[int, int]]:
    """(process, its parent) of all processes of this machine."""
    if sys.platform == "win32":
        return []  # taskkill finds the tree itself
    if sys.platform.startswith("linux"):
        return [pair for folder in Path("/proc").glob("[0-9]*") if (pair := _parent_of(folder)) is not None]
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [(int(child), int(parent)) for child, parent in map(str.split, listing.splitlines())]


def _parent_of(folder: Path) -> tuple[int, int] | None:
    try:
        stat = (folder / "stat").read_text(errors="replace")
    except OSError:  # ended while we looked
        return None
    # The second field is the program's name in brackets, and may hold spaces and brackets itself.
    return int(folder.name), int(stat.rpartition(")")[2].split()[1])


def _taskkill(pid: int) -> None:
    line = ["taskkill", "/PID", str(pid), "/T", "/F"]
    subprocess.run(line, capture_output=True, creationflags=NO_WINDOW, check=False)
