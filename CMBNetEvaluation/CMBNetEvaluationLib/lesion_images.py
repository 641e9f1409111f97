"""Lesions from image files: label maps, binary masks and probability maps."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CMBNetLib.errors import InputError
from CMBNetLib.grid import sitk_affine
from CMBNetLib.nifti_header import read_nifti_header
from CMBNetLib.text_header import read_meta_header, read_nrrd_header
from CMBNetLib.volume import Grid

from .lesions import LesionSet, lesions_from_mask, lesions_from_voxels
from .rules import MatchingRule
from .sparse_mask import label_components, nonzero_voxels

IMAGE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".img", ".hdr")
# More different values than any brain has lesions: the file is a scan, not a map of lesions.
_MOST_LABELS = 2000
_HEAD = 1 << 14  # bytes; a NIfTI header with its extensions is rarely larger


@dataclass(frozen=True)
class SparseImage:
    """The voxels of an image that are not zero.

    Attributes
    ----------
    grid
        Of the whole image.
    voxels
        (V,) sorted flat indices.
    values
        (V,) what the image holds there.
    """

    grid: Grid
    voxels: np.ndarray
    values: np.ndarray

    @property
    def kind(self) -> str:
        """``mask`` (one value), ``labels`` (several whole values) or ``probability`` (fractions of 0..1)."""
        if not np.issubdtype(self.values.dtype, np.floating) or (self.values == np.rint(self.values)).all():
            return "mask" if len(self.values) == 0 or (self.values == self.values[0]).all() else "labels"
        return "probability"


def is_image(path: Path) -> bool:
    """True if the name ends like an image file."""
    return path.name.lower().endswith(IMAGE_SUFFIXES)


def read_sparse_image(path: str | os.PathLike[str]) -> SparseImage:
    """Read an image of lesions and keep what is not zero.

    Raises
    ------
    InputError
        The file is missing, damaged, not 3D, holds NaN or negative numbers, or looks like a scan.
    """
    import SimpleITK as sitk

    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no file {path}.")
    try:
        image = sitk.ReadImage(os.fspath(path))
    except RuntimeError as error:
        _check_file(path)  # says more about what is wrong, where it can tell
        raise InputError(f"{path.name} cannot be read as an image; it may be damaged or cut off.") from error
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{path.name} is not a 3D image of single numbers; give one volume a file.")
    # The view shares memory with the image, so that a scan is in memory once.
    array = sitk.GetArrayViewFromImage(image)
    if not holds_exactly(path, array):
        _check_file(path)
    grid = Grid(image.GetSize(), sitk_affine(image))
    voxels = nonzero_voxels(array)
    values = array.ravel()[voxels]
    _check_values(path, values)
    return SparseImage(grid, voxels, values)


def holds_exactly(path: Path, array: np.ndarray) -> bool:
    """Whether a .nii.gz provably holds the voxels of ``array``: header and voxels have the checksum it states.

    Unpacking the file again to see the same takes twice as long as reading it. False only means that this cannot
    tell: another format or byte order, several gzip members, a damaged file, or NaN, which ITK turns into zeros.
    """
    if not path.name.lower().endswith(".nii.gz"):
        return False
    with open(path, "rb") as stream:
        head = stream.read(_HEAD)
        stream.seek(-min(8, len(head)), os.SEEK_END)
        trailer = stream.read(8)
    try:
        first = zlib.decompressobj(47).decompress(head, _HEAD)
        checksum, length = struct.unpack("<II", trailer)
    except (zlib.error, struct.error):
        return False
    n_header = (length - array.nbytes) % 2**32
    return n_header <= len(first) and zlib.crc32(array.data, zlib.crc32(first[:n_header])) == checksum


def _check_file(path: Path) -> None:
    """Refuse what ITK would pass over: it fills cut-off files with zeros and turns NaN in NIfTI files into zeros."""
    name = path.name.lower()
    read_header = read_nrrd_header if name.endswith((".nrrd", ".nhdr")) else read_nifti_header
    header = (read_meta_header if name.endswith((".mha", ".mhd")) else read_header)(path)
    if any(header.not_numbers):
        raise _not_numbers(path)


def _not_numbers(path: Path) -> InputError:
    return InputError(f"{path.name} holds values that are not numbers (NaN or infinite); write it again.")


def lesions_of(image: SparseImage, rule: MatchingRule, threshold: float) -> LesionSet:
    """The lesions of an image; ``threshold`` counts for probability maps only.

    A mask becomes its connected components; a label map one lesion a label, even where the label is in pieces; a
    probability map the components of the voxels from ``threshold`` on, each scored by its largest probability.
    """
    if image.kind == "labels":
        return _lesions_by_label(image)
    if image.kind == "mask":
        return lesions_from_mask(image.grid, image.voxels, rule.connectivity)
    keep = image.values >= threshold
    voxels, values = image.voxels[keep], image.values[keep].astype(float)
    i, j, k = image.grid.shape_ijk
    owner = label_components(voxels, (k, j, i), rule.connectivity)
    scores = np.zeros(int(owner.max()) + 1 if len(owner) else 0)
    np.maximum.at(scores, owner, values)
    return lesions_from_voxels(image.grid, voxels, owner, scores=scores)


def _lesions_by_label(image: SparseImage) -> LesionSet:
    ids, owner = np.unique(image.values, return_inverse=True)
    return lesions_from_voxels(image.grid, image.voxels, owner.ravel(), ids=ids.astype(np.int64))


def _check_values(path: Path, values: np.ndarray) -> None:
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        raise _not_numbers(path)
    if len(values) and values.min() < 0:
        raise InputError(f"{path.name} holds negative values; a mask, label map or probability map has none.")
    whole = not np.issubdtype(values.dtype, np.floating) or bool((values == np.rint(values)).all())
    if not whole and values.max() > 1 + 1e-6:
        raise InputError(f"{path.name} holds fractions above 1; a probability map lies between 0 and 1.")
    if whole and len(values) > _MOST_LABELS and len(np.unique(values)) > _MOST_LABELS:
        raise InputError(f"{path.name} holds more than {_MOST_LABELS} values: it looks like a scan, not lesions.")
