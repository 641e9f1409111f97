"""Refinement: a point or rough mark becomes the mask of a lesion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from .errors import InputError
from .growth import CROP_RADIUS_MM, MAX_DIAMETER_MM, SNAP_MM, GrowthCurve, grow
from .vessel_stop import COMPACT_ENOUGH, compactness, cut_vessels

if TYPE_CHECKING:
    from .shape import LesionShape
    from .volume import Volume

# Mean diameter over seven collections (VALDO 3.0, RODEJA 2.5, MOMENI 2.8, DOU 3.0, ...).
TYPICAL_DIAMETER_MM = 2.9
# In flat noise the darkest voxel near a point lies up to 3.3 standard deviations below the surroundings (95th
# percentile 2.3 to 3.2 on 150 phantoms without a lesion); lesions lie above 4 in 95 of 100.
LEAST_CONTRAST_SD = 3.0
FAINT_CONTRAST_SD = 4.0
# The surroundings of a lesion are brighter than half of its contrast; a larger dark region is something else.
OPEN_TOLERANCE = 0.5
LEAST_COMPACTNESS = 0.55
# A region of which the cut leaves less than this was a vessel beside a small lesion: on phantoms a sphere of the
# typical size had a mean Dice of .86 there, what the cut left .45 (.75 and .70 where it leaves .4 to .55, worse above).
LEAST_KEPT = 0.55
# What fits into the crop that is grown in.
LARGEST_DIAMETER_MM = 2 * CROP_RADIUS_MM
# A sphere is measured in parts of voxels not larger than this.
SPHERE_STEP_MM = 0.25
EXPLANATIONS = {
    "not_dark": "the point is not darker than its surroundings; a sphere was used",
    "leak": "the region ran into its surroundings; a sphere was used",
    "vessel": "a vessel was cut off",
    "joined": "a larger dark region begins right beside the lesion",
    "faint": "the lesion hardly stands out from the noise",
    "edge": "the lesion touches the edge of the scan or brain mask",
    "few_voxels": "the lesion has fewer than four voxels",
    "size": "the size differs from the stated diameter by more than a factor of two",
}


@dataclass(frozen=True)
class Refinement:
    """The mask of one lesion and how far to trust it.

    Attributes
    ----------
    mask : np.ndarray
        bool crop ``[k, j, i]``.
    window : tuple of slice
        Where the crop lies in the scan's array: ``labels[window][mask] = value``.
    center_ras : tuple of float
        Centre of mass of the mask, RAS mm.
    method : str
        "growth" or "sphere".
    quality : str
        "good", "check" (look at it) or "fallback" (a sphere stands in).
    flags : tuple of str
        Keys of :data:`EXPLANATIONS`.
    tolerance, knee : float
        Chosen tolerance and knee of the size curve, in units of local contrast.
    contrast_sd : float
        Depth of the seed below the surroundings over their standard deviation.
    """

    mask: np.ndarray
    window: tuple[slice, slice, slice]
    center_ras: tuple[float, float, float]
    method: str
    quality: str
    flags: tuple[str, ...]
    tolerance: float
    knee: float
    contrast_sd: float
    curve: GrowthCurve = field(repr=False)
    image: np.ndarray = field(repr=False)  # the scan's values in the window

    @cached_property
    def shape(self) -> LesionShape:
        """Volume, diameters, sphericity, contrast of the mask.

        Measured when it is first asked for: a reader who draws needs none of it, and it takes scikit-image, which
        Slicer does not bring along.
        """
        from .shape import measure_shape

        return measure_shape(self.mask, self.curve.spacing_mm, np.nan_to_num(self.image))

    def paint(self, labels: np.ndarray, value: int, *, over: bool = False) -> int:
        """Write ``value`` into a label array ``[k, j, i]`` of the scan; return the number of voxels written.

        Voxels of other lesions are kept unless ``over``.
        """
        target = labels[self.window]
        chosen = self.mask if over else self.mask & (target == 0)
        target[chosen] = value
        return int(np.count_nonzero(chosen))

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON record keeps of it."""
        return {
            "method": self.method,
            "quality": self.quality,
            "flags": list(self.flags),
            "tolerance": round(self.tolerance, 4),
            "knee": round(self.knee, 4),
            "contrast_sd": round(self.contrast_sd, 3),
            "center_ras": [round(value, 3) for value in self.center_ras],
            "volume_mm3": round(self.shape.volume_mm3, 3),
            "equivalent_diameter_mm": round(self.shape.equivalent_diameter_mm, 3),
            "sphericity": round(self.shape.sphericity, 4),
            "contrast": None if self.shape.contrast is None else round(self.shape.contrast, 3),
        }


def refine_point(
    scan: Volume,
    point_ras: tuple[float, float, float],
    *,
    expected_diameter_mm: float | None = None,
    brain: np.ndarray | None = None,
    max_diameter_mm: float = MAX_DIAMETER_MM,
    snap_mm: float = SNAP_MM,
    tolerance: float | None = None,
) -> Refinement:
    """Turn a point in a dark lesion into its mask.

    Parameters
    ----------
    scan : Volume
        SWI or T2* scan.
    point_ras : tuple of float
        A point in or near the lesion, RAS mm.
    expected_diameter_mm : float, optional
        Diameter a reader stated: used by the sphere that stands in, and checked against the region.
    brain : np.ndarray, optional
        bool ``[k, j, i]`` on the scan's grid; nothing grows out of it.
    max_diameter_mm : float
        A region as large as a sphere of this diameter counts as a leak.
    snap_mm : float
        The seed is the darkest voxel within this distance of the point.
    tolerance : float, optional
        Use this tolerance instead of the one the knee gives.

    Raises
    ------
    InputError
        The point lies outside the scan or brain mask, or a diameter is not positive.
    """
    for stated in (expected_diameter_mm, max_diameter_mm):
        if stated is not None and not 0 < stated <= LARGEST_DIAMETER_MM:
            raise InputError(
                f"A microbleed of {stated} mm makes no sense; give a diameter above 0 and at most "
                f"{LARGEST_DIAMETER_MM:.0f} mm."
            )
    curve = grow(scan, point_ras, brain=brain, max_diameter_mm=max_diameter_mm, snap_mm=snap_mm)
    return refine_curve(scan, curve, point_ras, expected_diameter_mm=expected_diameter_mm, tolerance=tolerance)


def refine_curve(
    scan: Volume,
    curve: GrowthCurve,
    point_ras: tuple[float, float, float],
    *,
    expected_diameter_mm: float | None = None,
    tolerance: float | None = None,
) -> Refinement:
    """Return the refinement of a curve that :func:`CMBNetLib.growth.grow` gave (parameters as
    `refine_point`)."""
    best, knee = curve.best_tolerance()
    chosen = best if tolerance is None else tolerance
    mask, flags = _grown(curve, chosen, forced=tolerance is not None)
    method = "growth"
    if "not_dark" in flags or "leak" in flags:
        method = "sphere"
        mask = _sphere(scan, curve, point_ras, expected_diameter_mm or TYPICAL_DIAMETER_MM)
    flags += _size_flags(mask, curve, expected_diameter_mm)
    return Refinement(
        mask=mask,
        window=curve.window,
        center_ras=_center(scan, curve, mask),
        method=method,
        quality="fallback" if method == "sphere" else ("check" if flags else "good"),
        flags=tuple(flags),
        tolerance=chosen,
        knee=knee,
        contrast_sd=_contrast_sd(curve),
        curve=curve,
        image=np.asarray(scan.array[curve.window], dtype=np.float32),
    )


def refine_mask(
    scan: Volume,
    rough: np.ndarray,
    *,
    window: tuple[slice, slice, slice] | None = None,
    brain: np.ndarray | None = None,
    max_diameter_mm: float = MAX_DIAMETER_MM,
) -> Refinement:
    """Turn a rough mark (dots, a box, a blob too large or too small) into the mask of the lesion in it.

    The growth starts at the darkest voxel of the mark. The mark's size is not trusted.

    Parameters
    ----------
    rough : np.ndarray
        bool ``[k, j, i]``, one lesion: on the scan's grid, or a crop of it.
    window : tuple of slice, optional
        Where the crop lies in the scan's array.

    Raises
    ------
    InputError
        The mark is empty, on another grid or wholly outside the brain mask.
    """
    place = window or (slice(0, scan.array.shape[0]), slice(0, scan.array.shape[1]), slice(0, scan.array.shape[2]))
    if rough.shape != scan.array[place].shape:
        raise InputError(
            f"The mark has {rough.shape[::-1]} voxels and the scan {scan.array[place].shape[::-1]}; resample it first."
        )
    inside = np.asarray(rough, dtype=bool) if brain is None else np.asarray(rough, dtype=bool) & brain[place]
    voxels = np.argwhere(inside) + [side.start for side in place]
    if len(voxels) == 0:
        raise InputError("The rough mark is empty, or wholly outside the brain mask; nothing can be refined.")
    values = scan.array[tuple(voxels.T)]
    darkest = voxels[int(np.argmin(np.where(np.isfinite(values), values, np.inf)))]
    point = scan.ras_from_ijk(darkest[None, ::-1].astype(float))[0]
    return refine_point(
        scan,
        (float(point[0]), float(point[1]), float(point[2])),
        brain=brain,
        max_diameter_mm=max_diameter_mm,
        snap_mm=0,
    )


def sphere_mask(
    scan: Volume,
    point_ras: tuple[float, float, float],
    diameter_mm: float,
    window: tuple[slice, slice, slice],
) -> np.ndarray:
    """Return a sphere in millimetres as a bool crop of the scan's array; at least the voxel nearest to its centre.

    A voxel belongs to it when the sphere fills it at least half as much as the fullest voxel: that is half of the voxel
    where voxels are small, and keeps both slices of a sphere between two thick ones. Oblique and anisotropic grids are
    respected.
    """
    k, j, i = np.meshgrid(*(np.arange(w.start, w.stop, dtype=float) for w in window), indexing="ij")
    parts = [int(np.ceil(edge / SPHERE_STEP_MM)) | 1 for edge in scan.spacing_mm]  # odd: halves leave no tie
    steps = [(np.arange(n) + 0.5) / n - 0.5 for n in parts]
    filled = np.zeros(k.shape)
    for shift in product(*steps):
        filled += _squared_mm(scan, point_ras, (i, j, k), shift) <= (diameter_mm / 2) ** 2
    mask = filled >= max(0.5 * filled.max(), 0.5)
    mask.reshape(-1)[int(np.argmin(_squared_mm(scan, point_ras, (i, j, k), (0, 0, 0))))] = True
    return mask


def _squared_mm(
    scan: Volume, point_ras: tuple[float, float, float], ijk: Sequence[np.ndarray], shift_ijk: Sequence[float]
) -> np.ndarray:
    """Return the squared distances (mm2) of voxel positions, all shifted by a part of a voxel, to a point."""
    matrix = scan.ijk_to_ras
    start = matrix[:3, :3] @ np.asarray(shift_ijk, dtype=float) + matrix[:3, 3] - point_ras
    axes = [sum(matrix[row, axis] * ijk[axis] for axis in range(3)) + start[row] for row in range(3)]
    return np.asarray(sum(axis**2 for axis in axes))


def _grown(curve: GrowthCurve, tolerance: float, *, forced: bool) -> tuple[np.ndarray, list[str]]:
    """Return the region of a tolerance without vessels, and what is wrong with it."""
    mask = curve.region(tolerance)
    if curve.contrast <= 0 or (not forced and _contrast_sd(curve) < LEAST_CONTRAST_SD):
        return mask, ["not_dark"]
    if forced:
        return mask, []
    flags = ["faint"] if _contrast_sd(curve) < FAINT_CONTRAST_SD else []
    if compactness(mask, curve.spacing_mm) < COMPACT_ENOUGH:
        cut = cut_vessels(mask, curve.spacing_mm, curve.seed_kji)
        kept = np.count_nonzero(cut) / np.count_nonzero(mask)
        if kept < 1:
            mask = cut
            flags.append("vessel" if kept >= LEAST_KEPT else "leak")
    return mask, flags + [flag for flag in _leak_flags(curve, mask) if flag not in flags]


def _leak_flags(curve: GrowthCurve, mask: np.ndarray) -> list[str]:
    """Say whether the region is, or lies in, something too large or too ragged for a microbleed."""
    limit = len(curve.flood.indices)
    goes_on = not curve.flood.complete and curve.count(OPEN_TOLERANCE) >= limit
    if compactness(mask, curve.spacing_mm) < LEAST_COMPACTNESS or (goes_on and np.count_nonzero(mask) > limit / 2):
        return ["leak"]
    return ["joined"] if goes_on else []


def _contrast_sd(curve: GrowthCurve) -> float:
    """Return the depth of the seed in standard deviations of the surroundings (finite even without noise)."""
    return curve.contrast / max(curve.noise, 1e-3 * abs(curve.background), 1e-12)


def _size_flags(mask: np.ndarray, curve: GrowthCurve, expected_diameter_mm: float | None) -> list[str]:
    flags = []
    count = int(np.count_nonzero(mask))
    if count < 4:
        flags.append("few_voxels")
    # The crop ends before the scan does, and the region before the crop: its rim is an edge only at the scan's.
    if np.any(ndimage.binary_dilation(np.pad(mask, 1)) & ~np.pad(curve.valid, 1)):
        flags.append("edge")
    if expected_diameter_mm is not None:
        diameter = (6 * count * curve.voxel_volume_mm3 / np.pi) ** (1 / 3)
        if not 0.5 <= diameter / expected_diameter_mm <= 2:
            flags.append("size")
    return flags


def _sphere(scan: Volume, curve: GrowthCurve, point_ras: tuple[float, float, float], diameter_mm: float) -> np.ndarray:
    return sphere_mask(scan, point_ras, diameter_mm, curve.window)


def _center(scan: Volume, curve: GrowthCurve, mask: np.ndarray) -> tuple[float, float, float]:
    kji = np.argwhere(mask).mean(axis=0) + [w.start for w in curve.window]
    x, y, z = scan.ras_from_ijk(kji[None, ::-1])[0]
    return float(x), float(y), float(z)
