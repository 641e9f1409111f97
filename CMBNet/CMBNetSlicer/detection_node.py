"""A detection in the scene: a text node with the record, and references to the nodes that show it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from CMBNetLib.errors import InputError
from CMBNetSlicer.candidate_markups import make_points, point_position, show_points
from CMBNetSlicer.candidate_table import make_table, mark_microbleeds
from CMBNetSlicer.detection_record import DetectionRecord
from CMBNetSlicer.microbleed_segmentation import show_microbleeds
from CMBNetSlicer.scene_nodes import nodes_of_class

ATTRIBUTE, MARK = "CMBNet.Detection", "1"  # name and value that mark the text nodes with a detection
_THRESHOLD, _REPORT = "CMBNet.Threshold", "CMBNet.Report"
SCAN, SEGMENTATION, POINTS, TABLE = "scan", "segmentation", "points", "table"


class DetectionNode:
    """A detection and its nodes. Each of the nodes may be gone: users delete what they like.

    Parameters
    ----------
    node
        The text node.

    Raises
    ------
    InputError
        It holds no detection.
    """

    def __init__(self, node: Any) -> None:
        if node is None or node.GetAttribute(ATTRIBUTE) is None:
            raise InputError("This node holds no detection.")
        self.node = node
        self.record = DetectionRecord.from_text(node.GetText())

    @classmethod
    def create(cls, record: DetectionRecord, scan: Any, *, follows_transform: bool) -> DetectionNode:
        """Add the detection of the volume node ``scan`` to its scene, with all that shows it."""
        scene, name = scan.GetScene(), scan.GetName() or "Scan"
        detection = cls(_text_node(record, scan, f"{name} detection"))
        node = detection.node
        for role, class_name, title in (
            (SEGMENTATION, "vtkMRMLSegmentationNode", "microbleeds"),
            (POINTS, "vtkMRMLMarkupsFiducialNode", "candidates"),
            (TABLE, "vtkMRMLTableNode", "candidate table"),
        ):
            shown = scene.AddNewNodeByClass(class_name, scene.GenerateUniqueName(f"{name} {title}"))
            node.SetNodeReferenceID(role, shown.GetID())
        detection._fill(scan, follows_transform)
        detection.set_threshold(record.threshold)
        return detection

    @property
    def scan(self) -> Any:
        """The volume node, or None."""
        return self.node.GetNodeReference(SCAN)

    @property
    def segmentation(self) -> Any:
        """The segmentation node with one segment a microbleed, or None."""
        return self.node.GetNodeReference(SEGMENTATION)

    @property
    def points(self) -> Any:
        """The fiducial list of all candidates, or None."""
        return self.node.GetNodeReference(POINTS)

    @property
    def table(self) -> Any:
        """The table of all candidates, or None."""
        return self.node.GetNodeReference(TABLE)

    @property
    def report(self) -> Path | None:
        """The report of the run, if its files were kept and it is still there."""
        text = self.node.GetAttribute(_REPORT)
        return Path(text) if text and Path(text).is_file() else None

    def remember_files(self, detection_file: Path) -> None:
        """Note where the files of the run lie, beside its detection file."""
        name = self.record.document["files"].get("report")
        if name:
            self.node.SetAttribute(_REPORT, str(detection_file.parent / name))

    @property
    def threshold(self) -> float:
        """Score from which candidates are shown as microbleeds now."""
        text = self.node.GetAttribute(_THRESHOLD)
        return self.record.threshold if text is None else float(text)

    @property
    def n_microbleeds(self) -> int:
        """Number of microbleeds at the present threshold."""
        return self.record.count(self.threshold)

    @property
    def summary(self) -> str:
        """What there is at the present threshold, in one line."""
        return self.record.summary(self.threshold)

    def set_threshold(self, threshold: float) -> None:
        """Show the candidates from this score on as microbleeds; the network does not run again."""
        self.node.SetAttribute(_THRESHOLD, repr(float(threshold)))
        count = self.record.count(threshold)
        if self.segmentation is not None:
            show_microbleeds(self.segmentation, self.record, threshold)
        if self.points is not None:
            show_points(self.points, count)
        if self.table is not None:
            mark_microbleeds(self.table, count)

    def position(self, candidate_id: int) -> Any:
        """RAS position of a candidate in the world now, (3,) mm: from its point, else from the record."""
        found = None if self.points is None else point_position(self.points, candidate_id)
        if found is not None:
            return found
        return next(c.center_ras for c in self.record.candidates if c.id == candidate_id)

    def set_visible(self, visible: bool) -> None:
        """Show or hide segmentation and points in the views."""
        for node in (self.segmentation, self.points):
            if node is not None and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(visible)

    def _fill(self, scan: Any, follows_transform: bool) -> None:
        self.segmentation.CreateDefaultDisplayNodes()
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(scan)
        display = self.segmentation.GetDisplayNode()
        display.SetVisibility2DFill(False)  # a filled lesion of five voxels hides what a reader must judge
        display.SetSliceIntersectionThickness(2)
        make_points(self.points, self.record)
        make_table(self.table, self.record)
        if follows_transform:
            for node in (self.segmentation, self.points):
                node.SetAndObserveTransformNodeID(scan.GetTransformNodeID())
        _place_beside(scan, (self.node, self.segmentation, self.points, self.table))


def _text_node(record: DetectionRecord, scan: Any, name: str) -> Any:
    """The node with the record. It is marked before it enters the scene: selectors look at new nodes only once."""
    scene = scan.GetScene()
    node = slicer.vtkMRMLTextNode()
    node.SetName(scene.GenerateUniqueName(name))
    node.SetAttribute(ATTRIBUTE, MARK)
    node.SetText(record.to_text())
    scene.AddNode(node)
    node.SetNodeReferenceID(SCAN, scan.GetID())
    return node


def detections_of(scan: Any) -> list[DetectionNode]:
    """The detections of a volume node in its scene."""
    nodes = nodes_of_class(scan.GetScene(), "vtkMRMLTextNode")
    ours = [node for node in nodes if node.GetAttribute(ATTRIBUTE) and node.GetNodeReferenceID(SCAN) == scan.GetID()]
    return [DetectionNode(node) for node in ours]


def show_only(detection: DetectionNode) -> None:
    """Show this detection in the views and hide the others of the same scan."""
    for other in [] if detection.scan is None else detections_of(detection.scan):
        other.set_visible(other.node is detection.node)


def _place_beside(scan: Any, nodes: tuple[Any, ...]) -> None:
    """Put the nodes where the scan is in the subject hierarchy; DICOM export finds patient and study there."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scan.GetScene())
    if hierarchy is None:
        return
    place = hierarchy.GetItemByDataNode(scan)
    parent = hierarchy.GetItemParent(place) if place else 0
    for node in nodes:
        item = hierarchy.GetItemByDataNode(node)
        if item and parent:
            hierarchy.SetItemParent(item, parent)
