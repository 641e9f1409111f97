"""Synthetic scans of a whole head as volumes: field of view, place in the scanner, stored values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from CMBNetLib.volume import Volume
from CMBNetTrainingLib.protocol import Protocol
from CMBNetTrainingLib.synthesis import SyntheticScan

FIELD_OF_VIEW_MM = (162.0, 216.0, 176.0)  # k, j, i
# The brain's mean in the files: enough steps for int16 without a scale factor.
STORED_LEVEL = 400.0


def as_volumes(scan: SyntheticScan) -> tuple[Volume, Volume]:
    """Image (int16) and visible microbleeds (uint16, one value each), round the scanner's origin, slices tilted."""
    matrix = centred_matrix(scan.image.shape, scan.spacing_mm, scan.protocol)
    image = np.clip(np.rint(scan.image * STORED_LEVEL), 0, 32767).astype(np.int16)
    return Volume(image, matrix, "scan"), Volume(scan.instances, matrix, "truth")


def centred_matrix(shape: Sequence[int], spacing_mm: Sequence[float], protocol: Protocol) -> np.ndarray:
    """ijk_to_ras of a grid round the origin, tilted as slices are: ``shape`` (k, j, i), ``spacing_mm`` (i, j, k)."""
    matrix = np.eye(4)
    # From array axes (k, j, i) = (S, A, R) to (i, j, k) and RAS: both orders reversed.
    matrix[:3, :3] = protocol.slice_rotation[::-1, ::-1] * np.asarray(spacing_mm)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return matrix
