"""One call for each lesion of a scan, from its matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .lesions import LesionSet
from .matching import Matching, Relation
from .scan_result import Call
from .surface import surface_distances, surface_points_by_lesion


def calls_of(
    prediction: LesionSet,
    reference: LesionSet,
    relation: Relation,
    matching: Matching,
    excused: np.ndarray,
    causes: Sequence[str],
    candidate_scores: np.ndarray,
) -> list[Call]:
    """True positives and false positives in the order of the predictions, then the missed lesions.

    Parameters
    ----------
    excused
        (P,) unmatched predictions that count as neither true nor false.
    causes
        Known mimic of each prediction, empty where none is known.
    candidate_scores
        (R,) highest score of a candidate that may find each lesion, NaN where there is none.
    """
    about = _Describer(prediction, reference, relation)
    calls = []
    for number, partner in enumerate(matching.reference_of):
        if partner >= 0:
            calls.append(about.found(number, int(partner), "merge" if matching.merge[number] else ""))
        else:
            outcome = "ignored" if excused[number] else "FP"
            relation_name = _relation(matching, number)
            cause = causes[number] or (relation_name if relation_name != "merge" else "")
            calls.append(about.false(number, outcome, relation_name, cause))
    found = set(matching.reference_of[matching.reference_of >= 0].tolist())
    for lesion in np.flatnonzero(~reference.ignore).tolist():
        if lesion not in found:
            relation_name = "missed in a merge" if matching.merged_away[lesion] else ""
            calls.append(about.missed(lesion, relation_name, candidate_scores[lesion]))
    return calls


def _relation(matching: Matching, number: int) -> str:
    if matching.fragment[number]:
        return "fragment"
    if matching.duplicate[number]:
        return "duplicate"
    return "merge" if matching.merge[number] else ""


class _Describer:
    """Measures lesions once and writes them into calls."""

    def __init__(self, prediction: LesionSet, reference: LesionSet, relation: Relation) -> None:
        self._sides = {"prediction": prediction, "reference": reference}
        self._relation = relation
        self._volumes = {side: lesions.volumes_mm3 for side, lesions in self._sides.items()}
        self._elongations = {side: lesions.elongations() for side, lesions in self._sides.items()}
        self._surface = {side: surface_points_by_lesion(lesions) for side, lesions in self._sides.items()}
        self._millimetres = np.linalg.norm(
            prediction.centers_ras[:, None] - reference.centers_ras[None], axis=2
        ).reshape(len(prediction), len(reference))

    def found(self, number: int, partner: int, relation: str) -> Call:
        """A true positive; zone, region and size are those of the reference lesion."""
        iou = self._relation.iou[number, partner]
        surfaces = self._surfaces(number, partner)
        return Call(
            "TP",
            **self._place("prediction", number),
            **self._looks("reference", partner),
            reference_ras=_point(self._sides["reference"].centers_ras[partner]),
            reference_id=int(self._sides["reference"].ids[partner]),
            prediction_mm3=_number(self._volumes["prediction"][number]),
            reference_mm3=_number(self._volumes["reference"][partner]),
            distance_mm=_number(self._millimetres[number, partner]),
            iou=_number(iou),
            dice=_number(2.0 * iou / (1.0 + iou)),
            surface_mm=None if surfaces is None else surfaces[0],
            hausdorff95_mm=None if surfaces is None else surfaces[1],
            predicted_zone=_text(self._sides["prediction"], number, "zone"),
            predicted_region=_text(self._sides["prediction"], number, "region"),
            relation=relation,
        )

    def false(self, number: int, outcome: str, relation: str, cause: str) -> Call:
        """A prediction without a lesion."""
        return Call(
            outcome,
            **self._place("prediction", number),
            **self._looks("prediction", number),
            prediction_mm3=_number(self._volumes["prediction"][number]),
            relation=relation,
            cause=cause,
        )

    def missed(self, number: int, relation: str, candidate_score: float) -> Call:
        """A lesion without a prediction."""
        center = _point(self._sides["reference"].centers_ras[number])
        return Call(
            "FN",
            center,
            reference_ras=center,
            reference_id=int(self._sides["reference"].ids[number]),
            reference_mm3=_number(self._volumes["reference"][number]),
            candidate_score=_number(candidate_score),
            relation=relation,
            **self._looks("reference", number),
        )

    def _place(self, side: str, number: int) -> dict[str, Any]:
        lesions = self._sides[side]
        return {
            "center_ras": _point(lesions.centers_ras[number]),
            "prediction_id": int(lesions.ids[number]),
            "score": _number(lesions.scores[number]),
        }

    def _looks(self, side: str, number: int) -> dict[str, Any]:
        lesions = self._sides[side]
        volume = self._volumes[side][number]
        known = lesions.attributes[number]
        stated = known.get("equivalent_diameter_mm") or known.get("diameter_mm")
        diameter = np.cbrt(6.0 * volume / np.pi) if np.isfinite(volume) else _stated(stated)
        return {
            "diameter_mm": _number(diameter),
            "elongation": _number(self._elongations[side][number]),
            "zone": _text(lesions, number, "zone"),
            "region": _text(lesions, number, "region"),
        }

    def _surfaces(self, number: int, partner: int) -> tuple[float, float] | None:
        return surface_distances(self._surface["prediction"][number], self._surface["reference"][partner])


def _stated(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _point(center: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 4) + 0.0 for value in center)
    return x, y, z


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _text(lesions: LesionSet, number: int, name: str) -> str:
    return str(lesions.attributes[number].get(name) or "")
