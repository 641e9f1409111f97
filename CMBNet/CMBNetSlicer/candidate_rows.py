"""The table of candidates in the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from CMBNetLib.candidates import Candidate
from CMBNetSlicer.microbleed_terminology import region_name

_ID_ROLE = qt.Qt.UserRole
# Pixels at least: the first column also holds the arrow of the sorting, the last one takes what is left of the panel.
_FIRST_WIDTH, _LAST_WIDTH = 48, 60


class CandidateRows:
    """Fills a QTableWidget with candidates, one a row, and tells which one the user selects.

    Parameters
    ----------
    table
        The widget.
    on_selected
        Called with the id of a candidate.
    """

    def __init__(self, table: Any, on_selected: Callable[[int], None]) -> None:
        self._table = table
        self._on_selected = on_selected
        self._filling = False
        titles = (_("No."), _("Score"), _("Ø mm"), _("Zone"), _("Side"), _("Region"))
        table.columnCount = len(titles)
        table.setHorizontalHeaderLabels(list(titles))
        for column, width in enumerate((_FIRST_WIDTH, 46, 48, 92, 54, _LAST_WIDTH)):
            table.setColumnWidth(column, width)
        table.itemSelectionChanged.connect(self._selection_changed)

    def fill(self, candidates: list[Candidate]) -> None:
        """Show these candidates instead of what was there."""
        self._filling = True
        # Sorting while rows are filled moves them under our hands.
        self._table.sortingEnabled = False
        self._table.rowCount = 0
        self._table.rowCount = len(candidates)
        for row, candidate in enumerate(candidates):
            for column, item in enumerate(_items(candidate)):
                self._table.setItem(row, column, item)
        if candidates:
            self._table.resizeColumnsToContents()
            self._table.setColumnWidth(0, _FIRST_WIDTH)
            self._table.setColumnWidth(self._table.columnCount - 1, _LAST_WIDTH)
        self._table.sortByColumn(0, qt.Qt.AscendingOrder)
        self._table.sortingEnabled = True
        self._filling = False

    def show(self, n_microbleeds: int, *, others: bool) -> None:
        """Show the candidates 1 to ``n_microbleeds``, and the ``others`` too if wanted."""
        for row in range(self._table.rowCount):
            self._table.setRowHidden(row, self._candidate_id(row) > n_microbleeds and not others)

    def _candidate_id(self, row: int) -> int:
        return int(self._table.item(row, 0).data(_ID_ROLE))

    def _selection_changed(self) -> None:
        row = self._table.currentRow()
        if not self._filling and row >= 0 and self._table.selectedItems():
            self._on_selected(self._candidate_id(row))


def _items(candidate: Candidate) -> list[Any]:
    where, shape = candidate.location, candidate.shape
    values = [
        candidate.id,
        f"{candidate.score:.2f}",
        # As wide for 9.5 as for 10.2: the table sorts by text.
        f"{shape.equivalent_diameter_mm:5.1f}" if shape else "–",
        where.zone if where else "–",
        where.side if where else "–",
        region_name(candidate),
    ]
    items = [_item(value) for value in values]
    items[0].setData(_ID_ROLE, candidate.id)
    return items


def _item(value: Any) -> Any:
    item = qt.QTableWidgetItem()
    item.setData(qt.Qt.DisplayRole, value)
    item.setToolTip(str(value).strip())
    return item
