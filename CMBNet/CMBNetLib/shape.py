"""Size and form of lesions, in millimetres, on any voxel grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from .errors import InputError

if TYPE_CHECKING:
    from .volume import Volume

# The ring that a lesion is compared with: nearer voxels hold its blooming, farther ones other tissue.
RING_INNER_MM = 1.0
RING_OUTER_MM = 3.0
# Smooths voxel steps before the surface is measured. Measured on digital spheres of 2 to 8 mm: 0.7 voxels
# brings sphericity to 0.97-1.00, without it a perfect sphere measures 0.88-0.93.
SURFACE_SIGMA_VOXELS = 0.7
MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class LesionShape:
    """Measurements of one lesion.

    Attributes
    ----------
    volume_mm3 : float
        Number of voxels times the volume of a voxel.
    equivalent_diameter_mm : float
        Diameter of the sphere of the same volume.
    max_diameter_mm : float
        Largest distance between two points of the surface (voxel faces), PyRadiomics' *Maximum3DDiameter*.
    elongation : float
        Square root of the middle over the largest principal moment; 1 is round, 0 a line.
    flatness : float
        Square root of the least over the largest principal moment; 1 is round, 0 a sheet.
    sphericity : float
        Surface of the sphere of the same volume over the lesion's own surface, 0 to 1.
    contrast : float or None
        (Median of the surround - mean of the lesion) / robust standard deviation of the surround; dark
        lesions are positive. None without an image or without any surround.
    """

    volume_mm3: float
    equivalent_diameter_mm: float
    max_diameter_mm: float
    elongation: float
    flatness: float
    sphericity: float
    contrast: float | None = None


def measure_shape(
    mask: np.ndarray,
    spacing_mm: tuple[float, float, float],
    image: np.ndarray | None = None,
    other_lesions: np.ndarray | None = None,
) -> LesionShape:
    """Measure one lesion.

    Parameters
    ----------
    mask : bool array [k, j, i]
        The lesion; a crop suffices. For the contrast the crop needs a margin of 3 mm.
    spacing_mm : (i, j, k)
        Voxel edges.
    image : array [k, j, i], optional
        Intensities on the same crop.
    other_lesions : bool array [k, j, i], optional
        Voxels of other lesions, which do not count as surround.

    Raises
    ------
    InputError
        If the mask is empty or the shapes differ.
    """
    mask = np.asarray(mask, dtype=bool)
    _check(mask, image)
    spacing_kji = np.asarray(spacing_mm, dtype=float)[::-1]
    tight = mask[ndimage.find_objects(mask.view(np.uint8))[0]]
    volume = float(np.count_nonzero(tight) * spacing_kji.prod())
    largest, middle, least = _principal_moments(tight, spacing_kji)
    return LesionShape(
        volume_mm3=volume,
        equivalent_diameter_mm=float((6.0 * volume / np.pi) ** (1.0 / 3.0)),
        max_diameter_mm=_max_diameter(tight, spacing_kji),
        elongation=float(np.sqrt(middle / largest)),
        flatness=float(np.sqrt(least / largest)),
        sphericity=_sphericity(tight, spacing_kji),
        contrast=None if image is None else _contrast(mask, spacing_kji, image, other_lesions),
    )


def measure_shapes(labels: Volume, scan: Volume | None = None) -> dict[int, LesionShape]:
    """Measure every lesion of a label map.

    Parameters
    ----------
    labels : Volume
        Integer label map, one value a lesion, 0 is background.
    scan : Volume, optional
        The scan on the same grid, for the contrast.

    Returns
    -------
    dict
        Label value -> :class:`LesionShape`, in ascending order of the label.
    """
    if scan is not None and scan.array.shape != labels.array.shape:
        raise InputError(
            f"The label map has {labels.array.shape[::-1]} voxels and the scan {scan.array.shape[::-1]}. "
            "Resample the labels to the scan first."
        )
    margin = [int(np.ceil(RING_OUTER_MM / step)) + 1 for step in labels.spacing_mm[::-1]]
    shapes = {}
    for index, box in enumerate(ndimage.find_objects(labels.array)):
        if box is None:
            continue
        crop = _grown(box, margin, labels.array.shape)
        values = labels.array[crop]
        mask = values == index + 1
        image = None if scan is None else scan.array[crop]
        shapes[index + 1] = measure_shape(mask, labels.spacing_mm, image, (values != 0) & ~mask)
    return shapes


def _check(mask: np.ndarray, image: np.ndarray | None) -> None:
    if mask.ndim != 3:
        raise InputError(f"A lesion mask has three dimensions, this one has {mask.ndim}.")
    if not mask.any():
        raise InputError("The lesion mask is empty. Draw at least one voxel before measuring it.")
    if image is not None and image.shape != mask.shape:
        raise InputError(f"The mask has the shape {mask.shape} and the image {image.shape}; they must be equal.")


def _grown(box: tuple[slice, ...], margin: list[int], shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(max(0, side.start - grow), min(size, side.stop + grow))
        for side, grow, size in zip(box, margin, shape, strict=True)
    )


def _principal_moments(mask: np.ndarray, spacing_kji: np.ndarray) -> np.ndarray:
    """Second moments of the union of voxel boxes, descending, mm2; positive even for a single voxel."""
    points = np.argwhere(mask) * spacing_kji
    centred = points - points.mean(axis=0)
    covariance = centred.T @ centred / len(points) + np.diag(spacing_kji**2 / 12.0)
    return np.linalg.eigvalsh(covariance)[::-1]


def _max_diameter(mask: np.ndarray, spacing_kji: np.ndarray) -> float:
    """Largest distance between centres of exposed voxel faces, mm."""
    faces = np.concatenate([_exposed_faces(mask, axis) for axis in range(3)]) * spacing_kji
    if len(faces) > 400:
        faces = _hull(faces)
    distances = ((faces[:, None, :] - faces[None, :, :]) ** 2).sum(axis=-1)
    return float(np.sqrt(distances.max()))


def _exposed_faces(mask: np.ndarray, axis: int) -> np.ndarray:
    pad = [(1, 1) if dimension == axis else (0, 0) for dimension in range(3)]
    changes = np.diff(np.pad(mask, pad).view(np.int8), axis=axis) != 0
    faces = np.argwhere(changes).astype(float)
    faces[:, axis] -= 0.5
    return faces


def _hull(points: np.ndarray) -> np.ndarray:
    from scipy.spatial import ConvexHull

    return points[ConvexHull(points).vertices]


def _sphericity(mask: np.ndarray, spacing_kji: np.ndarray) -> float:
    """Sphericity of the smoothed surface mesh, from the mesh's own volume and area."""
    from skimage.measure import marching_cubes, mesh_surface_area

    soft = ndimage.gaussian_filter(np.pad(mask, 3).astype(np.float32), SURFACE_SIGMA_VOXELS, truncate=3.0)
    # Half of the maximum: a lesion of one voxel or a thin tail never reaches 0.5 once it is smoothed.
    vertices, faces, _, _ = marching_cubes(soft, 0.5 * float(soft.max()), spacing=tuple(spacing_kji))
    corners = vertices[faces].astype(float)
    volume = abs(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum()) / 6.0
    area = mesh_surface_area(vertices, faces)
    return float(min(1.0, (36.0 * np.pi * volume**2) ** (1.0 / 3.0) / area))


def _contrast(
    mask: np.ndarray, spacing_kji: np.ndarray, image: np.ndarray, other_lesions: np.ndarray | None
) -> float | None:
    """Depth of the lesion below its surround in standard deviations of the surround."""
    distance = ndimage.distance_transform_edt(~mask, sampling=spacing_kji)
    ring = (distance > RING_INNER_MM) & (distance <= RING_OUTER_MM) & np.isfinite(image)
    if other_lesions is not None:
        ring &= ~other_lesions
    inside = image[mask & np.isfinite(image)]
    if not ring.any() or not inside.size:
        return None
    surround = image[ring].astype(float)
    middle = float(np.median(surround))
    spread = MAD_TO_SD * float(np.median(np.abs(surround - middle)))
    # A flat surround (synthetic data, zero padding) would divide by zero.
    floor = 1e-3 * max(abs(middle), float(np.ptp(surround)), 1e-6)
    return (middle - float(inside.mean())) / max(spread, floor)
