"""The worklist part of the review panel: which list, who reads, and the table of cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from CMBNetLib.errors import InputError
from CMBNetLib.reading_events import MODES
from CMBNetLib.review_room import ReadingSetup
from CMBNetLib.review_terms import ReviewTerms
from CMBNetLib.worklist import Worklist, read_worklist
from CMBNetLib.worklist_status import FILTERS, CaseStatus
from CMBNetSlicer.path_lines import remember_path

COLUMNS = ("Case", "Status", "Candidates", "Decided", "Reader", "Minutes")
SCALES = ("bombs", "mars")
_STATUS_WIDTH = 72  # pixels: the longest status fits, whatever the cases are now
_COLORS = {"finished": "#2e7d32", "started": "#b26a00", "missing": "#b00020", "damaged": "#b00020"}


class WorklistSection:
    """Shows the rows of a worklist.

    Parameters
    ----------
    ui
        The named widgets of ``CMBNetReview.ui``.
    on_case
        Called with the id of the case that was double-clicked.
    on_filter
        Called with filter and search text when they change.
    """

    def __init__(self, ui: Any, on_case: Callable[[str], None], on_filter: Callable[[str, str], None]) -> None:
        self._ui = ui
        self._on_case, self._on_filter = on_case, on_filter
        self._showing = False
        self._ids: list[str] = []
        self._rows: list[CaseStatus] = []
        for mode in MODES:
            ui.modeBox.addItem(_(mode.capitalize()))
        ui.modeBox.currentIndex = MODES.index("concurrent")
        for scale in SCALES:
            ui.scaleBox.addItem(scale.upper())
        for name in FILTERS:
            ui.caseFilterBox.addItem(_(name.capitalize()))
        table = ui.caseTable
        table.columnCount = len(COLUMNS)
        table.setHorizontalHeaderLabels([_(name) for name in COLUMNS])
        table.horizontalHeader().stretchLastSection = True
        table.verticalHeader().hide()
        table.verticalHeader().defaultSectionSize = 24
        table.cellDoubleClicked.connect(self._double_clicked)
        ui.folderButton.clicked.connect(self._choose_folder)
        ui.caseFilterBox.currentIndexChanged.connect(self._filter_changed)
        ui.searchEdit.textChanged.connect(self._filter_changed)

    def setup(self) -> ReadingSetup:
        """Return who reads and how, as the widgets say; :class:`InputError` if that cannot be."""
        ui = self._ui
        reader = str(ui.readerEdit.text).strip()
        if not reader:
            raise InputError("Who reads? Write your name or initials into the field Reader.")
        own = str(ui.scalePath.currentPath).strip()
        mimics = str(ui.mimicsPath.currentPath).strip()
        scale = Path(own) if own else SCALES[ui.scaleBox.currentIndex]
        terms = ReviewTerms.load(scale, Path(mimics) if mimics else "mimics")
        return ReadingSetup(reader, int(ui.roundSpin.value), MODES[ui.modeBox.currentIndex], terms)

    def worklist(self) -> Worklist:
        """Read the list that the widgets name; :class:`InputError` if it cannot be used."""
        path = str(self._ui.worklistPath.currentPath).strip()
        if not path:
            raise InputError("Choose a worklist: a CSV file, a BIDS data set, or a folder of scans.")
        worklist = read_worklist(Path(path))
        remember_path(self._ui.worklistPath)
        return worklist

    def show(self, rows: Sequence[CaseStatus], current: str | None) -> None:
        """Fill the table."""
        table = self._ui.caseTable
        self._showing = True
        ids = [row.case_id for row in rows]
        anew = ids != self._ids
        if anew:
            table.rowCount = len(ids)
        self._ids = ids
        for number, row in enumerate(rows):
            # With 200 cases, filling every row after every key press would be felt.
            if anew or self._rows[number] != row:
                self._fill(number, row)
        self._rows = list(rows)
        if anew:
            table.resizeColumnsToContents()
            table.setColumnWidth(1, max(table.columnWidth(1), _STATUS_WIDTH))
        if current in ids:
            table.selectRow(ids.index(current))
        self._showing = False

    def show_filter(self, name: str, search: str) -> None:
        """Show a filter without asking for the rows again."""
        self._showing = True
        self._ui.caseFilterBox.currentIndex = FILTERS.index(name)
        self._ui.searchEdit.text = search
        self._showing = False

    def say(self, text: str) -> None:
        """Tell the reader something about the list."""
        self._ui.worklistMessage.text = text

    def _fill(self, number: int, row: CaseStatus) -> None:
        candidates = "" if row.candidates is None else str(row.candidates)
        minutes = f"{row.minutes:.1f}" if row.minutes else ""
        texts = (row.case_id, _(row.status), candidates, str(row.decided), row.reader, minutes)
        for column, text in enumerate(texts):
            item = self._ui.caseTable.item(number, column)
            if item is None:
                item = qt.QTableWidgetItem()
                self._ui.caseTable.setItem(number, column, item)
            if item.text() != text:
                item.setText(text)
            if column == 1:
                item.setForeground(qt.QBrush(qt.QColor(_COLORS.get(row.status, "#606060"))))
                item.setToolTip(row.message)

    def _choose_folder(self, _checked: bool = False) -> None:
        """CTK's own button beside the line asks for files alone where it takes both."""
        line = self._ui.worklistPath
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder of scans or BIDS data set"), line.currentPath)
        if folder:
            line.currentPath = folder

    def _double_clicked(self, row: int, _column: int) -> None:
        if 0 <= row < len(self._ids):
            self._on_case(self._ids[row])

    def _filter_changed(self, _value: Any = None) -> None:
        if not self._showing:
            self._on_filter(FILTERS[self._ui.caseFilterBox.currentIndex], str(self._ui.searchEdit.text))
