"""Whether an image file holds the voxels that its header declares.

ITK fills up with zeros what a truncated file lacks, and its NIfTI reader turns NaN and infinity into zeros.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .image_header import GZIP_MAGIC, ImageHeader, damaged, open_file

_CHUNK = 1 << 20


def check_payload(header: ImageHeader, path: Path, offset: int, *, compressed: bool) -> None:
    """Compare the voxel data of the file ``path``, from byte ``offset`` to its end, with what ``header`` declares.

    Parameters
    ----------
    compressed
        The data is a gzip or zlib stream; its checksums are verified.

    Raises
    ------
    InputError
        Too few bytes, at least one slice too many, or an error in the compressed stream.
    """
    _check_length(header, _length(_data(path, offset, compressed), path, _limit(header, 0)))


def check_nifti_payload(header: ImageHeader, path: Path, offset: int, dtype: np.dtype) -> ImageHeader:
    """As `check_payload`, for files that are compressed as a whole or not at all; counts what is no number.

    Parameters
    ----------
    offset
        Bytes before the voxels, after unpacking.
    dtype
        Voxel type with the byte order of the file.

    Returns
    -------
    ImageHeader
        With ``not_numbers``.
    """
    counter = _NotNumbers(dtype, math.prod(header.sizes[:3]), header.n_frames, offset)
    watch = counter.add if dtype.kind in "fc" else None
    chunks = _data(path, 0, _is_compressed(path), watch is not None)
    _check_length(header, _length(chunks, path, _limit(header, offset), watch) - offset)
    return replace(header, not_numbers=tuple(counter.counts.tolist()))


def where_not_numbers(header: ImageHeader, path: Path, offset: int, dtype: np.dtype) -> np.ndarray:
    """Which voxels of the first frame are NaN or infinite, bool [k, j, i]; arguments as for `check_nifti_payload`."""
    voxels = math.prod(header.sizes[:3])
    watch = _NotNumbers(dtype, voxels, 1, offset)
    watch.seen = np.zeros(voxels, bool)
    _length(_data(path, 0, _is_compressed(path), True), path, _limit(header, offset), watch.add)
    return watch.seen.reshape(header.sizes[2::-1])


def _is_compressed(path: Path) -> bool:
    with open_file(path) as stream:
        return stream.read(2) == GZIP_MAGIC


class _NotNumbers:
    """Counts NaN and infinite voxels of each frame in a stream of bytes, and marks those of the first where wished."""

    def __init__(self, dtype: np.dtype, frame_voxels: int, n_frames: int, skip: int) -> None:
        self.counts = np.zeros(n_frames, dtype=np.int64)
        self.seen: np.ndarray | None = None
        self._dtype, self._frame_voxels, self._skip = dtype, frame_voxels, skip
        self._position, self._rest = 0, b""

    def add(self, data: bytes) -> None:
        data, self._skip = self._rest + data[self._skip :], max(self._skip - len(data), 0)
        whole = len(data) // self._dtype.itemsize * self._dtype.itemsize
        self._rest = data[whole:]
        values = np.frombuffer(data[:whole], self._dtype)
        bad = np.flatnonzero(~np.isfinite(values)) + self._position
        self._position += len(values)
        if self.seen is not None:
            self.seen[bad[bad < len(self.seen)]] = True
        frames = bad // self._frame_voxels
        self.counts += np.bincount(frames[frames < len(self.counts)], minlength=len(self.counts))


def _voxel_bytes(header: ImageHeader) -> int:
    return np.dtype(header.voxel_type).itemsize * header.components


def _limit(header: ImageHeader, offset: int) -> int:
    """Bytes after which counting may stop: one slice more than declared."""
    return offset + (math.prod(header.sizes) + math.prod(header.sizes[:2])) * _voxel_bytes(header)


def _check_length(header: ImageHeader, found: int) -> None:
    expected = math.prod(header.sizes) * _voxel_bytes(header)
    if found < expected:
        raise damaged(header.path, f"it ends after {max(found, 0):,} of {expected:,} bytes of voxels")
    if found >= _limit(header, 0):
        raise damaged(header.path, f"it holds more voxels than the {expected:,} bytes its header declares")


def _length(chunks: Iterator[bytes | int], path: Path, limit: int, watch: Callable[[bytes], None] | None = None) -> int:
    """Bytes in all ``chunks``, each shown to ``watch``; counting stops soon after ``limit``."""
    total = 0
    try:
        for chunk in chunks:
            if isinstance(chunk, int):
                total += chunk
                continue
            total += len(chunk)
            if watch is not None:
                watch(chunk)
            if total > limit:
                break
    except (zlib.error, EOFError) as error:
        raise damaged(path, "its compressed data is cut off or altered") from error
    return total


def _data(path: Path, offset: int, compressed: bool, wanted: bool = False) -> Iterator[bytes | int]:
    """The data from ``offset`` on, unpacked; plain data that nobody ``wanted`` to see as its length alone."""
    with open_file(path) as stream:
        size = stream.seek(0, 2)
        stream.seek(offset)
        if compressed:
            yield from _inflated(stream)
        elif wanted:
            while chunk := stream.read(_CHUNK):
                yield chunk
        else:
            yield max(size - offset, 0)


def _inflated(stream: BinaryIO) -> Iterator[bytes]:
    """The unpacked pieces of a gzip or zlib stream, with its checksums verified."""
    unpacker = zlib.decompressobj(47)
    pending = stream.read(_CHUNK)
    while True:
        if not pending and not unpacker.eof:
            raise EOFError
        yield unpacker.decompress(pending, _CHUNK)
        pending = unpacker.unconsumed_tail
        if unpacker.eof:
            pending = unpacker.unused_data or stream.read(_CHUNK)
            # Parallel packers write several gzip members after each other; anything else is padding.
            if not pending.startswith(GZIP_MAGIC):
                return
            unpacker = zlib.decompressobj(47)
        elif not pending:
            pending = stream.read(_CHUNK)
