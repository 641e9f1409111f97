"""What a reading leaves for others: the reviewed mask and table of a case."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .files import atomic_output
from .reading_state import Finding, ReadingState
from .readings import ReadingHeader
from .review_candidates import CandidateSource
from .review_edit import grow_outline
from .review_loading import LoadedCase
from .review_terms import ReviewTerms
from .volume import Volume, write_volume
from .worklist import Case

SCHEMA_VERSION = "1.0"
COLUMNS = (
    "schema_version", "case_id", "reader", "round", "mode", "finding", "candidate", "label", "verdict", "certainty",
    "mimic", "zone", "region", "r_mm", "a_mm", "s_mm", "shift_mm", "score", "outline", "n_voxels", "volume_mm3",
    "equivalent_diameter_mm", "seconds", "comment",
)  # fmt: skip


@dataclass(frozen=True)
class Reviewed:
    """A finding as it is handed on.

    Attributes
    ----------
    finding : Finding
        With the position and outline of its source where the reader left them.
    label : int
        Its value in the mask; 0 for what is no microbleed.
    outline : str
        Whose outline it is: ``reader``, ``candidate``, ``grown`` (nobody drew one, so it was grown from the position)
        or ``none``.
    score : float or None
        Of the candidate.
    """

    finding: Finding
    label: int = 0
    outline: str = "none"
    score: float | None = None


def reviewed_findings(state: ReadingState, source: CandidateSource, scan: Volume) -> list[Reviewed]:
    """Return all findings with a verdict, microbleeds first numbered from 1 in the order of the reading.

    A microbleed without an outline gets one grown from its position.
    """
    decided = [found for found in state.findings.values() if found.present and found.verdict is not None]
    rows = [_reviewed(found, source, scan) for found in decided]
    microbleeds = [row for row in rows if row.finding.verdict == "microbleed"]
    numbered = [replace(row, label=number) for number, row in enumerate(microbleeds, start=1)]
    return numbered + [row for row in rows if row.finding.verdict != "microbleed"]


def reviewed_labels(rows: Iterable[Reviewed], scan: Volume) -> Volume:
    """Return the uint16 label map of the microbleeds; a voxel that two outlines want belongs to the first."""
    labels = np.zeros(scan.array.shape, np.uint16)
    for row in rows:
        if row.label and row.finding.mask is not None:
            row.finding.mask.paste(labels, row.label, over=False)
    return scan.with_array(labels)


def write_reviewed(
    loaded: LoadedCase, header: ReadingHeader, state: ReadingState, terms: ReviewTerms
) -> tuple[Path, Path]:
    """Write ``…_desc-reviewed<Reader>Round<n>_mask.nii.gz`` and ``…_microbleeds.csv``; returns both paths.

    Raises
    ------
    InputError
        The folder cannot be written, or the table there is another reader's whose name looks the same in a file name.
    """
    rows = reviewed_findings(state, loaded.source, loaded.scan)
    mask, table = reviewed_paths(loaded.case, header)
    _check_owner(table, header)
    records = [_record(row, header, terms, loaded.scan) for row in rows]
    with atomic_output(table) as temporary:
        write_volume(reviewed_labels(rows, loaded.scan), mask)
        write_table(temporary, COLUMNS, records)
    return mask, table


def reviewed_paths(case: Case, header: ReadingHeader) -> tuple[Path, Path]:
    """Return where the reviewed mask and table of a reader and round lie; BIDS allows only letters and digits."""
    reader = "".join(part[0].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", header.reader) if part)
    description = f"reviewed{reader}Round{header.round}"
    return case.derived(description, "mask.nii.gz"), case.derived(description, "microbleeds.csv")


def write_table(path: Path, columns: Sequence[str], records: Iterable[dict[str, Any]]) -> None:
    """Write a CSV file; None becomes an empty cell."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for record in records:
            writer.writerow({name: "" if record.get(name) is None else record[name] for name in columns})


def equivalent_diameter_mm(n_voxels: int, scan: Volume) -> float:
    """Return the diameter (mm) of the sphere with the volume of so many voxels."""
    return float((6.0 * n_voxels * scan.voxel_volume_mm3 / np.pi) ** (1 / 3))


def with_outline(found: Finding, scan: Volume) -> tuple[Finding, bool]:
    """Return the finding with an outline, grown from its position if it has none, and whether it was grown."""
    if found.mask is not None or found.outline_removed or found.position_ras is None:
        return found, False
    try:
        return replace(found, mask=grow_outline(scan, found.position_ras).mask), True
    except InputError:  # the place lies outside the scan: the finding stays in the table
        return found, False


def _reviewed(found: Finding, source: CandidateSource, scan: Volume) -> Reviewed:
    candidate = source.by_id.get(found.candidate) if found.candidate is not None else None
    score = candidate.score if candidate is not None else None
    outline = "reader" if found.mask is not None else "candidate"
    found = source.complete(found)
    if found.verdict == "microbleed":
        found, grown = with_outline(found, scan)
        outline = "grown" if grown else outline
    return Reviewed(found, 0, outline if found.mask is not None else "none", score)


def _record(row: Reviewed, header: ReadingHeader, terms: ReviewTerms, scan: Volume) -> dict[str, Any]:
    found = row.finding
    sites = {site.id: site for site in terms.taxonomy.sites}
    point = found.position_ras or (None, None, None)
    n_voxels = found.mask.n_voxels if found.mask is not None else 0
    return {
        "schema_version": SCHEMA_VERSION, "case_id": header.case_id, "reader": header.reader, "round": header.round,
        "mode": found.mode, "finding": found.key, "candidate": found.candidate, "label": row.label,
        "verdict": found.verdict, "certainty": found.certainty, "mimic": found.mimic,
        "zone": sites[found.region].zone if found.region in sites else None, "region": found.region,
        **dict(zip(("r_mm", "a_mm", "s_mm"), point, strict=True)), "shift_mm": round(found.shift_mm, 3),
        "score": row.score, "outline": row.outline, "n_voxels": n_voxels,
        "volume_mm3": round(n_voxels * scan.voxel_volume_mm3, 3),
        "equivalent_diameter_mm": round(equivalent_diameter_mm(n_voxels, scan), 3),
        "seconds": round(found.seconds, 1), "comment": found.comment,
    }  # fmt: skip


def _check_owner(table: Path, header: ReadingHeader) -> None:
    if not table.exists():
        return
    with open(table, encoding="utf-8", newline="") as stream:
        first = next(csv.DictReader(stream), None)
    if first is not None and first.get("reader") not in (None, header.reader):
        raise InputError(
            f"{table.name} holds the reading of {first['reader']}, whose name looks like {header.reader} in a file "
            "name. Move that file away first."
        )
