"""Long sentences must not make a panel wider: Slicer would take the width from the slice views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import qt
import slicer
from panel_driver import REPOSITORY

FORMS = sorted(REPOSITORY.glob("CMBNet*/Resources/UI/*.ui"))
SENTENCE = "The scan has 9 slices of 6.5 mm; lesions between two slices cannot be seen, and sizes are not certain. " * 4


def labels(widget: Any) -> list[Any]:
    return [label for label in slicer.util.childWidgetVariables(widget).__dict__.values() if wraps(label)]


def wraps(widget: Any) -> bool:
    return isinstance(widget, qt.QLabel) and bool(widget.wordWrap)


def least_width(widget: Any) -> int:
    widget.show()
    qt.QApplication.processEvents()
    return int(widget.minimumSizeHint.width())


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_long_sentence_is_wrapped_and_widens_nothing(form: Path) -> None:
    widget = slicer.util.loadUI(str(form))
    found = labels(widget)
    assert found
    for label in found:
        label.text, label.visible = "Short.", True
    before = least_width(widget)
    for label in found:
        label.text = SENTENCE
    assert least_width(widget) <= before
    widget.deleteLater()
