"""The readings of a study: what each reader marked on each case, without and with the detector's help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from CMBNetLib.errors import InputError
from CMBNetLib.reading_events import Event
from CMBNetLib.reading_state import Finding, fold
from CMBNetLib.readings import Readings, read_readings

from .lesions import LesionSet, array_shape
from .sparse_mask import coordinates

MODEL, REFERENCE = "model", "reference"
_VOTES = {"microbleed": 1.0, "not": 0.0, "unsure": np.nan}


@dataclass(frozen=True, eq=False)
class Reading:
    """The marks of one rater on one case.

    Attributes
    ----------
    case_id
        Which scan was read.
    rater
        Reader with round and ``assisted``, or `MODEL`, or `REFERENCE`; one rater reads a case once.
    reader, round
        As in the readings file.
    assisted
        The reader saw the detector's candidates.
    positions_ras
        (N, 3) RAS mm.
    votes
        (N,) 1 a microbleed, 0 something else, NaN unsure.
    cells
        (n, 3) voxels i, j, k of each outline, None where there is none.
    seconds
        Time spent on the case up to the end of this reading; None where nobody measured it.
    """

    case_id: str
    rater: str
    reader: str
    round: int
    assisted: bool
    positions_ras: np.ndarray
    votes: np.ndarray
    cells: tuple[np.ndarray | None, ...] = field(default=())
    seconds: float | None = None

    @property
    def n_microbleeds(self) -> int:
        """How many places the rater calls microbleeds."""
        return int((self.votes == 1).sum())


def read_study(folder: Path) -> tuple[list[Reading], list[dict[str, str]]]:
    """All finished readings below a folder, by case and rater, and what was wrong with the others.

    A reading that showed the candidates only after a first look gives two: without and with assistance.

    Raises
    ------
    InputError
        The folder is missing or holds no reading that can be used.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    readings: list[Reading] = []
    problems: list[dict[str, str]] = []
    for path in sorted(folder.rglob("*.jsonl")):
        try:
            content = read_readings(path)
            problems += [{"scan_id": content.header.case_id, "message": text} for text in content.problems]
            readings += _phases(content, problems)
        except InputError as error:
            problems.append({"scan_id": path.stem, "message": f"Not used: {error}"})
    if not readings:
        first = f" The first problem: {problems[0]['message']}" if problems else ""
        raise InputError(f"There is no finished reading in {folder}.{first}")
    return _without_copies(sorted(readings, key=lambda r: (r.case_id, r.rater)), problems), problems


def reading_of_lesions(case_id: str, rater: str, lesions: LesionSet) -> Reading:
    """The lesions of a model or reference as a reading; ignored ones are unsure."""
    cells: list[np.ndarray | None] = [None] * len(lesions)
    if lesions.grid is not None and not lesions.from_points and len(lesions):
        order = np.argsort(lesions.owner, kind="stable")
        voxels = coordinates(lesions.voxels[order], array_shape(lesions.grid))[:, ::-1]
        cells = list(np.split(voxels, np.cumsum(lesions.n_voxels)[:-1]))
    votes = np.where(lesions.ignore, np.nan, 1.0)
    return Reading(case_id, rater, rater, 1, False, lesions.centers_ras, votes, tuple(cells))


def verdict_of(vote: float) -> str:
    """``microbleed``, ``not`` or ``unsure``."""
    return next((name for name, value in _VOTES.items() if value == vote), "unsure")


def rater_name(reader: str, round_number: int, assisted: bool) -> str:
    """``anna``, ``anna round 2``, ``anna assisted``."""
    return reader + (f" round {round_number}" if round_number > 1 else "") + (" assisted" if assisted else "")


def _phases(content: Readings, problems: list[dict[str, str]]) -> list[Reading]:
    """Without assistance: up to the moment the candidates were shown; with it: the whole file."""
    events = content.events
    shown = next((number for number, event in enumerate(events) if event.kind == "reveal"), None)
    # What was decided in concurrent mode was decided with the candidates in view.
    blind = [event.mode for event in events[:shown]].count("concurrent") == 0
    parts: list[tuple[Sequence[Event], bool]] = []
    if blind and (shown is not None or content.state.finished):
        parts.append((events[:shown], False))
    if (shown is not None or not blind) and content.state.finished:
        parts.append((events, True))
    if not content.state.finished:
        text = f"{content.path.name} is not finished" + ("; only its first look is used." if parts else "; not used.")
        problems.append({"scan_id": content.header.case_id, "message": text})
    return [_reading(content, part, assisted) for part, assisted in parts]


def _reading(content: Readings, events: Sequence[Event], assisted: bool) -> Reading:
    header, state = content.header, fold(events)
    marks = [found for found in state.findings.values() if _counts(found)]
    return Reading(
        header.case_id,
        rater_name(header.reader, header.round, assisted),
        header.reader,
        header.round,
        assisted,
        np.array([found.position_ras for found in marks], dtype=float).reshape(-1, 3),
        np.array([_VOTES[found.verdict or ""] for found in marks], dtype=float),
        tuple(_cells(found) for found in marks),
        round(state.seconds, 3),
    )


def _counts(found: Finding) -> bool:
    return found.present and found.position_ras is not None and found.verdict in _VOTES


def _cells(found: Finding) -> np.ndarray | None:
    if found.mask is None:
        return None
    return np.argwhere(found.mask.array())[:, ::-1] + np.asarray(found.mask.offset_ijk)


def _without_copies(readings: Sequence[Reading], problems: list[dict[str, str]]) -> list[Reading]:
    """The first reading of each rater and case; a second file of the same is told."""
    kept: dict[tuple[str, str], Reading] = {}
    for reading in readings:
        if kept.setdefault((reading.case_id, reading.rater), reading) is not reading:
            text = f"{reading.rater} has two files of this case; the first is used."
            problems.append({"scan_id": reading.case_id, "message": text})
    return list(kept.values())
