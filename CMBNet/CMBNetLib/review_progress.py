"""How far the annotation of a worklist is: cases, decisions, hours and agreement, by reader and by case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .reading_events import VERDICTS
from .readings import Readings
from .review_agreement import Agreement, agreements
from .review_consensus import Lesion
from .review_gathering import CaseReadings
from .wording import number_of


@dataclass(frozen=True)
class ReadingProgress:
    """One reading of one case.

    Attributes
    ----------
    name : str
        Reader, and round from the second on.
    mode : str
        Mode of the last decision.
    finished : bool
    microbleeds, rejected, unsure : int
        Decided findings by verdict.
    seconds : float
    """

    name: str
    mode: str
    finished: bool
    microbleeds: int
    rejected: int
    unsure: int
    seconds: float

    @property
    def decisions(self) -> int:
        """Findings with a verdict."""
        return self.microbleeds + self.rejected + self.unsure


@dataclass(frozen=True)
class CaseProgress:
    """One case and its readings."""

    case_id: str
    readings: tuple[ReadingProgress, ...]


@dataclass(frozen=True)
class AnnotationProgress:
    """The whole worklist.

    Attributes
    ----------
    cases : tuple of CaseProgress
        All of them, also those that nobody has read.
    agreements : tuple of Agreement
    problems : tuple of str
    """

    cases: tuple[CaseProgress, ...]
    agreements: tuple[Agreement, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def names(self) -> list[str]:
        """The readings that occur, in alphabetical order."""
        return sorted({reading.name for case in self.cases for reading in case.readings})

    def of(self, name: str) -> list[ReadingProgress]:
        """All cases of one reading."""
        return [reading for case in self.cases for reading in case.readings if reading.name == name]

    @property
    def summary(self) -> str:
        """The state in one sentence."""
        everything = [reading for case in self.cases for reading in case.readings]
        done = sum(any(reading.finished for reading in case.readings) for case in self.cases)
        hours = sum(reading.seconds for reading in everything) / 3600
        decisions = sum(reading.decisions for reading in everything)
        cases, made = number_of(len(self.cases), "case"), number_of(decisions, "decision")
        return f"{done} of {cases} finished, {made} in {hours:.1f} h."


def progress_of(
    cases: Iterable[CaseReadings], compared: Iterable[Sequence[Lesion]] = (), problems: Sequence[str] = ()
) -> AnnotationProgress:
    """Count what was read.

    Parameters
    ----------
    cases : iterable of CaseReadings
    compared : iterable of sequences of Lesion
        The cases that several finished, for the agreement.
    problems : sequence of str
        What could not be used.
    """
    rows = [
        CaseProgress(each.case.case_id, tuple(_reading(name, reading) for name, reading in each.readings.items()))
        for each in cases
    ]
    return AnnotationProgress(tuple(rows), tuple(agreements(compared)), tuple(problems))


def _reading(name: str, reading: Readings) -> ReadingProgress:
    present = [found for found in reading.state.findings.values() if found.present]
    microbleeds, rejected, unsure = (sum(found.verdict == verdict for found in present) for verdict in VERDICTS)
    mode = next((event.mode for event in reversed(reading.events) if event.kind == "decide"), "")
    return ReadingProgress(name, mode, reading.state.finished, microbleeds, rejected, unsure, reading.state.seconds)
