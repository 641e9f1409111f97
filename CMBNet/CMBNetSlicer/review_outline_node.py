"""The outlines of a case as one segmentation node: a segment for each verdict and one for the finding on show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import slicer

from CMBNetLib.reading_state import Finding
from CMBNetLib.review_outlines import CURRENT, MICROBLEED, NAMES, NOT, UNDECIDED, UNSURE, OutlineMap
from CMBNetLib.volume import Volume
from CMBNetSlicer.review_volumes import add_owned, image_of, matrix_of, remove_nodes

COLORS = {
    UNDECIDED: (0.95, 0.75, 0.25), MICROBLEED: (0.90, 0.25, 0.25), NOT: (0.55, 0.55, 0.55), UNSURE: (0.65, 0.45, 0.90),
    CURRENT: (0.30, 1.00, 0.45),
}  # fmt: skip
_BINARY_LABELMAP = "Binary labelmap"


class OutlineNode:
    """A segmentation whose five segments share one label map, so that 300 findings cost no more than one.

    Parameters
    ----------
    scene
        Where the node goes.
    scan : Volume
        Gives the grid.
    scan_node
        Its node.
    """

    def __init__(self, scene: Any, scan: Volume, scan_node: Any) -> None:
        labels = np.zeros(scan.array.shape, np.uint8)
        self._image, self._voxels = image_of(labels, slicer.vtkOrientedImageData)
        self._image.SetGeometryFromImageToWorldMatrix(matrix_of(scan.ijk_to_ras))
        self.map = OutlineMap(self._voxels)
        self.node = add_owned(scene, "vtkMRMLSegmentationNode", "Review outlines")
        self.node.SetReferenceImageGeometryParameterFromVolumeNode(scan_node)
        segmentation = self.node.GetSegmentation()
        segmentation.SetSourceRepresentationName(_BINARY_LABELMAP)
        for value, name in NAMES.items():
            segment = slicer.vtkSegment()
            segment.SetName(name)
            segment.SetColor(*COLORS[value])
            segment.SetLabelValue(value)
            segment.AddRepresentation(_BINARY_LABELMAP, self._image)
            segmentation.AddSegment(segment, str(value))
        self._style()

    @property
    def visible(self) -> bool:
        """Whether the outlines show."""
        display = self.node.GetDisplayNode()
        return display is not None and bool(display.GetVisibility())

    @visible.setter
    def visible(self, visible: bool) -> None:
        display = self.node.GetDisplayNode()
        if display is not None:  # somebody may have deleted the node
            display.SetVisibility(visible)

    def show(self, findings: Mapping[str, Finding], current: str | None) -> bool:
        """Bring the label map up to date; returns whether it changed."""
        if not self.map.update(findings, current):
            return False
        self._image.GetPointData().GetScalars().Modified()
        self._image.Modified()
        self.node.GetSegmentation().InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)
        self.node.Modified()
        return True

    def remove(self, scene: Any) -> None:
        """Take the node out of a scene."""
        remove_nodes(scene, [self.node])
        # A segment that leaves a shared label map has its voxels cleared first, 0.2 s each in a large scan.
        for value in NAMES:
            self.node.GetSegmentation().GetSegment(str(value)).RemoveAllRepresentations()

    def _style(self) -> None:
        self.node.CreateDefaultDisplayNodes()
        display = self.node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetVisibility3D(False)
        display.SetVisibility2DFill(False)
        display.SetVisibility2DOutline(True)
        display.SetSliceIntersectionThickness(2)
        for value in NAMES:
            display.SetSegmentOpacity2DOutline(str(value), 1.0 if value == CURRENT else 0.7)
