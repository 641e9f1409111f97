"""The keys part of the review panel: the table of actions and keys, and how a reader changes one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from CMBNetLib.errors import InputError
from CMBNetLib.review_keys import ACTIONS, KeyBindings
from CMBNetLib.review_terms import ReviewTerms

_SETTING = "CMBNet/ReviewKeys"


class KeysSection:
    """Shows the key table and changes it.

    Parameters
    ----------
    ui
        The named widgets of ``CMBNetReview.ui``.
    settings
        A QSettings; keys are kept in it.
    on_change
        Called after a key was changed.
    """

    def __init__(self, ui: Any, settings: Any, on_change: Callable[[], None]) -> None:
        self._ui, self._settings, self._on_change = ui, settings, on_change
        self.bindings = KeyBindings(_changes(settings))
        table = ui.keyTable
        table.columnCount = 2
        table.setHorizontalHeaderLabels([_("Action"), _("Key")])
        table.horizontalHeader().stretchLastSection = True
        table.verticalHeader().hide()
        table.verticalHeader().defaultSectionSize = 24
        table.rowCount = len(ACTIONS)
        for row, action in enumerate(ACTIONS):
            table.setItem(row, 0, qt.QTableWidgetItem(_(action.title)))
            table.setItem(row, 1, qt.QTableWidgetItem(""))
        table.resizeColumnToContents(0)
        ui.changeKeyButton.clicked.connect(self._change)
        ui.resetKeysButton.clicked.connect(self._reset)
        ui.keyEdit.returnPressed.connect(self._change)
        ui.keyMessage.text = " ".join(self.bindings.problems)
        self._show()

    def show_terms(self, terms: ReviewTerms) -> None:
        """Name the mimics of a list beside their keys."""
        names = {f"mimic_{number}": mimic.name for number, mimic in enumerate(terms.mimics, start=1)}
        for row, action in enumerate(ACTIONS):
            if action.id in names:
                self._ui.keyTable.item(row, 0).setText(_("Not: {mimic}").format(mimic=names[action.id]))
        self._ui.keyTable.resizeColumnToContents(0)

    def _show(self) -> None:
        for row, action in enumerate(ACTIONS):
            self._ui.keyTable.item(row, 1).setText(self.bindings.key(action.id))

    def _change(self, *_clicked: Any) -> None:
        row = int(self._ui.keyTable.currentRow())
        if row < 0:
            self._ui.keyMessage.text = _("Choose an action in the table first.")
            return
        try:
            self.bindings.rebind(ACTIONS[row].id, str(self._ui.keyEdit.text))
        except InputError as error:
            self._ui.keyMessage.text = str(error)
            return
        self._keep("")

    def _reset(self, *_clicked: Any) -> None:
        self.bindings.reset()
        self._keep(_("All actions have their first keys again."))

    def _keep(self, message: str) -> None:
        self._settings.setValue(_SETTING, json.dumps(self.bindings.changes()))
        self._ui.keyMessage.text = message
        self._show()
        self._on_change()


def _changes(settings: Any) -> dict[str, str]:
    try:
        changes = json.loads(str(settings.value(_SETTING, "{}")))
    except ValueError:
        return {}
    return {str(name): str(key) for name, key in changes.items()} if isinstance(changes, dict) else {}
