"""What surrounds a candidate: a dark spot in even tissue is likelier a microbleed than one at an edge.

Calcifications, vessels and folds of the surface lie where tissue, fluid and bone meet. The network sees that too, but
judges each voxel; this looks at the candidate as a whole.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from .candidates import Found
from .volume import Volume

# The ring round a candidate (mm), and the percentiles whose distance says how uneven it is.
RING_MM = 3.0
PERCENTILES = (10, 90)
# Probabilities nearer to 1 than this are not told apart: float32 ends there.
_NEAREST = 1e-7


def unevenness(found: Found, image: Volume) -> np.ndarray:
    """(n,) how much the intensities round each candidate differ: 0 in even tissue, above 1 at the edge of the brain.

    Parameters
    ----------
    image
        Normalised (0 is the brain's median, -2 is black), on the grid of ``found.labels``.
    """
    labels, spacing = found.labels.array, np.asarray(image.spacing_mm)[::-1]
    reach = np.ceil(RING_MM / spacing).astype(int)
    values = np.zeros(len(found.scores))
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        assert box is not None  # every candidate has voxels
        wide = tuple(slice(max(s.start - n, 0), s.stop + n) for s, n in zip(box, reach, strict=True))
        inside = labels[wide] == number
        ring = ~inside & (ndimage.distance_transform_edt(~inside, sampling=spacing) <= RING_MM)
        if ring.any():
            low, high = np.percentile(image.array[wide][ring], PERCENTILES)
            values[number - 1] = high - low
    return values


def less_likely_at_edges(found: Found, image: Volume, cost: float, floor: float) -> Found:
    """The candidates with ``cost`` times their `unevenness` taken from the log-odds of their scores, ordered anew.

    Those whose score falls below ``floor`` are dropped.
    """
    if not cost or not found.scores:
        return found
    peaks = np.clip(np.asarray(found.peaks, float), _NEAREST, 1 - _NEAREST)
    scores = 1 / (1 + (1 - peaks) / peaks * np.exp(cost * unevenness(found, image)))
    order = [n for n in np.argsort(-scores, kind="stable") if scores[n] >= floor]
    renumbered = np.zeros(len(scores) + 1, np.uint16)
    renumbered[np.array(order, int) + 1] = np.arange(1, len(order) + 1)
    return replace(
        found,
        labels=found.labels.with_array(renumbered[found.labels.array]),
        scores=[float(scores[n]) for n in order],
        peaks=[found.peaks[n] for n in order],
    )
