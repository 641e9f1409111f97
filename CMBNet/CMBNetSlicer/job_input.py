"""A volume node as a file for the detector, with its transforms applied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from CMBNetLib.errors import InputError
from CMBNetLib.volume import Volume, write_volume

# Cosine between two voxel axes. Beyond it NIfTI readers refuse the image; transforms of a registration stay below.
_MOST_SHEAR = 1e-4


@dataclass(frozen=True)
class JobInput:
    """The file written for a scan node.

    Attributes
    ----------
    path : Path
        Uncompressed NIfTI in world coordinates.
    ijk_to_node : array
        4x4, voxel of the file -> mm in the coordinates that the result nodes shall have.
    follows_transform : bool
        Whether the result nodes belong under the scan's parent transform. Not so when the scan had to be
        resampled for a warp: then the results lie in world coordinates.
    """

    path: Path
    ijk_to_node: np.ndarray
    follows_transform: bool


def write_job_input(node: Any, folder: Path) -> JobInput:
    """Write the volume ``node`` to ``folder``, uncompressed because a child process reads it at once.

    Raises
    ------
    InputError
        The node has no image, or more than one value a voxel.
    """
    _check(node)
    name = _plain(node.GetName() or "") or "scan"
    ijk_to_ras = _matrix(node)
    world = _parent_matrix(node)
    if world is not None and _orthogonal(world @ ijk_to_ras):
        path = _write(node, world @ ijk_to_ras, folder / f"{name}.nii")
        return JobInput(path, ijk_to_ras, follows_transform=True)
    with _resampled(node) as copy:
        path = _write(copy, _matrix(copy), folder / f"{name}.nii")
        return JobInput(path, _matrix(copy), follows_transform=False)


def _plain(name: str) -> str:
    """The name in letters that Python can hand to ITK on Windows; names that differ stay different."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return plain if name.isascii() else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _check(node: Any) -> None:
    image = node.GetImageData()
    if image is None or 0 in image.GetDimensions():
        raise InputError(f"The volume '{node.GetName()}' holds no image. Choose another one.")
    values = image.GetNumberOfScalarComponents()
    if values != 1:
        raise InputError(f"The volume '{node.GetName()}' has {values} values a voxel. Choose a scalar volume.")


def _matrix(node: Any) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _parent_matrix(node: Any) -> np.ndarray | None:
    """4x4 of all parent transforms together; None where one of them is not linear."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        return None
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _orthogonal(matrix: np.ndarray) -> bool:
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() < _MOST_SHEAR)


def _write(node: Any, ijk_to_ras: np.ndarray, path: Path) -> Path:
    array = slicer.util.arrayFromVolume(node)
    if array.dtype in (np.int64, np.uint64, bool):  # types that not every NIfTI reader takes
        array = array.astype(np.float32)
    return write_volume(Volume(array, ijk_to_ras, node.GetName() or "scan"), path)


@contextmanager
def _resampled(node: Any) -> Iterator[Any]:
    """A copy of the volume, outside the scene, resampled in world coordinates."""
    copy = slicer.vtkMRMLScalarVolumeNode()
    copy.CopyContent(node, True)
    to_world = vtk.vtkGeneralTransform()
    node.GetParentTransformNode().GetTransformToWorld(to_world)
    copy.ApplyNonLinearTransform(to_world)
    yield copy
