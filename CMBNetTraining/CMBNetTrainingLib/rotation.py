"""Rotations in array axes (k, j, i)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_PLANES = ((1, 2), (0, 2), (0, 1))


def rotation_kji(angles_deg: Sequence[float] | np.ndarray) -> np.ndarray:
    """3x3 matrix that turns (k, j, i) vectors about the k, then the j, then the i axis by ``angles_deg``."""
    matrix = np.eye(3)
    for (a, b), angle in zip(_PLANES, np.deg2rad(angles_deg), strict=True):
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix
