"""Finished readings as training data: images, labels and the manifest that `cmbnet train` reads."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CMBNetError, InputError
from .files import atomic_output
from .review_gathering import CaseReadings, load_for
from .review_loading import SourceReader
from .review_results import Reviewed, reviewed_findings, reviewed_labels, write_table
from .volume import Volume, read_labels, write_volume
from .wording import number_of

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
            f"{number_of(self.n_scans, 'scan')} with {number_of(self.n_microbleeds, 'microbleed')} and "
            f"{number_of(self.n_mimics, 'rejected or unsure finding')}: {self.manifest}"
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
        Name of the reading to take (`review_consensus.reading_name`); without it, the only one a case has, or the
        consensus of several.

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
            teaching = _teaching(found, reader, read_source)
            if teaching is not None:
                rows.append(_write_scan(found, teaching, export.manifest.parent))
                mimics += teaching.mimics
        except CMBNetError as error:
            export.problems.append(str(error))
    if not rows:
        raise InputError("No case is finished yet, so there is nothing to train on.")
    _split(rows)
    _write(export, rows, mimics)
    return export


@dataclass(frozen=True)
class _Teaching:
    """What a network may learn from a case: labels of microbleeds, and what it must leave alone."""

    scan: Volume
    labels: Volume
    mimics: list[dict[str, Any]]


def _teaching(found: CaseReadings, reader: str | None, read_source: SourceReader | None) -> _Teaching | None:
    finished = found.finished
    name = reader if reader is not None else next(iter(finished), None)
    if name not in finished:
        return None
    if reader is None and len(finished) > 1:
        return _of_consensus(found, read_source)
    loaded = load_for(found, read_source)
    findings = reviewed_findings(finished[name].state, loaded.source, loaded.scan)
    return _Teaching(loaded.scan, reviewed_labels(findings, loaded.scan), _mimics(found.case.case_id, findings))


def _of_consensus(found: CaseReadings, read_source: SourceReader | None) -> _Teaching:
    case = found.case
    mask, table = case.derived("consensus", "mask.nii.gz"), case.derived("consensus", "microbleeds.csv")
    if not mask.exists() or not table.exists():
        raise InputError(
            f"Case {case.case_id} has the readings of {', '.join(found.finished)}. Say whose to take, or make a "
            "consensus first."
        )
    with open(table, encoding="utf-8", newline="") as stream:
        lesions = list(csv.DictReader(stream))
    undecided = sum(row["verdict"] == "open" for row in lesions)
    if undecided:
        raise InputError(f"Case {case.case_id} is left out: {number_of(undecided, 'lesion')} still to adjudicate.")
    columns = {"x": "r_mm", "y": "a_mm", "z": "s_mm", "verdict": "verdict", "mimic": "mimic"}
    mimics = [
        {"scan_id": case.case_id, **{name: row[column] for name, column in columns.items()}}
        for row in lesions
        if row["verdict"] != "microbleed"
    ]
    return _Teaching(load_for(found, read_source).scan, read_labels(mask), mimics)


def _write_scan(found: CaseReadings, teaching: _Teaching, folder: Path) -> dict[str, Any]:
    case_id = found.case.case_id
    label = write_volume(teaching.labels, folder / "labels" / f"{case_id}.nii.gz")
    subject = _SUBJECT.match(case_id)
    known = teaching.scan.metadata
    n_microbleeds = int(np.count_nonzero(np.unique(teaching.labels.array)))
    return {
        "scan_id": case_id, "subject_id": subject.group(1) if subject else case_id,
        "image": str(found.case.image.resolve()), "label": label.relative_to(folder).as_posix(), "dataset": "readings",
        "sequence": known.get("sequence"), "field_strength_t": known.get("field_strength_t"),
        "echo_time_ms": known.get("echo_time_ms"), "role": "real" if n_microbleeds else "negative",
        "n_microbleeds": n_microbleeds,
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
