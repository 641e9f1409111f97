"""``slicer.app.layoutManager()`` with the three slice widgets of the default layout, on real slice logics."""

from __future__ import annotations

from typing import Any

import vtk

from host.scene import Mrml


class SliceWidget:
    """What qMRMLSliceWidget answers about its MRML side."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def sliceLogic(self) -> Any:
        """The vtkMRMLSliceLogic."""
        return self._logic

    def mrmlSliceNode(self) -> Any:
        """The slice node."""
        return self._logic.GetSliceNode()


class LayoutManager:
    """The slice widgets by view name."""

    def __init__(self, mrml: Mrml) -> None:
        self._widgets = {name: SliceWidget(logic) for name, logic in mrml.slice_logics.items()}

    def sliceViewNames(self) -> tuple[str, ...]:
        """The view names, as the tuple PythonQt gives."""
        return tuple(self._widgets)

    def sliceWidget(self, name: str) -> SliceWidget | None:
        """The slice widget of a view, None if there is no such view."""
        return self._widgets.get(name)

    def mrmlSliceLogics(self) -> Any:
        """All slice logics in a vtkCollection."""
        logics = vtk.vtkCollection()
        for widget in self._widgets.values():
            logics.AddItem(widget.sliceLogic())
        return logics
