"""PythonQt refuses a new attribute on a widget, PySide6 makes it silently: a misspelt property must not pass here."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from panel_driver import REPOSITORY
from PySide6 import QtCore, QtGui, QtWidgets

from host import ctk_widgets, qmrml_widgets

PLACES = (QtWidgets, QtGui, QtCore, ctk_widgets, qmrml_widgets)
FILES = sorted((REPOSITORY / "CMBNet" / "CMBNetSlicer").glob("*.py"))
FORMS = sorted(REPOSITORY.glob("CMBNet*/Resources/UI/*.ui"))


def widgets() -> dict[str, set[str]]:
    """Object name -> classes it has in the forms."""
    found: dict[str, set[str]] = {}
    for form in FORMS:
        for widget in ElementTree.parse(form).iter("widget"):
            found.setdefault(widget.attrib["name"], set()).add(widget.attrib["class"])
    return found


def assignments(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, widget, attribute) of each ``ui.widget.attribute = ...``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            owner = target.value if isinstance(target, ast.Attribute) else None
            if isinstance(owner, ast.Attribute) and ast.unparse(owner.value).split(".")[-1] in ("ui", "_ui"):
                assert isinstance(target, ast.Attribute)
                yield node.lineno, owner.attr, target.attr


def writable(class_name: str, name: str) -> bool:
    """Whether a widget class has a property of this name that can be set."""
    owner = next(getattr(place, class_name) for place in PLACES if hasattr(place, class_name))
    meta = owner.staticMetaObject
    index = meta.indexOfProperty(name)
    return index >= 0 and meta.property(index).isWritable()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_only_properties_are_set_on_widgets(path: Path) -> None:
    known = widgets()
    wrong = [
        f"{path.name}:{line} {widget}.{name}"
        for line, widget, name in assignments(path)
        if widget not in known or not all(writable(class_name, name) for class_name in known[widget])
    ]
    assert wrong == []


def test_a_misspelt_property_is_found(tmp_path: Path) -> None:
    path = tmp_path / "panel.py"
    path.write_text("self.ui.detectButton.enabld = True\nself._ui.detectButton.enabled = True\n", encoding="utf-8")
    found = list(assignments(path))
    assert [writable("QPushButton", name) for _line, _widget, name in found] == [False, True]
    assert sum(1 for file in FILES for _ in assignments(file)) > 50
