"""Drives the review panel as a reader does: keys to the window, clicks and wheel turns in the slice views."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
import vtk

from CMBNetLib.reading_state import Finding, ReadingState
from CMBNetLib.readings import read_readings
from CMBNetLib.review_loading import CaseLoader, read_case
from CMBNetLib.review_room import ReadingSetup
from CMBNetLib.worklist import Worklist
from host import none_references, slice_views

VIEWS = ("Red", "Yellow", "Green")
REPOSITORY = Path(__file__).resolve().parents[2]


class ReviewDriver:
    """The review panel in a window of its own, with the dots of `review_cases` as candidates."""

    def __init__(self, read_source: Any, settings: Any = None) -> None:
        from CMBNetSlicer.review_panel import ReviewPanel

        none_references.hold()
        slice_views.install()
        # Qt prints what a slot raises and goes on; here it must not pass unseen.
        self.raised: list[BaseException] = []
        self._hook, sys.excepthook = sys.excepthook, lambda _kind, error, _trace: self.raised.append(error)
        self.window = qt.QMainWindow()
        self.top = slicer.util.loadUI(str(REPOSITORY / "CMBNet" / "Resources" / "UI" / "CMBNetReview.ui"))
        self.window.setCentralWidget(self.top)
        self.window.resize(440, 1180)
        self.window.show()
        self.window.activateWindow()
        qt.QApplication.processEvents()
        self.ui = slicer.util.childWidgetVariables(self.top)
        path = str(Path(slicer.app.temporaryPath) / "keys.ini")
        self.settings = settings or qt.QSettings(path, qt.QSettings.IniFormat)
        self.panel = ReviewPanel(
            self.ui, self.window, self.settings, lambda: CaseLoader(lambda case: read_case(case, read_source))
        )
        self.panel.enter()

    @property
    def desk(self) -> Any:
        return self.panel.desk

    @property
    def review(self) -> Any:
        return self.panel.desk.review

    def open(self, worklist: Worklist, reader: str = "ann", **setup: Any) -> None:
        """Open a worklist as a reader would by the button."""
        self.panel.open_worklist(worklist, ReadingSetup(reader, **{"anatomy": False, **setup}))

    def key(self, text: str, widget: Any = None) -> None:
        """Press a key in the window, or in one of its widgets."""
        from PySide6 import QtGui, QtTest

        target = widget if widget is not None else self.window
        QtTest.QTest.keySequence(target, QtGui.QKeySequence(text))
        qt.QApplication.processEvents()

    def press(self, action_id: str) -> None:
        """Press the key of an action."""
        self.key(self.panel.keys.bindings.key(action_id))

    def type(self, text: str) -> None:
        """Type into the widget that has the caret, and end with Enter."""
        from PySide6 import QtTest, QtWidgets

        widget = QtWidgets.QApplication.focusWidget()
        QtTest.QTest.keyClicks(widget, text)
        self.key("Return", widget)

    def state(self) -> ReadingState:
        """What the file of the open case says."""
        return read_readings(self.review.store.path).state

    def found(self) -> Finding:
        """What the file says about the finding on show."""
        return self.state().finding(self.review.current)

    def label_at(self, key: str) -> int:
        """Value of the outline node's label map at the place of a finding."""
        node = self.desk.case_scene.outlines.node
        image = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        to_ijk = np.linalg.inv(slicer.util.arrayFromVTKMatrix(matrix))
        i, j, k = np.rint((to_ijk @ np.append(self.review.finding(key).position_ras, 1.0))[:3]).astype(int)
        return int(image.GetScalarComponentAsDouble(int(i), int(j), int(k), 0))

    def centers(self) -> np.ndarray:
        """RAS point in the middle of each of the three views, one row a view."""
        nodes = [slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode() for name in VIEWS]
        matrices = [slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS()) for node in nodes]
        return np.array([matrix[:3, 3] for matrix in matrices])

    def background(self, name: str = "Red") -> Any:
        """(background, foreground, opacity) of a view: names of the volumes, and of the upper one how opaque it is."""
        logic = slicer.app.layoutManager().sliceWidget(name).sliceLogic()
        node = logic.GetSliceCompositeNode()
        ids = (node.GetBackgroundVolumeID(), node.GetForegroundVolumeID())
        volumes = (slicer.mrmlScene.GetNodeByID(volume_id or "") for volume_id in ids)
        return (*(volume.GetName() if volume is not None else None for volume in volumes), node.GetForegroundOpacity())

    def click(self, point_ras: Any, view: str = "Red", *, release: bool = True) -> None:
        """Click at a RAS point in a slice view."""
        self.mouse("LeftButtonPressEvent", point_ras, view)
        if release:
            self.mouse("LeftButtonReleaseEvent", point_ras, view)

    def mouse(self, event: str, point_ras: Any, view: str = "Red") -> None:
        """Let a mouse event happen at a RAS point of a slice view."""
        widget = slicer.app.layoutManager().sliceWidget(view)
        node, interactor = widget.mrmlSliceNode(), widget.sliceView().interactor()
        to_xy = np.linalg.inv(slicer.util.arrayFromVTKMatrix(node.GetXYToRAS()))
        x, y = (to_xy @ np.append(np.asarray(point_ras, dtype=float), 1.0))[:2]
        interactor.SetEventPosition(round(float(x)), round(float(y)))
        interactor.InvokeEvent(event)

    def draw(self) -> None:
        """Draw the three slice views."""
        for name in VIEWS:
            slicer.app.layoutManager().sliceWidget(name).sliceView().forceRender()

    def picture(self) -> np.ndarray:
        """The three slice views side by side, RGB."""
        manager = slicer.app.layoutManager()
        return np.concatenate(
            [manager.sliceWidget(name).sliceView().picture.pixels() for name in VIEWS], axis=1
        )

    def close(self) -> None:
        """Close panel and window."""
        self.panel.close()
        self.window.close()
        self.window.deleteLater()
        qt.QApplication.processEvents()
        sys.excepthook = self._hook
        if self.raised:
            raise self.raised[0]
