"""How well raters agree: pair by pair on lesions and places, and all readers together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from .agreement import cohen_kappa, fleiss_kappa, gwet_ac1, rating_sums
from .counting import agreement_of_counts
from .estimates import SubjectBootstrap
from .lesions import lesions_from_points
from .matching import match, relate
from .pairs import subject_of
from .reading_files import MODEL, REFERENCE, Reading
from .rules import MatchingRule
from .sites import Sites

_COUNTS = ("icc_agreement", "bias", "limit_low", "limit_high")


@dataclass(frozen=True)
class PairOnCase:
    """Two raters on one case: lesions both mark, those only one marks, and how far the common ones lie apart."""

    both: int
    only_first: int
    only_second: int
    distances_mm: tuple[float, ...] = ()
    dices: tuple[float, ...] = ()


def compare_readings(first: Reading, second: Reading, rule: MatchingRule) -> PairOnCase:
    """Match the microbleeds of two raters one to one.

    A microbleed that the other rater is unsure about counts neither as common nor as marked by one only.
    """
    a, b = np.flatnonzero(first.votes == 1), np.flatnonzero(second.votes == 1)
    doubt_a, doubt_b = np.flatnonzero(np.isnan(first.votes)), np.flatnonzero(np.isnan(second.votes))
    columns = np.concatenate([b, doubt_b])
    relation = relate(_points(first, a), _points(second, columns), rule)
    matching = match(relation, np.arange(len(columns)) >= len(b), rule)
    pairs = [(a[row], b[column]) for row, column in enumerate(matching.reference_of) if column >= 0]
    excused_b = relate(_points(first, doubt_a), _points(second, b), rule).allowed.any(axis=0)
    found = np.isin(b, [partner for _own, partner in pairs])
    distances = [float(np.linalg.norm(first.positions_ras[i] - second.positions_ras[j])) for i, j in pairs]
    dices = [_dice(first.cells[i], second.cells[j]) for i, j in pairs if _both_outlined(first, second, i, j)]
    return PairOnCase(
        len(pairs),
        int(((matching.reference_of < 0) & ~matching.excused).sum()),
        int((~found & ~excused_b).sum()),
        tuple(distances),
        tuple(dices),
    )


def pair_agreement(
    first: Mapping[str, Reading], second: Mapping[str, Reading], sites: Mapping[str, Sites], rule: MatchingRule
) -> dict[str, Any]:
    """Agreement of two raters on the cases both read.

    Returns
    -------
    dict
        ``cases``, ``both``, ``only_first``, ``only_second`` (lesions) and the estimates ``f1`` (2 both / (2 both +
        only first + only second)), ``cohen_kappa`` and ``gwet_ac1`` over places, ``distance_mm`` and ``dice`` of
        common lesions, and of the counts ``icc_agreement``, ``bias`` (first minus second) with limits of agreement.
    """
    cases = sorted(set(first) & set(second))
    found = [compare_readings(first[case], second[case], rule) for case in cases]
    bootstrap = SubjectBootstrap([subject_of(case) for case in cases])
    both = np.array([entry.both for entry in found], dtype=float)
    alone = np.array([entry.only_first + entry.only_second for entry in found], dtype=float)
    ratings = [sites[case].of([first[case].rater, second[case].rater]) for case in cases]
    tables, sums = np.array([_table(rating) for rating in ratings]), np.array([rating_sums(r) for r in ratings])
    counts = [np.array([float(side[case].n_microbleeds) for case in cases]) for side in (first, second)]
    agreement = agreement_of_counts(counts[0], counts[1], bootstrap)
    return {
        "cases": len(cases),
        "both": int(both.sum()),
        "only_first": sum(entry.only_first for entry in found),
        "only_second": sum(entry.only_second for entry in found),
        "f1": bootstrap.ratio(2 * both, 2 * both + alone),
        "cohen_kappa": bootstrap.weighted(lambda weights: cohen_kappa(tables, weights), int(tables.sum())),
        "gwet_ac1": bootstrap.weighted(lambda weights: gwet_ac1(sums, weights), int(sums[:, 0].sum())),
        "distance_mm": bootstrap.ratio(np.array([sum(entry.distances_mm) for entry in found]), both),
        "dice": bootstrap.ratio(_sums(entry.dices for entry in found), _lengths(entry.dices for entry in found)),
        **{name: agreement[name] for name in _COUNTS},
    }


def group_agreement(raters: Sequence[str], sites: Mapping[str, Sites]) -> dict[str, Any] | None:
    """Fleiss' kappa and Gwet's AC1 of several readers over the places of all cases that two of them read."""
    ratings = []
    cases = []
    for case, places in sorted(sites.items()):
        own = [name for name in raters if name in places.raters]
        if len(own) >= 2:
            cases.append(case)
            ratings.append(rating_sums(places.of(own)))
    if not cases:
        return None
    sums = np.array(ratings)
    bootstrap = SubjectBootstrap([subject_of(case) for case in cases])
    items = int(sums[:, 0].sum())
    return {
        "readers": len(raters),
        "cases": len(cases),
        "places": items,
        "fleiss_kappa": bootstrap.weighted(lambda weights: fleiss_kappa(sums, weights), items),
        "gwet_ac1": bootstrap.weighted(lambda weights: gwet_ac1(sums, weights), items),
        "agreeing_pairs": bootstrap.ratio(sums[:, 1], sums[:, 0]),
    }


def kinds_of_pairs(readings: Sequence[Reading]) -> list[tuple[str, str, str]]:
    """(kind, first rater, second rater) of all comparisons that mean something."""
    about = {reading.rater: reading for reading in readings}
    pairs = []
    for one, other in combinations(sorted(about), 2):
        kind = _kind(about[one], about[other])
        if kind:
            # The model or reference stands second, so that differences are reader minus model.
            first, second = (other, one) if one in (MODEL, REFERENCE) and other != REFERENCE else (one, other)
            pairs.append((kind, first, second))
    return sorted(pairs)


def _kind(one: Reading, other: Reading) -> str:
    raters = {one.rater, other.rater}
    if REFERENCE in raters:
        return "with the reference"
    if MODEL in raters:
        return "with the model"
    if one.reader != other.reader:
        same = one.round == other.round and one.assisted == other.assisted
        return "between readers" if same else ""
    if one.assisted == other.assisted:
        return "between rounds"
    return "without and with assistance" if one.round == other.round else ""


def _points(reading: Reading, chosen: np.ndarray) -> Any:
    return lesions_from_points(reading.positions_ras[chosen])


def _table(ratings: np.ndarray) -> np.ndarray:
    """(2, 2) places by the answers of two raters; places one of them is unsure about are left out."""
    table = np.zeros((2, 2))
    known = ratings[np.isfinite(ratings).all(axis=1)].astype(int)
    np.add.at(table, (known[:, 0], known[:, 1]), 1)
    return table


def _both_outlined(first: Reading, second: Reading, i: int, j: int) -> bool:
    return first.cells[i] is not None and second.cells[j] is not None


def _dice(first: np.ndarray | None, second: np.ndarray | None) -> float:
    one, other = ({tuple(cell) for cell in cells.tolist()} for cells in (first, second) if cells is not None)
    return 2.0 * len(one & other) / (len(one) + len(other))


def _sums(values: Any) -> np.ndarray:
    return np.array([sum(entry) for entry in values], dtype=float)


def _lengths(values: Any) -> np.ndarray:
    return np.array([len(entry) for entry in values], dtype=float)
