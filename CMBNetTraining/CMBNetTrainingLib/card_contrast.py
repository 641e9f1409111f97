"""Which microbleeds are found, by how much they stand out from what is round them in the scan with its noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from CMBNetEvaluationLib.estimates import Estimate, SubjectBootstrap
from CMBNetLib.shape import measure_shapes
from CMBNetTrainingLib.training_scans import TrainingScan
from CMBNetTrainingLib.training_validation import ValidatedScan, results_at

# Standard deviations of what lies 1 to 3 mm round a microbleed that its mean is darker than the median there.
EDGES = (2.0, 3.0, 4.0, 6.0)


def sensitivity_by_contrast(
    validated: Sequence[ValidatedScan], threshold: float
) -> list[tuple[str, int, Estimate]]:
    """Interval of contrast, number of microbleeds, share found at a threshold; intervals without any are left out."""
    results = results_at(validated, threshold)
    contrasts = [contrasts_of(each.scan) for each in validated]
    groups = np.zeros((2, len(validated), len(EDGES) + 1))
    for number, (result, contrast) in enumerate(zip(results, contrasts, strict=True)):
        for call in result.calls:
            own = contrast.get(call.reference_id or 0)
            if call.outcome in ("TP", "FN") and own is not None:
                group = int(np.searchsorted(EDGES, own, side="right"))
                groups[:, number, group] += (call.outcome == "TP", 1)
    bootstrap = SubjectBootstrap([result.subject_id for result in results])
    return [
        (name, int(total.sum()), bootstrap.ratio(found, total, kind="proportion"))
        for name, found, total in zip(_names(), groups[0].T, groups[1].T, strict=True)
        if total.any()
    ]


def contrasts_of(scan: TrainingScan) -> Mapping[int, float]:
    """Contrast of each microbleed of a scan by its label value, on the working grid."""
    image = scan.prepared().image
    shapes = measure_shapes(image.with_array(np.asarray(scan.lesions)), image)
    return {label: shape.contrast for label, shape in shapes.items() if shape.contrast is not None}


def _names() -> list[str]:
    between = [f"{low:g} to under {high:g}" for low, high in pairwise(EDGES)]
    return [f"under {EDGES[0]:g}", *between, f"{EDGES[-1]:g} and more"]
