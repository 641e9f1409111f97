"""Scans with one dark lesion of known mask, made on a fine grid and averaged into the scan's voxels.

The lesion is a rounded, slightly lopsided ellipsoid whose susceptibility has bloomed into the tissue; veins
pass at a stated distance; the tissue has slow shading, a brighter and a darker side, and Rician noise. The
reference mask is the part of each voxel that the lesion fills, cut at half of the fullest voxel (so that a
lesion thinner than a slice still has a mask).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from CMBNetLib.volume import Volume

FIELD_MM = 30.0
SPACINGS = {
    "thin 0.45x0.45x1.0": (0.45, 0.45, 1.0),
    "thin 0.5x0.5x0.8": (0.5, 0.5, 0.8),
    "medium 0.94x0.94x1.75": (0.94, 0.94, 1.75),
    "thick 0.45x0.45x4.0": (0.45, 0.45, 4.0),
    "thick 1.0x1.0x3.0": (1.0, 1.0, 3.0),
}


@dataclass(frozen=True)
class Recipe:
    """What one phantom holds; lengths in mm, depths as a part of the tissue's intensity."""

    spacing_mm: tuple[float, float, float] = (0.45, 0.45, 1.0)
    diameter_mm: float = 4.0
    depth: float = 0.7
    blur_mm: float = 0.3
    noise: float = 0.04
    vein_distance_mm: float | None = None
    vein_radius_mm: float = 0.5
    vein_depth: float = 0.6
    centre_mm: tuple[float, float, float] | None = None
    intensity: float = 400.0
    seed: int = 0


@dataclass(frozen=True)
class Phantom:
    """A scan, the mask of its lesion on the same grid and the lesion's centre (RAS mm)."""

    scan: Volume
    truth: np.ndarray
    centre_ras: tuple[float, float, float]
    recipe: Recipe


def random_recipe(rng: np.random.Generator, spacing_mm: tuple[float, float, float]) -> Recipe:
    """Draw a lesion; half of them have a vein within 2 mm of their rim."""
    return Recipe(
        spacing_mm=spacing_mm,
        diameter_mm=float(np.clip(rng.lognormal(np.log(3.6), 0.35), 1.8, 9.0)),
        depth=float(rng.uniform(0.45, 0.95)),
        blur_mm=float(rng.uniform(0.2, 0.45)),
        noise=float(rng.uniform(0.02, 0.08)),
        vein_distance_mm=float(rng.uniform(-0.3, 2.0)) if rng.random() < 0.5 else None,
        vein_radius_mm=float(rng.uniform(0.3, 0.8)),
        vein_depth=float(rng.uniform(0.35, 0.8)),
        intensity=float(np.exp(rng.uniform(np.log(80), np.log(1200)))),
        seed=int(rng.integers(2**31)),
    )


def make_phantom(recipe: Recipe) -> Phantom:
    """Return the phantom of that recipe."""
    rng = np.random.default_rng(recipe.seed)
    factors = [max(1, round(edge / 0.3)) for edge in recipe.spacing_mm]
    size = [max(10, round(FIELD_MM / edge)) for edge in recipe.spacing_mm]
    grid = _fine_grid(size, factors, recipe.spacing_mm)
    centre = _centre(recipe, size, rng)
    lesion = _lesion(grid, centre, recipe, rng)
    fine = _tissue(grid, rng) * (
        1
        - recipe.depth
        * ndimage.gaussian_filter(
            lesion,
            [recipe.blur_mm * f / e for f, e in zip(factors[::-1], recipe.spacing_mm[::-1], strict=True)],
        )
    )
    if recipe.vein_distance_mm is not None:
        fine *= 1 - recipe.vein_depth * _vein(grid, centre, recipe, rng)
    image = _average(fine, factors) * recipe.intensity
    noise = rng.normal(0, recipe.noise * recipe.intensity, (2, *image.shape))
    image = np.hypot(image + noise[0], noise[1])
    filled = _average(lesion, factors)
    truth = filled >= 0.5 * filled.max()
    affine = np.diag([*recipe.spacing_mm, 1.0])
    scan = Volume(image.astype(np.float32), affine, "phantom", {})
    return Phantom(scan, truth, (float(centre[0]), float(centre[1]), float(centre[2])), recipe)


def _centre(recipe: Recipe, size: list[int], rng: np.random.Generator) -> np.ndarray:
    """Return the stated centre, or one near the middle that falls anywhere between the voxel centres."""
    if recipe.centre_mm is not None:
        return np.asarray(recipe.centre_mm, dtype=float)
    middle = (np.asarray(size) // 2) * np.asarray(recipe.spacing_mm)
    return middle + rng.uniform(-0.5, 0.5, 3) * np.asarray(recipe.spacing_mm)


def _fine_grid(size: list[int], factors: list[int], spacing: tuple[float, float, float]) -> list[np.ndarray]:
    """Return x, y, z (mm) of the fine voxels as three broadcasting arrays of an array ``[k, j, i]``."""
    axes = []
    for axis in range(3):
        n, factor, edge = size[axis], factors[axis], spacing[axis]
        positions = (np.arange(n * factor) + 0.5) * edge / factor - edge / 2
        axes.append(positions.reshape([-1 if other == 2 - axis else 1 for other in range(3)]).astype(np.float32))
    return axes


def _lesion(grid: list[np.ndarray], centre: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """Return the lesion as 0/1: an ellipsoid, turned at random and dented by a smooth angular wave."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    axes = rng.uniform(0.8, 1.25, 3)
    axes *= recipe.diameter_mm / 2 / np.prod(axes) ** (1 / 3)
    offset = [g - c for g, c in zip(grid, centre, strict=True)]
    along = [sum(turn[r, a] * offset[a] for a in range(3)) / axes[r] for r in range(3)]
    radius = np.sqrt(along[0] ** 2 + along[1] ** 2 + along[2] ** 2)
    dent = 1 + 0.12 * along[0] * along[1] / np.maximum(radius**2, 1e-6)
    return (radius <= dent).astype(np.float32)


def _vein(grid: list[np.ndarray], centre: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """Return a straight vein as 0..1, its wall ``vein_distance_mm`` from the lesion's mean rim."""
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    side = np.cross(direction, rng.normal(size=3))
    side /= np.linalg.norm(side)
    assert recipe.vein_distance_mm is not None
    away = recipe.diameter_mm / 2 + recipe.vein_distance_mm + recipe.vein_radius_mm
    offset = [g - (c + s * away) for g, c, s in zip(grid, centre, side, strict=True)]
    along = sum(d * o for d, o in zip(direction, offset, strict=True))
    squared = offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2 - along**2
    distance = np.sqrt(np.maximum(squared, 0))
    return np.clip((recipe.vein_radius_mm - distance) / 0.3 + 0.5, 0, 1)


def _tissue(grid: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return tissue near 1: slow shading and one wavy border between two tissues 12 % apart."""
    phase = rng.uniform(0, 2 * np.pi, 4)
    x, y, z = grid
    shading = 1 + 0.05 * np.sin(x / 9 + phase[0]) * np.sin(y / 9 + phase[1]) * np.sin(z / 9 + phase[2])
    border = x + 2 * np.sin(y / 4 + phase[3]) - rng.uniform(0, FIELD_MM) + 0.3 * z
    return shading * (1 - 0.12 / (1 + np.exp(-border / 0.4)))


def _average(fine: np.ndarray, factors: list[int]) -> np.ndarray:
    """Return the mean of each block of fine voxels (the scanner's partial volume)."""
    k, j, i = (n // f for n, f in zip(fine.shape, factors[::-1], strict=True))
    fk, fj, fi = factors[::-1]
    return fine.reshape(k, fk, j, fj, i, fi).mean(axis=(1, 3, 5))
