"""The names ``qt`` and ``ctk``: PySide6 classes in one flat module each, as PythonQt offers them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

_SOURCES = (QtCore, QtGui, QtWidgets, QtUiTools)

# PySide6 has them, PythonQt does not: code that uses them would fail in Slicer.
_PYSIDE_ONLY = {"Signal", "Slot", "Property", "ClassInfo", "QtWidgets", "QtCore", "QtGui", "SIGNAL", "SLOT"}


class _QtModule(ModuleType):
    """``qt``: looks a class up in QtCore, QtGui, QtWidgets and QtUiTools."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") and name not in _PYSIDE_ONLY:
            for source in _SOURCES:
                if hasattr(source, name):
                    return getattr(source, name)
        raise AttributeError(f"module 'qt' has no attribute {name!r}")


def install() -> None:
    """Put ``qt`` and ``ctk`` into ``sys.modules`` and make the one QApplication."""
    if QtWidgets.QApplication.instance() is None:
        QtCore.QCoreApplication.setOrganizationName("host")
        QtCore.QCoreApplication.setApplicationName("Slicer")
        QtWidgets.QApplication(["Slicer"])
    from host import ctk_widgets, ui_loader

    qt = sys.modules["qt"] = _QtModule("qt")
    qt.QUiLoader = ui_loader.QUiLoader

    ctk = ModuleType("ctk")
    for name in ctk_widgets.__all__:
        setattr(ctk, name, getattr(ctk_widgets, name))
    sys.modules["ctk"] = ctk
