"""Reads scans and label maps from image files and DICOM folders; everything odd becomes a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import acquisition_tags
from .dicom_series import read_dicom
from .errors import CMBNetError, EnvironmentProblem, InputError
from .files import scan_stem
from .image_header import ImageHeader, check_shape, damaged, open_file, reason_of
from .nifti_header import read_nifti_header
from .text_header import read_meta_header, read_nrrd_header
from .volume import Volume, from_sitk
from .volume_checks import check_axes, check_bad_voxels, checked_scan

if TYPE_CHECKING:
    import SimpleITK

_HEADER_READERS: tuple[tuple[tuple[str, ...], Callable[[Path], ImageHeader]], ...] = (
    ((".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz"), read_nifti_header),
    ((".nrrd", ".nhdr"), read_nrrd_header),
    ((".mha", ".mhd"), read_meta_header),
)
READABLE = "NIfTI (.nii, .nii.gz), NRRD, MHA or a folder of one DICOM series"
_MOST_LABEL = 2**31 - 1
_SAME_PLACE_MM = 0.5


def read_scan(path: str | os.PathLike[str], frame: int | None, series: str | None, whole: bool) -> Volume:
    """What `CMBNetLib.volume.read_volume` describes."""
    path = _existing(path)
    if path.is_dir() or _is_dicom(path):
        volume = read_dicom(path, frame=frame, series=series)
    else:
        volume = _read_file(path, frame)
    return checked_scan(volume, whole=whole)


def read_label_map(path: str | os.PathLike[str]) -> Volume:
    """What `CMBNetLib.volume.read_labels` describes."""
    path = _existing(path)
    if path.is_dir() or _is_dicom(path):
        raise InputError(f"{path.name} is DICOM; label maps are read from NIfTI, NRRD or MHA files. Convert it first.")
    header = header_of(path)
    check_shape(header, what="label map")
    if header.n_frames > 1:
        raise InputError(f"{path.name} holds {header.n_frames} volumes; a label map is one 3D volume.")
    if any(header.not_numbers):
        raise InputError(f"{path.name} holds voxels that are not numbers; a label map has whole numbers.")
    volume = _volume(header, _read_image(header, None, as_float=False))
    check_axes(volume)
    return volume.with_array(_labels(path, volume.array))


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    try:
        os.fspath(path).encode()
        found = "\0" not in str(path) and path.exists()
        empty = found and path.is_file() and path.stat().st_size == 0
    except UnicodeEncodeError as error:
        raise InputError(f"The name of {os.fspath(path)!a} is no valid text; rename it.") from error
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    if not found:
        raise InputError(f"No such file or folder: {path}. Check the path.")
    if empty:
        raise InputError(f"{path.name} is empty (0 bytes). Copy or export the scan again.")
    return path


def _is_dicom(path: Path) -> bool:
    if path.name.lower().endswith((".dcm", ".ima")):
        return True
    if not path.is_file():
        return False
    with open_file(path) as stream:
        return stream.read(132)[128:] == b"DICM"


def header_of(path: Path) -> ImageHeader:
    """The checked header of an image file; raises what `read_nifti_header` and its like do."""
    name = path.name.lower()
    for suffixes, read_header in _HEADER_READERS:
        if name.endswith(suffixes) and path.is_file():
            return read_header(path)
    raise InputError(f"{path.name} is of a type that is not read; use {READABLE}.")


def _read_file(path: Path, frame: int | None) -> Volume:
    header = header_of(path)
    check_shape(header)
    frame = _checked_frame(header, frame)
    stem = scan_stem(path)
    metadata: dict[str, Any] = {"modality": "MR", "warnings": [*header.warnings, *acquisition_tags.name_warnings(stem)]}
    sidecar = acquisition_tags.from_sidecar(path, stem)
    metadata["warnings"] += [text for text in sidecar.pop("warnings", []) if text not in metadata["warnings"]]
    metadata |= {"sequence": acquisition_tags.sequence_of(stem, header.description)} | sidecar
    if frame is not None:
        metadata["frame"] = frame
    volume = _volume(header, _read_image(header, frame, as_float=True))
    metadata["warnings"] += _place_warnings(header, volume)
    if header.not_numbers:
        metadata["warnings"] += check_bad_voxels(header.not_numbers[frame or 0], volume.array.size)
    return Volume(volume.array, volume.ijk_to_ras, volume.name, metadata)


def _checked_frame(header: ImageHeader, frame: int | None) -> int | None:
    """The frame to take from a file of several, None for a 3D file."""
    count = header.n_frames
    if frame is not None and not 0 <= frame < count:
        raise InputError(f"{header.path.name} has no frame {frame}: it has the frames 0 to {count - 1}.")
    if count > 1 and frame is None:
        shape = " x ".join(str(size) for size in header.sizes[:3])
        listing = ", ".join(str(index) for index in range(min(count, 12))) + (", ..." if count > 12 else "")
        raise InputError(
            f"{header.path.name} is 4D: {count} frames of {shape} voxels ({listing}). "
            "Choose one, for example with --frame 0."
        )
    return frame if count > 1 else None


def _read_image(header: ImageHeader, frame: int | None, *, as_float: bool) -> SimpleITK.Image:
    """The 3D image that the header promises, or one frame of it."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(os.fspath(header.path))
    reader.SetImageIO(header.image_io)
    reader.SetOutputPixelType(sitk.sitkFloat32 if as_float and not header.frames_listed else sitk.sitkUnknown)
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        _check_promise(header, reader)
        if frame is not None and not header.frames_listed:
            n_axes = reader.GetDimension()
            reader.SetExtractIndex([0, 0, 0, frame] + [0] * (n_axes - 4))
            reader.SetExtractSize([*header.sizes[:3]] + [0] * (n_axes - 3))
        image = reader.Execute()
    except MemoryError as error:
        raise EnvironmentProblem(f"There is not enough memory for {header.path.name}; close other programs.") from error
    except RuntimeError as error:
        raise _translated(header.path, error) from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
    if frame is not None and header.frames_listed:
        image = sitk.Cast(sitk.VectorIndexSelectionCast(image, frame), sitk.sitkFloat32)
    return image


def _check_promise(header: ImageHeader, reader: SimpleITK.ImageFileReader) -> None:
    """Refuse where ITK understands the header otherwise than we did: one of the two would be wrong."""
    reader.ReadImageInformation()
    sizes = list(reader.GetSize())
    expected = list(header.sizes[:3] if header.frames_listed else header.sizes)
    while len(sizes) > len(expected) and sizes[-1] == 1:
        sizes.pop()
    if sizes != expected:
        raise damaged(header.path, f"its header can be read as {sizes} or as {expected} voxels")


def _volume(header: ImageHeader, image: SimpleITK.Image) -> Volume:
    import SimpleITK as sitk

    if image.GetDimension() > 3:  # a fourth axis of length 1
        image = sitk.Extract(image, [*image.GetSize()[:3]] + [0] * (image.GetDimension() - 3))
    return from_sitk(image, scan_stem(header.path))


def _place_warnings(header: ImageHeader, volume: Volume) -> list[str]:
    """Compare the geometry ITK chose with what the header states; see `ImageHeader.affines`."""
    if not header.affines:
        return []
    away = [_largest_distance(affine, volume) for affine in header.affines]
    if min(away) > _SAME_PLACE_MM:
        raise InputError(
            f"The header of {header.path.name} contradicts itself: it places the scan up to {min(away):.0f} mm apart "
            "in two ways. Export or convert the scan again."
        )
    if max(away) <= _SAME_PLACE_MM:
        return []
    return [
        f"The header places the scan in two ways, up to {max(away):.0f} mm apart; other programs may show it elsewhere."
    ]


def _largest_distance(affine: np.ndarray, volume: Volume) -> float:
    """Largest distance in mm between the corners of ``volume`` under ``affine`` and under its own matrix."""
    steps = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, 8).T
    corners = np.c_[steps * np.subtract(volume.shape_ijk, 1), np.ones(8)]
    difference = corners @ (affine - volume.ijk_to_ras).T
    return float(np.linalg.norm(difference[:, :3], axis=1).max())


def _labels(path: Path, array: np.ndarray) -> np.ndarray:
    """The array with an integer type; floats must hold whole numbers."""
    if array.dtype.kind in "iub":
        return array
    if not (array == np.round(array)).all():
        raise InputError(f"{path.name} holds fractions; a label map has whole numbers. Threshold it first.")
    if not 0 <= array.min() <= array.max() <= _MOST_LABEL:
        raise InputError(f"{path.name} holds values from {array.min():g} to {array.max():g}; labels start at 0.")
    return array.astype(np.uint16 if array.max() < 1 << 16 else np.int32)


def _translated(path: Path, error: RuntimeError) -> CMBNetError:
    """ITK's exception as an error with a sentence."""
    message = str(error)
    if "allocate" in message.lower() or "bad_alloc" in message:
        return EnvironmentProblem(f"There is not enough memory for {path.name}; close other programs.")
    if "orthonormal" in message:
        return InputError(f"The axes of {path.name} are not at right angles; resample it to a straight grid.")
    return damaged(path, f"it cannot be read ({reason_of(error)})")
