"""Finished readings as training data: images, labels and the manifest that `cmbnet train` reads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import CMBNetError, InputError
from .files import atomic_output
from .review_gathering import CaseReadings, load_for
from .review_loading import LoadedCase, SourceReader
from .review_results import Reviewed, reviewed_findings, reviewed_labels, write_table
from .volume import write_volume

# The columns of `DESIGN` section 4, the same as those of a collection that `cmbnet curate` makes.
MANIFEST = (
    "scan_id", "subject_id", "image", "label", "dataset", "sequence", "field_strength_t", "echo_time_ms", "role",
    "split", "n_microbleeds",
)  # fmt: skip
MIMICS = ("scan_id", "x", "y", "z", "verdict", "mimic", "score")
VALIDATION_SHARE = 0.2
_SUBJECT = re.compile(r"^(sub-[A-Za-z0-9]+)")


@dataclass
class TrainingExport:
    """What was exported.

    Attributes
    ----------
    manifest : Path
    n_scans, n_microbleeds, n_mimics : int
    problems : list of str
        Cases that were left out.
    """

    manifest: Path
    n_scans: int = 0
    n_microbleeds: int = 0
    n_mimics: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        return (
            f"{self.n_scans} scans with {self.n_microbleeds} microbleeds and {self.n_mimics} rejected or unsure "
            f"findings: {self.manifest}"
        )


def export_training(
    cases: Iterable[CaseReadings], folder: Path, reader: str | None = None, read_source: SourceReader | None = None
) -> TrainingExport:
    """Write ``manifest.csv``, ``labels/<scan>.nii.gz`` and ``mimics.csv`` of all finished cases.

    Images stay where they are. A fifth of the subjects, always the same, is for validation.

    Parameters
    ----------
    folder : Path
    reader : str, optional
        Name of the reading to take (`review_consensus.reading_name`); without it, the only one a case has.

    Raises
    ------
    InputError
        No case is finished, or the folder cannot be written.
    """
    export = TrainingExport(Path(folder) / "manifest.csv")
    rows: list[dict[str, Any]] = []
    mimics: list[dict[str, Any]] = []
    for found in cases:
        export.problems += found.problems
        try:
            name = _chosen(found, reader)
            loaded = load_for(found, read_source) if name else None
        except CMBNetError as error:
            export.problems.append(str(error))
            continue
        if name is None or loaded is None:
            continue
        findings = reviewed_findings(found.readings[name].state, loaded.source, loaded.scan)
        rows.append(_write_scan(found, loaded, findings, export.manifest.parent))
        mimics += _mimics(found.case.case_id, findings)
    if not rows:
        raise InputError("No case is finished yet, so there is nothing to train on.")
    _split(rows)
    _write(export, rows, mimics)
    return export


def _chosen(found: CaseReadings, reader: str | None) -> str | None:
    finished = found.finished
    if reader is not None:
        return reader if reader in finished else None
    if len(finished) > 1:
        raise InputError(
            f"Case {found.case.case_id} has the readings of {', '.join(finished)}. Say whose to take, or make a "
            "consensus first."
        )
    return next(iter(finished), None)


def _write_scan(found: CaseReadings, loaded: LoadedCase, findings: list[Reviewed], folder: Path) -> dict[str, Any]:
    case_id = found.case.case_id
    label = write_volume(reviewed_labels(findings, loaded.scan), folder / "labels" / f"{case_id}.nii.gz")
    subject = _SUBJECT.match(case_id)
    known = loaded.scan.metadata
    return {
        "scan_id": case_id, "subject_id": subject.group(1) if subject else case_id,
        "image": str(found.case.image.resolve()), "label": label.relative_to(folder).as_posix(), "dataset": "readings",
        "sequence": known.get("sequence"), "field_strength_t": known.get("field_strength_t"),
        "echo_time_ms": known.get("echo_time_ms"), "role": "real",
        "n_microbleeds": sum(finding.label > 0 for finding in findings),
    }  # fmt: skip


def _mimics(case_id: str, findings: list[Reviewed]) -> list[dict[str, Any]]:
    """What the network must learn to leave alone; unsure findings are here too, and never in a label."""
    rows = []
    for row in findings:
        if row.finding.verdict != "microbleed" and row.finding.position_ras is not None:
            place: dict[str, Any] = dict(zip(("x", "y", "z"), row.finding.position_ras, strict=True))
            said = {"verdict": row.finding.verdict, "mimic": row.finding.mimic, "score": row.score}
            rows.append({"scan_id": case_id, **place, **said})
    return rows


def _split(rows: list[dict[str, Any]]) -> None:
    subjects = sorted({row["subject_id"] for row in rows}, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    validation = set(subjects[: int(len(subjects) * VALIDATION_SHARE)])
    for row in rows:
        row["split"] = "validation" if row["subject_id"] in validation else "train"


def _write(export: TrainingExport, rows: list[dict[str, Any]], mimics: list[dict[str, Any]]) -> None:
    with atomic_output(export.manifest.with_name("mimics.csv")) as temporary:
        write_table(temporary, MIMICS, mimics)
    with atomic_output(export.manifest) as temporary:
        write_table(temporary, MANIFEST, rows)
    export.n_scans, export.n_mimics = len(rows), len(mimics)
    export.n_microbleeds = sum(int(row["n_microbleeds"]) for row in rows)
