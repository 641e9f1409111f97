"""The command line of the libraries beyond the detector: curation, training, export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import CMBNetLib
from CMBNetSlicer.job_command import JobCommand, python_program

# `-m CMBNetLib` would find only what lies beside CMBNetLib; in a checkout the other libraries lie elsewhere.
_PROGRAM = (
    "import sys; sys.path[:0] = sys.argv[1].split('|'); "
    "from CMBNetLib.cli import main; raise SystemExit(main(sys.argv[2:]))"
)


def library_command(arguments: Sequence[str]) -> JobCommand:
    """The command that runs ``cmbnet`` with these arguments and prints events."""
    import CMBNetEvaluationLib
    import CMBNetTrainingLib

    packages = (CMBNetLib, CMBNetEvaluationLib, CMBNetTrainingLib)
    folders = list(dict.fromkeys(str(Path(str(package.__file__)).resolve().parent.parent) for package in packages))
    return JobCommand(python_program(), ("-c", _PROGRAM, "|".join(folders), *arguments, "--json-events"), folders[0])
