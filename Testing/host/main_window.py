"""``slicer.util.mainWindow()``: a window with the module selector that ``slicer.util.selectModule`` asks."""

from __future__ import annotations

from PySide6 import QtWidgets


class _ModuleSelector:
    """The list of modules in the tool bar."""

    def __init__(self) -> None:
        self.selectedModule = ""

    def selectModule(self, name: str) -> None:
        """Open a module."""
        from host.modules import select_module

        self.selectedModule = name
        select_module(name)


class MainWindow(QtWidgets.QMainWindow):
    """qSlicerMainWindow as far as scripts need it."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._selector = _ModuleSelector()

    def moduleSelector(self) -> _ModuleSelector:
        """The module selector."""
        return self._selector
