"""The command line of a curation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import CMBNetLib
from CMBNetSlicer.job_command import JobCommand, python_program

# `-m CMBNetLib` would find only what lies beside CMBNetLib; in a checkout the training library lies elsewhere.
_PROGRAM = (
    "import sys; sys.path[:0] = sys.argv[1].split('|'); "
    "from CMBNetLib.cli import main; raise SystemExit(main(sys.argv[2:]))"
)


@dataclass(frozen=True)
class CurationRun:
    """What a user chooses in the panel.

    Attributes
    ----------
    source, collection : str
        Folders.
    dataset, refine : str
        As ``--dataset`` and ``--refine``.
    workers : int
        Processes.
    retry : bool
        Also try scans again that failed.
    """

    source: str
    collection: str
    dataset: str = "auto"
    refine: str = "points"
    workers: int = 2
    retry: bool = False

    def reason_not_to_run(self) -> str:
        """A sentence about what is missing; empty when it can run."""
        if not Path(self.source).is_dir() or not self.source:
            return "Choose the folder of a data set."
        if not self.collection:
            return "Choose a folder for the collection."
        return ""

    def arguments(self, fixes: Path) -> tuple[str, ...]:
        """The arguments of ``cmbnet``; the list of corrections is used if it is there."""
        retry = ("--retry", "failed") if self.retry else ()
        corrections = ("--fixes", str(fixes)) if fixes.is_file() else ()
        return (
            "curate", self.source, "-o", self.collection, "--dataset", self.dataset, "--refine", self.refine,
            "--workers", str(self.workers), *retry, *corrections, "--json-events",
        )  # fmt: skip


def curate_command(run: CurationRun, fixes: Path) -> JobCommand:
    """The command of a run."""
    import CMBNetTrainingLib

    packages = (CMBNetLib, CMBNetTrainingLib)
    folders = list(dict.fromkeys(str(Path(str(package.__file__)).resolve().parent.parent) for package in packages))
    return JobCommand(python_program(), ("-c", _PROGRAM, "|".join(folders), *run.arguments(fixes)), folders[0])
