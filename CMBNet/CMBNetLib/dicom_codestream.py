"""Decodes JPEG, JPEG-LS and JPEG 2000 frames of DICOM files with the decoders that ITK brings.

pydicom needs packages for them that Slicer lacks. ITK is not given the file itself: a damaged element length made its
parser allocate 3 GB. Each frame is taken out by pydicom, its size compared with the header, and wrapped anew.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .image_header import damaged

if TYPE_CHECKING:
    from pydicom import Dataset

_MR = "1.2.840.10008.5.1.4.1.1.4"
_KEPT = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation",
)  # fmt: skip
_JPEG_2000 = b"\xff\x4f\xff\x51"
_JPEG = b"\xff\xd8"
# Start-of-frame markers of JPEG (ISO 10918-1, table B.1) and JPEG-LS.
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def decode_frames(path: Path, data: Dataset) -> np.ndarray:
    """All frames of ``data`` as stored values, float32 [frame, row, column].

    Raises
    ------
    InputError
        A frame is missing, or has another size than the header says.
    RuntimeError
        A frame cannot be decoded.
    """
    rows, columns = int(data.Rows), int(data.Columns)
    planes = []
    with tempfile.TemporaryDirectory(prefix="cmbnet-") as folder:
        for frame in _frames(data):
            size = codestream_size(frame)
            if size not in (None, (rows, columns)):
                raise damaged(path, f"its compressed voxels are {size} in size, its header says {(rows, columns)}")
            planes.append(_decoded(_wrapped(data, frame, Path(folder) / "frame.dcm")))
    if not planes:
        raise damaged(path, "it has no voxels")
    return np.stack(planes)


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 stream declares; None where it cannot be told."""
    if frame.startswith(_JPEG_2000) and len(frame) >= 24:
        width, height, left, top = struct.unpack_from(">4I", frame, 8)
        return height - top, width - left
    at = 2 if frame.startswith(_JPEG) else len(frame)
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] in _START_OF_FRAME:
            rows, columns = struct.unpack_from(">2H", frame, at + 5)
            return rows, columns
        at += 2 + struct.unpack_from(">H", frame, at + 2)[0]
    return None


def _frames(data: Dataset) -> Iterator[bytes]:
    from pydicom import encaps

    count = int(data.get("NumberOfFrames") or 1)
    if hasattr(encaps, "generate_frames"):  # pydicom 3
        return encaps.generate_frames(data.PixelData, number_of_frames=count)
    return encaps.generate_pixel_data_frame(data.PixelData, count)


def _wrapped(data: Dataset, frame: bytes, path: Path) -> Path:
    """A DICOM file of one frame and nothing but what its decoder needs; no rescaling."""
    import pydicom
    from pydicom.encaps import encapsulate

    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(_MR)
    meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    image = pydicom.dataset.FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID = image.SOPInstanceUID = _MR
    for keyword in _KEPT:
        setattr(image, keyword, data.get(keyword))
    image.PixelData = encapsulate([frame])
    image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
    if int(pydicom.__version__.split(".")[0]) < 3:
        image.is_little_endian, image.is_implicit_VR = True, False
    image.save_as(path)
    return path


def _decoded(path: Path) -> np.ndarray:
    import SimpleITK as sitk

    image = sitk.ReadImage(os.fspath(path), sitk.sitkFloat32, imageIO="GDCMImageIO")
    pixels = sitk.GetArrayFromImage(image)
    return pixels.reshape(pixels.shape[-2:])
