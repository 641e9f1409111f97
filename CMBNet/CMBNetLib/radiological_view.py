"""A volume with its axes in the order radiologists look at it."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from .volume import Volume

# RAS axes of columns, rows and slices: right to left, anterior to posterior, inferior to superior.
_AXES = (0, 1, 2)
_SIGNS = (-1.0, -1.0, 1.0)


def radiological_view(volume: Volume) -> Volume:
    """The same voxels with columns from the patient's right to left, rows from front to back, slices upwards.

    Nothing is resampled and no voxel copied: axes are swapped and flipped to the nearest right ones, so that an
    oblique scan is shown in the planes that it was taken in, and ``array[k]`` is the picture of an axial slice.
    """
    _, sources = linear_sum_assignment(-np.abs(volume.direction))
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    flipped = []
    for target, (ras, sign) in enumerate(zip(_AXES, _SIGNS, strict=True)):
        source = int(sources[ras])
        forward = volume.direction[ras, source] * sign > 0
        matrix[source, target] = 1.0 if forward else -1.0
        matrix[source, 3] = 0.0 if forward else volume.shape_ijk[source] - 1
        if not forward:
            flipped.append(2 - target)
    array = np.transpose(volume.array, [2 - int(sources[ras]) for ras in reversed(_AXES)])
    return Volume(np.flip(array, tuple(flipped)), volume.ijk_to_ras @ matrix, volume.name, volume.metadata)
