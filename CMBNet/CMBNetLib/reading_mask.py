"""The outline of one lesion, small enough to be kept inside the line of a readings file."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import InputError

METHODS = ("candidate", "region growing", "brush", "grow", "shrink", "split", "merge", "imported")
# A sphere of 100 mm at 0.5 mm has 4.2 million voxels; a file that claims more is damaged, not large.
_LARGEST_BOX_VOXELS = 8_000_000


@dataclass(frozen=True)
class ReadingMask:
    """A lesion mask as a bit-packed box of the scan's grid, with how it was made.

    Attributes
    ----------
    offset_ijk, shape_ijk : tuple of int
        First voxel and size (i, j, k) of the box on the scan's grid.
    bits : str
        Base64 of the zlib-compressed packed bits of the box, read in ``[k, j, i]`` order.
    method : str
        How the mask was made, one of `METHODS`.
    settings : mapping
        What it was made with, e.g. ``{"tolerance": 0.4, "radius_mm": 5.0}``.
    """

    offset_ijk: tuple[int, int, int]
    shape_ijk: tuple[int, int, int]
    bits: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_array(
        cls,
        mask: np.ndarray,
        method: str,
        settings: Mapping[str, Any] | None = None,
        *,
        offset_ijk: tuple[int, int, int] = (0, 0, 0),
    ) -> ReadingMask:
        """Pack a boolean array ``[k, j, i]`` whose first voxel lies at ``offset_ijk`` of the scan.

        Raises
        ------
        InputError
            The mask is empty or not three-dimensional, or the method is unknown.
        """
        mask = np.asarray(mask, dtype=bool)
        if mask.ndim != 3 or not mask.any():
            raise InputError(f"A lesion mask needs at least one voxel in three dimensions; found {mask.shape}.")
        _check_method(method)
        box = _bounding_box(mask)
        crop = mask[box]
        first = (box[2].start, box[1].start, box[0].start)
        offset = tuple(int(a + b) for a, b in zip(offset_ijk, first, strict=True))
        shape = (crop.shape[2], crop.shape[1], crop.shape[0])
        packed = zlib.compress(np.packbits(crop, axis=None).tobytes(), level=9)
        return cls(offset, shape, base64.b64encode(packed).decode("ascii"), method, dict(settings or {}))  # type: ignore[arg-type]

    def array(self) -> np.ndarray:
        """Return the boolean box ``[k, j, i]``; :class:`InputError` if the bits do not fill it."""
        i, j, k = self.shape_ijk
        n_voxels = i * j * k
        if min(self.shape_ijk) < 1 or n_voxels > _LARGEST_BOX_VOXELS:
            raise InputError(f"A lesion mask of {i} x {j} x {k} voxels cannot be right; the file is damaged.")
        n_bytes = (n_voxels + 7) // 8
        try:
            raw = zlib.decompressobj().decompress(base64.b64decode(self.bits, validate=True), n_bytes + 1)
        except (binascii.Error, zlib.error, ValueError) as error:
            raise InputError(f"The bits of a lesion mask cannot be read: {error}.") from error
        if len(raw) != n_bytes:
            raise InputError(f"A lesion mask holds {len(raw)} bytes where {n_bytes} are needed.")
        flat = np.unpackbits(np.frombuffer(raw, np.uint8), count=n_voxels)
        return flat.reshape(k, j, i).astype(bool)

    @property
    def n_voxels(self) -> int:
        """Number of voxels of the lesion."""
        return int(self.array().sum())

    def same_voxels(self, other: ReadingMask | None) -> bool:
        """True if the other one holds the same voxels, however it was made."""
        return other is not None and (self.offset_ijk, self.shape_ijk, self.bits) == (
            other.offset_ijk,
            other.shape_ijk,
            other.bits,
        )

    def box(self) -> tuple[slice, slice, slice]:
        """Return the slices ``[k, j, i]`` of the scan that the box covers."""
        return tuple(  # type: ignore[return-value]
            slice(first, first + size)
            for first, size in zip(reversed(self.offset_ijk), reversed(self.shape_ijk), strict=True)
        )

    def paste(self, labels: np.ndarray, value: int, *, over: bool = True) -> None:
        """Write ``value`` into the voxels of the lesion in the scan-sized array ``labels`` ``[k, j, i]``.

        Voxels that have a label already keep it unless ``over``.

        Raises
        ------
        InputError
            The box does not lie inside ``labels``: the mask belongs to another scan.
        """
        box = self.box()
        if any(edge.start < 0 or edge.stop > size for edge, size in zip(box, labels.shape, strict=True)):
            shape = " x ".join(str(size) for size in reversed(labels.shape))
            raise InputError(f"A lesion mask reaches outside the scan of {shape} voxels; it is of another scan.")
        labels[box][self.array() if over else self.array() & (labels[box] == 0)] = value

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "offset_ijk": list(self.offset_ijk),
            "shape_ijk": list(self.shape_ijk),
            "bits": self.bits,
            "method": self.method,
            "settings": dict(self.settings),
        }

    @classmethod
    def from_dict(cls, content: Any) -> ReadingMask:
        """Read the JSON form; :class:`InputError` if something is missing or of the wrong kind."""
        try:
            offset, shape = (tuple(int(n) for n in content[key]) for key in ("offset_ijk", "shape_ijk"))
            mask = cls(offset, shape, str(content["bits"]), str(content["method"]), dict(content["settings"]))  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"The mask of a reading is incomplete: {error!r}.") from error
        if len(offset) != 3 or len(shape) != 3:
            raise InputError(f"The box of a mask needs three numbers each; found {offset} and {shape}.")
        _check_method(mask.method)
        return mask


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise InputError(f"Unknown way to make a mask: '{method}'. Known ones: {', '.join(METHODS)}.")


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice, slice]:
    edges = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        indices = np.flatnonzero(mask.any(axis=others))
        edges.append(slice(int(indices[0]), int(indices[-1]) + 1))
    return tuple(edges)  # type: ignore[return-value]
