"""A study of readers: agreement, consensus, each reader against a reference, help by the detector, time a case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from CMBNetLib.errors import InputError

from .comparison import compare_models
from .consensus import votes_of
from .detection_metrics import detection_metrics
from .estimates import CrossedBootstrap, SubjectBootstrap
from .lesions import LesionSet, lesions_from_points
from .pairs import Pair, subject_of
from .reader_agreement import group_agreement, kinds_of_pairs, pair_agreement
from .reading_files import MODEL, REFERENCE, Reading, reading_of_lesions
from .rules import MatchingRule
from .scan_evaluation import EvaluationSettings, compare
from .scan_result import ScanResult
from .sites import Sites, join_marks

CONDITIONS = {False: "without assistance", True: "with assistance"}


@dataclass(frozen=True)
class ReaderStudy:
    """What was measured.

    Attributes
    ----------
    readings
        Of the readers only.
    pairs
        One entry for each two raters: ``kind``, ``first``, ``second`` and what `pair_agreement` gives.
    groups
        `group_agreement` of all readers, by condition.
    panel
        The raters whose votes make the consensus, by the condition they read in.
    votes
        One row for each place, see `votes_of`.
    against_reference
        `detection_metrics` of each rater; empty without references.
    assistance
        `compare_models` of the same readers and cases without and with assistance, its intervals by drawing readers
        and subjects (subjects alone where there is one reader); None where there are not both.
    times
        Seconds a case, by condition and rater, and the difference.
    others
        What the model and the reference mark, as readings.
    """

    readings: tuple[Reading, ...]
    pairs: tuple[dict[str, Any], ...]
    groups: dict[str, dict[str, Any]]
    panel: tuple[str, ...]
    votes: tuple[dict[str, Any], ...]
    against_reference: dict[str, dict[str, Any]] = field(default_factory=dict)
    assistance: dict[str, Any] | None = None
    times: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: tuple[Reading, ...] = ()


def measure_study(
    readings: Sequence[Reading],
    settings: EvaluationSettings,
    *,
    predictions: Mapping[str, LesionSet] | None = None,
    references: Mapping[str, LesionSet] | None = None,
) -> ReaderStudy:
    """Measure everything; ``predictions`` and ``references`` are by case, where there are any.

    Raises
    ------
    InputError
        The rule is not about distances in mm.
    """
    check_rule(settings.rule)
    others = {MODEL: predictions or {}, REFERENCE: references or {}}
    everyone = [*readings]
    for rater, lesions in others.items():
        everyone += [reading_of_lesions(case, rater, lesions[case]) for case in _cases(readings) if case in lesions]
    sites = _sites(everyone, settings.rule.limit)
    panel = consensus_panel(readings)
    results = _results(everyone, references or {}, settings)
    return ReaderStudy(
        tuple(readings),
        tuple(_pairs(everyone, sites, settings.rule)),
        _groups(readings, sites),
        panel,
        tuple(row for case in sorted(sites) for row in votes_of(sites[case], panel)),
        {rater: _detection(own) for rater, own in results.items() if rater != REFERENCE},
        _assistance(readings, results),
        reading_times(readings),
        tuple(everyone[len(readings) :]),
    )


def check_rule(rule: MatchingRule) -> None:
    """Refuse rules that readings, which are points, cannot be compared by."""
    if rule.criterion != "distance" or rule.unit != "mm":
        raise InputError(
            f"Readings are compared by the distance of places in mm, which the rule '{rule.name}' does not; "
            "choose distance-5mm or distance-3mm."
        )


def consensus_panel(readings: Sequence[Reading]) -> tuple[str, ...]:
    """First-round readers without assistance; with it, where fewer than two read without."""
    for assisted in (False, True):
        raters = {reading.rater for reading in readings if reading.round == 1 and reading.assisted is assisted}
        if len(raters) >= 2:
            return tuple(sorted(raters))
    return tuple(sorted({reading.rater for reading in readings if reading.round == 1}))


def reading_times(readings: Sequence[Reading]) -> dict[str, dict[str, Any]]:
    """Seconds a case: mean, median and number, by condition and by rater, and the mean paired difference."""
    timed = [reading for reading in readings if reading.seconds is not None]
    times = {}
    for assisted, name in CONDITIONS.items():
        own = [reading for reading in timed if reading.assisted is assisted]
        if own:
            times[name] = _time(own)
    for rater in sorted({reading.rater for reading in timed}):
        times[rater] = _time([reading for reading in timed if reading.rater == rater])
    pairs = both_conditions(timed)
    if pairs:
        bootstrap = SubjectBootstrap([subject_of(before.case_id) for before, _after in pairs])
        difference = np.array([(after.seconds or 0.0) - (before.seconds or 0.0) for before, after in pairs])
        times["with minus without assistance"] = {
            "readings": len(pairs), "mean_s": bootstrap.mean(difference), "median_s": bootstrap.median(difference),
        }  # fmt: skip
    return times


def _time(readings: Sequence[Reading]) -> dict[str, Any]:
    bootstrap = SubjectBootstrap([subject_of(reading.case_id) for reading in readings])
    seconds = np.array([reading.seconds for reading in readings], dtype=float)
    return {"readings": len(readings), "mean_s": bootstrap.mean(seconds), "median_s": bootstrap.median(seconds)}


def _cases(readings: Sequence[Reading]) -> list[str]:
    return sorted({reading.case_id for reading in readings})


def _sites(everyone: Sequence[Reading], limit_mm: float) -> dict[str, Sites]:
    by_case: dict[str, list[Reading]] = defaultdict(list)
    for reading in everyone:
        by_case[reading.case_id].append(reading)
    return {case: join_marks(own, limit_mm) for case, own in by_case.items()}


def _pairs(everyone: Sequence[Reading], sites: Mapping[str, Sites], rule: MatchingRule) -> list[dict[str, Any]]:
    by_rater: dict[str, dict[str, Reading]] = defaultdict(dict)
    for reading in everyone:
        by_rater[reading.rater][reading.case_id] = reading
    entries = []
    for kind, first, second in kinds_of_pairs(everyone):
        if set(by_rater[first]) & set(by_rater[second]):
            agreement = pair_agreement(by_rater[first], by_rater[second], sites, rule)
            entries.append({"kind": kind, "first": first, "second": second, **agreement})
    return entries


def _groups(readings: Sequence[Reading], sites: Mapping[str, Sites]) -> dict[str, dict[str, Any]]:
    groups = {}
    for assisted, name in CONDITIONS.items():
        raters = sorted({r.rater for r in readings if r.round == 1 and r.assisted is assisted})
        group = group_agreement(raters, sites) if len(raters) >= 2 else None
        if group is not None:
            groups[name] = group
    return groups


def _results(
    everyone: Sequence[Reading], references: Mapping[str, LesionSet], settings: EvaluationSettings
) -> dict[str, list[ScanResult]]:
    """Each reading against the reference of its case; what a reader is unsure about is no call."""
    results: dict[str, list[ScanResult]] = defaultdict(list)
    for reading in everyone:
        if reading.case_id in references:
            called = lesions_from_points(reading.positions_ras[reading.votes == 1])
            pair = Pair(reading.case_id, subject_of(reading.case_id))
            reference = _as_points(references[reading.case_id])
            results[reading.rater].append(compare(pair, called, reference, settings))
    return results


def _as_points(lesions: LesionSet) -> LesionSet:
    """Places of a reference alone: a reader's call has no voxels to share with it."""
    points = lesions_from_points(lesions.centers_ras, ids=lesions.ids, attributes=lesions.attributes)
    points.ignore[:] = lesions.ignore
    return points


def _detection(results: Sequence[ScanResult]) -> dict[str, Any]:
    return detection_metrics(results, SubjectBootstrap([result.subject_id for result in results]))


def both_conditions(readings: Sequence[Reading]) -> list[tuple[Reading, Reading]]:
    """(without, with) of each reader and case, of the first round that has it."""
    first: dict[tuple[str, str, bool], Reading] = {}
    for reading in sorted(readings, key=lambda reading: reading.round):
        first.setdefault((reading.reader, reading.case_id, reading.assisted), reading)
    keys = sorted({(reader, case) for reader, case, _assisted in first})
    pairs = [(first.get((*key, False)), first.get((*key, True))) for key in keys]
    return [(before, after) for before, after in pairs if before is not None and after is not None]


def _assistance(readings: Sequence[Reading], results: Mapping[str, list[ScanResult]]) -> dict[str, Any] | None:
    """The same readers on the same cases without and with assistance.

    The permutation test swaps all readings of a subject together and speaks of these readers; the intervals draw
    readers too, as a study of several readers and cases asks for.
    """
    of_reading = {(rater, result.scan_id): result for rater, own in results.items() for result in own}
    sides: tuple[list[ScanResult], list[ScanResult]] = ([], [])
    for pair in both_conditions(readings):
        found = [of_reading.get((reading.rater, reading.case_id)) for reading in pair]
        for side, result in zip(sides, found, strict=True):
            if None not in found and result is not None:
                name = f"{result.scan_id}/{pair[0].reader}"
                side.append(ScanResult(**{**vars(result), "scan_id": name}))
    return compare_models(*sides, make_bootstrap=_draw_readings) if sides[0] else None


def _draw_readings(results: Sequence[ScanResult]) -> SubjectBootstrap:
    """Readers and subjects; the names of the scans end with the reader."""
    subjects, readers = [r.subject_id for r in results], [r.scan_id.rpartition("/")[2] for r in results]
    return CrossedBootstrap(subjects, readers) if len(set(readers)) > 1 else SubjectBootstrap(subjects)
