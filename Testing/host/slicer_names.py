"""Putting the names a module expects into the ``slicer`` package that the wheel provides."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer
import slicer.util

from host import i18n, parameter_nodes, qmrml_widgets, sample_data, scripted_module, segment_editor
from host.application import Application
from host.properties import switch_on
from host.scene import Mrml


class _Modules:
    """``slicer.modules``: module names in lower case, each with a ``logic()``."""


def install(application: Application, mrml: Mrml) -> None:
    """Add ``slicer.app``, ``slicer.modules``, the scripted module base classes, ``slicer.i18n`` and the widgets."""
    slicer.app = application
    slicer.modules = _Modules()
    slicer.selfTests = {}
    for name, logic in mrml.logics.items():
        setattr(slicer.modules, name.lower(), SimpleNamespace(logic=lambda logic=logic: logic))
    _install_module("i18n", i18n, ("tr", "translate"))
    _install_module("ScriptedLoadableModule", scripted_module, scripted_module.__all__)
    _install_module("parameterNodeWrapper", parameter_nodes, parameter_nodes.__all__)
    for name in qmrml_widgets.__all__:
        setattr(slicer, name, getattr(qmrml_widgets, name))
    for name in segment_editor.__all__:
        setattr(slicer, name, getattr(segment_editor, name))
    sys.modules["SampleData"] = sample_data
    switch_on(slicer.util.__name__)
    slicer.util.childWidgetVariables = _child_widget_variables


def _install_module(name: str, source: ModuleType, names: Any) -> None:
    """Make ``slicer.<name>`` importable with these names of our file."""
    module = ModuleType(f"slicer.{name}")
    for each in names:
        setattr(module, each, getattr(source, each))
    module.__all__ = list(names)  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    setattr(slicer, name, module)


def _child_widget_variables(widget: Any) -> Any:
    """Named child widgets as attributes. PythonQt calls the object name ``name``, PySide6 ``objectName``."""
    from PySide6 import QtCore

    variables = SimpleNamespace()
    for child in widget.findChildren(QtCore.QObject):
        if child.objectName() and not child.objectName().startswith("qt_"):
            setattr(variables, child.objectName(), child)
    return variables
