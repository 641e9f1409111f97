"""Slicer's own Segment Editor inside the review panel, for the finding on show."""

from __future__ import annotations

from typing import Any

import slicer

from CMBNetSlicer.review_desk import ReviewDesk
from CMBNetSlicer.review_lesion_node import LESION, LesionNode
from CMBNetSlicer.review_volumes import add_owned, remove_nodes

_UNDO_STATES = 20


class EditorSection:
    """Shows the Segment Editor while the desk has handed a lesion out, and lets go of it after.

    Parameters
    ----------
    ui
        The named widgets of ``CMBNetReview.ui``.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._desk: ReviewDesk | None = None
        self._node: LesionNode | None = None
        self._parameters: Any = None
        self.editor: Any = None
        ui.discardButton.clicked.connect(self._discard)
        self._show_widgets(False)

    def use(self, desk: ReviewDesk | None) -> None:
        """Follow a desk; None follows none."""
        self._desk = desk
        self.show()

    def show(self) -> None:
        """Open or close the editor as the desk says."""
        lesion = self._desk.lesion if self._desk is not None else None
        if lesion is not self._node:
            self._let_go()
            if lesion is not None and self._desk is not None:
                self._take(lesion, self._desk.case_scene.scan)
        self._show_widgets(lesion is not None)

    def close(self) -> None:
        """Let go of everything."""
        self._let_go()
        if self.editor is not None:
            self.editor.deleteLater()
            self.editor = None

    def _take(self, lesion: LesionNode, scan_node: Any) -> None:
        self._node = lesion
        editor = self._made()
        self._parameters = add_owned(slicer.mrmlScene, "vtkMRMLSegmentEditorNode", "Lesion editor")
        editor.setMRMLSegmentEditorNode(self._parameters)
        editor.setSegmentationNode(lesion.node)
        editor.setSourceVolumeNode(scan_node)
        editor.setCurrentSegmentID(LESION)
        editor.setupViewObservations()
        editor.installKeyboardShortcuts()

    def _let_go(self) -> None:
        if self._node is None:
            return
        self._node = None
        editor = self.editor
        editor.setActiveEffect(None)
        editor.uninstallKeyboardShortcuts()
        editor.removeViewObservations()
        editor.setSegmentationNode(None)
        editor.setMRMLSegmentEditorNode(None)
        remove_nodes(slicer.mrmlScene, [self._parameters])
        self._parameters = None

    def _made(self) -> Any:
        """The editor, made when it is first wanted: its effects take a second to load."""
        if self.editor is None:
            editor = self.editor = slicer.qMRMLSegmentEditorWidget()
            editor.setMaximumNumberOfUndoStates(_UNDO_STATES)
            editor.setMRMLScene(slicer.mrmlScene)
            # The room has set the views; the editor would put the scan into the second row too.
            editor.setAutoShowSourceVolumeNode(False)
            # The lesion and its scan are given; more segments would come back as more findings.
            editor.setSegmentationNodeSelectorVisible(False)
            editor.setSourceVolumeNodeSelectorVisible(False)
            editor.setAddRemoveSegmentButtonsVisible(False)
            editor.setSwitchToSegmentationsButtonVisible(False)
            editor.setSpecifyGeometryButtonVisible(False)
            self._ui.editorFrame.layout().addWidget(editor)
        return self.editor

    def _discard(self, *_clicked: Any) -> None:
        if self._desk is not None:
            self._desk.discard_lesion()

    def _show_widgets(self, visible: bool) -> None:
        self._ui.editorFrame.visible = self._ui.discardButton.visible = visible
        self._ui.editorButton.checked = visible
