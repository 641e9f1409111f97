"""From the disagreements of readers to a worklist for an adjudicator, and from there to one consensus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .files import atomic_output
from .readings import read_readings, readings_path
from .review_consensus import Lesion, disagreements, with_rulings
from .review_gathering import CaseReadings, compare_cases
from .review_loading import LoadedCase, SourceReader
from .review_results import equivalent_diameter_mm, with_outline, write_table
from .review_terms import ReviewTerms
from .volume import Volume, write_volume
from .wording import number_of
from .worklist import OUTPUT_FOLDER, Worklist, write_csv_worklist

COLUMNS = (
    "schema_version", "case_id", "lesion", "label", "verdict", "decided_by", "certainty", "mimic", "zone", "region",
    "r_mm", "a_mm", "s_mm", "n_voxels", "volume_mm3", "equivalent_diameter_mm", "votes",
)  # fmt: skip
POINT_COLUMNS = ("id", "x", "y", "z")
VOTE_COLUMNS = ("case_id", "lesion", "r_mm", "a_mm", "s_mm", "reader", "verdict", "certainty", "mimic", "comment")
SCHEMA_VERSION = "1.0"


@dataclass
class Consensus:
    """What came of joining the readings of a worklist.

    Attributes
    ----------
    masks : list of Path
        The consensus mask of each case that two or more readings finished.
    n_lesions, n_open : int
        Lesions in all; those that neither a majority nor the adjudicator decided.
    n_disagreements : int
        Lesions on which the readers differ.
    worklist : Path or None
        The worklist for the adjudicator; None if all agree.
    problems : list of str
        Cases and files that were left out.
    """

    masks: list[Path] = field(default_factory=list)
    n_lesions: int = 0
    n_open: int = 0
    n_disagreements: int = 0
    worklist: Path | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        if not self.masks:
            return "No case has been finished by two readings yet, so there is nothing to join."
        joined, lesions = number_of(len(self.masks), "case"), number_of(self.n_lesions, "lesion")
        text = f"{joined} joined: {lesions}, {number_of(self.n_disagreements, 'disagreement')}"
        return f"{text}, {self.n_open} of them open." if self.n_open else f"{text}, none of them open."


def build_consensus(
    cases: Iterable[CaseReadings],
    folder: Path,
    terms: ReviewTerms,
    read_source: SourceReader | None = None,
    adjudicator: str | None = None,
) -> Consensus:
    """Join the readings of all cases, write the consensus of each and a worklist of the disagreements.

    Parameters
    ----------
    cases : iterable of CaseReadings
    folder : Path
        Gets ``worklist.csv`` for the adjudicator, ``candidates/<case>.csv`` (the points to look at) and ``votes.csv``
        (who said what; the adjudicator need not see it).
    adjudicator : str, optional
        Reader whose decisions on that worklist settle the disagreements.

    Raises
    ------
    InputError
        A folder cannot be written.
    """
    compared, problems = compare_cases(cases, read_source)
    result = Consensus(problems=problems)
    open_cases = []
    votes: list[dict[str, Any]] = []
    for found, loaded, joined in compared:
        lesions = _ruled(found, joined, folder, adjudicator)
        result.masks.append(_write_case(found, loaded, lesions, terms))
        result.n_lesions += len(lesions)
        result.n_open += sum(lesion.verdict is None for lesion in lesions)
        differing = disagreements(joined)
        result.n_disagreements += len(differing)
        if differing:
            open_cases.append(_case_to_settle(found, differing, folder))
            votes += _votes(found.case.case_id, differing)
    if open_cases:
        result.worklist = write_csv_worklist(folder / "worklist.csv", open_cases)
        with atomic_output(folder / "votes.csv") as temporary:
            write_table(temporary, VOTE_COLUMNS, votes)
    return result


def _ruled(found: CaseReadings, lesions: list[Lesion], folder: Path, adjudicator: str | None) -> list[Lesion]:
    if adjudicator is None:
        return lesions
    path = readings_path(folder / OUTPUT_FOLDER / found.case.case_id, adjudicator)
    return with_rulings(lesions, read_readings(path).state) if path.exists() else lesions


def _case_to_settle(found: CaseReadings, lesions: Sequence[Lesion], folder: Path) -> Any:
    points = folder / "candidates" / f"{found.case.case_id}.csv"
    rows = [dict(zip(POINT_COLUMNS, (n.number, *n.point_ras), strict=True)) for n in lesions]
    with atomic_output(points) as temporary:
        write_table(temporary, POINT_COLUMNS, rows)
    return replace(found.case, candidates=points, notes=f"{len(lesions)} to settle")


def _votes(case_id: str, lesions: Sequence[Lesion]) -> list[dict[str, Any]]:
    rows = []
    for lesion in lesions:
        place = dict(zip(("r_mm", "a_mm", "s_mm"), lesion.point_ras, strict=True))
        for reader in lesion.readers:
            said = lesion.said.get(reader)
            details = {name: getattr(said, name, None) for name in ("certainty", "mimic", "comment")}
            rows.append(
                {"case_id": case_id, "lesion": lesion.number, "reader": reader, "verdict": lesion.verdict_of(reader)}
                | place
                | details
            )
    return rows


def _write_case(found: CaseReadings, loaded: LoadedCase, lesions: Sequence[Lesion], terms: ReviewTerms) -> Path:
    """Write mask and table of one case; microbleeds are numbered from 1 in the mask."""
    scan, labels = loaded.scan, np.zeros(loaded.scan.array.shape, np.uint16)
    rows = []
    number = 0
    for lesion in lesions:
        n_voxels = 0
        if lesion.verdict == "microbleed":
            number += 1
            n_voxels = _paste(lesion, labels, number, scan)
        rows.append(_row(found.case.case_id, lesion, number if n_voxels else 0, n_voxels, scan, terms))
    mask = found.case.derived("consensus", "mask.nii.gz")
    with atomic_output(found.case.derived("consensus", "microbleeds.csv")) as temporary:
        write_volume(scan.with_array(labels), mask)
        write_table(temporary, COLUMNS, rows)
    return mask


def _paste(lesion: Lesion, labels: np.ndarray, number: int, scan: Volume) -> int:
    mask = lesion.outline()
    if mask is None:
        first = next(iter(lesion.said.values()))
        mask = with_outline(replace(first, moved_to_ras=lesion.point_ras, outline_removed=False), scan)[0].mask
    if mask is None:
        return 0
    try:
        mask.paste(labels, number)
    except InputError as error:
        raise InputError(f"Lesion {lesion.number}: {error}") from error
    return mask.n_voxels


def _row(case_id: str, lesion: Lesion, label: int, n_voxels: int, scan: Volume, terms: ReviewTerms) -> dict[str, Any]:
    sites = {site.id: site for site in terms.taxonomy.sites}
    region = lesion.most_said("region")
    return {
        "schema_version": SCHEMA_VERSION, "case_id": case_id, "lesion": lesion.number, "label": label,
        "verdict": lesion.verdict or "open", "decided_by": lesion.decided_by,
        "certainty": lesion.most_said("certainty"), "mimic": lesion.most_said("mimic"), "region": region,
        "zone": sites[region].zone if region in sites else None,
        **dict(zip(("r_mm", "a_mm", "s_mm"), lesion.point_ras, strict=True)), "n_voxels": n_voxels,
        "volume_mm3": round(n_voxels * scan.voxel_volume_mm3, 3),
        "equivalent_diameter_mm": round(equivalent_diameter_mm(n_voxels, scan), 3),
        "votes": "; ".join(f"{reader}: {lesion.verdict_of(reader)}" for reader in lesion.readers),
    }  # fmt: skip


def adjudication_folder(worklist: Worklist) -> Path:
    """Return where the adjudicator's worklist is kept by default."""
    return worklist.output_folder / "adjudication"
