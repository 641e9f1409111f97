"""The tabs of the module: Detect, and Review, which is made when it is first opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from CMBNetSlicer.review_panel import ReviewPanel

REVIEW = 1


class ModuleTabs:
    """Puts the panel of detection and the review room into two tabs.

    The review room is alive only while the module and its tab are open: its keys are single letters.

    Parameters
    ----------
    layout
        Layout of the module's panel.
    detect
        The widget of the first tab.
    ui_path
        Path of ``CMBNetReview.ui``.
    make_panel
        Makes the review panel of the named widgets; tests pass their own.
    """

    def __init__(
        self, layout: Any, detect: Any, ui_path: str, make_panel: Callable[[Any], ReviewPanel] = ReviewPanel
    ) -> None:
        self.review: ReviewPanel | None = None
        self._make_panel = make_panel
        self._ui_path = ui_path
        self._entered = False
        self.widget = qt.QTabWidget()
        self.widget.objectName = "moduleTabs"
        self._page = qt.QWidget()
        self._page.setLayout(qt.QVBoxLayout())
        self.widget.addTab(detect, _("Detect"))
        self.widget.addTab(self._page, _("Review"))
        self.widget.currentChanged.connect(lambda _index: self._follow())
        layout.addWidget(self.widget)

    def open_review(self) -> ReviewPanel:
        """Show the review room and return its panel."""
        self.widget.currentIndex = REVIEW
        self._make()
        return self.review

    def enter(self) -> None:
        """The user opened the module."""
        self._entered = True
        self._follow()

    def exit(self) -> None:
        """The user left the module."""
        self._entered = False
        self._follow()

    def close(self) -> None:
        """The module goes."""
        if self.review is not None:
            self.review.close()
            self.review = None

    def _follow(self) -> None:
        wanted = self._entered and self.widget.currentIndex == REVIEW
        if wanted:
            self._make()
        if self.review is not None:
            (self.review.enter if wanted else self.review.exit)()

    def _make(self) -> None:
        if self.review is None:
            widget = slicer.util.loadUI(self._ui_path)
            self._page.layout().addWidget(widget)
            self.review = self._make_panel(slicer.util.childWidgetVariables(widget))
