"""Pictures of called lesions in three planes, with the outlines of prediction and reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from CMBNetLib.errors import CMBNetError
from CMBNetLib.files import atomic_output
from CMBNetLib.grid import transform_points
from CMBNetLib.volume import Grid, Volume

from .lesions import LesionSet, array_shape
from .pairs import Pair
from .png import png_bytes
from .scan_evaluation import ComparedScan
from .scan_result import Call, ScanResult

FIELD_MM = 30.0
PIXELS = 112
GAP = 4
WINDOW_PERCENTILES = (0.5, 99.5)
# Okabe and Ito's orange and sky blue: apart for colour-blind readers, visible on grey.
PREDICTION_COLOUR = (230, 159, 0)
REFERENCE_COLOUR = (86, 180, 233)
_EMPTY_GREY = 40


class Gallery:
    """Draws the calls of scan after scan into a folder.

    Parameters
    ----------
    folder
        Where the PNG files go.
    outcomes
        Which calls are drawn.
    most_true
        True positives drawn in all; false calls are never left out.
    """

    def __init__(self, folder: Path, outcomes: Sequence[str] = ("FN", "FP", "TP"), most_true: int = 40) -> None:
        self.folder = folder
        self._outcomes = outcomes
        self._true_left = most_true

    def __call__(self, pair: Pair, compared: ComparedScan) -> ScanResult:
        """Draw the calls of one scan; returns its result with the names of the pictures."""
        result = compared.result
        wanted = [self._wants(call) for call in result.calls]
        if not any(wanted):
            return result
        warnings = list(result.warnings)
        image = read_image(pair, warnings)
        painter = Painter(image, compared.prediction, compared.reference)
        calls = [
            replace(call, picture=self._draw(painter, pair, call, number)) if chosen else call
            for number, (call, chosen) in enumerate(zip(result.calls, wanted, strict=True), 1)
        ]
        return replace(result, calls=tuple(calls), warnings=tuple(warnings))

    def _wants(self, call: Call) -> bool:
        if call.outcome not in self._outcomes:
            return False
        if call.outcome == "TP":
            self._true_left -= 1
            return self._true_left >= 0
        return True

    def _draw(self, painter: Painter, pair: Pair, call: Call, number: int) -> str:
        name = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', pair.scan_id)}_{call.outcome}_{number:03d}.png"
        with atomic_output(self.folder / name) as temporary:
            temporary.write_bytes(png_bytes(painter.picture(np.array(call.center_ras))))
        return name


class Painter:
    """Cuts planes out of a scan and paints outlines over them."""

    def __init__(self, image: Volume | None, prediction: LesionSet, reference: LesionSet) -> None:
        self._image = image
        self._sides = ((reference, REFERENCE_COLOUR), (prediction, PREDICTION_COLOUR))
        self._window = (0.0, 1.0)
        if image is not None:
            sample = image.array.ravel()[:: max(1, image.array.size // 200_000)]
            sample = sample[sample != 0] if (sample != 0).any() else sample
            low, high = np.percentile(sample, WINDOW_PERCENTILES)
            self._window = (float(low), max(float(high), float(low) + 1e-6))

    def picture(self, center_ras: np.ndarray) -> np.ndarray:
        """Axial, coronal and sagittal plane side by side, uint8 (rows, columns, 3), in radiological view."""
        gap = np.full((PIXELS, GAP, 3), 255, dtype=np.uint8)
        axial, coronal, sagittal = (self._plane(center_ras + offsets) for offsets in _plane_offsets())
        return np.concatenate([axial, gap, coronal, gap, sagittal], axis=1)

    def _plane(self, points: np.ndarray) -> np.ndarray:
        grey = self._grey(points)
        pixels = np.repeat(grey[..., None], 3, axis=2)
        for lesions, colour in self._sides:
            inside = lesion_at(lesions, points)
            pixels[inside & ~ndimage.binary_erosion(inside)] = colour
            if lesions.from_points or lesions.grid is None:
                pixels[_crosses(lesions, points)] = colour
        return pixels

    def _grey(self, points: np.ndarray) -> np.ndarray:
        if self._image is None:
            return np.full(points.shape[:2], _EMPTY_GREY, dtype=np.uint8)
        ijk = self._image.ijk_from_ras(points.reshape(-1, 3))
        values = ndimage.map_coordinates(self._image.array, ijk.T[::-1], order=1, mode="constant", cval=self._window[0])
        low, high = self._window
        return (np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8).reshape(points.shape[:2])


def lesion_at(lesions: LesionSet, points_ras: np.ndarray) -> np.ndarray:
    """Whether RAS points (..., 3) lie in the voxel of any lesion; never for lesions that are points."""
    shape = points_ras.shape[:-1]
    if lesions.grid is None or lesions.from_points or not len(lesions.voxels):
        return np.zeros(shape, dtype=bool)
    grid: Grid = lesions.grid
    ijk = np.rint(transform_points(np.linalg.inv(grid.ijk_to_ras), points_ras.reshape(-1, 3))).astype(np.int64)
    inside = ((ijk >= 0) & (ijk < grid.shape_ijk)).all(axis=1)
    found = np.zeros(len(ijk), dtype=bool)
    flat = np.ravel_multi_index(tuple(ijk[inside][:, ::-1].T), array_shape(grid))
    place = np.minimum(np.searchsorted(lesions.voxels, flat), len(lesions.voxels) - 1)
    found[inside] = lesions.voxels[place] == flat
    return found.reshape(shape)


def _crosses(lesions: LesionSet, points: np.ndarray) -> np.ndarray:
    """Pixels of a small cross at each point lesion within 3 mm of the plane."""
    pixel = FIELD_MM / PIXELS
    hit = np.zeros(points.shape[:2], dtype=bool)
    right, down = points[0, 1] - points[0, 0], points[1, 0] - points[0, 0]
    normal = np.cross(right, down) / pixel**2
    for center in lesions.centers_ras:
        offset = points - center
        near = np.abs(offset @ normal) <= 3.0
        across, along = np.abs(offset @ right) / pixel, np.abs(offset @ down) / pixel
        thin, long = 0.6 * pixel, 1.5
        hit |= near & (((across <= thin) & (along <= long)) | ((along <= thin) & (across <= long)))
    return hit


def _plane_offsets() -> list[np.ndarray]:
    """(rows, columns, 3) RAS offsets in mm of the pixels of the axial, coronal and sagittal plane.

    The patient's right is on the left of the axial and coronal plane, the front on the left of the sagittal one.
    """
    step = (np.arange(PIXELS) - (PIXELS - 1) / 2) * FIELD_MM / PIXELS
    down, right = np.meshgrid(-step, -step, indexing="ij")
    zero = np.zeros_like(down)
    return [np.stack(axes, axis=-1) for axes in ((right, down, zero), (right, zero, down), (zero, right, down))]


def read_image(pair: Pair, warnings: list[str]) -> Volume | None:
    """The scan behind the masks; without it, or where it cannot be read, outlines are drawn on grey."""
    if pair.image is None:
        return None
    from CMBNetLib.volume import read_volume

    try:
        return read_volume(pair.image)
    except CMBNetError as error:
        warnings.append(f"The scan cannot be shown in the gallery: {error}")
        return None
