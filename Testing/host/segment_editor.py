"""A stand-in for qMRMLSegmentEditorWidget: the MRML side of it, without effects.

It keeps its state in a vtkMRMLSegmentEditorNode and its undo in a vtkSegmentationHistory, as the real one does.
"""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtWidgets

__all__ = ["qMRMLSegmentEditorWidget"]

_SETTINGS = (
    "SegmentationNodeSelectorVisible", "SourceVolumeNodeSelectorVisible", "AddRemoveSegmentButtonsVisible",
    "SwitchToSegmentationsButtonVisible", "SpecifyGeometryButtonVisible", "AutoShowSourceVolumeNode",
    "UndoEnabled", "ReadOnly",
)  # fmt: skip


class qMRMLSegmentEditorWidget(QtWidgets.QWidget):
    """What Slicer's editor answers to a program."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = self._node = None
        self._history = slicer.vtkSegmentationHistory()
        self._history.SetMaximumNumberOfStates(5)
        self.shortcuts_installed = self.views_observed = False
        QtWidgets.QVBoxLayout(self).addWidget(QtWidgets.QLabel("Segment Editor"))
        for name in _SETTINGS:
            setattr(self, f"set{name}", lambda _value: None)

    def setMRMLScene(self, scene: Any) -> None:
        """Keep the scene."""
        self._scene = scene

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        """Keep the state in this node."""
        self._node = node

    def mrmlSegmentEditorNode(self) -> Any:
        """The node of the state."""
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        """Edit this segmentation; there must be a node for the state."""
        if self._node is None:
            raise RuntimeError("setSegmentationNode needs a segment editor node; set that first.")
        self._node.SetAndObserveSegmentationNode(node)
        self._history.RemoveAllStates()
        self._history.SetSegmentation(node.GetSegmentation() if node is not None else None)

    def segmentationNode(self) -> Any:
        """The segmentation."""
        return self._node.GetSegmentationNode() if self._node is not None else None

    def setSourceVolumeNode(self, node: Any) -> None:
        """Edit over this volume; there must be a segmentation."""
        if self.segmentationNode() is None:
            raise RuntimeError("setSourceVolumeNode needs a segmentation; set that first.")
        self._node.SetAndObserveSourceVolumeNode(node)

    def setCurrentSegmentID(self, segment_id: str) -> None:
        """Choose a segment."""
        self._node.SetSelectedSegmentID(segment_id)

    def setActiveEffect(self, effect: Any) -> None:
        """Only None: there are no effects here."""
        if effect is not None:
            raise RuntimeError("The stand-in has no effects.")

    def setMaximumNumberOfUndoStates(self, count: int) -> None:
        """How far undo goes back."""
        self._history.SetMaximumNumberOfStates(count)

    def saveStateForUndo(self) -> None:
        """What every effect calls before it changes something."""
        self._history.SaveState()

    def undo(self) -> None:
        """Go back to the state before."""
        self._history.RestorePreviousState()

    def redo(self) -> None:
        """Go on again."""
        self._history.RestoreNextState()

    def installKeyboardShortcuts(self, _parent: Any = None) -> None:
        """The keys are alive."""
        self.shortcuts_installed = True

    def uninstallKeyboardShortcuts(self) -> None:
        """The keys are dead."""
        self.shortcuts_installed = False

    def setupViewObservations(self) -> None:
        """Listen to the views."""
        self.views_observed = True

    def removeViewObservations(self) -> None:
        """Listen no more."""
        self.views_observed = False
