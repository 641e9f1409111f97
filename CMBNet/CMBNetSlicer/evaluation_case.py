"""One scan of an evaluation in the views: the scan, the lesions of prediction and reference, at a call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from CMBNetSlicer.slice_jump import jump_to, show_scan

# The colours of the pictures in the report.
COLOURS = {"reference": (0.34, 0.71, 0.91), "prediction": (0.90, 0.62, 0.0)}


class EvaluationCase:
    """Opens one scan at a time; the nodes of the scan before are taken off again."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._shown: tuple[Path, str] | None = None
        self.nodes: dict[str, Any] = {}

    def open(self, record: Any, scan_id: str, position_ras: Sequence[float]) -> None:
        """Show a scan of the evaluation (an `EvaluationRecord`) with both sides, and move all slice views to a place.

        Raises
        ------
        CMBNetLib.errors.InputError
            A file of the scan cannot be read any more.
        """
        there = all(self._scene.IsNodePresent(node) for node in self.nodes.values() if node is not None)
        if self._shown != (record.path, scan_id) or not there:
            self.close()
            self._load(record, scan_id)
            self._shown = (record.path, scan_id)
        jump_to(self._scene, position_ras)

    def close(self) -> None:
        """Take the nodes off the scene."""
        for node in self.nodes.values():
            if node is not None and self._scene.IsNodePresent(node):
                self._scene.RemoveNode(node)
        self.nodes, self._shown = {}, None

    def _load(self, record: Any, scan_id: str) -> None:
        from CMBNetEvaluationLib.lesion_sources import read_prediction, read_reference
        from CMBNetEvaluationLib.rules import MatchingRule

        rule = MatchingRule(**{k: v for k, v in record.document["settings"]["rule"].items() if k != "sentence"})
        files = record.files_of(scan_id)
        if "image" in files:
            self.nodes["image"] = slicer.util.loadVolume(str(files["image"]), {"name": scan_id})
            show_scan(self._scene, self.nodes["image"])
        if "reference" in files:
            self.nodes["reference"] = self._show("reference", scan_id, read_reference(files["reference"], rule))
        if "prediction" in files:
            threshold = record.document["settings"]["threshold"]
            prediction = read_prediction(files["prediction"], rule, threshold=threshold)
            self.nodes["prediction"] = self._show("prediction", scan_id, prediction.called)

    def _show(self, side: str, scan_id: str, lesions: Any) -> Any:
        name = f"{scan_id} {side}"
        if lesions.from_points or lesions.grid is None:
            labels = [str(number) for number in lesions.ids]
            return add_points(self._scene, name, lesions.centers_ras, labels, COLOURS[side])
        return _segmentation(self._scene, name, lesions, COLOURS[side])


def add_points(
    scene: Any, name: str, positions_ras: Any, labels: Sequence[str], colour: tuple[float, float, float]
) -> Any:
    """A locked list of points (RAS mm) in one colour."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSelectedColor(*colour)
    for label, place in zip(labels, positions_ras, strict=True):
        node.AddControlPoint(vtk.vtkVector3d(*place), label)
    node.SetLocked(True)
    return node


def _segmentation(scene: Any, name: str, lesions: Any, colour: tuple[float, float, float]) -> Any:
    """All lesions as one segment, outlined, on their own grid."""
    i, j, k = lesions.grid.shape_ijk
    mask = np.zeros(k * j * i, dtype=np.uint8)
    mask[lesions.voxels] = 1
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    labels.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(lesions.grid.ijk_to_ras))
    slicer.util.updateVolumeFromArray(labels, mask.reshape(k, j, i))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, node)
    scene.RemoveNode(labels)
    segmentation = node.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        segmentation.GetNthSegment(index).SetColor(*colour)
    node.GetDisplayNode().SetVisibility2DFill(False)
    return node
