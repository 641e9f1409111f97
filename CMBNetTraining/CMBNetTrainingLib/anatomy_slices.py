"""How the slices of a scan lie in a patch of 1 mm voxels: their spacing, thickness and field of view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VOXEL_MM = 1.0
THICK_SHARE = 0.6
# Scans are axial, now and then sagittal or coronal: probability of the slice axis being k, j, i.
AXES = (0.8, 0.08, 0.12)


@dataclass(frozen=True)
class Slicing:
    """Slices across ``axis``: a matrix that averages over them and interpolates back."""

    axis: int
    matrix: np.ndarray
    shape: tuple[int, ...]

    def in_view(self, rng: np.random.Generator) -> np.ndarray:
        """Mask of the field of view, which may end early across the slices; broadcasts over the patch."""
        count = self.shape[self.axis]
        seen = np.ones(count, bool)
        if rng.random() < 0.2:
            seen[count - int(rng.uniform(0, 0.4) * count) :] = False
        if rng.random() < 0.2:
            seen[: int(rng.uniform(0, 0.4) * count)] = False
        return seen.reshape([-1 if axis == self.axis else 1 for axis in range(3)])


def draw_slicing(rng: np.random.Generator, shape: tuple[int, ...]) -> Slicing:
    """Thin slices, or slices of 2.5 to 7 mm with or without a gap."""
    axis = int(rng.choice(3, p=AXES))
    thick = rng.random() < THICK_SHARE
    spacing = float(np.exp(rng.uniform(np.log(2.5), np.log(7.0)))) if thick else float(rng.uniform(1.0, 2.5))
    thickness = spacing * float(rng.uniform(0.75, 1.0) if thick else 1.0)
    return Slicing(axis, slice_matrix(shape[axis], spacing, thickness, float(rng.uniform(0, spacing))), shape)


def slice_matrix(count: int, spacing_mm: float, thickness_mm: float, start_mm: float) -> np.ndarray:
    """Average ``count`` voxels over slices and interpolate linearly back: (count, count), rows sum to 1."""
    fine = np.linspace(-0.5, 0.5, 9)
    centers = np.arange(start_mm - spacing_mm, count * VOXEL_MM + spacing_mm, spacing_mm)
    at = np.clip((centers[:, None] + fine * thickness_mm) / VOXEL_MM, 0, count - 1)
    average = _linear(at.ravel(), count).reshape(len(centers), len(fine), count).mean(1)
    back = _linear((np.arange(count) * VOXEL_MM - centers[0]) / spacing_mm, len(centers))
    return (back @ average).astype(np.float32)


def _linear(positions: np.ndarray, count: int) -> np.ndarray:
    """Rows of weights that interpolate linearly at positions."""
    low = np.clip(np.floor(positions).astype(int), 0, count - 2)
    weights = np.zeros((len(positions), count))
    rows = np.arange(len(positions))
    share = np.clip(positions - low, 0, 1)
    weights[rows, low] = 1 - share
    weights[rows, low + 1] += share
    return weights
