"""Evaluation inside Slicer without any window; ends Slicer with the exit code of ``cmbnet evaluate``.

    Slicer --no-main-window --no-splash --python-script <this file> --predictions DIR --references DIR -o DIR [...]

The same options and the same files as ``cmbnet evaluate``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

_HERE = Path(__file__).resolve().parent.parent
# Slicer runs this file by its path, where only its own folder is known; a checkout has the libraries in two folders.
sys.path[:0] = [str(_HERE), str(_HERE.parent / "CMBNetEvaluation")]

import slicer  # noqa: E402

from CMBNetLib.cli import main as run_command  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    """Run and return the exit code: 0 done, 2 bad input, 3 environment, 4 cancelled, 1 a bug."""
    try:
        return run_command(["evaluate", *arguments])
    except SystemExit as end:  # argparse would end Slicer itself, with code 0 on some platforms
        return int(end.code or 0)


if __name__ == "__main__":
    slicer.util.exit(main(sys.argv[1:]))
