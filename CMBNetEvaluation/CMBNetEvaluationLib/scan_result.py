"""What the comparison of one scan found: one call for each lesion, and the numbers of the whole scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Call:
    """One lesion and how it was called.

    Attributes
    ----------
    outcome
        ``TP``, ``FP``, ``FN`` or ``ignored`` (a prediction excused by an ignored lesion or by the rule).
    center_ras
        Of the prediction, or of the reference lesion of a FN (RAS mm).
    reference_ras
        Of the reference lesion of a TP or FN.
    prediction_id, reference_id
        Numbers in the files.
    score
        Of the prediction.
    candidate_score
        Of a FN: the highest score of a candidate that the rule would let find it; None where nothing was proposed.
    distance_mm, iou, dice, surface_mm, hausdorff95_mm
        Between the two of a TP; None where one is a point.
    prediction_mm3, reference_mm3
        Volumes; None for points.
    diameter_mm, elongation
        Of the reference lesion, or of a FP itself.
    zone, region
        Of the reference lesion, or of a FP itself.
    predicted_zone, predicted_region
        What the prediction said of a TP; it stays one TP where they differ.
    relation
        ``duplicate``, ``fragment``, ``merge``, ``missed in a merge`` or empty.
    cause
        What a FP is known to be: a mimic, or ``duplicate`` or ``fragment``; empty where nothing is known.
    picture
        Name of its picture in the gallery folder.
    """

    outcome: str
    center_ras: tuple[float, float, float]
    reference_ras: tuple[float, float, float] | None = None
    prediction_id: int | None = None
    reference_id: int | None = None
    score: float | None = None
    candidate_score: float | None = None
    distance_mm: float | None = None
    iou: float | None = None
    dice: float | None = None
    surface_mm: float | None = None
    hausdorff95_mm: float | None = None
    prediction_mm3: float | None = None
    reference_mm3: float | None = None
    diameter_mm: float | None = None
    elongation: float | None = None
    zone: str = ""
    region: str = ""
    predicted_zone: str = ""
    predicted_region: str = ""
    relation: str = ""
    cause: str = ""
    picture: str = ""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The candidates of one scan by falling score.

    Attributes
    ----------
    scores
        (C,) falling.
    true
        (C,) adding this candidate lets one more reference lesion be found.
    false
        (C,) adding this candidate brings one more false positive. Neither: it was excused or a duplicate ignored.
    """

    scores: np.ndarray
    true: np.ndarray
    false: np.ndarray


@dataclass(frozen=True)
class Overlap:
    """Agreement of all voxels of a scan; mm and mm3. Surface distances are None where one side is empty."""

    dice: float | None
    prediction_mm3: float
    reference_mm3: float
    common_mm3: float
    surface_mm: float | None = None
    hausdorff95_mm: float | None = None


@dataclass(frozen=True)
class ScanResult:
    """One evaluated scan.

    Attributes
    ----------
    n_reference, n_predicted
        Lesions that count: ignored reference lesions and excused predictions are left out.
    calls
        One for each counted lesion, and the ignored predictions.
    n_ignored
        Ignored reference lesions.
    overlap, ranking
        None where there are no masks or no scores.
    missing_prediction
        There was no prediction file: every reference lesion counts as missed.
    """

    scan_id: str
    subject_id: str
    attributes: Mapping[str, Any]
    n_reference: int
    n_predicted: int
    calls: tuple[Call, ...]
    n_ignored: int = 0
    overlap: Overlap | None = None
    ranking: Ranking | None = None
    missing_prediction: bool = False
    warnings: tuple[str, ...] = field(default=())

    def count(self, outcome: str) -> int:
        """Number of calls of one outcome."""
        return sum(call.outcome == outcome for call in self.calls)

    @property
    def tp(self) -> int:
        return self.count("TP")

    @property
    def fp(self) -> int:
        return self.count("FP")

    @property
    def fn(self) -> int:
        return self.count("FN")


def counts_of(results: Sequence[ScanResult]) -> np.ndarray:
    """(S, 3) true positives, false positives and false negatives of each scan."""
    return np.array([(result.tp, result.fp, result.fn) for result in results], dtype=float).reshape(-1, 3)
