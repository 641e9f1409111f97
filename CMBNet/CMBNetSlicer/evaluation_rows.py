"""The tables of the panel: rows of values, of which the user selects one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

_NUMBER_ROLE = qt.Qt.UserRole


class ResultRows:
    """Fills a QTableWidget with rows of values and tells which one the user selects.

    Parameters
    ----------
    table
        The widget.
    on_selected
        Called with the number of the row as it was given, however the table is sorted; None to tell nobody.
    """

    def __init__(self, table: Any, on_selected: Callable[[int], None] | None = None) -> None:
        self._table, self._on_selected = table, on_selected
        self._filling = False
        if on_selected is not None:
            table.itemSelectionChanged.connect(self._selection_changed)

    def fill(self, titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Show these rows instead of what was there; None becomes a dash."""
        self._filling = True
        # Sorting while rows are filled moves them under our hands.
        self._table.sortingEnabled = False
        self._table.rowCount = 0
        self._table.columnCount = len(titles)
        self._table.setHorizontalHeaderLabels(list(titles))
        self._table.rowCount = len(rows)
        for row, values in enumerate(rows):
            for column, value in enumerate(values):
                self._table.setItem(row, column, _item(value, row))
        if rows:
            self._table.resizeColumnsToContents()
        self._table.sortingEnabled = True
        self._filling = False

    def _selection_changed(self) -> None:
        row = self._table.currentRow()
        if not self._filling and row >= 0 and self._table.selectedItems() and self._on_selected is not None:
            self._on_selected(int(self._table.item(row, 0).data(_NUMBER_ROLE)))


def _item(value: Any, number: int) -> Any:
    item = qt.QTableWidgetItem()
    # Numbers go in as numbers: as text, 10 would be sorted before 9.
    item.setData(qt.Qt.DisplayRole, "–" if value in (None, "") else value)
    item.setData(_NUMBER_ROLE, number)
    return item
