"""The slices that one DICOM file holds: where each lies and how its voxels are scaled.

Classic files hold one slice, enhanced multi-frame files hold many; both become the same records. References are to
DICOM PS3.3: C.7.6.2 (image plane), C.7.6.16 (functional groups), C.8.13 (enhanced MR).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .acquisition_tags import component_of, number
from .errors import InputError
from .image_header import damaged, open_file, reason_of

if TYPE_CHECKING:
    from pydicom import Dataset

_MR, _CT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2"
# Storage classes whose objects are images in space; one that lacks its position is damaged. Others are skipped then.
_IMAGE_CLASSES = {_MR, f"{_MR}.1", f"{_MR}.4", _CT, f"{_CT}.1", f"{_CT}.2"}
_DIRECTORY = "1.2.840.10008.1.3.10"
_NO_SCANS = {"SEG", "SR", "PR", "KO", "REG", "RWV", "FID", "RTSTRUCT", "RTDOSE", "RTPLAN", "DOC", "OT", "MRS"}
_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "SeriesNumber", "Modality", "ImageType",
    "ComplexImageComponent", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept", "EchoTime",
    "TemporalPositionIdentifier", "AcquisitionNumber", "InstanceNumber", "MagneticFieldStrength", "ScanningSequence",
    "SequenceName", "ProtocolName", "BitsAllocated", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "SpecificCharacterSet",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class DicomSlice:
    """One slice.

    Attributes
    ----------
    frame
        Number of the slice in its file, from 0.
    spacing
        mm between rows and between columns (the order of PixelSpacing).
    position
        (3,) LPS mm of the first voxel's centre.
    axes
        (2, 3) LPS unit vectors along a row and along a column.
    component
        "magnitude", "phase", "real", "imaginary" or "" where it is not said.
    order
        What tells slices at one position apart, besides the echo time.
    slope, intercept
        Stored value to real value.
    """

    path: Path
    frame: int
    uid: str
    rows: int
    columns: int
    spacing: tuple[float, float]
    position: np.ndarray
    axes: np.ndarray
    component: str
    echo_time_ms: float | None
    order: tuple[float, ...]
    slope: float
    intercept: float


@dataclass(frozen=True)
class DicomFile:
    """One DICOM image file: what it says of its series, and its slices."""

    path: Path
    series_uid: str
    description: str
    number: float
    modality: str
    image_type: list[str]
    texts: list[str]
    scanning_sequence: str
    field_strength_t: float | None
    slices: tuple[DicomSlice, ...]


class UnusableFile(InputError):
    """A DICOM file that cannot be read, and the series it says it is of; empty where that is not known."""

    def __init__(self, text: str, series_uid: str) -> None:
        super().__init__(text)
        self.series_uid = series_uid


def is_dicom(path: Path) -> bool:
    """Whether the file has DICOM's mark at byte 128, or begins like a data set without the preamble."""
    with open_file(path) as stream:
        head = stream.read(132)
    return head[128:] == b"DICM" or (head[:2] == b"\x08\x00" and head[3:4] == b"\0" and len(head) == 132)


def read_dicom_file(path: Path) -> DicomFile | None:
    """The slices of a DICOM file, None where it is no image in space (report, presentation, screenshot).

    Raises
    ------
    UnusableFile
        The file is damaged, has colour voxels, or is a multi-frame file without positions.
    """
    series_uid = ""
    try:
        with _as_damage(path):
            data = _read_tags(path)
            series_uid = str(data.get("SeriesInstanceUID") or "")
            found = _file_record(path, data)
        if found is None and not _is_no_image(data):
            raise damaged(path, "its size, position or orientation is missing")
    except InputError as error:
        raise UnusableFile(str(error), series_uid) from error
    return found


def _is_no_image(data: Dataset) -> bool:
    """Whether the file is of a class without position, or the directory of a disc."""
    if data.file_meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
        return True
    return bool(data.get("SOPClassUID")) and str(data.SOPClassUID) not in _IMAGE_CLASSES


@contextmanager
def _as_damage(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file provokes in pydicom into one `InputError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom comments on each odd value
            yield
    except InputError:
        raise
    # pydicom's errors have no common base: damaged bytes gave ValueError, KeyError, struct.error, TypeError,
    # NotImplementedError, RecursionError and others.
    except Exception as error:
        raise damaged(path, f"it cannot be read as DICOM ({reason_of(error)})") from error


def _read_tags(path: Path) -> Dataset:
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, force=True)


def _file_record(path: Path, data: Dataset) -> DicomFile | None:
    modality = str(data.get("Modality") or "").upper()
    if modality in _NO_SCANS and str(data.get("SOPClassUID", "")) not in _IMAGE_CLASSES:
        return None
    frames = _frame_groups(path, data)
    if not data.get("Rows") or not data.get("Columns") or not all(_placed(groups) for groups in frames):
        return None
    if int(data.get("SamplesPerPixel") or 1) != 1 or data.get("PhotometricInterpretation") == "MONOCHROME1":
        raise InputError(f"{path.name} is a colour or inverted DICOM image; choose the original MR series.")
    slices = tuple(_slice(path, index, data, groups) for index, groups in enumerate(frames))
    texts = [str(data.get(key) or "") for key in ("SeriesDescription", "ProtocolName", "SequenceName")]
    return DicomFile(
        path,
        series_uid=str(data.get("SeriesInstanceUID") or "unknown"),
        description=texts[0],
        number=number(data.get("SeriesNumber")) or 0.0,
        modality=modality or "MR",
        image_type=[str(value) for value in _list(data.get("ImageType"))],
        texts=texts,
        scanning_sequence=" ".join(str(value) for value in _list(data.get("ScanningSequence"))),
        field_strength_t=number(data.get("MagneticFieldStrength")),
        slices=slices,
    )


def _frame_groups(path: Path, data: Dataset) -> list[dict[str, Any]]:
    """Position, scaling and echo of each frame as one flat table of attributes."""
    per_frame = data.get("PerFrameFunctionalGroupsSequence")
    count = int(data.get("NumberOfFrames") or 1)
    if per_frame is None:
        if count > 1:
            raise InputError(f"{path.name} holds {count} frames without their positions; export it as single slices.")
        return [_flat(data)]
    if len(per_frame) != count:
        raise damaged(path, f"it declares {count} frames and describes {len(per_frame)}")
    shared = _flat(data)
    for groups in data.get("SharedFunctionalGroupsSequence") or []:
        shared |= _functional(groups)
    return [shared | _functional(groups) for groups in per_frame]


def _flat(data: Dataset) -> dict[str, Any]:
    return {keyword: data.get(keyword) for keyword in _TAGS if keyword in data and not keyword.endswith("Sequence")}


def _functional(groups: Dataset) -> dict[str, Any]:
    """The attributes of all macros in one item of functional groups, the image type under its own name."""
    table: dict[str, Any] = {}
    for element in groups:
        # Philips repeats positions and scaling in a private sequence, with other values.
        if element.VR == "SQ" and not element.tag.is_private and len(element.value) == 1:
            table |= {part.keyword: part.value for part in element.value[0] if part.VR != "SQ"}
    renamed = {"EffectiveEchoTime": "EchoTime", "FrameType": "ImageType", "TemporalPositionIndex": "InstanceNumber"}
    return table | {new: table[old] for old, new in renamed.items() if old in table}


def _placed(groups: dict[str, Any]) -> bool:
    lengths = {"PixelSpacing": 2, "ImagePositionPatient": 3, "ImageOrientationPatient": 6}
    return all(len(_list(groups.get(key))) == length for key, length in lengths.items())


def _slice(path: Path, index: int, data: Dataset, groups: dict[str, Any]) -> DicomSlice:
    spacing = _numbers(path, groups, "PixelSpacing")
    slope = groups.get("RescaleSlope", 1)
    scale = np.array([float(1 if slope is None else slope), float(groups.get("RescaleIntercept") or 0)])
    if (spacing <= 0).any() or not np.isfinite(scale).all() or scale[0] == 0:
        raise damaged(path, "its pixel spacing or rescaling is zero or no number")
    component = component_of([groups.get("ComplexImageComponent") or "", *_list(groups.get("ImageType"))])
    keys = ("TemporalPositionIdentifier", "AcquisitionNumber", "InstanceNumber")
    return DicomSlice(
        path,
        index,
        f"{data.get('SOPInstanceUID') or path}#{index}",
        int(data.Rows),
        int(data.Columns),
        (float(spacing[0]), float(spacing[1])),
        _numbers(path, groups, "ImagePositionPatient"),
        _axes(path, _numbers(path, groups, "ImageOrientationPatient").reshape(2, 3)),
        component,
        number(groups.get("EchoTime")),
        tuple(number(groups.get(key)) or 0.0 for key in keys),
        float(scale[0]),
        float(scale[1]),
    )


def _axes(path: Path, axes: np.ndarray) -> np.ndarray:
    """Exactly orthonormal axes; DICOM writes them as decimals of limited length."""
    lengths = np.linalg.norm(axes, axis=1)
    if np.abs(lengths - 1).max() > 0.01 or abs(axes[0] @ axes[1]) > 0.01:
        raise damaged(path, "its orientation is no pair of unit vectors at right angles")
    row = axes[0] / lengths[0]
    column = axes[1] - (axes[1] @ row) * row
    return np.stack([row, column / np.linalg.norm(column)])


def _numbers(path: Path, groups: dict[str, Any], key: str) -> np.ndarray:
    values = np.array([float(value) for value in _list(groups.get(key))])
    if not np.isfinite(values).all() or np.abs(values).max() > 1e5:
        raise damaged(path, f"its {key} is no usable number")
    return values


def _list(value: Any) -> list[Any]:
    if value is None or isinstance(value, str | bytes):
        return [value] if value else []
    try:
        return list(value)
    except TypeError:
        return [value]
