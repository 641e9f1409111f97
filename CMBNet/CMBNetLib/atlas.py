"""Region map of a scan: the zone atlas fitted to the scan's brain mask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from .errors import InputError
from .resources import resource_path

if TYPE_CHECKING:
    from .volume import Volume

# The fit compares soft outlines on a coarse grid: smooth enough to be attracted from 3 cm away.
FIT_STEP_MM = 6.0
FIT_SIGMA_MM = 4.0
FIT_ITERATIONS = 25
START_SHIFTS_MM = (0.0, -35.0, 35.0)
# Prior of the affine against the brain of the atlas: heads differ by about 6 % in length along an axis
# (standard deviation over the 16 heads of the atlas) and tilt by about 10 degrees; shear is rarer.
PRIOR_SCALE_SD = 0.08
PRIOR_ROTATION_SD = 0.25
PRIOR_WEIGHT = 2e-3


@dataclass(frozen=True)
class Atlas:
    """Zone atlas.

    Attributes
    ----------
    regions : Volume
        uint8 region codes (see `location.region_code`), continued beyond the brain's edge.
    brain : Volume
        Probability of brain, 0..1 float32, on the same grid.
    """

    regions: Volume
    brain: Volume


@lru_cache(maxsize=2)
def load_atlas(folder: str | Path | None = None) -> Atlas:
    """Read the shipped atlas, or one that `CMBNetTrainingLib.build_atlas` wrote to `folder`."""
    from .volume import read_labels

    root = resource_path("Atlas") if folder is None else Path(folder)
    regions = read_labels(root / "regions.nii.gz")
    brain = read_labels(root / "brain.nii.gz")
    if regions.array.shape != brain.array.shape:
        raise InputError(f"The atlas in {root} is damaged: regions and brain have different grids. Install it anew.")
    soft = brain.array.astype(np.float32) / 255.0
    return Atlas(regions.with_array(regions.array.astype(np.uint8)), brain.with_array(soft))


def fit_regions(brain: Volume, atlas: Atlas | None = None) -> Volume:
    """Map the regions of the atlas onto a scan's brain.

    Parameters
    ----------
    brain : Volume
        Brain mask (0 is background) on any grid; the grid's extent is taken for the field of view, so a
        brain that leaves it is fitted by the part that is seen.
    atlas : Atlas, optional
        The shipped atlas by default.

    Returns
    -------
    Volume
        uint8 region codes on the grid of `brain`, 0 outside of the mask.

    Raises
    ------
    InputError
        If the mask is empty or too small to be a brain.
    """
    atlas = atlas or load_atlas()
    affine = fit_affine(brain, atlas.brain)
    return brain.with_array(_sample_regions(brain, atlas.regions, affine), name="regions")


def fit_affine(brain: Volume, template: Volume) -> np.ndarray:
    """Find the affine that maps RAS of the scan to RAS of the atlas by its brain outline.

    Levenberg-Marquardt over twelve parameters on soft masks, from a few heights, because scans often lack
    the top of the head or the cerebellum.

    Returns
    -------
    array (4, 4)
    """
    points, values = _soft_samples(brain)
    outline = _Outline(template)
    centre = points[values > 0.5].mean(axis=0)
    fits = [_descend(outline, points, values, centre, shift) for shift in START_SHIFTS_MM]
    _, parameters = min(fits, key=lambda fit: fit[0])
    return _matrix(parameters, centre, outline.centre)


class _Outline:
    """The soft outline of the template's brain and its gradient, sampled at RAS points."""

    def __init__(self, template: Volume) -> None:
        spacing = np.asarray(template.spacing_mm)[::-1]
        soft = np.pad(template.array.astype(np.float32), 8)
        self._values = ndimage.gaussian_filter(soft, FIT_SIGMA_MM / spacing).astype(np.float32)
        self._gradients = [
            (slope / step).astype(np.float32)
            for slope, step in zip(np.gradient(self._values), spacing, strict=True)
        ]
        self._ras_to_ijk = np.linalg.inv(template.ijk_to_ras)
        self._direction = template.direction
        inside = np.argwhere(template.array > 0.5)[:, ::-1]
        self.centre = template.ras_from_ijk(inside.mean(axis=0)[None])[0]

    def __call__(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (N,) and RAS gradients (N, 3) per mm."""
        ijk = points @ self._ras_to_ijk[:3, :3].T + self._ras_to_ijk[:3, 3] + 8
        kji = ijk.T[::-1]
        values = ndimage.map_coordinates(self._values, kji, order=1, mode="nearest")
        slopes = [ndimage.map_coordinates(g, kji, order=1, mode="nearest") for g in self._gradients[::-1]]
        return values, np.stack(slopes, axis=1) @ self._direction.T


def _soft_samples(brain: Volume) -> tuple[np.ndarray, np.ndarray]:
    """RAS points on a coarse grid over the field of view and the soft mask there."""
    steps = [max(1, round(FIT_STEP_MM / 2.0 / edge)) for edge in brain.spacing_mm]
    i, j, k = steps
    mask = (brain.array[k // 2 :: k, j // 2 :: j, i // 2 :: i] > 0).astype(np.float32)
    spacing = np.asarray(brain.spacing_mm) * steps
    if mask.sum() * spacing.prod() < 5e4:
        raise InputError("The brain mask holds less than 50 ml, so no regions can be named. Check the mask.")
    soft = ndimage.gaussian_filter(mask, FIT_SIGMA_MM / spacing[::-1], mode="nearest")
    thin = [max(1, round(FIT_STEP_MM / edge)) for edge in spacing]
    kji = np.stack(
        np.meshgrid(
            *(np.arange(t // 2, n, t) for t, n in zip(thin[::-1], soft.shape, strict=True)), indexing="ij"
        ),
        axis=-1,
    ).reshape(-1, 3)
    ijk = kji[:, ::-1] * steps + np.asarray(steps) // 2
    return brain.ras_from_ijk(ijk.astype(float)), soft[tuple(kji.T)].astype(float)


def _matrix(parameters: np.ndarray, centre: np.ndarray, target: np.ndarray) -> np.ndarray:
    """4 x 4 matrix of twelve parameters: 9 of the linear part minus identity, 3 of the shift."""
    linear = np.eye(3) + parameters[:9].reshape(3, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = target + parameters[9:] - linear @ centre
    return matrix


def _prior(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residuals and Jacobian of the prior: scales and shears near those of a head, rotation freer."""
    rows = []
    for a in range(3):
        for b in range(a, 3):
            row = np.zeros(12)
            if a == b:
                row[4 * a] = 1.0 / PRIOR_SCALE_SD
                rows.append(row)
                continue
            row[[3 * a + b, 3 * b + a]] = 1.0 / PRIOR_SCALE_SD
            rows.append(row)
            turn = np.zeros(12)
            turn[[3 * a + b, 3 * b + a]] = 0.5 / PRIOR_ROTATION_SD, -0.5 / PRIOR_ROTATION_SD
            rows.append(turn)
    jacobian = np.stack(rows)
    return jacobian @ parameters, jacobian


def _descend(
    outline: _Outline, points: np.ndarray, values: np.ndarray, centre: np.ndarray, shift: float
) -> tuple[float, np.ndarray]:
    """Levenberg-Marquardt from one starting height; returns (cost, parameters)."""
    parameters = np.zeros(12)
    parameters[11] = shift
    damping = 1e-3
    cost, gradient, hessian = _normal_equations(outline, points, values, centre, parameters)
    for _ in range(FIT_ITERATIONS):
        step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), -gradient)
        trial = parameters + step
        new = _normal_equations(outline, points, values, centre, trial)
        if new[0] >= cost:
            damping *= 8.0
            if damping > 1e4:
                break
            continue
        converged = cost - new[0] < 1e-5 * cost
        parameters, (cost, gradient, hessian) = trial, new
        damping = max(damping / 5.0, 1e-6)
        if converged:
            break
    return cost, parameters


def _normal_equations(
    outline: _Outline, points: np.ndarray, values: np.ndarray, centre: np.ndarray, parameters: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Cost, gradient and Gauss-Newton Hessian at `parameters`."""
    matrix = _matrix(parameters, centre, outline.centre)
    predicted, slope = outline(points @ matrix[:3, :3].T + matrix[:3, 3])
    residual = predicted - values
    relative = points - centre
    jacobian = np.concatenate([slope[:, [row]] * relative for row in range(3)] + [slope], axis=1)
    prior_residual, prior_jacobian = _prior(parameters)
    weight = PRIOR_WEIGHT * len(values) / 100.0
    cost = float(residual @ residual + weight * prior_residual @ prior_residual)
    gradient = jacobian.T @ residual + weight * prior_jacobian.T @ prior_residual
    hessian = jacobian.T @ jacobian + weight * prior_jacobian.T @ prior_jacobian
    return cost, gradient, hessian


def _sample_regions(brain: Volume, regions: Volume, affine: np.ndarray) -> np.ndarray:
    """Region codes at every brain voxel, nearest neighbour, slab by slab to bound the memory."""
    to_atlas = np.linalg.inv(regions.ijk_to_ras) @ affine @ brain.ijk_to_ras
    codes = np.zeros(brain.array.shape, np.uint8)
    top = np.asarray(regions.array.shape) - 1
    for k, plane in enumerate(brain.array):
        j, i = np.nonzero(plane)
        if not i.size:
            continue
        ijk = to_atlas[:3, :2] @ np.stack([i, j]) + (to_atlas[:3, 2] * k + to_atlas[:3, 3])[:, None]
        kji = np.clip(np.rint(ijk[::-1]).astype(np.int32), 0, top[:, None])
        codes[k, j, i] = regions.array[tuple(kji)]
    return codes
