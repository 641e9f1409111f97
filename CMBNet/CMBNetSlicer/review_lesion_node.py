"""The finding on show as a segmentation that Slicer's Segment Editor works on, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from CMBNetLib.reading_mask import ReadingMask
from CMBNetLib.review_candidates import check_inside, voxel_offset
from CMBNetLib.volume import Volume
from CMBNetSlicer.review_volumes import add_owned, image_of, matrix_of, remove_nodes

LESION = "lesion"
_BINARY_LABELMAP = "Binary labelmap"
_COLOR = (0.30, 1.00, 0.45)


class LesionNode:
    """A segmentation with one segment on the scan's grid.

    Parameters
    ----------
    scene
        Where the node goes.
    scan : Volume
        Gives the grid.
    scan_node
        Its node.
    mask : ReadingMask or None
        The outline to begin with.
    """

    def __init__(self, scene: Any, scan: Volume, scan_node: Any, mask: ReadingMask | None) -> None:
        self._scene, self._scan = scene, scan
        self.node = add_owned(scene, "vtkMRMLSegmentationNode", "Lesion under edit")
        self.node.SetReferenceImageGeometryParameterFromVolumeNode(scan_node)
        segment = slicer.vtkSegment()
        segment.SetName(LESION)
        segment.SetColor(*_COLOR)
        segmentation = self.node.GetSegmentation()
        segmentation.SetSourceRepresentationName(_BINARY_LABELMAP)
        if mask is not None:
            segment.AddRepresentation(_BINARY_LABELMAP, self._image(mask))
        segmentation.AddSegment(segment, LESION)
        self.node.CreateDefaultDisplayNodes()
        self.node.GetDisplayNode().SetSaveWithScene(False)

    def masks(self) -> list[ReadingMask]:
        """Return the outlines of all segments that are not empty, the one begun with first.

        Raises
        ------
        InputError
            A segment is not on the scan's grid; nothing is resampled.
        """
        segmentation = self.node.GetSegmentation()
        ids = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
        found = [self._mask(segmentation.GetSegment(name)) for name in sorted(ids, key=lambda name: name != LESION)]
        return [mask for mask in found if mask is not None]

    def remove(self) -> None:
        """Take the node out of the scene."""
        remove_nodes(self._scene, [self.node])

    def _image(self, mask: ReadingMask) -> Any:
        shared, array = image_of(mask.array().astype(np.uint8), slicer.vtkOrientedImageData)
        image = slicer.vtkOrientedImageData()
        image.DeepCopy(shared)  # the editor changes voxels and lives longer than our array
        del array
        i, j, k = mask.offset_ijk
        width, height, depth = mask.shape_ijk
        image.SetExtent(i, i + width - 1, j, j + height - 1, k, k + depth - 1)
        image.SetGeometryFromImageToWorldMatrix(matrix_of(self._scan.ijk_to_ras))
        return image

    def _mask(self, segment: Any) -> ReadingMask | None:
        image = segment.GetRepresentation(_BINARY_LABELMAP)
        if image is None or image.IsEmpty():
            return None
        extent = image.GetExtent()
        shape = (extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1)
        flat = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        # Segments that do not overlap share one label map, each with a value of its own.
        array = flat.reshape(shape) == segment.GetLabelValue()
        if not array.any():
            return None
        to_world = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(to_world)
        matrix = np.array([[to_world.GetElement(row, column) for column in range(4)] for row in range(4)])
        shift = voxel_offset(matrix, self._scan, f"The segment {segment.GetName()}")
        first = tuple(int(edge) + moved for edge, moved in zip(extent[::2], shift, strict=True))
        mask = ReadingMask.from_array(array, "imported", {"how": "Segment Editor"}, offset_ijk=first)
        check_inside(mask, self._scan, f"The segment {segment.GetName()}")
        return mask
