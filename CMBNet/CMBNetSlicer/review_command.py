"""The command lines of what comes before and after reading: detection, masks, consensus, training data, progress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import CMBNetLib
from CMBNetLib.errors import InputError
from CMBNetLib.review_room import ReadingSetup
from CMBNetLib.worklist import Case, Worklist
from CMBNetSlicer.job_command import JobCommand, RunSettings, detect_command, python_program

# `-m CMBNetLib` would find only what lies beside CMBNetLib; in a checkout the evaluation library lies elsewhere.
_PROGRAM = (
    "import sys; sys.path[:0] = sys.argv[1].split('|'); "
    "from CMBNetLib.cli import main; raise SystemExit(main(sys.argv[2:]))"
)


def detect_case_command(case: Case) -> JobCommand:
    """The command that detects in a case and puts the result where the room looks for it."""
    return detect_command(case.image, case.folder, RunSettings())


def readings_command(action: str, worklist: Worklist, setup: ReadingSetup, options: Sequence[str] = ()) -> JobCommand:
    """The command ``cmbnet readings ACTION`` on a worklist.

    Raises
    ------
    InputError
        The worklist is not in a file that another process could read.
    """
    import CMBNetEvaluationLib

    if worklist.source is None:
        raise InputError(
            f"The list of cases cannot be kept in {worklist.output_folder}, so it cannot be worked on in the "
            "background. Make the folder writable and open the worklist again."
        )
    packages = (CMBNetLib, CMBNetEvaluationLib)
    folders = list(dict.fromkeys(str(Path(str(package.__file__)).resolve().parent.parent) for package in packages))
    scale = setup.terms.source
    arguments = (
        "readings", action, str(worklist.source), "--kept", str(worklist.output_folder), "--scale", str(scale),
        *options, "--json-events",
    )  # fmt: skip
    return JobCommand(python_program(), ("-c", _PROGRAM, "|".join(folders), *arguments), folders[0])
