"""Scans of a collection and patches of a preview in the slice views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from CMBNetLib.errors import InputError
from CMBNetSlicer.slice_jump import jump_to, show_scan


class TrainingViews:
    """Shows one image with its labels at a time; the nodes of the one before are taken off again."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self.nodes: list[Any] = []

    def show(self, name: str, image: Path, labels: Path | None) -> None:
        """Load an image and labels over it, and centre the views on the labels, else on the image.

        Raises
        ------
        InputError
            A file cannot be loaded.
        """
        self.close()
        scan = self._load(image, name)
        show_scan(self._scene, scan)
        if labels is not None:
            overlay = self._load(labels, f"{name} labels", labelmap=True)
            slicer.util.setSliceViewerLayers(label=overlay, labelOpacity=0.4)
            jump_to(self._scene, _middle(overlay), _extent(scan))
        else:
            jump_to(self._scene, _middle(scan), _extent(scan))

    def close(self) -> None:
        """Take the nodes off the scene."""
        for node in self.nodes:
            if self._scene.IsNodePresent(node):
                self._scene.RemoveNode(node)
        self.nodes = []

    def _load(self, path: Path, name: str, *, labelmap: bool = False) -> Any:
        try:
            node = slicer.util.loadVolume(str(path), {"name": name, "labelmap": labelmap, "show": False})
        except RuntimeError as problem:
            raise InputError(f"{path} cannot be loaded: {problem}") from problem
        self.nodes.append(node)
        return node


def _middle(node: Any) -> list[float]:
    """RAS centre of what is not zero in a label map, else of the volume."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    center = [(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)]
    if not node.IsA("vtkMRMLLabelMapVolumeNode"):
        return center
    return _first_label(node) or center


def _first_label(node: Any) -> list[float] | None:
    """RAS centre of the first microbleed (value 1 in patches, the lowest value in scans)."""
    import numpy as np
    import vtk

    array = slicer.util.arrayFromVolume(node)
    values = np.unique(array)
    present = values[(values > 0) & (values < 255)]
    if not len(present):
        return None
    k, j, i = np.argwhere(array == present[0]).mean(0)
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return list(matrix.MultiplyPoint((float(i), float(j), float(k), 1.0))[:3])


def _extent(node: Any) -> float:
    """Shorter edge (mm) of a volume, but not less than makes a lesion of 5 mm look like one."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    edges = sorted(bounds[2 * axis + 1] - bounds[2 * axis] for axis in range(3))
    return max(min(edges[1], 120.0), 40.0)
