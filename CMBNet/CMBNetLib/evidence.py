"""What speaks for or against a candidate beside its peak: its surroundings, the fluid near it, the slices of the scan.

Calcifications, vessels and folds of the surface lie where tissue, fluid and bone meet; a dark spot in even tissue is
likelier a microbleed. The network sees that too, but judges each voxel; this looks at the candidate as a whole. How
much each number counts stands in the bundle, fitted with the calibration of the scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy import ndimage

from .anatomy import BY_NETWORK, Anatomy
from .bundle import FLUID, THICKNESS, UNEVENNESS
from .candidates import Found, centers_and_sizes
from .location import FLUID as FLUID_STRUCTURES
from .location import OUTSIDE, decode_region
from .volume import Volume

# The ring round a candidate (mm), and the percentiles whose distance says how uneven it is.
RING_MM = 3.0
PERCENTILES = (10, 90)
# How far round the centre of a candidate fluid counts (mm).
FLUID_REACH_MM = 6.0
# Probabilities nearer to 1 than this are not told apart: float32 ends there.
_NEAREST = 1e-7


def evidence(found: Found, image: Volume, fluid: Volume) -> dict[str, np.ndarray]:
    """The numbers of each candidate, (n,) by name.

    ``unevenness``: how much the intensities round it differ, 0 in even tissue, above 1 at the edge of the brain.
    ``fluid``: share of fluid and of what is outside the brain within 6 mm. ``thickness``: how often the distance of
    slices is a doubling of 1 mm, the same for all candidates of a scan.

    Parameters
    ----------
    image
        Normalised (0 is the brain's median, -2 is black), on the grid of ``found.labels``.
    fluid
        Mask as `fluid_of` makes it, on any grid.
    """
    doublings = float(np.log2(max(image.spacing_mm[2], 1.0)))
    return {
        UNEVENNESS: _unevenness(found, image),
        FLUID: _fluid_shares(found, fluid),
        THICKNESS: np.full(len(found.scores), doublings),
    }


def regraded(found: Found, image: Volume, fluid: Volume, weights: Mapping[str, float], floor: float) -> Found:
    """The candidates with their evidence times ``weights`` added to the log-odds of their peaks, ordered anew.

    Those whose score falls below ``floor`` are dropped.
    """
    if not any(weights.values()) or not found.scores:
        return found
    values = evidence(found, image, fluid)
    added = sum(weight * values[name] for name, weight in weights.items())
    peaks = np.clip(np.asarray(found.peaks, float), _NEAREST, 1 - _NEAREST)
    scores = 1 / (1 + (1 - peaks) / peaks * np.exp(-np.asarray(added)))
    order = [n for n in np.argsort(-scores, kind="stable") if scores[n] >= floor]
    renumbered = np.zeros(len(scores) + 1, np.uint16)
    renumbered[np.array(order, int) + 1] = np.arange(1, len(order) + 1)
    return replace(
        found,
        labels=found.labels.with_array(renumbered[found.labels.array]),
        scores=[float(scores[n]) for n in order],
        peaks=[found.peaks[n] for n in order],
    )


def fluid_of(anatomy: Anatomy) -> Volume:
    """Where no tissue is, uint8: fluid and outside by the regions, or outside of the mask where those are an atlas'."""
    if anatomy.method != BY_NETWORK:
        return anatomy.brain.with_array((anatomy.brain.array == 0).astype(np.uint8))
    regions = anatomy.regions
    is_fluid = np.zeros(256, np.uint8)
    for code in np.unique(regions.array):
        is_fluid[code] = decode_region(int(code))[0] in (*FLUID_STRUCTURES, OUTSIDE)
    return regions.with_array(is_fluid[regions.array])


def _unevenness(found: Found, image: Volume) -> np.ndarray:
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


def _fluid_shares(found: Found, fluid: Volume) -> np.ndarray:
    centers, _ = centers_and_sizes(found.labels.array, len(found.scores))
    offsets = _ball(np.asarray(fluid.spacing_mm))
    middles = np.rint(fluid.ijk_from_ras(found.labels.ras_from_ijk(centers[:, ::-1]))).astype(int)
    return np.array([_share(fluid.array, middle + offsets) for middle in middles])


def _share(mask: np.ndarray, ijk: np.ndarray) -> float:
    """Share of the voxels (n, 3) that are in the mask; what lies beyond the array is."""
    inside = np.all((ijk >= 0) & (ijk < mask.shape[::-1]), axis=1)
    i, j, k = ijk[inside].T
    return float((mask[k, j, i].sum() + np.count_nonzero(~inside)) / len(ijk))


def _ball(spacing_ijk: np.ndarray) -> np.ndarray:
    """Voxel offsets (n, 3) within reach."""
    reach = np.floor(FLUID_REACH_MM / spacing_ijk).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
    return offsets[np.linalg.norm(offsets * spacing_ijk, axis=1) <= FLUID_REACH_MM]
