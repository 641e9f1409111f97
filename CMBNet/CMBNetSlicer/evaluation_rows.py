"""The table of calls in the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from CMBNetSlicer.evaluation_record import CallRow

_NUMBER_ROLE = qt.Qt.UserRole


class CallRows:
    """Fills a QTableWidget with calls, one a row, and tells which one the user selects.

    Parameters
    ----------
    table
        The widget.
    on_selected
        Called with the number of the call in `calls`.
    """

    def __init__(self, table: Any, on_selected: Callable[[int], None]) -> None:
        self._table, self._on_selected = table, on_selected
        self._filling = False
        self.calls: list[CallRow] = []
        titles = (_("Scan"), _("Call"), _("Score"), _("Ø mm"), _("Zone"), _("Region"), _("Cause"))
        table.columnCount = len(titles)
        table.setHorizontalHeaderLabels(list(titles))
        table.itemSelectionChanged.connect(self._selection_changed)

    def fill(self, calls: list[CallRow]) -> None:
        """Show these calls instead of what was there."""
        self._filling = True
        self.calls = calls
        # Sorting while rows are filled moves them under our hands.
        self._table.sortingEnabled = False
        self._table.rowCount = 0
        self._table.rowCount = len(calls)
        for row, call in enumerate(calls):
            for column, value in enumerate(_values(call)):
                self._table.setItem(row, column, _item(value, row))
        if calls:
            self._table.resizeColumnsToContents()
        self._table.sortingEnabled = True
        self._filling = False

    def _selection_changed(self) -> None:
        row = self._table.currentRow()
        if not self._filling and row >= 0 and self._table.selectedItems():
            self._on_selected(int(self._table.item(row, 0).data(_NUMBER_ROLE)))


def _values(call: CallRow) -> list[Any]:
    score = "–" if call.score is None else round(call.score, 3)
    diameter = "–" if call.diameter_mm is None else round(call.diameter_mm, 1)
    return [call.scan_id, call.outcome, score, diameter, call.zone or "–", call.region or "–", call.cause or "–"]


def _item(value: Any, number: int) -> Any:
    item = qt.QTableWidgetItem()
    # Numbers go in as numbers: as text, 10 would be sorted before 9.
    item.setData(qt.Qt.DisplayRole, value)
    item.setData(_NUMBER_ROLE, number)
    return item
