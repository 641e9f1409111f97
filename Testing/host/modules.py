"""Loading a scripted module file the way Slicer's module factory does."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from host import qmrml_widgets


class _ModuleParent:
    """What a module describes itself on (qSlicerScriptedLoadableModule); other names are refused."""

    __slots__ = (
        "acknowledgementText", "associatedNodeTypes", "categories", "contributors", "dependencies", "helpText",
        "hidden", "icon", "index", "path", "title",
    )  # fmt: skip

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.title = ""
        self.dependencies: list[str] = []


class ModuleWidget(qmrml_widgets.qMRMLWidget):
    """The Qt side of a panel (qSlicerScriptedLoadableModuleWidget)."""

    python_widget: Any = None

    def self(self) -> Any:
        """The Python side: the instance of the module's Widget class."""
        return self.python_widget


class LoadedModule:
    """A loaded module: ``slicer.modules.<name>`` with its path, logic and panel."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.path = str(path)
        sys.path[:0] = [str(path.parent)] * (str(path.parent) not in sys.path)
        self.file = importlib.import_module(self.name)
        self.parent = _ModuleParent(path)
        self.instance = getattr(self.file, self.name)(self.parent)
        self._widget: Any = None

    def widget(self) -> Any:
        """The module's panel, set up and entered; made on the first call."""
        if self._widget is None:
            top = ModuleWidget()
            top.setLayout(QtWidgets.QVBoxLayout())
            top.setMRMLScene(slicer.mrmlScene)
            self._widget = top.python_widget = getattr(self.file, self.name + "Widget")(top)
            self._widget.setup()
            setattr(slicer.modules, self.name + "Widget", self._widget)
            self.call("enter")
        return self._widget

    def call(self, name: str) -> None:
        """Call a method of the panel that a module need not have."""
        getattr(self.widget(), name, lambda: None)()

    def widgetRepresentation(self) -> ModuleWidget:
        """The top widget of the panel."""
        return self.widget().parent

    def run_self_test(self) -> None:
        """Run the module's self-test, as the test button of the developer mode does."""
        self.instance.runTest()

    def unload(self) -> None:
        """What happens at the end of the application: exit, cleanup, and the widgets go."""
        slicer.app.moduleManager().emit("moduleAboutToBeUnloaded(QString)", self.name)
        if self._widget is not None:
            top, self._widget = self._widget.parent, None
            top.deleteLater()
            QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)


_loaded: list[LoadedModule] = []
_selected: dict[str, LoadedModule] = {}


def load_module(path: Path) -> LoadedModule:
    """Import a module file, describe it and make it known as ``slicer.modules.<name in lower case>``."""
    module = LoadedModule(Path(path))
    setattr(slicer.modules, module.name.lower(), module)
    _loaded.append(module)
    return module


def select_module(name: str) -> None:
    """Open a loaded module as the user does: the panel before is left, this one is entered."""
    module = next((module for module in _loaded if module.name == name), None)
    if module is None:
        raise RuntimeError(f"there is no module {name}")
    before = _selected.get("module")
    if before is not None and before is not module:
        before.call("exit")
    _selected["module"] = module
    module.call("enter")


def unload_modules() -> None:
    """Unload what :func:`load_module` loaded, last first."""
    _selected.clear()
    while _loaded:
        _loaded.pop().unload()
