"""``slicer.app.coreIOManager()``: loading and saving, through the storage nodes that Slicer's readers use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from host.scene import Mrml

_READERS = {
    "VolumeFile": ("vtkMRMLScalarVolumeNode", "vtkMRMLVolumeArchetypeStorageNode"),
    "SegmentationFile": ("vtkMRMLSegmentationNode", "vtkMRMLSegmentationStorageNode"),
    "MarkupsFile": ("vtkMRMLMarkupsFiducialNode", "vtkMRMLMarkupsJsonStorageNode"),
}


class InputOutputManager:
    """Knows volumes, segmentations, markups and whole scenes; anything else is refused."""

    def __init__(self, mrml: Mrml) -> None:
        self._mrml = mrml

    def loadNodes(self, file_type: str, properties: dict[str, Any], loaded: Any = None, _messages: Any = None) -> bool:
        """Load a file into the scene and add the new node to ``loaded``; False if it cannot be read."""
        path = str(properties["fileName"])
        if file_type == "SceneFile":
            return self._load_scene(path)
        node = self._read(path, file_type, properties)
        if node is None:
            return False
        if loaded is not None:
            loaded.AddItem(node)
        return True

    def saveNodes(self, file_type: str, properties: dict[str, Any], _messages: Any = None) -> bool:
        """Write the scene as a bundle (.mrb)."""
        if file_type != "SceneFile" or not str(properties["fileName"]).endswith(".mrb"):
            raise NotImplementedError("the stand-in saves whole scenes as .mrb only")
        return bool(self._mrml.scene.WriteToMRB(str(properties["fileName"])))

    def _load_scene(self, path: str) -> bool:
        scene = self._mrml.scene
        if path.endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, False))
        scene.SetURL(path)
        return bool(scene.Import())

    def _read(self, path: str, file_type: str, properties: dict[str, Any]) -> Any:
        node_class, storage_class = _READERS[file_type]
        if properties.get("labelmap"):
            node_class = "vtkMRMLLabelMapVolumeNode"
        storage = getattr(slicer, storage_class)()
        storage.SetFileName(path)
        node = getattr(slicer, node_class)()
        if not storage.ReadData(node):
            return None
        name = properties.get("name") or Path(path).name.split(".")[0]
        node.SetName(self._mrml.scene.GenerateUniqueName(name))
        self._mrml.scene.AddNode(storage)
        self._mrml.scene.AddNode(node)
        node.SetAndObserveStorageNodeID(storage.GetID())
        node.CreateDefaultDisplayNodes()
        if file_type == "VolumeFile" and properties.get("show", True):
            slicer.util.setSliceViewerLayers(background=node, fit=True)
        return node
