"""A scan or label map: its voxels, and where they lie in RAS millimetres."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError
from .files import atomic_output
from .files import scan_stem as scan_stem
from .grid import Grid, checked_affine, sitk_affine, sitk_geometry, spacing_of, transform_points

if TYPE_CHECKING:
    import SimpleITK

_WRITABLE = (".nii", ".nii.gz", ".nrrd", ".mha")


@dataclass(frozen=True, eq=False)
class Volume:
    """One 3D image.

    Attributes
    ----------
    array
        Voxels, indexed ``[k, j, i]``.
    ijk_to_ras
        4x4 float64, voxel (i, j, k) -> RAS mm of its centre.
    name
        Short name that results are called by.
    metadata
        What is known about the acquisition: ``modality``, ``sequence`` ("T2*", "SWI" or None),
        ``field_strength_t``, ``echo_time_ms``, ``series_uid``, ``warnings`` (list of sentences) and others.

    Raises
    ------
    InputError
        The array is not 3D, or the matrix is not finite and invertible.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    name: str = "scan"
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.array.ndim != 3:
            raise InputError(f"A volume has three dimensions, not {self.array.ndim}.")
        object.__setattr__(self, "ijk_to_ras", checked_affine(self.ijk_to_ras))

    @property
    def shape_ijk(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        k, j, i = self.array.shape
        return i, j, k

    @property
    def grid(self) -> Grid:
        """The same grid without the voxels."""
        return Grid(self.shape_ijk, self.ijk_to_ras)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge in mm along i, j, k."""
        return spacing_of(self.ijk_to_ras)

    @property
    def direction(self) -> np.ndarray:
        """3x3, unit RAS vectors of the i, j, k axes as columns."""
        return self.ijk_to_ras[:3, :3] / np.asarray(self.spacing_mm)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm3."""
        return float(abs(np.linalg.det(self.ijk_to_ras[:3, :3])))

    def ras_from_ijk(self, points: np.ndarray) -> np.ndarray:
        """RAS mm, (N, 3), of the voxel coordinates ``points``, (N, 3) in the order i, j, k; fractions allowed."""
        return transform_points(self.ijk_to_ras, points)

    def ijk_from_ras(self, points: np.ndarray) -> np.ndarray:
        """Fractional voxel coordinates (i, j, k), (N, 3), of the RAS points ``points``, (N, 3) in mm."""
        return transform_points(np.linalg.inv(self.ijk_to_ras), points)

    def with_array(self, array: np.ndarray, name: str | None = None) -> Volume:
        """Another array of the same shape on the same grid, with a copy of the metadata.

        Raises
        ------
        InputError
            The shapes differ.
        """
        if array.shape != self.array.shape:
            raise InputError(f"An array of shape {array.shape} does not fit a grid of {self.array.shape} voxels.")
        return replace(self, array=array, name=name or self.name, metadata=dict(self.metadata))

    def fingerprint(self) -> str:
        """``sha256:...`` over the grid (rounded to 1e-4 mm) and the voxels as float32.

        The same scan gives the same fingerprint whatever file format and voxel type it was kept in.
        """
        digest = hashlib.sha256()
        # Adding 0.0 turns -0.0 into 0.0, which rounds of tiny negative numbers leave behind.
        geometry = np.round(self.ijk_to_ras[:3], 4) + 0.0
        digest.update(np.asarray(self.shape_ijk, dtype="<i8").tobytes())
        digest.update(geometry.astype("<f8").tobytes())
        digest.update(np.ascontiguousarray(self.array, dtype="<f4").data)
        return f"sha256:{digest.hexdigest()}"


def to_sitk(volume: Volume) -> SimpleITK.Image:
    """The volume as a SimpleITK image (LPS, as SimpleITK has it); the voxels are copied."""
    import SimpleITK as sitk

    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    spacing, direction, origin = sitk_geometry(volume.ijk_to_ras)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    image.SetOrigin(origin)
    return image


def from_sitk(image: SimpleITK.Image, name: str = "scan") -> Volume:
    """A 3D scalar SimpleITK image as a volume of the same voxel type; the voxels are copied."""
    import SimpleITK as sitk

    return Volume(sitk.GetArrayFromImage(image), sitk_affine(image), name)


def resample_to(volume: Volume, grid: Volume | Grid, *, interpolation: str = "linear", fill: float = 0.0) -> Volume:
    """Sample ``volume`` at the voxel centres of ``grid``.

    Parameters
    ----------
    interpolation
        "linear", "nearest" (for labels) or "bspline" (third order). There is no smoothing before a step to a
        coarser grid.
    fill
        Value outside ``volume``.

    Returns
    -------
    Volume
        On ``grid``, voxel type kept (booleans become uint8), name and metadata kept.

    Raises
    ------
    InputError
        Unknown ``interpolation``.
    """
    import SimpleITK as sitk

    interpolators: Mapping[str, int] = {
        "linear": sitk.sitkLinear,
        "nearest": sitk.sitkNearestNeighbor,
        "bspline": sitk.sitkBSpline,
    }
    if interpolation not in interpolators:
        raise InputError(f"Unknown interpolation '{interpolation}'; choose one of {', '.join(interpolators)}.")
    resampler = sitk.ResampleImageFilter()
    resampler.SetInterpolator(interpolators[interpolation])
    resampler.SetDefaultPixelValue(fill)
    resampler.SetSize([int(n) for n in grid.shape_ijk])
    spacing, direction, origin = sitk_geometry(grid.ijk_to_ras)
    resampler.SetOutputSpacing(spacing)
    resampler.SetOutputDirection(direction)
    resampler.SetOutputOrigin(origin)
    array = sitk.GetArrayFromImage(resampler.Execute(to_sitk(volume)))
    return Volume(array, grid.ijk_to_ras, volume.name, dict(volume.metadata))


def read_volume(
    path: str | os.PathLike[str], *, frame: int | None = None, series: str | None = None, whole: bool = True
) -> Volume:
    """Read a scan and check that it can be searched for microbleeds.

    Parameters
    ----------
    path
        A NIfTI (.nii, .nii.gz, .hdr/.img), NRRD or MetaImage file, a folder with a DICOM series, or one DICOM file.
    frame
        Which volume of a 4D file or series, from 0.
    series
        SeriesInstanceUID, where a folder holds several series.
    whole
        Refuse what is too small for a head; a piece of one is good to train on, but not to detect in.

    Returns
    -------
    Volume
        float32. ``metadata`` has ``modality``, ``sequence`` ("SWI", "T2*" or None), ``warnings`` (sentences about
        what was repaired or looks odd) and, as far as known, ``field_strength_t``, ``echo_time_ms``,
        ``series_uid``, ``series_description`` and ``frame``.

    Raises
    ------
    InputError
        The sentence says what was found and what to do: no such file, an unknown type, a damaged or truncated file,
        several series or frames without a choice, colour, vector or complex voxels, missing or uneven slices, a
        grid that cannot hold a head, voxels that are no MR magnitude.
    EnvironmentProblem
        Too little memory.
    """
    from .volume_reading import read_scan

    return read_scan(path, frame, series, whole)


def read_labels(path: str | os.PathLike[str]) -> Volume:
    """Read a 3D label map from a NIfTI, NRRD or MetaImage file.

    Returns
    -------
    Volume
        The integer type of the file; whole numbers kept as floats become uint16, or int32 above 65535.

    Raises
    ------
    InputError
        As for `read_volume` where the file is damaged or no 3D scalar image; values that are no labels.
    """
    from .volume_reading import read_label_map

    return read_label_map(path)


def write_volume(volume: Volume, path: str | os.PathLike[str], *, dtype: np.dtype | type | str | None = None) -> Path:
    """Write ``volume`` as compressed NIfTI, NRRD or MHA, so that ``path`` is complete or not there.

    Parameters
    ----------
    dtype
        Voxel type in the file; the array's own by default.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InputError
        The file type is not one of .nii, .nii.gz, .nrrd, .mha, the folder cannot be written, or the disk is full.
    """
    import SimpleITK as sitk

    from .image_header import reason_of
    from .volume_reading import header_of

    path = Path(path)
    if not path.name.endswith(_WRITABLE):
        raise InputError(f"Cannot write {path.name}: choose a name that ends in {', '.join(_WRITABLE)}.")
    image = to_sitk(volume if dtype is None else volume.with_array(volume.array.astype(dtype)))
    with atomic_output(path) as temporary:
        try:
            sitk.WriteImage(image, os.fspath(temporary), useCompression=path.suffix.lower() != ".nii")
        except RuntimeError as error:
            raise InputError(f"Cannot write {path} ({reason_of(error)}). Is the disk full?") from error
        try:
            header_of(temporary)
        except InputError as error:  # on a full disk ITK ends a NIfTI file early and says nothing
            raise InputError(f"Cannot write {path}: it ended early. Is the disk full?") from error
    return path


def nearest_to_ras(volume: Volume) -> Volume:
    """The same volume with i, j, k in the order and sense nearest to R, A, S (a view, nothing is sampled)."""
    order = _axes_near_ras(volume.direction)
    matrix = volume.ijk_to_ras.copy()
    matrix[:, :3] = matrix[:, order]
    array = volume.array.transpose([2 - axis for axis in reversed(order)])
    for new in range(3):
        if matrix[new, new] < 0:
            matrix[:, 3] += matrix[:, new] * (array.shape[2 - new] - 1)
            matrix[:, new] *= -1
            array = np.flip(array, 2 - new)
    return Volume(array, matrix, volume.name, dict(volume.metadata))


def _axes_near_ras(direction: np.ndarray) -> list[int]:
    """Which axis goes most along R, A and S: the permutation with the largest sum of cosines."""
    size = np.abs(direction)
    return list(max(permutations(range(3)), key=lambda order: sum(size[row, axis] for row, axis in enumerate(order))))
