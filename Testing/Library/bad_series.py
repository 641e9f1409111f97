"""Every kind of bad DICOM series, entered beside the bad files of `bad_scans`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom

import scan_files as make
from bad_scans import bad, hounsfield, nifti, spaced

# DICOM folders


@bad("folder without DICOM", r"holds no DICOM files; give one of its files instead: scan\.nii")
def _(folder: Path) -> Path:
    return nifti(folder).parent


@bad("empty folder", r"holds no DICOM files; choose the folder of one series")
def _(folder: Path) -> Path:
    return folder


@bad(
    "several series", r"holds 2 series; choose one with --series UID:\n  \S+\.1  'ax swi 3d', MR, 12 slices\n  .*phase$"
)
def _(folder: Path) -> Path:
    make.write_series(folder, series=1)
    return make.write_series(folder, series=2, first_file=50, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"])


@bad("CT series", r"Series 'ax swi 3d' is a CT scan; choose an SWI or T2\*-weighted MR scan")
def _(folder: Path) -> Path:
    return make.write_series(folder, hounsfield(), Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")


@bad("phase series", r"Series 'ax swi 3d' is a phase image; choose the magnitude or SWI series")
def _(folder: Path) -> Path:
    return make.write_series(folder, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"])


@bad("colour file in the series", r"z\.dcm is a colour or inverted DICOM image; choose the original MR series")
def _(folder: Path) -> Path:
    make.write_series(folder)
    return make.inverted_copy(folder / "IM0001.dcm", folder / "z.dcm").parent


@bad("missing slices", r"About 2 slices are missing: 9\.00 mm after slice 4 of 10, 3\.00 mm elsewhere")
def _(folder: Path) -> Path:
    make.write_series(folder)
    for number in (7, 8):
        (folder / f"IM{number:04d}.dcm").unlink()
    return folder


@bad("uneven slices", r"The slices are unevenly spaced: (2\.0|4\.0)0 mm after slice \d of 12, 3\.00 mm elsewhere")
def _(folder: Path) -> Path:
    make.write_series(folder, affine=spaced(1.1, 1.2, 3.0))
    path = folder / "IM0006.dcm"
    data = pydicom.dcmread(path)
    data.ImagePositionPatient[2] += 1.0
    make.save(data, path)
    return folder


@bad("tilted stack", r"shifted sideways against each other by up to 11\.0 mm")
def _(folder: Path) -> Path:
    make.write_series(folder)
    for k, path in enumerate(sorted(folder.iterdir())):
        data = pydicom.dcmread(path)
        axis = np.array(data.ImageOrientationPatient[:3], float)
        data.ImagePositionPatient = [f"{x:.9g}" for x in np.array(data.ImagePositionPatient, float) + k * axis]
        make.save(data, path)
    return folder


@bad("too few DICOM slices", r"The series has 4 slices; at least 10 are needed")
def _(folder: Path) -> Path:
    return make.write_series(folder, make.head_array()[:4])


@bad("mixed orientations", r"The series mixes 2 orientations or image sizes \(with 12, 12 slices\)")
def _(folder: Path) -> Path:
    make.write_series(folder)
    return make.write_series(folder, make.head_array(1), make.oblique_affine(degrees=80.0), first_file=50)


@bad(
    "4D series",
    r"is 4D with 2 images at each position; choose one with --frame N:\n  0: magnitude, echo time 20 ms, 12",
)
def _(folder: Path) -> Path:
    make.write_series(folder)
    return make.write_series(folder, make.head_array(1), first_file=50, EchoTime=40.0)


@bad("incomplete 4D series", r"some positions have 2 images, others 1")
def _(folder: Path) -> Path:
    make.write_series(folder)
    return make.write_series(folder, make.head_array(1)[:7], first_file=50, EchoTime=40.0)


@bad("colour DICOM", r"is a colour or inverted DICOM image")
def _(folder: Path) -> Path:
    return make.write_series(folder, SamplesPerPixel=3, PhotometricInterpretation="RGB")


@bad("truncated DICOM file", r"IM0005\.dcm is damaged")
def _(folder: Path) -> Path:
    path = make.write_series(folder) / "IM0005.dcm"
    path.write_bytes(path.read_bytes()[:15_000])
    return folder


@bad("DICOM file cut in its header", r"IM0005\.dcm is damaged")
def _(folder: Path) -> Path:
    path = make.write_series(folder) / "IM0005.dcm"
    path.write_bytes(path.read_bytes()[:500])
    return folder


@bad("DICOM without pixels", r"IM0003\.dcm is damaged: it has no voxels")
def _(folder: Path) -> Path:
    path = make.write_series(folder) / "IM0003.dcm"
    data = pydicom.dcmread(path)
    del data.PixelData
    make.save(data, path)
    return folder


@bad("only reports", r"holds 1 DICOM files, but no images with a position in space")
def _(folder: Path) -> Path:
    make.save(make.empty_dataset("1.2.840.10008.5.1.4.1.1.88.22", f"{make.UID_ROOT}9.1"), folder / "report.dcm")
    return folder


@bad("text called DICOM", r"scan\.dcm is no DICOM image")
def _(folder: Path) -> Path:
    (folder / "scan.dcm").write_text("no scan at all " * 20)
    return folder / "scan.dcm"


@bad("enhanced DICOM with missing frames", r"it declares 20 frames and describes 12")
def _(folder: Path) -> Path:
    data = make.enhanced_dataset(make.head_array(), make.oblique_affine())
    data.NumberOfFrames = 20
    make.save(data, folder / "enhanced.dcm")
    return folder
