"""Small stand-ins for the CTK widgets that module panels use: same names, properties and signals, plain looks.

Only what CTK documents is offered; a name that is missing here raises AttributeError, as it does in Slicer.
"""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

__all__ = ["ctkCollapsibleButton", "ctkMessageBox", "ctkPathLineEdit", "ctkSliderWidget"]


def _settings() -> QtCore.QSettings:
    """The settings of the application; in the stand-in they end with the process."""
    import slicer

    settings: QtCore.QSettings = slicer.app.settings()
    return settings


# What message boxes said since the last time somebody emptied this list: a test must never wait for a click.
shown_messages: list[str] = []


class ctkCollapsibleButton(QtWidgets.QWidget):
    """A titled section that hides its children while ``collapsed``."""

    contentsCollapsed = QtCore.Signal(bool)
    _HEADER = 26

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        # As in CTK: a section is never narrower than what its contents would like to be.
        self.setSizePolicy(QtWidgets.QSizePolicy.Minimum, QtWidgets.QSizePolicy.Preferred)
        self._text = ""
        self._collapsed = self._forcing = False
        self._button: QtWidgets.QToolButton | None = None
        self._button = QtWidgets.QToolButton(self)
        self._button.removeEventFilter(self)
        self._button.setAutoRaise(True)
        self._button.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        self._button.clicked.connect(lambda: self._set_collapsed(not self._collapsed))
        self.setContentsMargins(0, self._HEADER, 0, 0)
        self._set_collapsed(False)

    def resizeEvent(self, event: QtCore.QEvent) -> None:
        """Keep the header as wide as the section."""
        self._button.setGeometry(0, 0, self.width(), self._HEADER)
        super().resizeEvent(event)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        """Follow what is added."""
        if event.added() and isinstance(event.child(), QtWidgets.QWidget) and event.child() is not self._button:
            event.child().installEventFilter(self)
            self._set_child_visibility(event.child())

    def eventFilter(self, child: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """A child that somebody hid stays hidden when the section opens, one shown while it is closed waits."""
        if not self._forcing and event.type() in (QtCore.QEvent.ShowToParent, QtCore.QEvent.HideToParent):
            child.setProperty("visibilityToParent", event.type() == QtCore.QEvent.ShowToParent)
            self._set_child_visibility(child)
        return False

    def _set_child_visibility(self, child: QtWidgets.QWidget) -> None:
        self._forcing = True
        child.setVisible(not self._collapsed and child.property("visibilityToParent") is not False)
        self._forcing = False

    def _get_text(self) -> str:
        return self._text

    def _set_text(self, text: str) -> None:
        self._text = text
        self._button.setText(text)

    def _get_collapsed(self) -> bool:
        return self._collapsed

    def _set_collapsed(self, collapsed: bool) -> None:
        changed = collapsed != self._collapsed
        self._collapsed = collapsed
        self._button.setArrowType(QtCore.Qt.RightArrow if collapsed else QtCore.Qt.DownArrow)
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            if child is not self._button:
                self._set_child_visibility(child)
        self.setMaximumHeight(self._HEADER if collapsed else 16777215)
        if changed:
            self.contentsCollapsed.emit(collapsed)

    text = QtCore.Property(str, _get_text, _set_text)
    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a spin box beside it, for decimal numbers."""

    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal)
        self._spin = QtWidgets.QDoubleSpinBox()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._spin)
        self._spin.valueChanged.connect(self._spin_changed)
        self._slider.valueChanged.connect(self._slider_changed)
        self._update_slider()

    def _steps(self) -> int:
        return max(1, round((self._spin.maximum() - self._spin.minimum()) / self._spin.singleStep()))

    def _update_slider(self) -> None:
        self._slider.blockSignals(True)
        self._slider.setRange(0, self._steps())
        self._slider.setValue(round((self._spin.value() - self._spin.minimum()) / self._spin.singleStep()))
        self._slider.blockSignals(False)

    def _spin_changed(self, value: float) -> None:
        self._update_slider()
        self.valueIsChanging.emit(value)
        self.valueChanged.emit(value)

    def _slider_changed(self, step: int) -> None:
        self._spin.setValue(self._spin.minimum() + step * self._spin.singleStep())

    def _set_minimum(self, value: float) -> None:
        self._spin.setMinimum(value)
        self._update_slider()

    def _set_maximum(self, value: float) -> None:
        self._spin.setMaximum(value)
        self._update_slider()

    def _set_step(self, value: float) -> None:
        self._spin.setSingleStep(value)
        self._update_slider()

    value = QtCore.Property(float, lambda self: self._spin.value(), lambda self, v: self._spin.setValue(v))
    minimum = QtCore.Property(float, lambda self: self._spin.minimum(), _set_minimum)
    maximum = QtCore.Property(float, lambda self: self._spin.maximum(), _set_maximum)
    singleStep = QtCore.Property(float, lambda self: self._spin.singleStep(), _set_step)
    decimals = QtCore.Property(int, lambda self: self._spin.decimals(), lambda self, v: self._spin.setDecimals(v))
    suffix = QtCore.Property(str, lambda self: self._spin.suffix(), lambda self, v: self._spin.setSuffix(v))
    prefix = QtCore.Property(str, lambda self: self._spin.prefix(), lambda self, v: self._spin.setPrefix(v))
    tracking = QtCore.Property(bool, lambda self: True, lambda self, v: None)


class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for a path with a browse button (which does nothing here)."""

    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)
    # QFlags of CTK: Dirs = 1, Files = 2, as in ctkPathLineEdit::Filter.
    Dirs, Files = 1, 2

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QtWidgets.QLineEdit()
        self._settings_key = ""
        self._filters = 0
        browse = QtWidgets.QToolButton()
        browse.setText("…")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._line)
        layout.addWidget(browse)
        self._valid = False
        self._line.textChanged.connect(self._text_changed)

    def addCurrentPathToHistory(self) -> None:
        """Store the path, as the first one, in the settings under ``settingKey``."""
        path = self._line.text()
        if self._settings_key and path:
            _settings().setValue(self._settings_key, [path, *(each for each in self._history() if each != path)])

    def _history(self) -> list[str]:
        stored = _settings().value(self._settings_key, [])
        return [stored] if isinstance(stored, str) else list(stored or [])

    def _text_changed(self, text: str) -> None:
        """CTK takes an empty line for invalid input, and tells a path only where the input is valid."""
        before, self._valid = self._valid, bool(text)
        if self._valid:
            self.currentPathChanged.emit(text)
        if self._valid != before:
            self.validInputChanged.emit(self._valid)

    def _set_key(self, key: str) -> None:
        """CTK shows the path that was stored last as soon as it knows the key."""
        self._settings_key = key
        if not self._line.text() and self._history():
            self._line.setText(self._history()[0])

    def _set_filters(self, filters: int) -> None:
        self._filters = int(filters)

    currentPath = QtCore.Property(str, lambda self: self._line.text(), lambda self, v: self._line.setText(v))
    settingKey = QtCore.Property(str, lambda self: self._settings_key, _set_key)
    filters = QtCore.Property(int, lambda self: self._filters, _set_filters)


class ctkMessageBox(QtWidgets.QMessageBox):
    """A message box that is written down in ``shown_messages`` instead of waiting for a click."""

    def exec_(self) -> int:
        """Record the text; answer what the default button answers."""
        shown_messages.append(self.text())
        return int(QtWidgets.QMessageBox.Ok.value)
