"""``slicer.app``: the part of qSlicerApplication that scripted modules call."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PySide6 import QtCore, QtWidgets

from host.input_output import InputOutputManager
from host.layout import LayoutManager
from host.main_window import MainWindow
from host.scene import Mrml


class _SignalByName:
    """Something with ``connect("name()", f)`` for a fixed set of signals; any other signal is refused."""

    def __init__(self, *signals: str) -> None:
        self._receivers: dict[str, list[Any]] = {name: [] for name in signals}

    def connect(self, signal: str, receiver: Any) -> bool:
        """Connect a receiver to a signal named by its C++ signature."""
        if signal not in self._receivers:
            raise ValueError(f"no such signal: {signal}")
        self._receivers[signal].append(receiver)
        return True

    def disconnect(self, signal: str, receiver: Any) -> bool:
        """Undo :meth:`connect`; False if it was not connected."""
        if receiver not in self._receivers.get(signal, []):
            return False
        self._receivers[signal].remove(receiver)
        return True

    def emit(self, signal: str, *arguments: Any) -> None:
        """Call the receivers, in the order of their connection."""
        for receiver in list(self._receivers[signal]):
            receiver(*arguments)


class Application(_SignalByName):
    """The application object; made once, by :func:`host.start`."""

    applicationName = "Slicer"
    majorVersion, minorVersion = 5, 12
    applicationVersion = "5.12.0"
    documentationBaseUrl = "documentation/"

    def __init__(self, mrml: Mrml, *, main_window: bool) -> None:
        super().__init__("startupCompleted()", "lastWindowClosed()", "aboutToQuit()")
        self._folder = tempfile.TemporaryDirectory(prefix="host-")
        self.temporaryPath = self._folder.name
        self._mrml = mrml
        self._module_manager = _SignalByName("moduleAboutToBeUnloaded(QString)", "moduleLoaded(QString)")
        self._io = InputOutputManager(mrml)
        self._testing = False
        self._options = SimpleNamespace(testingEnabled=False, runPythonAndExit=False)
        self.exit_code: int | None = None
        self._windowed = main_window
        self._main_window = MainWindow() if main_window else None
        self._layout_manager = LayoutManager(mrml) if main_window else None
        settings = str(Path(self._folder.name) / "settings.ini")
        self._settings = QtCore.QSettings(settings, QtCore.QSettings.IniFormat)

    def applicationLogic(self) -> Any:
        """The vtkSlicerApplicationLogic."""
        return self._mrml.application_logic

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._mrml.scene

    def moduleManager(self) -> Any:
        """The module manager, with its two signals only."""
        return self._module_manager

    def coreIOManager(self) -> InputOutputManager:
        """Reads and writes through MRML storage nodes."""
        return self._io

    def layoutManager(self) -> LayoutManager | None:
        """The layout manager; None without a main window."""
        return self._layout_manager

    def topLevelWidgets(self) -> list[Any]:
        """All top-level widgets."""
        return list(QtWidgets.QApplication.topLevelWidgets())

    def settings(self) -> Any:
        """The application settings, an ini file that lives as long as the process."""
        return self._settings

    userSettings = settings

    def translate(self, _context: str, text: str) -> str:
        """No translation is loaded: the text itself."""
        return text

    def testingEnabled(self) -> bool:
        """Whether the application was started with ``--testing``."""
        return self._testing

    def processEvents(self) -> None:
        """Let Qt deliver what is waiting."""
        QtWidgets.QApplication.processEvents()

    def setOverrideCursor(self, cursor: Any) -> None:
        """Show another mouse cursor."""
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        """Undo :meth:`setOverrideCursor`."""
        QtWidgets.QApplication.restoreOverrideCursor()

    def overrideCursor(self) -> Any:
        """The cursor set last, or None."""
        return QtWidgets.QApplication.overrideCursor()

    def commandOptions(self) -> SimpleNamespace:
        """The options of the command line that scripts change."""
        return self._options

    def moduleDocumentationUrl(self, name: str) -> str:
        """Where the documentation of a module would be."""
        return f"{self.documentationBaseUrl}{name}"

    def exit(self, code: int = 0) -> None:
        """Write the exit code down; the process goes on."""
        self.exit_code = code
