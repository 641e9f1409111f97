"""Every kind of bad scan, each with words that the refusal must hold. `make(folder)` returns what a user would pass."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

import scan_files as make

BAD_SCANS: dict[str, tuple[str, Callable[[Path], Path]]] = {}


def bad(name: str, words: str) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    """Enter a maker under its name, with a regular expression for the message."""

    def enter(function: Callable[[Path], Path]) -> Callable[[Path], Path]:
        BAD_SCANS[name] = (words, function)
        return function

    return enter


def nifti(folder: Path, array: np.ndarray | None = None, affine: np.ndarray | None = None, name: str = "scan.nii"):
    return make.write_nifti(folder / name, make.head_array() if array is None else array, affine)


def spaced(*edges: float) -> np.ndarray:
    return np.diag([*edges, 1.0])


# Files as such


@bad("no such file", r"No such file or folder: .*missing\.nii")
def _(folder: Path) -> Path:
    return folder / "missing.nii"


@bad("empty file", r"scan\.nii is empty \(0 bytes\)")
def _(folder: Path) -> Path:
    (folder / "scan.nii").touch()
    return folder / "scan.nii"


@bad("unknown type", r"notes\.txt is of a type that is not read; use NIfTI")
def _(folder: Path) -> Path:
    (folder / "notes.txt").write_text("no scan")
    return folder / "notes.txt"


@bad("picture", r"slice\.png is of a type that is not read")
def _(folder: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 8), np.uint8)), folder / "slice.png")
    return folder / "slice.png"


@bad("truncated NIfTI", r"scan\.nii is damaged: it ends after 123,\d\d\d of 230,400 bytes of voxels")
def _(folder: Path) -> Path:
    path = nifti(folder)
    path.write_bytes(path.read_bytes()[: 352 + 123_456])
    return path


@bad("truncated compressed NIfTI", r"scan\.nii\.gz is damaged: its compressed data is cut off")
def _(folder: Path) -> Path:
    path = nifti(folder, name="scan.nii.gz")
    path.write_bytes(path.read_bytes()[:-5_000])
    return path


@bad("altered compressed NIfTI", r"scan\.nii\.gz is damaged: its compressed data is cut off or altered")
def _(folder: Path) -> Path:
    path = nifti(folder, name="scan.nii.gz")
    return make.patch(path, path.stat().st_size - 6, b"\x55\xaa")


@bad("complete gzip of half a scan", r"scan\.nii\.gz is damaged: it ends after")
def _(folder: Path) -> Path:
    path = folder / "scan.nii.gz"
    path.write_bytes(gzip.compress(nifti(folder).read_bytes()[:100_000]))
    return path


@bad("text called NIfTI", r"scan\.nii is no NIfTI file: its header is missing or damaged")
def _(folder: Path) -> Path:
    (folder / "scan.nii").write_text("<html>login required</html>" * 100)
    return folder / "scan.nii"


@bad("compressed without saying so", r"scan\.nii is compressed but not called so; rename it to scan\.nii\.gz")
def _(folder: Path) -> Path:
    return nifti(folder, name="scan.nii.gz").rename(folder / "scan.nii")


@bad("half of a pair", r"scan\.hdr is one half of an image; the other half scan\.img is not beside it")
def _(folder: Path) -> Path:
    nifti(folder, name="scan.img").unlink()
    return folder / "scan.hdr"


@bad("NIfTI-2", r"scan\.nii is a NIfTI-2 file, which ITK does not read; save it as NIfTI-1")
def _(folder: Path) -> Path:
    nibabel.Nifti2Image(make.head_array().T, make.oblique_affine()).to_filename(folder / "scan.nii")
    return folder / "scan.nii"


@bad("truncated NRRD", r"scan\.nrrd is damaged")
def _(folder: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(make.head_array()), folder / "scan.nrrd", useCompression=True)
    content = (folder / "scan.nrrd").read_bytes()
    (folder / "scan.nrrd").write_bytes(content[: len(content) * 2 // 3])
    return folder / "scan.nrrd"


@bad("truncated MHA", r"scan\.mha is damaged: it ends after")
def _(folder: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(make.head_array()), folder / "scan.mha")
    content = (folder / "scan.mha").read_bytes()
    (folder / "scan.mha").write_bytes(content[: len(content) * 2 // 3])
    return folder / "scan.mha"


@bad("NRRD that reads another file", r"takes its voxels from '/etc/hostname'; save it as one")
def _(folder: Path) -> Path:
    lines = ["NRRD0004", "type: uchar", "dimension: 3", "sizes: 20 20 20", "encoding: raw", "data file: /etc/hostname"]
    (folder / "scan.nhdr").write_text("\n".join(lines) + "\n\n")
    return folder / "scan.nhdr"


# Headers


@bad("absurd size", r"scan\.nii declares 30000 x 30000 x 30000 voxels; at most 400 million a volume are read")
def _(folder: Path) -> Path:
    return make.patch(nifti(folder), 42, struct.pack("<3h", 30_000, 30_000, 30_000))


@bad("axis of no length", r"its header declares 100 x 0 x 12 voxels")
def _(folder: Path) -> Path:
    return make.patch(nifti(folder), 44, struct.pack("<h", 0))


@bad("more voxels than declared", r"it holds more voxels than the 115,200 bytes its header declares")
def _(folder: Path) -> Path:
    return make.patch(nifti(folder), 46, struct.pack("<h", 6))


@bad("zero voxel edge", r"scan\.nii states voxel edges of 1\.1 x 0 x 3 mm")
def _(folder: Path) -> Path:
    return make.patch(nifti(folder), 84, struct.pack("<f", 0.0))


@bad("negative voxel edge", r"scan\.nii states a negative voxel edge in its header.*left and right may be swapped")
def _(folder: Path) -> Path:
    return make.patch(nifti(folder), 80, struct.pack("<f", -1.1))


@bad("NRRD in metres", r"scan\.nrrd gives its geometry in m; convert it to millimetres")
def _(folder: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(make.head_array()), folder / "scan.nrrd")
    content = (folder / "scan.nrrd").read_bytes()
    (folder / "scan.nrrd").write_bytes(content.replace(b"space:", b'space units: "m" "m" "m"\nspace:', 1))
    return folder / "scan.nrrd"


@bad("name that is no text", r"The name of '.*kopf_m\\udcfc\.nii' is no valid text; rename it")
def _(folder: Path) -> Path:
    return folder / os.fsdecode(b"kopf_m\xfc.nii")


@bad("orientation is NaN", r"orientation or position in the header of scan\.nii is not a number")
def _(folder: Path) -> Path:
    return make.patch(nifti(folder), 284, struct.pack("<f", np.nan))


@bad("singular orientation", r"scan\.nii")
def _(folder: Path) -> Path:
    path = make.patch(nifti(folder), 252, struct.pack("<2h", 0, 1))
    return make.patch(path, 280, struct.pack("<12f", *([1.0, 1.0, 0.0, 0.0] * 3)))


@bad("sheared axes", r"right angles|degrees instead of 90")
def _(folder: Path) -> Path:
    path = make.patch(nifti(folder, affine=spaced(1.1, 1.2, 3.0)), 252, struct.pack("<2h", 0, 1))
    return make.patch(path, 280, struct.pack("<8f", 1.1, 0.4, 0.0, 0.0, 0.0, 1.131371, 0.0, 0.0))


@bad("contradicting geometry", r"header of scan\.nii contradicts itself")
def _(folder: Path) -> Path:
    return make.patch(nifti(folder), 80, struct.pack("<f", 2.2))


@bad("geometry in metres", r"gives its geometry in metres")
def _(folder: Path) -> Path:
    return make.patch(nifti(folder), 123, b"\x01")


@bad("voxel type of 128 bits", r"voxels of a type that is not read \(NIfTI code 1536\)")
def _(folder: Path) -> Path:
    return make.patch(nifti(folder), 70, struct.pack("<2h", 1536, 128))


@bad("voxel type and bits disagree", r"its header declares float32 voxels of 16 bits")
def _(folder: Path) -> Path:
    return make.patch(nifti(folder), 70, struct.pack("<h", 16))


@bad("NRRD of text", r"has the encoding 'ascii'; save it again as raw or gzip")
def _(folder: Path) -> Path:
    lines = ["NRRD0004", "type: uchar", "dimension: 3", "sizes: 20 20 20", "encoding: ascii", "", "1 " * 8000]
    (folder / "scan.nrrd").write_text("\n".join(lines))
    return folder / "scan.nrrd"


@bad("NRRD with words for numbers", r"scan\.nrrd is damaged: its header has '20 20 many'")
def _(folder: Path) -> Path:
    lines = ["NRRD0004", "type: uchar", "dimension: 3", "sizes: 20 20 many", "encoding: raw", "", "1 " * 8000]
    (folder / "scan.nrrd").write_text("\n".join(lines))
    return folder / "scan.nrrd"


# Dimensions and voxel types


@bad("4D", r"scan\.nii is 4D: 3 frames of 100 x 96 x 12 voxels \(0, 1, 2\)\. Choose one, .*--frame 0")
def _(folder: Path) -> Path:
    return nifti(folder, np.stack([make.head_array(seed) for seed in range(3)]))


@bad("2D", r"is a single 2D image")
def _(folder: Path) -> Path:
    return nifti(folder, make.head_array()[5:6])


@bad("colour", r"scan\.mha is a colour \(RGB\) image with 3 values a voxel")
def _(folder: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((12, 96, 100, 3), np.uint8), isVector=True), folder / "scan.mha")
    return folder / "scan.mha"


@bad("colour NRRD", r"scan\.nrrd is a colour \(RGB\) image with 3 values a voxel")
def _(folder: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((12, 96, 100, 3), np.uint8), isVector=True), folder / "scan.nrrd")
    return folder / "scan.nrrd"


@bad("colour NIfTI", r"scan\.nii is a colour \(RGB\) image")
def _(folder: Path) -> Path:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    return nifti(folder, np.zeros((12, 96, 100), kind))


@bad("vectors", r"scan\.nii is a vector image with 2 values a voxel")
def _(folder: Path) -> Path:
    array = np.stack([make.head_array(), make.head_array(1)])[:, None]
    return nifti(folder, array.astype(np.float32))


@bad("complex", r"holds complex voxels; export the magnitude image")
def _(folder: Path) -> Path:
    return nifti(folder, make.head_array().astype(np.complex64))


# What a head scan is


@bad("too few slices", r"The scan has 6 slices \(100 x 96 x 6 voxels\); at least 10 are needed")
def _(folder: Path) -> Path:
    return nifti(folder, make.head_array()[3:9])


@bad("voxels too small", r"The voxel edges are 0\.11 x 0\.12 x 0\.3 mm; head scans have 0\.2 to 7 mm")
def _(folder: Path) -> Path:
    return nifti(folder, affine=spaced(0.11, 0.12, 0.3))


@bad("voxels too large", r"The voxel edges are 1\.1 x 1\.2 x 9 mm")
def _(folder: Path) -> Path:
    return nifti(folder, affine=spaced(1.1, 1.2, 9.0))


@bad("too small for a head", r"The scan covers 40 x 38 x 36 mm, too little for a head")
def _(folder: Path) -> Path:
    return nifti(folder, affine=spaced(0.4, 0.4, 3.0))


@bad("constant", r"All voxels have the same value \(7\)")
def _(folder: Path) -> Path:
    return nifti(folder, np.full(make.SHAPE, 7, np.int16))


@bad("almost empty", r"of the voxels have the same value \(0\): the scan is almost empty")
def _(folder: Path) -> Path:
    array = np.zeros(make.SHAPE, np.int16)
    array[5, 40:44, 40:44] = 90
    return nifti(folder, array)


@bad("mask", r"holds only two different values: it is a mask")
def _(folder: Path) -> Path:
    return nifti(folder, (make.head_array() > 200).astype(np.uint8))


@bad("many NaN", r"8% of the voxels are not numbers .*at most 5% can be repaired")
def _(folder: Path) -> Path:
    array = make.head_array().astype(np.float32)
    array.reshape(-1)[::12] = np.nan
    return nifti(folder, array)


@bad("all infinite", r"100% of the voxels are not numbers")
def _(folder: Path) -> Path:
    return nifti(folder, np.full(make.SHAPE, np.inf, np.float32))


def hounsfield() -> np.ndarray:
    head = make.head_array()
    return np.where(head > 200, head // 8 - 10, -1000 + head // 4).astype(np.int16)


@bad("CT by its values", r"The scan looks like CT: \d\d% of the voxels lie near -1000")
def _(folder: Path) -> Path:
    return nifti(folder, hounsfield())


@bad("CT by its sidecar", r"scan\.nii is a CT scan; choose an SWI or T2\*-weighted MR scan")
def _(folder: Path) -> Path:
    (folder / "scan.json").write_text('{"Modality": "CT"}')
    return nifti(folder)


@bad("phase by its sidecar", r"scan\.nii is a phase image; choose the magnitude or SWI series")
def _(folder: Path) -> Path:
    (folder / "scan.json").write_text('{"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "P", "PHASE"]}')
    return nifti(folder)
