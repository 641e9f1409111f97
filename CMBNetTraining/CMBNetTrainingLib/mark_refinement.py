"""From the marks of a scan to its lesions: corrections, refinement, and every voxel to one lesion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from CMBNetLib.errors import InputError
from CMBNetLib.growth import CROP_RADIUS_MM
from CMBNetLib.refinement import TYPICAL_DIAMETER_MM, refine_mask, refine_point, sphere_mask
from CMBNetLib.volume import Volume

from .manual_fixes import MATCH_MM, ManualFix
from .scan_loading import MASK, POINT, Mark, Window, center_of
from .source_scan import SourceError

REFINE = {"points": "points and dots", "all": "points, dots and masks", "nothing": "nothing: points become spheres"}


@dataclass(frozen=True)
class Lesion:
    """One microbleed of the collection, on the scan's own grid.

    Attributes
    ----------
    mark : Mark
        What the source had.
    window, mask
        Place and bool crop.
    details : dict
        For the record: method, quality, flags and measures of the refinement, the correction if there was one.
    """

    mark: Mark
    window: Window
    mask: np.ndarray
    details: dict[str, Any]


def apply_fixes(
    marks: Sequence[Mark], fixes: Sequence[ManualFix], steps: list[dict[str, Any]]
) -> list[tuple[Mark, ManualFix | None]]:
    """Pair marks with their corrections, drop what was removed, add what was added.

    Raises
    ------
    SourceError
        A correction is farther than 5 mm from every microbleed (``add`` excepted).
    """
    paired: list[tuple[Mark, ManualFix | None]] = [(mark, None) for mark in marks]
    for fix in fixes:
        place = "({:.1f}, {:.1f}, {:.1f})".format(*fix.point_ras)
        record = {"step": "fix", "action": fix.action, "point_ras": list(fix.point_ras), "note": fix.note}
        if fix.action == "add":
            paired.append((Mark(f"added at {place}", POINT, fix.point_ras), fix))
            steps.append({**record, "message": f"A microbleed was added by hand at {place}."})
            continue
        away = [float(np.linalg.norm(np.subtract(mark.center_ras, fix.point_ras))) for mark, _ in paired]
        nearest = int(np.argmin(away)) if away else -1
        if nearest < 0 or away[nearest] > MATCH_MM:
            text = f"The correction '{fix.action}' at {place} is not within {MATCH_MM:g} mm of a microbleed."
            raise SourceError(text + " Correct the list.", "fix")
        mark = paired[nearest][0]
        steps.append({**record, "message": f"{mark.source_id}: '{fix.action}' by hand.", "source_id": mark.source_id})
        if fix.action == "remove":
            del paired[nearest]
        else:
            paired[nearest] = (mark, fix)
    return paired


def refine_marks(scan: Volume, marks: Sequence[tuple[Mark, ManualFix | None]], refine: str = "points") -> list[Lesion]:
    """Return a lesion for each mark.

    Parameters
    ----------
    refine : str
        One of `REFINE`.
    """
    lesions = [_lesion(scan, mark, fix, refine) for mark, fix in marks]
    return share_voxels(scan, lesions)


def _lesion(scan: Volume, mark: Mark, fix: ManualFix | None, refine: str) -> Lesion:
    action = fix.action if fix else None
    diameter = fix.diameter_mm if fix else None
    fixed = {} if fix is None else {"fix": {"action": fix.action, "diameter_mm": fix.diameter_mm, "note": fix.note}}
    if action == "sphere" or (refine == "nothing" and mark.kind == POINT and action not in ("grow", "add")):
        lesion = _sphere(scan, mark, fix.point_ras if fix else mark.center_ras, diameter or TYPICAL_DIAMETER_MM)
    elif mark.mask is not None and mark.window is not None and _keeps(mark, action, refine):
        lesion = Lesion(mark, mark.window, mark.mask, {"method": "source", "quality": "good", "flags": []})
    else:
        lesion = _grown(scan, mark, fix.point_ras if fix and action in ("grow", "add") else None, diameter)
    return replace(lesion, details={**lesion.details, **fixed})


def _keeps(mark: Mark, action: str | None, refine: str) -> bool:
    """Tell whether the mask of the source stays as it is."""
    if action in ("grow", "keep"):
        return action == "keep"
    return refine == "nothing" or (refine == "points" and mark.kind == MASK)


def _grown(scan: Volume, mark: Mark, point: tuple[float, float, float] | None, diameter: float | None) -> Lesion:
    try:
        if point is None and mark.mask is not None and mark.window is not None:
            result = refine_mask(scan, mark.mask, window=mark.window)
        else:
            result = refine_point(scan, point or mark.center_ras, expected_diameter_mm=diameter)
    except InputError as error:
        raise SourceError(f"{mark.source_id}: {error}", "outside") from error
    return Lesion(mark, result.window, result.mask, result.as_dict())


def _sphere(scan: Volume, mark: Mark, center: tuple[float, float, float], diameter: float) -> Lesion:
    window = _around(scan, center)
    mask = sphere_mask(scan, center, diameter, window)
    return Lesion(mark, window, mask, {"method": "sphere", "quality": "check", "flags": []})


def _around(scan: Volume, center: tuple[float, float, float]) -> Window:
    middle = np.rint(scan.ijk_from_ras(np.array([center]))[0, ::-1]).astype(int)
    shape = np.array(scan.array.shape)
    if (middle < 0).any() or (middle >= shape).any():
        raise SourceError(f"The point {center} mm lies outside of the image.", "outside")
    reach = np.maximum(np.ceil(CROP_RADIUS_MM / np.asarray(scan.spacing_mm)[::-1]).astype(int), 1)
    low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach + 1, shape)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return k, j, i


def share_voxels(scan: Volume, lesions: Sequence[Lesion]) -> list[Lesion]:
    """Give voxels that several lesions claim to the one whose mark is nearest (mm).

    Two marks in one dark spot share it that way.
    """
    owner = np.zeros(scan.array.shape, dtype=np.int32)
    nearest = np.full(scan.array.shape, np.inf, dtype=np.float32)
    for number, lesion in enumerate(lesions, 1):
        away = _distance_to(scan, lesion.window, lesion.mark.center_ras)
        better = lesion.mask & (away < nearest[lesion.window])
        owner[lesion.window][better] = number
        nearest[lesion.window][better] = away[better]
    return [_own(scan, lesion, owner, number) for number, lesion in enumerate(lesions, 1)]


def _own(scan: Volume, lesion: Lesion, owner: np.ndarray, number: int) -> Lesion:
    mask = owner[lesion.window] == number
    lost = int(np.count_nonzero(lesion.mask)) - int(np.count_nonzero(mask))
    if not lost:
        return lesion
    flags = [*lesion.details.get("flags", []), "shared"]
    quality = "check" if lesion.details.get("quality") == "good" else lesion.details.get("quality")
    details = {**lesion.details, "flags": flags, "quality": quality, "voxels_left_to_neighbours": lost}
    if mask.any():
        details["center_ras"] = [round(value, 3) for value in center_of(scan, mask, lesion.window)]
    return replace(lesion, mask=mask, details=details)


def _distance_to(scan: Volume, window: Window, point: tuple[float, float, float]) -> np.ndarray:
    k, j, i = np.meshgrid(*(np.arange(side.start, side.stop) for side in window), indexing="ij")
    matrix = scan.ijk_to_ras
    squared = sum(
        (matrix[row, 0] * i + matrix[row, 1] * j + matrix[row, 2] * k + matrix[row, 3] - point[row]) ** 2
        for row in range(3)
    )
    return np.sqrt(np.asarray(squared))
