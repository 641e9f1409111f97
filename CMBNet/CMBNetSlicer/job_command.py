"""The command line of the detector's process."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import CMBNetLib
from CMBNetLib.errors import EnvironmentProblem

LAUNCHER = "PythonSlicer"
CUSTOM = "custom"  # operating point of a threshold that has no name


@dataclass(frozen=True)
class JobCommand:
    """A program with its arguments, and the folder it is started in."""

    program: str
    arguments: tuple[str, ...]
    folder: str

    @property
    def line(self) -> list[str]:
        """Program and arguments in one list."""
        return [self.program, *self.arguments]


@dataclass(frozen=True)
class RunSettings:
    """What a user chooses for a run.

    Attributes
    ----------
    model : str
        Id of the bundle; empty for the default one.
    operating_point : str
        Named threshold of the bundle, or ``custom`` for `threshold`.
    threshold : float
        Score from which a candidate is a microbleed, 0..1; used with ``custom`` only.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    """

    model: str = ""
    operating_point: str = "balanced"
    threshold: float = 0.5
    device: str = "auto"

    def arguments(self) -> tuple[str, ...]:
        """The options of ``cmbnet detect``."""
        model = ("--model", self.model) if self.model else ()
        level = (
            ("--threshold", f"{self.threshold:.6g}")
            if self.operating_point == CUSTOM
            else ("--operating-point", self.operating_point)
        )
        return (*model, *level, "--device", self.device)


def detect_command(scan: Path, output: Path, settings: RunSettings) -> JobCommand:
    """The command that detects the microbleeds of the file ``scan`` and writes to the folder ``output``."""
    arguments = ("-m", "CMBNetLib", "detect", str(scan), "-o", str(output), *settings.arguments(), "--json-events")
    # Started in the folder that holds CMBNetLib: `python -m` looks there first, without any change of PYTHONPATH.
    return JobCommand(python_program(), arguments, str(Path(CMBNetLib.__file__).resolve().parent.parent))


def python_program() -> str:
    """The Python that sees the packages of this application: ``PythonSlicer`` inside Slicer.

    Raises
    ------
    EnvironmentProblem
        There is none.
    """
    program = shutil.which(LAUNCHER) or sys.executable
    if not program:
        raise EnvironmentProblem("PythonSlicer was not found. Is this Slicer installed completely?")
    return program
