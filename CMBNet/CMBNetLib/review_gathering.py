"""All readings of a worklist: who read which case in which round, and what is wrong with files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .errors import CMBNetError, InputError
from .readings import Readings, read_readings
from .review_consensus import Lesion, lesions_of, reading_name
from .review_loading import LoadedCase, SourceReader, read_case
from .worklist import Case, Worklist


@dataclass
class CaseReadings:
    """The readings of one case.

    Attributes
    ----------
    case : Case
    readings : dict
        Name of the reading (reader, and round from the second on) -> its content, in alphabetical order.
    problems : list of str
        Files that cannot be used.
    """

    case: Case
    readings: dict[str, Readings] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def finished(self) -> dict[str, Readings]:
        """The readings that their readers declared done."""
        return {name: reading for name, reading in self.readings.items() if reading.state.finished}


def gather(worklist: Worklist) -> list[CaseReadings]:
    """Read the readings of all cases; a damaged file is told in its case and hides nothing else."""
    return [readings_of(case) for case in worklist.cases]


def readings_of(case: Case) -> CaseReadings:
    """Read the readings of one case; those of another case in its folder are left out and told."""
    found = CaseReadings(case)
    for path in sorted((case.folder / "readings").glob("*.jsonl")):
        try:
            reading = read_readings(path)
            if reading.header.case_id != case.case_id:
                raise InputError(f"{path} holds readings of case {reading.header.case_id}.")
        except InputError as error:
            found.problems.append(f"Case {case.case_id}: {error}")
        else:
            found.readings[reading_name(reading)] = reading
    return found


def load_for(found: CaseReadings, read_source: SourceReader | None = None) -> LoadedCase:
    """Read scan and candidates of a case and check that its readings were made on them.

    Raises
    ------
    InputError
        The scan cannot be read, or a reading was made on another scan or on other candidates.
    """
    loaded = read_case(found.case, read_source)
    for name, reading in found.readings.items():
        if reading.header.fingerprint not in (None, loaded.fingerprint):
            raise InputError(f"Case {found.case.case_id}: the reading of {name} was made on another scan.")
        about = any(finding.candidate is not None for finding in reading.state.findings.values())
        if about and reading.state.source not in (None, loaded.source.name):
            raise InputError(
                f"Case {found.case.case_id}: the reading of {name} was made on the candidates of "
                f"'{reading.state.source}', not of '{loaded.source.name}'. Bring those candidates back."
            )
    return loaded


def lesions_of_case(found: CaseReadings, loaded: LoadedCase) -> list[Lesion]:
    """Join the finished readings of a case."""
    return lesions_of({name: reading.state for name, reading in found.finished.items()}, loaded.source)


def compare_cases(
    cases: Iterable[CaseReadings], read_source: SourceReader | None = None
) -> tuple[list[tuple[CaseReadings, LoadedCase, list[Lesion]]], list[str]]:
    """Join the readings of all cases that at least two readings finished.

    Returns
    -------
    list, list of str
        (readings, loaded case, lesions) of each such case, and why others were left out.
    """
    compared, problems = [], []
    for found in cases:
        problems += found.problems
        if len(found.finished) < 2:
            continue
        try:
            loaded = load_for(found, read_source)
        except CMBNetError as error:
            problems.append(str(error))
        else:
            compared.append((found, loaded, lesions_of_case(found, loaded)))
    return compared, problems


