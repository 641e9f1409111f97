"""How far each case of a worklist is: the rows of the table a reader chooses from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import InputError
from .reading_events import candidate_of
from .reading_state import ReadingState
from .readings import read_readings, readings_path
from .worklist import Case

STATUSES = ("missing", "new", "started", "finished", "damaged")
FILTERS = ("all", "to do", "new", "started", "finished", "missing")


@dataclass(frozen=True)
class CaseStatus:
    """One row of the table.

    Attributes
    ----------
    case_id, status, reader : str
        Status is one of `STATUSES`.
    candidates : int or None
        Candidates and added points; None before any detection.
    decided : int
        Of these, how many have a verdict.
    minutes : float
        Time the reader spent on the case.
    message : str
        What is wrong with the case, if anything.
    """

    case_id: str
    status: str
    reader: str = ""
    candidates: int | None = None
    decided: int = 0
    minutes: float = 0.0
    message: str = ""


def case_status(case: Case, reader: str, round_number: int = 1, *, blinded: bool = False) -> CaseStatus:
    """Look up how far ``reader`` is with a case; never raises, since one damaged file must not hide the others.

    A blinded reader is not told how many candidates there are before they are revealed.
    """
    if not case.image.exists():
        return CaseStatus(case.case_id, "missing", message=f"{case.image} is missing")
    count = None if blinded else count_candidates(case)
    path = readings_path(case.folder, reader, round_number)
    if not path.exists():
        return CaseStatus(case.case_id, "new", reader, count)
    try:
        state = read_readings(path).state
    except InputError as error:
        return CaseStatus(case.case_id, "damaged", reader, count, message=str(error))
    return status_of(case.case_id, reader, state, count_candidates(case) if state.revealed else count)


def status_of(case_id: str, reader: str, state: ReadingState, n_candidates: int | None) -> CaseStatus:
    """Return the row of a case from what was read so far."""
    own = [found for found in state.findings.values() if candidate_of(found.key) is None and found.present]
    decided = sum(found.decided for found in state.findings.values() if found.present or found.candidate is not None)
    total = n_candidates + len(own) if n_candidates is not None else (len(own) or None)
    status = "finished" if state.finished else ("started" if state.findings or state.seconds else "new")
    return CaseStatus(case_id, status, reader, total, decided, round(state.seconds / 60.0, 2))


def count_candidates(case: Case) -> int | None:
    """Return how many candidates our detection file of the case holds; None without one."""
    try:
        content = json.loads(case.detection.read_text(encoding="utf-8"))
        return len(content["candidates"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def filter_statuses(rows: Iterable[CaseStatus], name: str = "all", search: str = "") -> list[CaseStatus]:
    """Return the rows that a filter of `FILTERS` and a search text let through.

    The search looks at case id, status and message, without regard to case; several words must all occur.

    Raises
    ------
    InputError
        Unknown filter.
    """
    if name not in FILTERS:
        raise InputError(f"Unknown filter '{name}'. Choose one of: {', '.join(FILTERS)}.")
    words = search.lower().split()
    return [row for row in rows if _passes(row, name) and _holds(row, words)]


def _passes(row: CaseStatus, name: str) -> bool:
    if name == "all":
        return True
    if name == "to do":
        return row.status in ("new", "started")
    if name == "missing":
        return row.status in ("missing", "damaged")
    return row.status == name


def _holds(row: CaseStatus, words: list[str]) -> bool:
    text = f"{row.case_id} {row.status} {row.message}".lower()
    return all(word in text for word in words)
