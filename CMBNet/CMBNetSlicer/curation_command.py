"""The command line of a curation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.library_command import library_command


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
            "--workers", str(self.workers), *retry, *corrections,
        )  # fmt: skip


def curate_command(run: CurationRun, fixes: Path) -> JobCommand:
    """The command of a run."""
    return library_command(run.arguments(fixes))
