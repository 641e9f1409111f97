"""The knee of the curve that tells how a region grows with its tolerance."""

from __future__ import annotations

import numpy as np

# Half of the way from the lesion's core to the tissue would be the rim of a blurred disc. Noise makes the darkest of
# many voxels darker than the lesion is, which moves the rim outwards; the core is the level of the darkest twentieth of
# the half-depth region. Fitted on 600 phantoms, seeds apart from those of the benchmark (mean Dice .899 from the
# darkest voxel alone, .901 so).
CORE_SHARE = 0.05
RIM_OF_LARGE = 0.58
RIM_LOST_BY_SMALL = 0.12
SMALL_VOXELS = 16.0
# The knee is where the surroundings begin to join; from .65 to .75 of it the mean Dice changed by less than .006.
KNEE_MARGIN = 0.75
# The curve of a lesion of many voxels rises steeply right at its start, where one after the other of its equally dark
# voxels joins, and is flat until the surroundings begin. The first bend is no knee: it is looked for beyond this
# tolerance only, which the core of a lesion never reaches.
CORE_TOLERANCE = 0.35


def find_knee(x: np.ndarray, y: np.ndarray) -> float:
    """Return the x at which a rising convex curve turns from slow to fast growth.

    The knee is the point farthest below the chord from the first to the last point, both axes scaled to 0..1
    (the idea of Satopää et al., "Finding a kneedle in a haystack", 2011).

    Parameters
    ----------
    x, y : np.ndarray
        (n,) increasing abscissa and its values, n >= 2.

    Returns
    -------
    float
        One of ``x``; the last when the curve never lies below its chord.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    rise = y[-1] - y[0]
    if len(x) < 3 or rise <= 0 or x[-1] <= x[0]:
        return float(x[-1])
    below = (x - x[0]) / (x[-1] - x[0]) - (y - y[0]) / rise
    deepest = int(np.argmax(below))
    return float(x[deepest]) if below[deepest] > 0 else float(x[-1])


def choose_tolerance(tolerances: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Choose the tolerance of a lesion from its growth curve.

    Parameters
    ----------
    tolerances : np.ndarray
        (n,) rising tolerances in units of local contrast: 0 is the seed, 1 the surroundings.
    counts : np.ndarray
        (n,) voxels of the region at each.

    Returns
    -------
    tuple of float
        The chosen tolerance and the knee.
    """
    outside = int(np.searchsorted(tolerances, CORE_TOLERANCE))
    knee = find_knee(tolerances[outside:], counts[outside:]) if outside < len(tolerances) else float(tolerances[-1])
    n_half = float(np.interp(0.5, tolerances, counts))
    core = float(tolerances[int(np.searchsorted(counts, CORE_SHARE * n_half))])
    rim = RIM_OF_LARGE - RIM_LOST_BY_SMALL * float(np.exp(-n_half / SMALL_VOXELS))
    return min(core + rim * (1 - core), KNEE_MARGIN * knee), knee
