"""Compare the prediction of one scan with its reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from CMBNetLib.errors import InputError
from CMBNetLib.volume import Grid, transform_points

from .calls import calls_of
from .lesion_places import place_lesions
from .lesion_sources import Prediction, read_decoys, read_prediction, read_reference
from .lesions import LesionSet, no_lesions
from .matching import Relation, gains_by_score, match, relate
from .pairs import Pair
from .regrid import check_same_place, regrid, same_grid
from .rules import MatchingRule
from .scan_result import Overlap, Ranking, ScanResult
from .surface import surface_distances, surface_points


@dataclass(frozen=True)
class EvaluationSettings:
    """How scans are compared.

    Attributes
    ----------
    rule
        When a prediction counts as a find.
    threshold
        Candidates with a score are called from here on; None: what the prediction itself says.
    floor
        Voxels of probability maps from here on form the candidates of the FROC.
    ignore_below_mm
        Reference lesions of a smaller equivalent diameter are ignored (sub-visible); 0: none.
    decoy_mm
        A false positive this near to a known mimic is caused by it.
    """

    rule: MatchingRule = field(default_factory=MatchingRule)
    threshold: float | None = None
    floor: float = 0.1
    ignore_below_mm: float = 0.0
    decoy_mm: float = 5.0


@dataclass(frozen=True, eq=False)
class ComparedScan:
    """A result with the lesions it was made from, for pictures; not kept beyond its scan."""

    result: ScanResult
    prediction: LesionSet
    reference: LesionSet


def evaluate_pair(pair: Pair, settings: EvaluationSettings) -> ComparedScan:
    """Read both sides of a scan, bring them together and match them.

    Raises
    ------
    InputError
        There is no reference, a file cannot be read, or the two are not of one place.
    """
    if pair.reference is None:
        raise InputError("There is no reference for this scan, so nothing can be said about its prediction.")
    warnings: list[str] = []
    prediction = Prediction(no_lesions(), None)
    if pair.prediction is not None:
        prediction = read_prediction(pair.prediction, settings.rule, floor=settings.floor, threshold=settings.threshold)
    reference = read_reference(pair.reference, settings.rule, prediction.called.grid)
    reference = _with_ignored(reference, pair, settings)
    grid = reference.grid or prediction.called.grid
    reference = reference if reference.grid is not None or grid is None else regrid(reference, grid)[0]
    called = _on_grid(prediction.called, grid, warnings)
    ranked = None if prediction.ranked is None else _on_grid(prediction.ranked, grid, [])
    warnings += _points_outside("predicted", called) + _points_outside("reference", reference)
    called, reference = place_lesions(pair, called), place_lesions(pair, reference)
    missing = pair.prediction is None
    if missing:
        warnings.append("There is no prediction for this scan: every reference lesion counts as missed.")
    result = compare(pair, called, reference, settings, ranked=ranked, warnings=warnings)
    return ComparedScan(replace(result, missing_prediction=missing), called, reference)


def compare(
    pair: Pair,
    called: LesionSet,
    reference: LesionSet,
    settings: EvaluationSettings,
    *,
    ranked: LesionSet | None = None,
    warnings: list[str] | None = None,
) -> ScanResult:
    """Match lesions that lie on one grid and describe every one of them."""
    relation = relate(called, reference, settings.rule)
    matching = match(relation, reference.ignore, settings.rule)
    excused = matching.excused.copy()
    if settings.rule.duplicates == "ignored":
        excused |= matching.duplicate
    causes = _causes(pair, called, settings)
    candidates = None if ranked is None else relate(ranked, reference, settings.rule)
    scores = _best_scores(ranked, candidates, len(reference))
    calls = calls_of(called, reference, relation, matching, excused, causes, scores)
    return ScanResult(
        scan_id=pair.scan_id,
        subject_id=pair.subject_id,
        attributes=_attributes(pair, called, reference),
        n_reference=int((~reference.ignore).sum()),
        n_predicted=int((~excused).sum()),
        calls=tuple(calls),
        n_ignored=int(reference.ignore.sum()),
        overlap=whole_overlap(called.subset(~matching.excused), reference),
        ranking=_ranking(ranked, candidates, reference, settings.rule),
        warnings=tuple(warnings or ()),
    )


def _best_scores(ranked: LesionSet | None, relation: Relation | None, n_reference: int) -> np.ndarray:
    """(R,) highest score of the candidates that may find each lesion; NaN where there is none."""
    best = np.full(n_reference, np.nan)
    if ranked is not None and relation is not None and len(ranked):
        scores = np.where(relation.allowed, ranked.scores[:, None], -np.inf).max(axis=0)
        best[np.isfinite(scores)] = scores[np.isfinite(scores)]
    return best


def _ranking(
    candidates: LesionSet | None, relation: Relation | None, reference: LesionSet, rule: MatchingRule
) -> Ranking | None:
    """Which candidates are true and false at every threshold, matched optimally at each; None without scores."""
    if candidates is None or relation is None:
        return None
    counted = ~reference.ignore
    excusable = relation.allowed[:, reference.ignore].any(axis=1)
    allowed = relation.allowed & counted
    if rule.duplicates == "ignored":
        excusable |= allowed.any(axis=1)
    true = gains_by_score(allowed, candidates.scores)
    # Of the largest matchings the one with fewest false positives holds as many inexcusable candidates as can be.
    strict = np.flatnonzero(~excusable)
    placed = gains_by_score(allowed[strict], candidates.scores[strict])
    false = np.zeros(len(candidates), dtype=bool)
    false[strict] = ~placed
    order = np.argsort(-candidates.scores, kind="stable")
    return Ranking(candidates.scores[order], true[order], false[order])


def whole_overlap(prediction: LesionSet, reference: LesionSet) -> Overlap | None:
    """Agreement of all lesion voxels that count; None where one side is points or there is no grid.

    Ignored reference lesions count on neither side: voxels the prediction shares with them are left out. Predictions
    excused by them should not be in ``prediction`` any more.
    """
    grid = reference.grid or prediction.grid
    if grid is None or (reference.from_points and len(reference)) or (prediction.from_points and len(prediction)):
        return None
    counted = ~reference.ignore[reference.owner] if len(reference.owner) else np.zeros(0, dtype=bool)
    ignored, wanted = reference.voxels[~counted], reference.voxels[counted]
    found = np.setdiff1d(prediction.voxels, ignored, assume_unique=True) if len(ignored) else prediction.voxels
    common = len(np.intersect1d(found, wanted, assume_unique=True))
    voxel = abs(float(np.linalg.det(grid.ijk_to_ras[:3, :3])))
    total = len(found) + len(wanted)
    surfaces = surface_distances(surface_points(found, grid), surface_points(wanted, grid))
    dice = 2.0 * common / total if total else None
    return Overlap(dice, len(found) * voxel, len(wanted) * voxel, common * voxel, *(surfaces or ()))


def _with_ignored(reference: LesionSet, pair: Pair, settings: EvaluationSettings) -> LesionSet:
    """Mark small reference lesions as ignored and add those of the ignore file."""
    small = reference.diameters_mm < settings.ignore_below_mm
    reference = replace(reference, ignore=reference.ignore | small)
    if pair.ignore is None:
        return reference
    extra = read_reference(pair.ignore, settings.rule, reference.grid)
    return join_ignored(reference, extra)


def join_ignored(reference: LesionSet, extra: LesionSet) -> LesionSet:
    """The reference with ``extra`` as ignored lesions; a voxel of both stays with the reference."""
    if reference.grid is None and extra.grid is not None:
        reference = regrid(reference, extra.grid)[0]
    if reference.grid is not None and (extra.grid is None or not same_grid(extra.grid, reference.grid)):
        extra = regrid(extra, reference.grid)[0]
    new = ~np.isin(extra.voxels, reference.voxels)
    voxels = np.concatenate([reference.voxels, extra.voxels[new]])
    owner = np.concatenate([reference.owner, extra.owner[new] + len(reference)])
    order = np.argsort(voxels, kind="stable")
    return replace(
        reference,
        voxels=voxels[order],
        owner=owner[order],
        centers_ras=np.concatenate([reference.centers_ras, extra.centers_ras]),
        ids=np.concatenate([reference.ids, extra.ids + max(reference.ids, default=0)]),
        scores=np.concatenate([reference.scores, extra.scores]),
        ignore=np.concatenate([reference.ignore, np.ones(len(extra), dtype=bool)]),
        from_points=reference.from_points if len(reference) else extra.from_points,
        attributes=reference.attributes + extra.attributes,
    )


def _on_grid(lesions: LesionSet, grid: Grid | None, warnings: list[str]) -> LesionSet:
    """Lesions on the reference's grid, with a warning where that means resampling."""
    if grid is None or (lesions.grid is not None and same_grid(lesions.grid, grid)):
        return lesions
    if lesions.grid is None or lesions.from_points or not len(lesions):
        if lesions.grid is not None:
            check_same_place(lesions.grid, grid)
        return regrid(lesions, grid)[0]
    check_same_place(lesions.grid, grid)
    moved, lost = regrid(lesions, grid)
    warnings.append("The prediction lies on another voxel grid; it was brought to the reference's (nearest voxel).")
    if lost:
        warnings.append(f"{lost} predicted lesions are smaller than a voxel of the reference and kept one voxel.")
    return moved


def _points_outside(side: str, lesions: LesionSet) -> list[str]:
    """A warning about points that lie in no voxel of the image."""
    if lesions.grid is None or not lesions.from_points:
        return []
    ijk = transform_points(np.linalg.inv(lesions.grid.ijk_to_ras), lesions.centers_ras)
    outside = ((ijk < -0.5) | (ijk > np.asarray(lesions.grid.shape_ijk) - 0.5)).any(axis=1).sum()
    if not outside:
        return []
    return [f"{outside} of {len(lesions)} {side} points lie outside the image; positions are RAS mm."]


def _causes(pair: Pair, called: LesionSet, settings: EvaluationSettings) -> list[str]:
    """The nearest known mimic of each prediction, empty where none is near."""
    names = [""] * len(called)
    if pair.decoys is None or not len(called):
        return names
    decoys = read_decoys(pair.decoys, settings.rule)
    if not len(decoys):
        return names
    distance = np.linalg.norm(called.centers_ras[:, None] - decoys.centers_ras[None], axis=2)
    for number, nearest in enumerate(distance.argmin(axis=1)):
        if distance[number, nearest] <= settings.decoy_mm:
            names[number] = str(decoys.attributes[nearest].get("mimic") or "decoy")
    return names


def _attributes(pair: Pair, called: LesionSet, reference: LesionSet) -> dict[str, Any]:
    """Table columns, with the slice thickness of the grid where the table does not state it."""
    attributes: dict[str, Any] = dict(pair.attributes)
    grid = reference.grid or called.grid
    if "slice_thickness_mm" not in attributes and grid is not None:
        attributes["slice_thickness_mm"] = round(max(grid.spacing_mm), 3)
    return attributes
