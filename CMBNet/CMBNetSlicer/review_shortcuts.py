"""The keys of the review room: alive while its panel is open, gone when the user leaves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from CMBNetLib.review_keys import KeyBindings


class ReviewShortcuts:
    """Qt shortcuts on a window, made from a key table.

    Parameters
    ----------
    run
        Called with the id of the action whose key was pressed.
    """

    def __init__(self, run: Callable[[str], None]) -> None:
        self._run = run
        self._shortcuts: dict[str, Any] = {}

    @property
    def active(self) -> bool:
        """Whether the keys are alive."""
        return bool(self._shortcuts)

    def install(self, bindings: KeyBindings, window: Any, *, with_modifier_only: bool = False) -> None:
        """Make the keys alive in a window, by the table as it is now.

        ``with_modifier_only`` leaves single letters to somebody else, such as the effects of the Segment Editor.
        """
        self.remove()
        if window is None:  # Slicer without main window
            return
        for action_id, key in bindings.items():
            if with_modifier_only and "+" not in key[:-1]:
                continue
            shortcut = qt.QShortcut(qt.QKeySequence(key), window)
            shortcut.activated.connect(lambda action_id=action_id: self._run(action_id))
            self._shortcuts[action_id] = shortcut

    def press(self, key: str) -> bool:
        """Do what a living key does, where there is no keyboard; returns whether the key is alive."""
        wanted = qt.QKeySequence(key).toString()
        for action_id, shortcut in self._shortcuts.items():
            if shortcut.enabled and shortcut.key.toString() == wanted:
                self._run(action_id)
                return True
        return False

    def remove(self) -> None:
        """Take the keys away; a shortcut that is only disabled would still make others ambiguous."""
        for shortcut in self._shortcuts.values():
            shortcut.enabled = False
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts.clear()


class FocusFilter(qt.QWidget):
    """Tells when a window comes to the front and when it goes, for the clock."""

    def __init__(self, on_change: Callable[[bool], None]) -> None:
        qt.QWidget.__init__(self)
        self._on_change = on_change
        self._window: Any = None

    def watch(self, window: Any) -> None:
        """Follow a window; None follows nothing."""
        if self._window is not None:
            self._window.removeEventFilter(self)
        self._window = window
        if window is not None:
            window.installEventFilter(self)

    def eventFilter(self, _watched: Any, event: Any) -> bool:
        """Called by Qt; nothing is kept from the window."""
        if event.type() == qt.QEvent.WindowActivate:
            self._on_change(True)
        elif event.type() == qt.QEvent.WindowDeactivate:
            self._on_change(False)
        return False
