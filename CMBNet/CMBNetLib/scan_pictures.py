"""What the pictures of a detection show: projection, crops, outlines; arrays and millimetres, nothing drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from .candidates import Candidate
from .radiological_view import radiological_view
from .volume import Volume, resample_to

if TYPE_CHECKING:
    from .detection import DetectionResult

CROP_MM = 30.0
# The rim of the brain is dark from partial volume and covers the projection where it is not peeled off.
RIM_MM = 3.0
MARGIN_MM = 6.0
WINDOW_PERCENTILES = (0.5, 99.5)
# 1.05 puts the brightest tissue just below white.
WINDOW_HEADROOM = 1.05
SAMPLED_VOXELS = 500_000


@dataclass(frozen=True)
class Picture:
    """A grey picture with its place.

    Attributes
    ----------
    pixels : array [rows, columns]
        Rows from front to back, columns from the patient's right to left.
    extent_mm : (left, right, bottom, top)
        Edges of the picture in mm, as matplotlib's `imshow` takes them; top is the smaller number.
    outline : array (n, 2, 2)
        Segments (start, end) of (x, y) mm along the voxel edges of the candidate.
    """

    pixels: np.ndarray
    extent_mm: tuple[float, float, float, float]
    outline: np.ndarray


class ScanPictures:
    """Cuts pictures out of a scan and its candidates.

    Attributes
    ----------
    window : (low, high)
        Intensities shown black and white.
    """

    def __init__(self, result: DetectionResult) -> None:
        self._scan = radiological_view(result.scan)
        self._labels = radiological_view(result.labels).array
        self._boxes = ndimage.find_objects(self._labels)
        self._brain = self._brain_mask(result)
        self.window = self._find_window()

    def crop(self, candidate: Candidate, size_mm: float = CROP_MM) -> Picture:
        """The axial slice through a candidate, square, `size_mm` wide, (0, 0) at the candidate's centre."""
        column, row, level = self._scan.ijk_from_ras(np.asarray([candidate.center_ras]))[0]
        slice_index = self._best_slice(candidate.id, level)
        width, height = self._scan.spacing_mm[:2]
        rows = _span(row, size_mm / height, self._scan.array.shape[1])
        columns = _span(column, size_mm / width, self._scan.array.shape[2])
        x = (np.arange(columns.start, columns.stop + 1) - 0.5 - column) * width
        y = (np.arange(rows.start, rows.stop + 1) - 0.5 - row) * height
        mask = self._labels[slice_index, rows, columns] == candidate.id
        pixels = np.asarray(self._scan.array[slice_index, rows, columns])
        return Picture(pixels, (x[0], x[-1], y[-1], y[0]), _edges(mask, x, y))

    @cached_property
    def projection(self) -> Picture:
        """Lowest intensity through the brain along each column from below to above; 0 mm is the picture's corner."""
        lowest = np.full(self._scan.array.shape[1:], np.inf, np.float32)
        for scan, brain, labels in zip(self._scan.array, self._deep(), self._labels, strict=True):
            # The candidates themselves are kept, or superficial microbleeds would be peeled off with the rim.
            np.minimum(lowest, np.where(brain | (labels > 0), scan, np.inf), out=lowest)
        seen = np.isfinite(lowest)
        rows, columns = self._frame(seen)
        pixels = np.where(seen, lowest, self.window[0])[rows, columns]
        width, height = self._scan.spacing_mm[:2]
        extent = (
            (columns.start - 0.5) * width,
            (columns.stop - 0.5) * width,
            (rows.stop - 0.5) * height,
            (rows.start - 0.5) * height,
        )
        return Picture(pixels, extent, np.zeros((0, 2, 2)))

    def on_projection(self, candidate: Candidate) -> tuple[float, float]:
        """Where a candidate lies in the projection, (x, y) in mm."""
        column, row, _ = self._scan.ijk_from_ras(np.asarray([candidate.center_ras]))[0]
        return float(column * self._scan.spacing_mm[0]), float(row * self._scan.spacing_mm[1])

    def _brain_mask(self, result: DetectionResult) -> Volume:
        if result.anatomy is not None:
            return result.anatomy.brain
        # Without an anatomy the head itself has to do; holes are filled, as microbleeds are dark.
        head = result.scan.array > 0.2 * float(np.percentile(result.scan.array, 99))
        filled = np.stack([ndimage.binary_fill_holes(plane) for plane in head])
        return result.scan.with_array(filled.astype(np.uint8))

    def _deep(self) -> np.ndarray:
        """The brain without its rim, on the grid of the view, bool."""
        # The rim is measured on the mask's own, coarse grid: on that of a fine scan it would take 10 s.
        mask = self._brain.array > 0
        depth = ndimage.distance_transform_edt(mask, sampling=self._brain.spacing_mm[::-1])
        deep = self._brain.with_array((depth > RIM_MM).astype(np.float32))
        return resample_to(deep, self._scan).array > 0.5

    def _find_window(self) -> tuple[float, float]:
        step = max(1, round((self._brain.array.size / SAMPLED_VOXELS) ** (1 / 3)))
        kji = np.argwhere(self._brain.array[::step, ::step, ::step] > 0) * step
        ijk = np.rint(self._scan.ijk_from_ras(self._brain.ras_from_ijk(kji[:, ::-1]))).astype(int)
        ijk = ijk[((ijk >= 0) & (ijk < self._scan.shape_ijk)).all(axis=1)]
        values = self._scan.array[tuple(ijk.T[::-1])] if len(ijk) else self._scan.array
        low, high = (float(value) for value in np.percentile(values, WINDOW_PERCENTILES))
        # A scan without noise may have one value in the whole brain.
        return min(low, float(self._scan.array.min())), max(high * WINDOW_HEADROOM, low + 1e-6)

    def _best_slice(self, candidate_id: int, level: float) -> int:
        """The slice with most of the candidate; of equal ones the nearest to its centre."""
        box = self._boxes[candidate_id - 1] if candidate_id <= len(self._boxes) else None
        if box is None:
            return int(np.clip(round(level), 0, self._scan.array.shape[0] - 1))
        sizes = (self._labels[box] == candidate_id).sum(axis=(1, 2))
        slices = np.arange(box[0].start, box[0].stop)
        return int(slices[np.lexsort((np.abs(slices - level), -sizes))[0]])

    def _frame(self, seen: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns around what is seen, with a margin."""
        if not seen.any():
            return slice(0, seen.shape[0]), slice(0, seen.shape[1])
        spans = []
        for axis, edge in ((1, self._scan.spacing_mm[1]), (0, self._scan.spacing_mm[0])):
            used = np.flatnonzero(seen.any(axis=axis))
            margin = int(np.ceil(MARGIN_MM / edge))
            spans.append(slice(max(0, used[0] - margin), min(seen.shape[1 - axis], used[-1] + 1 + margin)))
        return spans[0], spans[1]


def _span(centre: float, width: float, size: int) -> slice:
    """Voxels that a window of `width` voxels around `centre` touches, within the image; at least one."""
    start = int(np.floor(centre - width / 2 + 0.5))
    stop = int(np.ceil(centre + width / 2 + 0.5))
    start = min(max(start, 0), size - 1)
    return slice(start, max(min(stop, size), start + 1))


def _edges(mask: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Segments between voxels inside and outside of the mask; `x`, `y` are the voxel edges in mm."""
    padded = np.pad(mask, 1).astype(np.int8)
    lying = np.argwhere(np.diff(padded, axis=0)[:, 1:-1])
    standing = np.argwhere(np.diff(padded, axis=1)[1:-1])
    segments = [((x[c], y[r]), (x[c + 1], y[r])) for r, c in lying]
    segments += [((x[c], y[r]), (x[c], y[r + 1])) for r, c in standing]
    return np.asarray(segments, dtype=float).reshape(-1, 2, 2)
