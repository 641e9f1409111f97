"""``qt.QUiLoader`` that knows the CTK and qMRML stand-ins."""

from __future__ import annotations

from PySide6 import QtUiTools


class QUiLoader(QtUiTools.QUiLoader):
    """Loads a .ui file; a widget class that Slicer has and the stand-in lacks ends in an error, not in an empty box."""

    def __init__(self) -> None:
        super().__init__()
        from host import ctk_widgets, qmrml_widgets

        for source in (ctk_widgets, qmrml_widgets):
            for name in source.__all__:
                self.registerCustomWidget(getattr(source, name))

    def createWidget(self, className: str, parent: object = None, name: str = "") -> object:
        """Make one widget of the file."""
        if className not in self.availableWidgets():
            raise RuntimeError(f"The .ui file uses {className}, which the stand-in does not have.")
        return super().createWidget(className, parent, name)
