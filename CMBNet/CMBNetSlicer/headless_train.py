"""Training inside Slicer without any window; ends Slicer with the exit code of ``cmbnet train``.

    Slicer --no-main-window --no-splash --python-script <this file> CONFIG -o RUN [--export BUNDLE] [...]

The same options and the same files as ``cmbnet train``; torch runs in a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent.parent
# Slicer runs this file by its path, where only its own folder is known; a checkout has the libraries in three folders.
sys.path[:0] = [str(_HERE), *(str(_HERE.parent / name) for name in ("CMBNetEvaluation", "CMBNetTraining"))]

import slicer  # noqa: E402

from CMBNetLib.errors import CMBNetError  # noqa: E402
from CMBNetSlicer.training_job import command_here, run_and_wait  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    """Run and return the exit code: 0 done, 2 bad input, 3 environment, 4 cancelled, 1 a bug."""
    try:
        result = run_and_wait(command_here(["train", *arguments]), print_event)
    except CMBNetError as problem:
        print(f"Error: {problem}", file=sys.stderr, flush=True)
        return problem.exit_code
    print(result["summary"], flush=True)
    return 0


def print_event(event: Mapping[str, Any]) -> None:
    """Print what a person wants to read of an event."""
    if event["event"] in ("stage", "warning", "log"):
        print(f"{event['event']}: {event.get('message')}", flush=True)


if __name__ == "__main__":
    slicer.util.exit(main(sys.argv[1:]))
