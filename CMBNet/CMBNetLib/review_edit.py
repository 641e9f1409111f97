"""Editing of outlines: grown from a click, grown and shrunk, painted in mm, split and merged; numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .errors import InputError
from .growth import GrowthCurve, grow
from .reading_events import Part, Point
from .reading_mask import ReadingMask
from .refinement import refine_curve
from .volume import Volume

Box = tuple[slice, slice, slice]
# Room around a mask for one more layer of voxels.
_MARGIN = 2


@dataclass(frozen=True)
class GrownOutline:
    """An outline grown from a click, whose tolerance the mouse wheel changes.

    Attributes
    ----------
    point_ras : tuple of float
        The click.
    curve : GrowthCurve
        The outlines of all tolerances.
    tolerance : float
        The present one; 0 is the darkest voxel, 1 reaches the intensity of the surroundings.
    mask : ReadingMask
        The outline of it.
    quality : str
        "good", "check" or "fallback", as `refinement.Refinement` says.
    """

    point_ras: Point
    curve: GrowthCurve
    tolerance: float
    mask: ReadingMask
    quality: str

    def turned(self, clicks: float) -> GrownOutline:
        """Return the outline after so many clicks of the wheel (positive: larger)."""
        tolerance = self.curve.step(self.tolerance, clicks)
        crop = self.curve.region(tolerance)
        if not crop.any():
            return self
        mask = ReadingMask.from_array(
            crop, "region growing", _settings(tolerance, "wheel"), offset_ijk=_offset(self.curve.window)
        )
        return GrownOutline(self.point_ras, self.curve, tolerance, mask, "good")


def grow_outline(scan: Volume, point_ras: Point, *, brain: np.ndarray | None = None) -> GrownOutline:
    """Return the outline of the lesion at a point.

    Raises
    ------
    InputError
        The point lies outside the scan or its brain mask.
    """
    curve = grow(scan, point_ras, brain=brain)
    refined = refine_curve(scan, curve, point_ras)
    settings = {**_settings(refined.tolerance, refined.method), "quality": refined.quality}
    mask = ReadingMask.from_array(refined.mask, "region growing", settings, offset_ijk=_offset(refined.window))
    return GrownOutline(point_ras, curve, refined.tolerance, mask, refined.quality)


def darkest_along(scan: Volume, point_ras: Point, normal_ras: Point, half_mm: float) -> Point:
    """Return the place of the darkest voxel on a line through a point: what a minimum projection shows there.

    Raises
    ------
    InputError
        No part of the line lies within the scan.
    """
    normal = np.asarray(normal_ras) / np.linalg.norm(normal_ras)
    steps = np.arange(-half_mm, half_mm + 1e-6, min(scan.spacing_mm) / 2)
    steps = steps[np.argsort(np.abs(steps), kind="stable")]  # of equal ones the nearest
    points = np.asarray(point_ras) + steps[:, None] * normal
    voxels = np.rint(scan.ijk_from_ras(points)).astype(int)
    inside = np.all((voxels >= 0) & (voxels < scan.shape_ijk), axis=1)
    if not inside.any():
        raise InputError("The point lies outside the scan; pick a point inside it.")
    i, j, k = voxels[inside].T
    x, y, z = points[inside][int(np.argmin(scan.array[k, j, i]))]
    return float(x), float(y), float(z)


def resize(mask: ReadingMask, scan: Volume, steps: int) -> ReadingMask:
    """Return the outline grown (positive) or shrunk (negative) by layers of the smallest voxel edge in mm.

    Raises
    ------
    InputError
        Shrinking would leave nothing.
    """
    crop, box = _with_margin(mask, scan, abs(steps) * _MARGIN)
    step_mm = abs(steps) * min(scan.spacing_mm) * 1.001
    sampling = scan.spacing_mm[::-1]
    if steps > 0:
        changed = ndimage.distance_transform_edt(~crop, sampling=sampling) <= step_mm
    else:
        changed = ndimage.distance_transform_edt(crop, sampling=sampling) > step_mm
    if not changed.any():
        raise InputError("The outline cannot shrink any more. Delete the finding or reject it instead.")
    return ReadingMask.from_array(
        changed, "grow" if steps > 0 else "shrink", {"step_mm": round(step_mm, 3)}, offset_ijk=_offset(box)
    )


def paint(
    mask: ReadingMask | None,
    scan: Volume,
    center_ras: Point,
    radius_mm: float,
    *,
    erase: bool = False,
    normal_ras: Point | None = None,
) -> ReadingMask | None:
    """Return the outline after one dab of the brush; None where erasing left nothing.

    Parameters
    ----------
    mask : ReadingMask or None
        The outline before.
    center_ras, radius_mm
        The brush: a ball, or with `normal_ras` a disc of one voxel's thickness in the plane of a slice view. At
        least the voxel under its centre belongs to it.
    erase : bool
        Take away instead of adding.

    Raises
    ------
    InputError
        The centre lies outside the scan, or the radius is not between 0 and 20 mm.
    """
    if not 0 < radius_mm <= 20:
        raise InputError(f"A brush of {radius_mm:g} mm radius is of no use here; choose 0.2 to 20 mm.")
    dab, dab_box = _dab(scan, center_ras, radius_mm, normal_ras)
    box = dab_box if mask is None else _union(dab_box, mask.box())
    crop = np.zeros([edge.stop - edge.start for edge in box], bool)
    if mask is not None:
        crop[_within(mask.box(), box)] = mask.array()
    target = crop[_within(dab_box, box)]
    target[dab] = not erase
    if not crop.any():
        return None
    settings = {"radius_mm": radius_mm, "erase": erase}
    return ReadingMask.from_array(crop, "brush", settings, offset_ijk=_offset(box))


def split(mask: ReadingMask, scan: Volume) -> tuple[ReadingMask, list[Part]]:
    """Split an outline: into its pieces, or, where it is in one piece, across its longest axis.

    Returns
    -------
    ReadingMask, list of Part
        The largest part, and the others.

    Raises
    ------
    InputError
        The outline is a single voxel.
    """
    crop = mask.array()
    labels, count = ndimage.label(crop, np.ones((3, 3, 3)))
    if count == 1:
        labels, count = _halves(crop, scan), 2
    sizes = np.bincount(labels.ravel())[1:]
    order = np.argsort(-sizes, kind="stable") + 1
    masks = [ReadingMask.from_array(labels == number, "split", offset_ijk=mask.offset_ijk) for number in order[:count]]
    return masks[0], [Part(center_of(part, scan), part) for part in masks[1:]]


def merge(masks: list[ReadingMask]) -> ReadingMask:
    """Return the union of outlines; :class:`InputError` without any."""
    if not masks:
        raise InputError("Neither finding has an outline; draw one first, then merge.")
    box = masks[0].box()
    for mask in masks[1:]:
        box = _union(box, mask.box())
    crop = np.zeros([edge.stop - edge.start for edge in box], bool)
    for mask in masks:
        crop[_within(mask.box(), box)] |= mask.array()
    return ReadingMask.from_array(crop, "merge", offset_ijk=_offset(box))


def center_of(mask: ReadingMask, scan: Volume) -> Point:
    """Return the centre of mass of an outline (RAS, mm)."""
    k, j, i = np.argwhere(mask.array()).mean(axis=0)
    offset = mask.offset_ijk
    x, y, z = scan.ras_from_ijk(np.array([[i + offset[0], j + offset[1], k + offset[2]]]))[0]
    return round(float(x), 4), round(float(y), 4), round(float(z), 4)


def nearest(point: Point, others: dict[str, Point], within_mm: float = 10.0) -> str:
    """Return the key of the closest of other findings; :class:`InputError` if none is within reach."""
    distance = {key: float(np.linalg.norm(np.subtract(point, other))) for key, other in others.items()}
    key = min(distance, key=distance.__getitem__, default=None)
    if key is None or distance[key] > within_mm:
        raise InputError(f"No other finding lies within {within_mm:g} mm; there is nothing to merge with.")
    return key


def _settings(tolerance: float, method: str) -> dict[str, object]:
    return {"tolerance": round(float(tolerance), 4), "how": method}


def _offset(box: Box) -> tuple[int, int, int]:
    return int(box[2].start), int(box[1].start), int(box[0].start)


def _with_margin(mask: ReadingMask, scan: Volume, margin: int) -> tuple[np.ndarray, Box]:
    box = _clipped(lambda axis: (mask.box()[axis].start - margin, mask.box()[axis].stop + margin), scan)
    crop = np.zeros([edge.stop - edge.start for edge in box], bool)
    crop[_within(mask.box(), box)] = mask.array()
    return crop, box


def _clipped(edges: Callable[[int], tuple[int, int]], scan: Volume) -> Box:
    pairs = [(max(int(edges(axis)[0]), 0), min(int(edges(axis)[1]), scan.array.shape[axis])) for axis in range(3)]
    k, j, i = (slice(low, high) for low, high in pairs)
    return k, j, i


def _union(first: Box, second: Box) -> Box:
    k, j, i = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return k, j, i


def _within(inner: Box, outer: Box) -> Box:
    k, j, i = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True))
    return k, j, i


def _dab_box(scan: Volume, center_ras: Point, radius_mm: float) -> Box:
    center = np.rint(scan.ijk_from_ras(np.array([center_ras]))[0]).astype(int)[::-1]
    if np.any(center < 0) or np.any(center >= scan.array.shape):
        raise InputError("The brush is outside the scan.")
    reach = np.ceil(radius_mm / np.asarray(scan.spacing_mm[::-1])).astype(int) + 1
    return _clipped(lambda axis: (center[axis] - reach[axis], center[axis] + reach[axis] + 1), scan)


def _dab(scan: Volume, center_ras: Point, radius_mm: float, normal_ras: Point | None) -> tuple[np.ndarray, Box]:
    """Return the voxels of one dab as a crop and its box."""
    box = _dab_box(scan, center_ras, radius_mm)
    k, j, i = np.meshgrid(*(np.arange(edge.start, edge.stop) for edge in box), indexing="ij")
    away = scan.ras_from_ijk(np.stack([i, j, k], axis=-1).reshape(-1, 3)) - np.asarray(center_ras)
    inside = np.linalg.norm(away, axis=1) <= radius_mm
    if normal_ras is not None:
        normal = np.asarray(normal_ras) / np.linalg.norm(normal_ras)
        # Half the voxel's extent along the normal: every voxel the slice cuts, and no other.
        half = 0.5 * np.abs(scan.ijk_to_ras[:3, :3].T @ normal).sum()
        inside &= np.abs(away @ normal) < half
    inside[np.argmin(np.linalg.norm(away, axis=1))] = True
    return inside.reshape(k.shape), box


def _halves(crop: np.ndarray, scan: Volume) -> np.ndarray:
    voxels = np.argwhere(crop)
    if len(voxels) < 2:
        raise InputError("The outline is a single voxel and cannot be split.")
    points = scan.ras_from_ijk(voxels[:, ::-1].astype(float))
    centered = points - points.mean(axis=0)
    along = centered @ np.linalg.svd(centered, full_matrices=False)[2][0]
    side = along > np.median(along)
    if not side.any():
        side = along > along.min()
    labels = np.zeros(crop.shape, np.int32)
    labels[tuple(voxels.T)] = np.where(side, 2, 1)
    return labels
