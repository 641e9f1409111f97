"""Volumes of a case as nodes, without a copy of their voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from vtk.util import numpy_support

from CMBNetLib.volume import Volume
from CMBNetSlicer.scene_nodes import nodes_of_class

# What the room adds to a scene carries this attribute, so that it can be told from what the user brought.
OWNED = "CMBNet.Review"
SCALAR_VOLUME = "vtkMRMLScalarVolumeNode"


def add_owned(scene: Any, class_name: str, name: str) -> Any:
    """Add a node that belongs to the review room; it is not saved with the user's scene."""
    node = scene.CreateNodeByClass(class_name)
    node.UnRegister(None)
    return _owned(scene, node, name)


def _owned(scene: Any, node: Any, name: str) -> Any:
    node.SetName(name)
    node.SetAttribute(OWNED, "1")
    node.SetSaveWithScene(False)
    return scene.AddNode(node)


def add_volume(scene: Any, volume: Volume, name: str, black_white: tuple[float, float]) -> Any:
    """Add a scalar volume node whose voxels are those of ``volume`` itself."""
    node = add_owned(scene, SCALAR_VOLUME, name)
    image, array = image_of(volume.array)
    node.SetIJKToRASMatrix(matrix_of(volume.ijk_to_ras))
    node.SetAndObserveImageData(image)
    # VTK does not own the voxels: the node keeps the array alive.
    node.cmbnet_voxels = array
    node.SetAndObserveDisplayNodeID(_display(scene, name, black_white).GetID())
    return node


def _display(scene: Any, name: str, black_white: tuple[float, float]) -> Any:
    """A grey display of its own: the default one looks for a window by itself, 1.4 s for 512 x 512 x 150 voxels."""
    display = scene.CreateNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    display.UnRegister(None)
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(*black_white)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    return _owned(scene, display, f"{name} display")


def image_of(array: np.ndarray, make: Any = vtk.vtkImageData) -> tuple[Any, np.ndarray]:
    """Return an image that shares the voxels of ``array`` [k, j, i], and the array that must outlive it."""
    array = np.ascontiguousarray(array)
    image = make()
    image.SetDimensions(*array.shape[::-1])
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(array.reshape(-1), deep=False))
    return image, array


def matrix_of(matrix: np.ndarray) -> Any:
    """Return a 4x4 array as a VTK matrix."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=float).ravel().tolist())
    return result


def remove_nodes(scene: Any, nodes: list[Any]) -> None:
    """Take nodes out of a scene, with the display and storage nodes they brought."""
    for node in nodes:
        if node is None or scene.GetNodeByID(node.GetID() or "") is not node:
            continue
        count = node.GetNumberOfDisplayNodes() if node.IsA("vtkMRMLDisplayableNode") else 0
        displays = [node.GetNthDisplayNode(n) for n in range(count)]
        scene.RemoveNode(node)
        for display in displays:
            if display is not None and scene.GetNodeByID(display.GetID() or "") is display:
                scene.RemoveNode(display)


def scan_on_show(scene: Any) -> Any:
    """The scalar volume that a slice view shows, else the first one, or None; never a label map or one of the room."""
    composites = nodes_of_class(scene, "vtkMRMLSliceCompositeNode")
    shown = [scene.GetNodeByID(node.GetBackgroundVolumeID() or "") for node in composites]
    for node in (*shown, *nodes_of_class(scene, SCALAR_VOLUME)):
        if node is not None and node.GetClassName() == SCALAR_VOLUME and not node.GetAttribute(OWNED):
            return node
    return None


def owned_nodes(scene: Any) -> list[Any]:
    """Return the nodes in a scene that belong to the review room."""
    nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
    return [node for node in nodes if node.GetAttribute(OWNED)]
