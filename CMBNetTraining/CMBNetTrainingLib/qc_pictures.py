"""Pictures to check a microbleed by: three planes before and after, with a cross-hair and the outline."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from CMBNetLib.volume import Volume

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

FIELD_MM = 40.0
PIXEL_MM = 0.25
PIXELS = round(FIELD_MM / PIXEL_MM)
EDGE = 4
HEADER = 16
OUTLINE = (255, 60, 60)
CROSS = (255, 210, 0)
TEXT = (235, 235, 235)
# The cross-hair leaves the lesion free.
GAP_MM = 7.0
# Directions (RAS) to the right and down on the picture: axial and coronal with the patient's right on the left.
PLANES = {
    "axial": ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
    "coronal": ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
}


def lesion_picture(
    rows: Sequence[tuple[str, Volume, np.ndarray | None]], center_ras: tuple[float, float, float], title: str
) -> bytes:
    """Return a PNG: one row of three planes for each volume.

    Parameters
    ----------
    rows : sequence of (text, scan, mask)
        ``mask`` is a bool array on the scan's grid, or None: cross-hair only.
    center_ras : tuple of float
        Middle of all pictures, RAS mm.
    title : str
        First line.

    Returns
    -------
    bytes
        Depends on nothing but the arguments (no date, no program version).
    """
    from PIL import Image, ImageDraw

    width = 3 * PIXELS + 4 * EDGE
    picture = Image.new("RGB", (width, HEADER + len(rows) * (PIXELS + HEADER + EDGE)), (0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.text((EDGE, 2), title, fill=TEXT)
    for number, (text, scan, mask) in enumerate(rows):
        top = HEADER + number * (PIXELS + HEADER + EDGE)
        draw.text((EDGE, top + 2), text, fill=TEXT)
        _draw_row(picture, draw, scan, mask, center_ras, top + HEADER)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=False)
    return stream.getvalue()


def _draw_row(
    picture: Image.Image, draw: ImageDraw.ImageDraw, scan: Volume, mask: np.ndarray | None,
    center: tuple[float, float, float], top: int,
) -> None:  # fmt: skip
    from PIL import Image

    planes = [_plane_voxels(scan, center, *directions) for directions in PLANES.values()]
    greys = [_sampled(scan.array, voxels, order=1) for voxels in planes]
    low, high = np.percentile(np.concatenate([grey.ravel() for grey in greys]), (0.5, 99.5))
    for number, (grey, voxels) in enumerate(zip(greys, planes, strict=True)):
        tone = np.clip((grey - low) / max(high - low, 1e-12) * 255, 0, 255).astype(np.uint8)
        colour = np.repeat(tone[:, :, None], 3, axis=2)
        if mask is not None:
            inside = _sampled(mask.astype(np.float32), voxels, order=0) > 0.5
            colour[inside & ~ndimage.binary_erosion(inside)] = OUTLINE
        left = EDGE + number * (PIXELS + EDGE)
        picture.paste(Image.fromarray(colour), (left, top))
        _cross(draw, left, top)


def _cross(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    middle, gap = PIXELS // 2, round(GAP_MM / PIXEL_MM / 2)
    for start, end in ((0, middle - gap), (middle + gap, PIXELS - 1)):
        draw.line([(left + start, top + middle), (left + end, top + middle)], fill=CROSS)
        draw.line([(left + middle, top + start), (left + middle, top + end)], fill=CROSS)


def _plane_voxels(
    scan: Volume, center: tuple[float, float, float], right: Sequence[float], down: Sequence[float]
) -> np.ndarray:
    """Return the voxel coordinates (k, j, i), shape (3, rows, columns), of the pixels of a plane."""
    offsets = (np.arange(PIXELS) - (PIXELS - 1) / 2) * PIXEL_MM
    points = np.asarray(center) + offsets[None, :, None] * np.asarray(right) + offsets[:, None, None] * np.asarray(down)
    ijk = scan.ijk_from_ras(points.reshape(-1, 3))
    return ijk[:, ::-1].T.reshape(3, PIXELS, PIXELS)


def _sampled(array: np.ndarray, voxels: np.ndarray, *, order: int) -> np.ndarray:
    """Sample an array at voxel coordinates; only the part around them is touched."""
    low = np.maximum(np.floor(voxels.min(axis=(1, 2))).astype(int) - 1, 0)
    high = np.minimum(np.ceil(voxels.max(axis=(1, 2))).astype(int) + 2, array.shape)
    if np.any(high <= low):
        return np.zeros(voxels.shape[1:], dtype=np.float32)
    crop = array[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float32)
    return ndimage.map_coordinates(crop, voxels - low[:, None, None], order=order, cval=0.0)
