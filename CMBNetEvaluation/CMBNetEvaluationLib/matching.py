"""Which prediction found which reference lesion of one scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from CMBNetLib.errors import InputError
from CMBNetLib.volume import transform_points

from .lesions import LesionSet
from .rules import MatchingRule


@dataclass(frozen=True)
class Relation:
    """How P predictions and R reference lesions of one scan lie to each other.

    Attributes
    ----------
    distance
        (P, R) distance of the centres in the rule's unit (mm or voxels).
    common
        (P, R) number of common voxels; where the reference is points, 1 for a point in the predicted mask.
    iou
        (P, R) intersection over union; NaN where one of them is points.
    allowed
        (P, R) bool, the rule lets them be a pair.
    """

    distance: np.ndarray
    common: np.ndarray
    iou: np.ndarray
    allowed: np.ndarray


@dataclass(frozen=True)
class Matching:
    """One-to-one pairs of one scan, and what is left over.

    Attributes
    ----------
    reference_of
        (P,) reference number of each prediction, -1 for none. References that are ignored never take a pair.
    excused
        (P,) unmatched predictions that touch an ignored reference lesion: neither true nor false.
    duplicate
        (P,) unmatched predictions that the rule would let pair with a reference lesion found by another.
    fragment
        (P,) those of them that share a voxel with that lesion: pieces of one lesion.
    merge
        (P,) predictions that share voxels with more than one reference lesion.
    merged_away
        (R,) missed reference lesions that share voxels with a prediction paired elsewhere.
    """

    reference_of: np.ndarray
    excused: np.ndarray
    duplicate: np.ndarray
    fragment: np.ndarray
    merge: np.ndarray
    merged_away: np.ndarray


def relate(prediction: LesionSet, reference: LesionSet, rule: MatchingRule) -> Relation:
    """Measure all pairs of a scan; both sets lie on one grid, or are points without any.

    Raises
    ------
    InputError
        The rule needs an extent, and neither set has one; or it counts in voxels and there is no grid.
    """
    _check_extent(prediction, reference, rule)
    distance = _distances(prediction, reference, rule)
    common = common_voxels(prediction, reference)
    union = prediction.n_voxels[:, None] + reference.n_voxels[None, :] - common
    iou = np.where(union > 0, common / np.maximum(union, 1), 0.0)
    if prediction.from_points or reference.from_points:
        iou = np.full(common.shape, np.nan)
    allowed = _allowed(prediction, reference, rule, distance, common, iou)
    return Relation(distance, common, iou, allowed)


def match(relation: Relation, ignore: np.ndarray, rule: MatchingRule) -> Matching:
    """Choose the pairs.

    Parameters
    ----------
    relation
        From `relate`.
    ignore
        (R,) reference lesions that count neither as found nor as missed. A prediction that fits one of them and
        finds nothing else is excused.
    """
    counted = ~np.asarray(ignore, dtype=bool)
    touches_ignored = np.asarray(relation.allowed[:, ~counted].any(axis=1))
    allowed = np.asarray(relation.allowed & counted)
    choose = _optimal_pairs if rule.assignment == "optimal" else _nearest_pairs
    reference_of = choose(allowed, relation, touches_ignored, rule)
    single = reference_of < 0
    found = np.zeros(len(counted), dtype=bool)
    found[reference_of[~single]] = True
    duplicate = single & ~touches_ignored & (allowed & found).any(axis=1)
    shares = relation.common > 0
    paired = shares[~single].any(axis=0)
    return Matching(
        reference_of=reference_of,
        excused=single & touches_ignored,
        duplicate=duplicate,
        fragment=duplicate & (shares & found).any(axis=1),
        merge=(shares & counted).sum(axis=1) > 1,
        merged_away=counted & ~found & paired,
    )


def common_voxels(prediction: LesionSet, reference: LesionSet) -> np.ndarray:
    """(P, R) number of voxels that the lesions share."""
    counts = np.zeros((len(prediction), len(reference)), dtype=np.int64)
    _, first, second = np.intersect1d(prediction.voxels, reference.voxels, assume_unique=True, return_indices=True)
    np.add.at(counts, (prediction.owner[first], reference.owner[second]), 1)
    return counts


def gains_by_score(allowed: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(P,) True where a prediction, added in order of falling score, lets one more lesion be found.

    The sum over the predictions above any threshold is the size of the largest one-to-one matching of just
    those predictions, so one pass gives the optimal matching at every threshold (the sets of lesions that can be
    matched form a matroid: whether an addition helps does not depend on which largest matching is held).
    """
    gain = np.zeros(len(scores), dtype=bool)
    holder = np.full(allowed.shape[1], -1)
    options = [np.flatnonzero(row) for row in allowed]
    for number in np.argsort(-scores, kind="stable"):
        gain[number] = _augment(int(number), options, holder, np.zeros(len(holder), dtype=bool))
    return gain


def _augment(number: int, options: list[np.ndarray], holder: np.ndarray, seen: np.ndarray) -> bool:
    """Find a lesion for a prediction, moving others where that helps (an augmenting path)."""
    for lesion in options[number]:
        if seen[lesion]:
            continue
        seen[lesion] = True
        if holder[lesion] < 0 or _augment(int(holder[lesion]), options, holder, seen):
            holder[lesion] = number
            return True
    return False


def _check_extent(prediction: LesionSet, reference: LesionSet, rule: MatchingRule) -> None:
    if not len(prediction) or not len(reference):
        return
    both_points = prediction.from_points and reference.from_points
    if rule.needs_extent and both_points:
        raise InputError(f"The rule '{rule.name}' needs a mask, but both sides are points. Choose a distance rule.")
    if rule.criterion == "iou" and (prediction.from_points or reference.from_points):
        raise InputError("The IoU of a point is not defined. Choose a distance, overlap or in-mask rule.")
    if rule.unit == "voxel" and prediction.grid is None and reference.grid is None:
        raise InputError(f"The rule '{rule.name}' counts in voxels, but no image says how large a voxel is.")


def _distances(prediction: LesionSet, reference: LesionSet, rule: MatchingRule) -> np.ndarray:
    first, second = prediction.centers_ras, reference.centers_ras
    grid = reference.grid or prediction.grid
    if rule.unit == "voxel" and grid is not None:
        inverse = np.linalg.inv(grid.ijk_to_ras)
        first, second = transform_points(inverse, first), transform_points(inverse, second)
    return cdist(first, second)


def _allowed(
    prediction: LesionSet,
    reference: LesionSet,
    rule: MatchingRule,
    distance: np.ndarray,
    common: np.ndarray,
    iou: np.ndarray,
) -> np.ndarray:
    if rule.criterion == "distance":
        return distance < rule.limit if rule.strict else distance <= rule.limit
    if rule.criterion == "overlap":
        return common > 0
    if rule.criterion == "iou":
        return iou > rule.limit if rule.strict else (iou >= rule.limit) & (iou > 0)
    return common > 0 if reference.from_points else _center_inside(prediction, reference)


def _center_inside(prediction: LesionSet, reference: LesionSet) -> np.ndarray:
    """(P, R) the voxel of the prediction's centre belongs to the reference lesion."""
    from .lesions import lesions_from_points

    if reference.grid is None:
        return np.zeros((len(prediction), len(reference)), dtype=bool)
    inside = np.zeros((len(prediction), len(reference)), dtype=bool)
    for number, center in enumerate(prediction.centers_ras):
        voxel = lesions_from_points(center[None], reference.grid).voxels
        place = np.searchsorted(reference.voxels, voxel)
        for flat, where in zip(voxel, place, strict=True):
            if where < len(reference.voxels) and reference.voxels[where] == flat:
                inside[number, reference.owner[where]] = True
    return inside


def _optimal_pairs(allowed: np.ndarray, relation: Relation, excusable: np.ndarray, rule: MatchingRule) -> np.ndarray:
    """Most pairs; of these, fewest false positives; of these, the closest."""
    reference_of = np.full(len(allowed), -1)
    if not allowed.any():
        return reference_of
    # A pair counts more than any number of second wishes, a false positive avoided more than any closeness.
    size = 1.0 + 2.0 * min(allowed.shape)
    wishes = _closeness(relation, rule) + size * (~excusable)[:, None]
    reward = np.where(allowed, size * size + wishes, 0.0)
    rows, columns = linear_sum_assignment(reward, maximize=True)
    kept = allowed[rows, columns]
    reference_of[rows[kept]] = columns[kept]
    return reference_of


def _closeness(relation: Relation, rule: MatchingRule) -> np.ndarray:
    """(P, R) 0..1, larger for pairs that belong together more: by IoU where the rule is about masks, else distance."""
    if rule.criterion in ("overlap", "iou") and np.isfinite(relation.iou).all():
        return relation.iou
    largest = relation.distance.max(initial=0.0)
    return 1.0 - relation.distance / largest if largest > 0 else np.ones_like(relation.distance)


def _nearest_pairs(allowed: np.ndarray, relation: Relation, _excusable: np.ndarray, _rule: MatchingRule) -> np.ndarray:
    """Each prediction takes its nearest lesion; of several on one lesion the nearest (the first of equals)."""
    reference_of = np.full(len(allowed), -1)
    distance = np.where(allowed, relation.distance, np.inf)
    if not allowed.any():
        return reference_of
    wish = distance.argmin(axis=1)
    for lesion in np.unique(wish[allowed.any(axis=1)]):
        takers = np.flatnonzero((wish == lesion) & np.isfinite(distance[np.arange(len(wish)), wish]))
        reference_of[takers[distance[takers, lesion].argmin()]] = lesion
    return reference_of
