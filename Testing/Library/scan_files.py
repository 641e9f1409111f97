"""Makes small scans for the tests and writes them as NIfTI, NRRD, MetaImage or DICOM, right or wrong on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from scipy import ndimage

SPACING_MM = (1.1, 1.2, 3.0)  # i, j, k
SHAPE = (12, 96, 100)  # k, j, i: about 110 x 115 x 36 mm
UID_ROOT = "1.2.826.0.1.3680043.8.498."
MR_CLASS = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR_CLASS = "1.2.840.10008.5.1.4.1.1.4.1"


def head_array(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """int16 [k, j, i]: a bright ellipse with smooth texture on a noisy dark ground."""
    random = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = axes[0] ** 2 * 0.3 + axes[1] ** 2 * 1.5 + axes[2] ** 2 * 1.8 < 1
    texture = ndimage.gaussian_filter(random.normal(size=shape), (0.5, 2, 2)) * 150
    noise = np.abs(random.normal(0, 6, shape))
    return np.clip(inside * (320 + texture) + noise, 0, 2000).astype(np.int16)


def oblique_affine(
    spacing: tuple[float, float, float] = SPACING_MM, degrees: float = 12.0, flips: tuple[int, int, int] = (1, 1, 1)
) -> np.ndarray:
    """4x4 voxel -> RAS mm of axes turned about two axes and flipped."""
    a, b = np.radians(degrees), np.radians(degrees / 2)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_z @ np.diag(np.multiply(spacing, flips))
    affine[:3, 3] = [-50.25, -61.5, 13.75]
    return affine


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None, **header: Any) -> Path:
    """Write ``array`` ([k, j, i], or [frame, k, j, i]) with nibabel; ``header`` sets fields by name."""
    import nibabel

    affine = oblique_affine() if affine is None else affine
    kind = nibabel.Nifti1Pair if path.suffix == ".img" else nibabel.Nifti1Image
    image = kind(array.T, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    for name, value in header.items():
        image.header[name] = value
    image.to_filename(path)
    return path


def patch(path: Path, offset: int, data: bytes) -> Path:
    """Overwrite bytes of a file."""
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)
    return path


def write_series(
    folder: Path,
    array: np.ndarray | None = None,
    affine: np.ndarray | None = None,
    *,
    series: int = 1,
    first_file: int = 0,
    **tags: Any,
) -> Path:
    """Write ``array`` as a classic MR series, one file a slice; ``tags`` are set in every file.

    The files are numbered against the order of the slices, as scanners may do.
    """
    array = head_array() if array is None else array
    affine = oblique_affine() if affine is None else affine
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(len(array)):
        number = first_file + len(array) - k
        data = slice_dataset(array[k], affine, k, series, number)
        for name, value in tags.items():
            setattr(data, name, value)
        save(data, folder / f"IM{number:04d}.dcm")
    return folder


def slice_dataset(plane: np.ndarray, affine: np.ndarray, k: int, series: int, number: int) -> FileDataset:
    """One classic MR slice: column index i, row index j of voxel (i, j, k)."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    edges = np.linalg.norm(lps[:3, :3], axis=0)
    data = empty_dataset(MR_CLASS, f"{UID_ROOT}{series}.{number}")
    data.SeriesInstanceUID = f"{UID_ROOT}{series}"
    data.SeriesNumber, data.InstanceNumber, data.AcquisitionNumber = series, number, 1
    data.SeriesDescription, data.Modality, data.ImageType = "ax swi 3d", "MR", ["ORIGINAL", "PRIMARY", "M", "ND"]
    data.EchoTime, data.MagneticFieldStrength, data.ScanningSequence = 20.0, 3.0, "GR"
    data.ImagePositionPatient = [f"{x:.9g}" for x in lps[:3] @ [0, 0, k, 1]]
    data.ImageOrientationPatient = [f"{x:.12f}" for x in np.concatenate([lps[:3, 0] / edges[0], lps[:3, 1] / edges[1]])]
    data.PixelSpacing = [f"{edges[1]:.9g}", f"{edges[0]:.9g}"]
    data.SliceThickness = f"{edges[2]:.6g}"
    set_pixels(data, plane)
    return data


def enhanced_dataset(array: np.ndarray, affine: np.ndarray, series: int = 7) -> FileDataset:
    """One enhanced multi-frame MR object with a rescaling in the shared groups."""
    data = empty_dataset(ENHANCED_MR_CLASS, f"{UID_ROOT}{series}.1")
    data.SeriesInstanceUID, data.Modality, data.SeriesDescription = f"{UID_ROOT}{series}", "MR", "SWIp"
    data.NumberOfFrames, data.ComplexImageComponent, data.MagneticFieldStrength = len(array), "MAGNITUDE", 3.0
    planes = [slice_dataset(array[k], affine, k, series, k + 1) for k in range(len(array))]
    measures = _item(PixelSpacing=planes[0].PixelSpacing, SliceThickness=planes[0].SliceThickness)
    shared = _item(
        PixelMeasuresSequence=[measures],
        PlaneOrientationSequence=[_item(ImageOrientationPatient=planes[0].ImageOrientationPatient)],
        MREchoSequence=[_item(EffectiveEchoTime=24.0)],
        PixelValueTransformationSequence=[_item(RescaleSlope="2", RescaleIntercept="0", RescaleType="US")],
    )
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = [
        _item(PlanePositionSequence=[_item(ImagePositionPatient=plane.ImagePositionPatient)]) for plane in planes
    ]
    set_pixels(data, array)
    return data


def empty_dataset(sop_class: str, uid: str) -> FileDataset:
    """A DICOM object of a class without content."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = sop_class, uid
    return data


def set_pixels(data: FileDataset, pixels: np.ndarray) -> None:
    """Give a data set 16-bit grey voxels."""
    data.Rows, data.Columns = pixels.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.PixelData = np.ascontiguousarray(pixels, dtype="<i2").tobytes()


def save(data: FileDataset, path: Path) -> Path:
    """Write a data set as a DICOM file (explicit little endian unless its header says otherwise)."""
    if int(pydicom.__version__.split(".")[0]) < 3:
        data.is_little_endian, data.is_implicit_VR = True, data.file_meta.TransferSyntaxUID.is_implicit_VR
    data.save_as(path)
    return path


def inverted_copy(path: Path, copy: Path, **tags: Any) -> Path:
    """Write a DICOM file again as one with inverted grey, which is refused; ``tags`` are set in it."""
    data = pydicom.dcmread(path)
    data.PhotometricInterpretation = "MONOCHROME1"
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    return save(data, copy)


def compress(path: Path, compressor: str) -> None:
    """Compress the voxels of a DICOM file without loss ("JPEG2000" or "JPEG") and leave the rest as it is."""
    packed = path.with_suffix(".packed.dcm")
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(packed))
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(sitk.Cast(sitk.ReadImage(path), sitk.sitkUInt16))
    other, data = pydicom.dcmread(packed), pydicom.dcmread(path)
    packed.unlink()
    assert other.file_meta.TransferSyntaxUID.is_compressed
    data.file_meta.TransferSyntaxUID = other.file_meta.TransferSyntaxUID
    data.PixelRepresentation = 0
    data.PixelData = other.PixelData
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    save(data, path)


def _item(**values: Any) -> pydicom.Dataset:
    item = pydicom.Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item
