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
        Folders; the first two may be empty in a reader study.
    images : str
        Folder of the scans; empty without pictures.
    rule : str
        Name of the matching rule.
    compare : str
        Folder with the predictions of a second model, or empty.
    readings : str or None
        Folder with the readings files of a reader study; None when predictions are compared with references.
    """

    predictions: str
    references: str
    output: str
    images: str = ""
    rule: str = "distance-5mm"
    compare: str = ""
    readings: str | None = None

    def reason_not_to_run(self) -> str:
        """A sentence about what is missing; empty when it can run."""
        needed = {"predictions": self.predictions, "references": self.references}
        if self.readings is not None:
            needed = {"readings": self.readings}
        for what, folder in needed.items():
            if not folder or not Path(folder).is_dir():
                return f"Choose the folder of the {what}."
        for option, folder in self._options():
            if not Path(folder).is_dir():
                return f"The folder of the {_NAMES[option]} does not exist."
        return "" if self.output else "Choose a folder for the results."

    def arguments(self) -> tuple[str, ...]:
        """The arguments of ``cmbnet``."""
        folders = [part for option in self._options() for part in option]
        return ("evaluate", *folders, "-o", self.output, "--rule", self.rule, "--json-events")

    def _options(self) -> list[tuple[str, str]]:
        """Option and folder of everything that was chosen."""
        chosen = [("--predictions", self.predictions), ("--references", self.references), ("--images", self.images)]
        chosen.append(("--compare", self.compare) if self.readings is None else ("--readings", self.readings))
        return [(option, folder) for option, folder in chosen if folder]


_NAMES = {"--predictions": "predictions", "--references": "references", "--images": "scans",
          "--compare": "second model", "--readings": "readings"}  # fmt: skip


def evaluate_command(run: EvaluationRun) -> JobCommand:
    """The command of a run."""
    import CMBNetEvaluationLib

    packages = (CMBNetLib, CMBNetEvaluationLib)
    folders = list(dict.fromkeys(str(Path(str(package.__file__)).resolve().parent.parent) for package in packages))
    return JobCommand(python_program(), ("-c", _PROGRAM, "|".join(folders), *run.arguments()), folders[0])
