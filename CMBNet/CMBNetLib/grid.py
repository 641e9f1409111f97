"""Where voxels lie in RAS millimetres, and how SimpleITK says the same in LPS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InputError

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie, without their values.

    Attributes
    ----------
    shape_ijk
        Number of voxels along i, j, k.
    ijk_to_ras
        4x4 float64, voxel (i, j, k) -> RAS mm of its centre. Oblique, flipped and sheared axes are allowed.
    """

    shape_ijk: tuple[int, int, int]
    ijk_to_ras: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "ijk_to_ras", checked_affine(self.ijk_to_ras))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge in mm along i, j, k."""
        return spacing_of(self.ijk_to_ras)


def spacing_of(ijk_to_ras: np.ndarray) -> tuple[float, float, float]:
    """Voxel edge in mm along i, j, k of a 4x4 ``ijk_to_ras``."""
    i, j, k = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    return float(i), float(j), float(k)


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply the 4x4 affine ``matrix`` to ``points``, (N, 3) or (3,)."""
    return np.asarray(points, dtype=float) @ matrix[:3, :3].T + matrix[:3, 3]


def checked_affine(matrix: np.ndarray) -> np.ndarray:
    """The 4x4 float64 copy of ``matrix``, or an `InputError` where it places voxels nowhere."""
    matrix = np.array(matrix, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise InputError(f"A voxel-to-RAS matrix is 4x4, this one has the shape {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise InputError("The orientation or position of the image is not a number; export the scan again.")
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-12 or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise InputError("The image axes do not span a volume (singular orientation); export the scan again.")
    return matrix


def sitk_geometry(ijk_to_ras: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """Spacing, direction (row by row) and origin that SimpleITK has for ``ijk_to_ras``."""
    lps = _LPS_FROM_RAS @ ijk_to_ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    return spacing.tolist(), (lps[:3, :3] / spacing).ravel().tolist(), lps[:3, 3].tolist()


def sitk_affine(image: Any) -> np.ndarray:
    """4x4 ``ijk_to_ras`` of a 3D SimpleITK image or image file reader."""
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return _LPS_FROM_RAS @ lps
