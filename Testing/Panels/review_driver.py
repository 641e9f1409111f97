"""Drives the review panel as a reader does: keys to the window, clicks and wheel turns in the slice views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer

from CMBNetLib.review_loading import CaseLoader, read_case
from CMBNetLib.review_room import ReadingSetup
from CMBNetLib.worklist import Worklist
from host import none_references, slice_views

REPOSITORY = Path(__file__).resolve().parents[2]


class ReviewDriver:
    """The review panel in a window of its own, with the dots of `review_cases` as candidates."""

    def __init__(self, read_source: Any, settings: Any = None) -> None:
        from CMBNetSlicer.review_panel import ReviewPanel

        none_references.hold()
        slice_views.install()
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

    def picture(self) -> np.ndarray:
        """The three slice views side by side, RGB."""
        manager = slicer.app.layoutManager()
        return np.concatenate(
            [manager.sliceWidget(name).sliceView().picture.pixels() for name in ("Red", "Yellow", "Green")], axis=1
        )

    def close(self) -> None:
        """Close panel and window."""
        self.panel.close()
        self.window.close()
        self.window.deleteLater()
        qt.QApplication.processEvents()
