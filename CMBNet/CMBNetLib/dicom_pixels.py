"""The voxels of DICOM slices."""

from __future__ import annotations

import os
import warnings
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .dicom_slices import DicomSlice
from .errors import InputError
from .image_header import check_sizes, damaged

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
            frames, scaled = _decoded(path)
    except InputError:
        raise
    # Decoders have no common base of errors either; see dicom_slices.
    except Exception as error:
        raise damaged(path, f"its voxels cannot be read ({_last_line(error)})") from error
    first = slices[0]
    if frames.shape[1:] != (first.rows, first.columns) or max(item.frame for item in slices) >= len(frames):
        raise damaged(path, f"its voxels have the shape {frames.shape}, not that of its header")
    if scaled:
        if len({(item.slope, item.intercept) for item in slices}) > 1:
            raise InputError(f"{path.name} is compressed with a scaling for each frame; convert it to NIfTI.")
        return [frames[item.frame] for item in slices]
    return [frames[item.frame] * np.float32(item.slope) + np.float32(item.intercept) for item in slices]


def _decoded(path: Path) -> tuple[np.ndarray, bool]:
    """Voxels as [frame, row, column], and whether the rescaling is already applied."""
    import pydicom

    data = pydicom.dcmread(path, force=True)
    syntax = data.file_meta.get("TransferSyntaxUID") if hasattr(data, "file_meta") else None
    if syntax is not None and syntax.is_compressed and syntax != _RLE and not syntax.is_deflated:
        return _decoded_by_itk(path), True
    _check_length(path, data, compressed=syntax == _RLE)
    if syntax is None:  # a data set without the file header is in the default syntax
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    pixels = np.asarray(data.pixel_array)
    return pixels.reshape(-1, *pixels.shape[-2:]), False


def _check_length(path: Path, data: Dataset, *, compressed: bool) -> None:
    if "PixelData" not in data or not len(data.PixelData):
        raise damaged(path, "it has no voxels")
    expected = int(data.Rows) * int(data.Columns) * int(data.get("NumberOfFrames") or 1) * int(data.BitsAllocated) // 8
    found = len(data.PixelData)
    if not compressed and found < expected:
        raise damaged(path, f"it ends after {found:,} of {expected:,} bytes of voxels")
    if not compressed and found > expected + expected // int(data.Rows):
        raise damaged(path, f"it holds {found:,} bytes of voxels where its header declares {expected:,}")


def _decoded_by_itk(path: Path) -> np.ndarray:
    """JPEG, JPEG-LS and JPEG 2000; ITK brings the decoders, pydicom needs packages that Slicer lacks."""
    import SimpleITK as sitk

    image = sitk.ReadImage(os.fspath(path), sitk.sitkFloat32, imageIO="GDCMImageIO")
    pixels = sitk.GetArrayFromImage(image)
    return pixels.reshape(-1, *pixels.shape[-2:])


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:120] if lines else type(error).__name__
