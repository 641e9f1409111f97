"""The command line of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import CMBNetLib
from CMBNetSlicer.job_command import JobCommand, python_program

# `-m CMBNetLib` would find only what lies beside CMBNetLib; in a checkout the evaluation library lies elsewhere.
_PROGRAM = "; ".join(
    (
        "import sys",
        "sys.path[:0] = sys.argv[1].split('|')",
        "from CMBNetLib.cli import main",
        "raise SystemExit(main(sys.argv[2:]))",
    )
)


@dataclass(frozen=True)
class EvaluationRun:
    """What a user chooses in the panel.

    Attributes
    ----------
    predictions, references, output : str
        Folders.
    images : str
        Folder of the scans; empty without pictures.
    rule : str
        Name of the matching rule.
    """

    predictions: str
    references: str
    output: str
    images: str = ""
    rule: str = "distance-5mm"

    def reason_not_to_run(self) -> str:
        """A sentence about what is missing; empty when it can run."""
        folders = {"predictions": self.predictions, "references": self.references}
        for what, folder in folders.items():
            if not folder or not Path(folder).is_dir():
                return f"Choose the folder of the {what}."
        if self.images and not Path(self.images).is_dir():
            return "The folder of the scans does not exist."
        return "" if self.output else "Choose a folder for the results."

    def arguments(self) -> tuple[str, ...]:
        """The arguments of ``cmbnet``."""
        images = ("--images", self.images) if self.images else ()
        folders = ("--predictions", self.predictions, "--references", self.references, "-o", self.output)
        return ("evaluate", *folders, *images, "--rule", self.rule, "--json-events")


def evaluate_command(run: EvaluationRun) -> JobCommand:
    """The command of a run."""
    import CMBNetEvaluationLib

    packages = (CMBNetLib, CMBNetEvaluationLib)
    folders = list(dict.fromkeys(str(Path(str(package.__file__)).resolve().parent.parent) for package in packages))
    return JobCommand(python_program(), ("-c", _PROGRAM, "|".join(folders), *run.arguments()), folders[0])
