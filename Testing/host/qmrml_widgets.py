"""Small stand-ins for the qMRML widgets that module panels use."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6 import QtCore, QtWidgets

from host.calls import observe, unobserve

__all__ = ["qMRMLNodeComboBox", "qMRMLWidget"]


class qMRMLWidget(QtWidgets.QWidget):
    """A widget that knows the scene."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        """Keep the scene."""
        self._scene = scene

    def mrmlScene(self) -> Any:
        """The scene kept."""
        return self._scene


def _flag_property(name: str) -> QtCore.Property:
    return QtCore.Property(bool, lambda self: self._flags[name], lambda self, v: self._set_flag(name, v))


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A list of the scene's nodes of given types, following the scene as nodes come and go."""

    _SIGNALS = ("currentNodeChanged(vtkMRMLNode*)", "currentNodeIDChanged(QString)")
    _EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "EndImportEvent", "EndCloseEvent", "EndBatchProcessEvent")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._types: list[str] = []
        self._flags = {"noneEnabled": False, "addEnabled": True, "removeEnabled": True, "renameEnabled": False,
                       "showHidden": False, "showChildNodeTypes": True, "selectNodeUponCreation": True}
        self._none_display = "None"
        self._attributes: list[tuple[str, str, str | None]] = []
        self._ids: list[str | None] = []
        self._current: str | None = None
        self._receivers: dict[str, list[Any]] = {name: [] for name in self._SIGNALS}
        self._tags: list[int] = []
        self._combo = QtWidgets.QComboBox()
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.activated.connect(lambda row: self._choose(self._ids[row]))

    def connect(self, signal: str, receiver: Any) -> bool:
        """Connect by C++ signature, the form that tells PythonQt which overload is meant."""
        self._receivers[signal].append(receiver)
        return True

    def disconnect(self, signal: str, receiver: Any) -> bool:
        """Undo :meth:`connect`."""
        self._receivers[signal].remove(receiver)
        return True

    def setMRMLScene(self, scene: Any) -> None:
        """Follow this scene; the first fitting node becomes the current one if none may not be chosen."""
        if self._scene is not None:
            unobserve(self._scene, self._tags)
        self._scene = scene
        if scene is not None:
            self._tags = observe(scene, self._EVENTS, self._refresh)
            # Events of the scene may still come after Qt deleted the widget, and must not reach it.
            self.destroyed.connect(partial(unobserve, scene, self._tags))
        self._refresh()

    def mrmlScene(self) -> Any:
        """The scene followed."""
        return self._scene

    def currentNode(self) -> Any:
        """The node chosen, or None."""
        return self._scene.GetNodeByID(self._current) if self._scene and self._current else None

    def setCurrentNode(self, node: Any) -> None:
        """Choose a node of the scene (None for none)."""
        self._choose(node.GetID() if node is not None else None)

    def setCurrentNodeID(self, node_id: str | None) -> None:
        """Choose a node by its id."""
        self._choose(node_id or None)

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:
        """Show nodes of this type only if they have the attribute (with this value, if one is given)."""
        self._attributes.append((node_type, name, value))
        self._refresh()

    def nodeCount(self) -> int:
        """How many nodes can be chosen."""
        return len([node_id for node_id in self._ids if node_id])

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        found = []
        for index in range(self._scene.GetNumberOfNodes()):
            node = self._scene.GetNthNode(index)
            shown = self._flags["showHidden"] or not node.GetHideFromEditors()
            if shown and any(self._fits(node, name) for name in self._types) and self._has_attributes(node):
                found.append(node)
        return found

    def _fits(self, node: Any, type_name: str) -> bool:
        return node.IsA(type_name) if self._flags["showChildNodeTypes"] else node.GetClassName() == type_name

    def _has_attributes(self, node: Any) -> bool:
        wanted = [(name, value) for kind, name, value in self._attributes if node.IsA(kind)]
        return all(
            node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name)) for name, value in wanted
        )

    def _refresh(self, *_: Any) -> None:
        if self._scene is not None and (self._scene.IsBatchProcessing() or self._scene.IsClosing()):
            return
        nodes = self._nodes()
        self._ids = [None] * self._flags["noneEnabled"] + [node.GetID() for node in nodes]
        self._combo.clear()
        self._combo.addItems([self._none_display] * self._flags["noneEnabled"] + [n.GetName() or "" for n in nodes])
        if self._current in self._ids:
            self._combo.setCurrentIndex(self._ids.index(self._current))
        elif self._flags["noneEnabled"] or not nodes:
            self._choose(None)
        else:
            self._choose(nodes[0].GetID())

    def _choose(self, node_id: str | None) -> None:
        changed = node_id != self._current
        self._current = node_id
        self._combo.setCurrentIndex(self._ids.index(node_id) if node_id in self._ids else -1)
        if changed:
            for receiver in list(self._receivers["currentNodeChanged(vtkMRMLNode*)"]):
                receiver(self.currentNode())
            for receiver in list(self._receivers["currentNodeIDChanged(QString)"]):
                receiver(node_id or "")

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._refresh()

    def _set_flag(self, name: str, value: bool) -> None:
        self._flags[name] = bool(value)
        self._refresh()

    def _set_none_display(self, text: str) -> None:
        self._none_display = text
        self._refresh()

    nodeTypes = QtCore.Property("QStringList", lambda self: self._types, _set_types)
    currentNodeID = QtCore.Property(str, lambda self: self._current or "", setCurrentNodeID)
    noneDisplay = QtCore.Property(str, lambda self: self._none_display, _set_none_display)
    noneEnabled = _flag_property("noneEnabled")
    addEnabled = _flag_property("addEnabled")
    removeEnabled = _flag_property("removeEnabled")
    renameEnabled = _flag_property("renameEnabled")
    showHidden = _flag_property("showHidden")
    showChildNodeTypes = _flag_property("showChildNodeTypes")
    selectNodeUponCreation = _flag_property("selectNodeUponCreation")
