"""Whether DICOM slices make an even stack, and where it lies (LPS mm, as DICOM has it)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .dicom_slices import DicomSlice
from .errors import InputError
from .volume_checks import MIN_SLICES
from .wording import number_of, were

_SAME_POSITION_MM = 0.02
_SAME_AXES = 2e-3  # difference of two unit vectors; localizers differ by 1, rounding by 1e-6
_MOST_DRIFT_MM = 0.5


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order along their normal.

    Attributes
    ----------
    positions
        For each position, all slices there: one, or one of each frame.
    ijk_to_lps
        4x4, voxel (column, row, position) -> LPS mm.
    """

    positions: list[list[DicomSlice]]
    ijk_to_lps: np.ndarray
    warnings: list[str] = field(default_factory=list)


def stack_of(slices: list[DicomSlice]) -> Stack:
    """Order ``slices`` along their normal.

    Raises
    ------
    InputError
        Too few slices, several orientations or sizes, positions with unequal numbers of images, missing slices,
        uneven or sideways steps.
    """
    slices, warnings = _one_grid(slices)
    first = slices[0]
    normal = np.cross(first.axes[0], first.axes[1])
    positions = _by_position(slices, normal)
    if len(positions) < MIN_SLICES:
        raise InputError(
            f"The series has {len(positions)} slices; at least {MIN_SLICES} are needed. Choose the whole series, "
            "not a localizer."
        )
    _check_counts(positions)
    origins = np.array([group[0].position for group in positions])
    step = _even_step(origins @ normal)
    _check_drift(origins, normal)
    matrix = np.eye(4)
    row_mm, column_mm = first.spacing
    matrix[:3, :3] = np.stack([first.axes[0] * column_mm, first.axes[1] * row_mm, normal * step], axis=1)
    matrix[:3, 3] = origins[0]
    return Stack(positions, matrix, warnings)


def frames_of(stack: Stack) -> list[list[DicomSlice]]:
    """One list of slices for each frame, ordered by component, echo time, time and number."""
    ordered = [sorted(group, key=_frame_key) for group in stack.positions]
    return [list(frame) for frame in zip(*ordered, strict=True)]


def _frame_key(item: DicomSlice) -> tuple[object, ...]:
    return item.component, item.echo_time_ms or 0.0, item.order, item.frame, str(item.path)


def _one_grid(slices: list[DicomSlice]) -> tuple[list[DicomSlice], list[str]]:
    """The slices of the common orientation and size; a few others (a localizer in the series) are left out."""
    groups: list[list[DicomSlice]] = []
    for item in slices:
        home = next((group for group in groups if _same_grid(group[0], item)), None)
        if home is None:
            groups.append([item])
        else:
            home.append(item)
    groups.sort(key=len, reverse=True)
    if len(groups) == 1:
        return slices, []
    rest = sum(len(group) for group in groups[1:])
    if len(groups[0]) < MIN_SLICES or rest >= MIN_SLICES or rest * 2 > len(groups[0]):
        counts = ", ".join(str(len(group)) for group in groups[:6])
        raise InputError(
            f"The series mixes {len(groups)} orientations or image sizes (with {counts} slices); "
            "export the scan as a series of its own."
        )
    return groups[0], [
        f"{number_of(rest, 'slice')} of another orientation or size in the series {were(rest)} left out."
    ]


def _same_grid(one: DicomSlice, other: DicomSlice) -> bool:
    return (
        (one.rows, one.columns) == (other.rows, other.columns)
        and np.allclose(one.spacing, other.spacing, rtol=1e-3)
        and bool(np.abs(one.axes - other.axes).max() < _SAME_AXES)
    )


def _by_position(slices: list[DicomSlice], normal: np.ndarray) -> list[list[DicomSlice]]:
    heights = np.array([item.position @ normal for item in slices])
    positions: list[list[DicomSlice]] = []
    last = -np.inf
    for index in np.argsort(heights, kind="stable"):
        if heights[index] - last > _SAME_POSITION_MM:
            positions.append([])
            last = heights[index]
        positions[-1].append(slices[index])
    return positions


def _check_counts(positions: list[list[DicomSlice]]) -> None:
    counts = sorted({len(group) for group in positions})
    if len(counts) > 1:
        raise InputError(
            f"The series is incomplete: some positions have {counts[-1]} images, others {counts[0]}. "
            "Export the series again."
        )


def _even_step(heights: np.ndarray) -> float:
    """mm from slice to slice along the normal, refusing gaps."""
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    worst = int(np.argmax(np.abs(gaps - usual)))
    if abs(gaps[worst] - usual) <= max(0.05 * usual, 0.02):
        return float((heights[-1] - heights[0]) / len(gaps))
    missing = int(np.sum(np.maximum(np.round(gaps / usual) - 1, 0)))
    lost = f"About {number_of(missing, 'slice')} {'is' if missing == 1 else 'are'} missing"
    what = lost if missing else "The slices are unevenly spaced"
    raise InputError(
        f"{what}: {gaps[worst]:.2f} mm after slice {worst + 1} of {len(heights)}, {usual:.2f} mm elsewhere. "
        "Copy or export the whole series again."
    )


def _check_drift(origins: np.ndarray, normal: np.ndarray) -> None:
    sideways = origins - origins[0]
    sideways = sideways - np.outer(sideways @ normal, normal)
    drift = float(np.linalg.norm(sideways, axis=1).max())
    if drift > _MOST_DRIFT_MM:
        raise InputError(
            f"The slices are shifted sideways against each other by up to {drift:.1f} mm (tilted or moved stack); "
            "resample the scan to a straight grid, or export it again."
        )
