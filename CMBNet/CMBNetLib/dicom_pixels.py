"""The voxels of DICOM slices."""

from __future__ import annotations

import warnings
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .dicom_codestream import decode_frames
from .dicom_slices import DicomSlice
from .errors import InputError
from .image_header import check_sizes, damaged, reason_of

if TYPE_CHECKING:
    from pydicom import Dataset

_RLE = "1.2.840.10008.1.2.5"


def read_slices(slices: list[DicomSlice]) -> np.ndarray:
    """Rescaled voxels of ``slices`` (all of one size) as float32 [k, j, i], in the order of the list.

    Raises
    ------
    InputError
        A file's voxels are missing, damaged or differ in size from its header.
    """
    first = slices[0]
    check_sizes(first.path, (first.columns, first.rows, len(slices)))
    stack = np.empty((len(slices), first.rows, first.columns), dtype=np.float32)
    numbered = sorted(enumerate(slices), key=lambda entry: str(entry[1].path))
    for path, entries in groupby(numbered, key=lambda entry: entry[1].path):
        members = list(entries)
        planes = _planes(path, [item for _, item in members])
        for (index, _), plane in zip(members, planes, strict=True):
            stack[index] = plane
    return stack


def _planes(path: Path, slices: list[DicomSlice]) -> list[np.ndarray]:
    """Rescaled voxels of some slices of one file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom comments on padding after the voxels
            frames = _decoded(path)
    except InputError:
        raise
    # Decoders have no common base of errors either; see dicom_slices.
    except Exception as error:
        raise damaged(path, f"its voxels cannot be read ({reason_of(error)})") from error
    first = slices[0]
    if frames.shape[1:] != (first.rows, first.columns) or max(item.frame for item in slices) >= len(frames):
        raise damaged(path, f"its voxels have the shape {frames.shape}, not that of its header")
    return [frames[item.frame] * np.float32(item.slope) + np.float32(item.intercept) for item in slices]


def _decoded(path: Path) -> np.ndarray:
    """Stored values as [frame, row, column]."""
    import pydicom

    data = pydicom.dcmread(path, force=True)
    if not {"Rows", "Columns", "BitsAllocated", "PixelData"} <= set(data.dir()) or not len(data.PixelData):
        raise damaged(path, "it has no voxels, or is cut off in them")
    syntax = data.file_meta.get("TransferSyntaxUID") if hasattr(data, "file_meta") else None
    if syntax is not None and syntax.is_compressed and syntax != _RLE and not syntax.is_deflated:
        return decode_frames(path, data)
    _check_length(path, data, compressed=syntax == _RLE)
    if syntax is None:  # a data set without the file header is in the default syntax
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    pixels = np.asarray(data.pixel_array)
    return pixels.reshape(-1, *pixels.shape[-2:])


def _check_length(path: Path, data: Dataset, *, compressed: bool) -> None:
    expected = int(data.Rows) * int(data.Columns) * int(data.get("NumberOfFrames") or 1) * int(data.BitsAllocated) // 8
    found = len(data.PixelData)
    if not compressed and found < expected:
        raise damaged(path, f"it ends after {found:,} of {expected:,} bytes of voxels")
    if not compressed and found > expected + expected // int(data.Rows):
        raise damaged(path, f"it holds {found:,} bytes of voxels where its header declares {expected:,}")
