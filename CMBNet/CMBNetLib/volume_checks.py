"""What a scan must be to be searched for microbleeds: geometry of a head, voxels of an MR magnitude image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .errors import InputError
from .volume import Volume

MIN_SLICES = 10
MIN_EDGE_MM, MAX_EDGE_MM = 0.2, 7.0
# A newborn's head is about 95 x 120 mm; slabs for SWI may be thin.
MIN_HEAD_MM, MIN_SLAB_MM = 90.0, 20.0
MAX_BAD_SHARE = 0.05
# No scanner's scale comes near; voxels beyond are the traces of damaged files, and squares of them overflow float32.
_ABSURD = 1e15
_MAX_SHEAR = 0.02  # cosine between two axes
_FEW_VALUES = 48


def checked_scan(volume: Volume, *, whole: bool = True) -> Volume:
    """The scan as float32 with small faults repaired and told in ``metadata["warnings"]``; ``whole``: of a whole head.

    Raises
    ------
    InputError
        The grid cannot hold a head (slices, voxel edges, field of view, sheared axes), or the voxels are no MR
        magnitude image (not numbers, constant, a binary mask, CT).
    """
    check_grid(volume, whole=whole)
    array, warnings = _repaired(volume.array)
    _check_varies(array)
    sample = _sample(array)
    _check_not_ct(sample)
    warnings += _odd_values(sample)
    metadata = {**volume.metadata, "warnings": [*volume.metadata.get("warnings", []), *warnings]}
    return replace(volume, array=array, metadata=metadata)


def check_grid(volume: Volume, *, whole: bool) -> None:
    """Refuse a grid that cannot hold a head.

    Raises
    ------
    InputError
        Sheared axes, voxel edges outside 0.2-7 mm, fewer than 10 slices, or too small a field of view.
    """
    check_axes(volume)
    edges = volume.spacing_mm
    if min(edges) < MIN_EDGE_MM - 1e-4 or max(edges) > MAX_EDGE_MM + 1e-4:
        raise InputError(
            f"The voxel edges are {_by(edges)} mm; head scans have {MIN_EDGE_MM:g} to {MAX_EDGE_MM:g} mm. "
            "The spacing in the file is probably wrong: export the scan again."
        )
    if min(volume.shape_ijk) < MIN_SLICES:
        raise InputError(
            f"The scan has {min(volume.shape_ijk)} slices ({_by(volume.shape_ijk)} voxels); at least {MIN_SLICES} are "
            "needed. Choose the whole series, not a localizer or a crop."
        )
    extents = np.multiply(volume.shape_ijk, edges)
    if whole and (np.sort(extents)[1] < MIN_HEAD_MM or extents.min() < MIN_SLAB_MM):
        raise InputError(
            f"The scan covers {_by(np.round(extents))} mm, too little for a head; choose a scan of the whole head."
        )


def check_axes(volume: Volume) -> None:
    """Refuse axes that are not at right angles; results could not be stored on such a grid.

    Raises
    ------
    InputError
        Two axes are more than about 1 degree from a right angle.
    """
    cosines = np.abs(volume.direction.T @ volume.direction - np.eye(3))
    if cosines.max() > _MAX_SHEAR:
        angle = np.degrees(np.arccos(np.clip(cosines.max(), 0.0, 1.0)))
        raise InputError(
            f"The image axes meet at {angle:.1f} degrees instead of 90; resample the scan to a straight grid."
        )


def check_bad_voxels(count: int, total: int) -> list[str]:
    """The warning about ``count`` voxels that were no numbers and became 0; empty where there are none.

    Raises
    ------
    InputError
        They are more than 5 % of ``total``.
    """
    if count > MAX_BAD_SHARE * total:
        raise InputError(
            f"{count / total:.0%} of the voxels are not numbers (NaN, infinite or absurdly large); at most "
            f"{MAX_BAD_SHARE:.0%} can be repaired. Export or convert the scan again."
        )
    return [f"Voxels that were not numbers and were set to 0: {count} ({count / total:.2%})."] if count else []


def _repaired(array: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """A float32 array without NaN, Inf and absurd values, and the warning about them."""
    array = np.ascontiguousarray(array, dtype=np.float32)
    # One pass without a temporary array for the usual case: a sum is finite only where every voxel is.
    if np.isfinite(array.sum(dtype=np.float64)) and max(array.max(), -array.min()) < _ABSURD:
        return array, []
    bad = ~(np.abs(array) < _ABSURD)
    warnings = check_bad_voxels(int(bad.sum()), bad.size)
    return np.where(bad, np.float32(0), array), warnings


def _check_varies(array: np.ndarray) -> None:
    low, high = float(array.min()), float(array.max())
    if low == high:
        raise InputError(f"All voxels have the same value ({low:g}): the scan is empty. Export it again.")
    middle = np.median(_sample(array))
    share = float((_sample(array) != middle).mean())
    if share < 0.005:
        raise InputError(f"{1 - share:.1%} of the voxels have the same value ({middle:g}): the scan is almost empty.")


def _check_not_ct(sample: np.ndarray) -> None:
    """Refuse Hounsfield units: air at -1000 around soft tissue at 0..100."""
    air = float(((sample > -1100) & (sample < -900)).mean())
    tissue = float(((sample > -50) & (sample < 120)).mean())
    # Scanners fill the corners outside the round field of view with -1024 to -3024.
    outside = float((sample < -3200).mean())
    if air > 0.1 and tissue > 0.05 and outside < 0.01:
        raise InputError(
            f"The scan looks like CT: {air:.0%} of the voxels lie near -1000 as air does in Hounsfield units. "
            "Choose an SWI or T2*-weighted MR scan."
        )


def _odd_values(sample: np.ndarray) -> list[str]:
    values = np.unique(sample)
    whole = bool((values == np.round(values)).all())
    if len(values) == 2 and whole:
        raise InputError("The scan holds only two different values: it is a mask. Choose the MR scan itself.")
    if len(values) < _FEW_VALUES and whole:
        return [f"The scan holds only {len(values)} different values; it may be a label map."]
    negative = float((sample < 0).mean())
    if negative > 0.02:
        return [f"{negative:.0%} of the voxels are negative; a phase image or a normalised one gives wrong results."]
    return []


def _sample(array: np.ndarray) -> np.ndarray:
    """About a hundred thousand voxels spread over the scan."""
    flat = array.reshape(-1)
    return flat[:: max(flat.size // 100_003, 1)]


def _by(numbers: object) -> str:
    return " x ".join(f"{number:g}" for number in np.asarray(numbers))
