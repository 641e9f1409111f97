"""Looking at the microbleeds of a collection and writing the list of corrections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from CMBNetLib.errors import CMBNetError, InputError
from CMBNetTrainingLib.collection_review import ReviewRow, fixes_path, read_review_rows
from CMBNetTrainingLib.manual_fixes import ACTIONS, ManualFix, read_fixes, write_fixes

from .training_pictures import show_picture

COLUMNS = ("scan", "id", "quality", "method", "mm", "flags", "correction")
_WITH_DIAMETER = ("sphere", "grow", "add")


class CurationReview:
    """Table, picture and list of corrections of one collection.

    Parameters
    ----------
    ui
        The named widgets of the panel.
    say
        Shows a sentence.
    """

    def __init__(self, ui: Any, say: Callable[[str], None]) -> None:
        self._ui, self._say = ui, say
        self._folder: Path | None = None
        self.rows: list[ReviewRow] = []
        self.fixes: list[ManualFix] = []
        ui.microbleedTable.columnCount = len(COLUMNS)
        ui.microbleedTable.setHorizontalHeaderLabels(list(COLUMNS))
        for name, title in ACTIONS.items():
            if name != "add":  # needs a place that no row has; it is written into the list by hand
                ui.actionBox.addItem(f"{name}: {title}", name)
        ui.microbleedTable.itemSelectionChanged.connect(self._row_chosen)
        ui.doubtfulBox.toggled.connect(self._show_rows)
        ui.addFixButton.clicked.connect(self._add_fix)
        ui.removeFixButton.clicked.connect(self._remove_fix)

    @property
    def row(self) -> ReviewRow | None:
        """The microbleed that is chosen."""
        number = self._ui.microbleedTable.currentRow()
        return self._shown()[number] if 0 <= number < len(self._shown()) else None

    def open(self, folder: str) -> None:
        """Show another collection (or none, where the folder is no collection yet)."""
        self._folder = Path(folder) if folder else None
        self.fixes = []
        try:
            if self._folder is not None and fixes_path(self._folder).is_file():
                self.fixes = read_fixes(fixes_path(self._folder))
        except CMBNetError as problem:
            self._say(str(problem))
        self.load()

    def load(self) -> None:
        """Read the records of the collection again."""
        self.rows = []
        try:
            if self._folder is not None and self._folder.is_dir():
                self.rows = read_review_rows(self._folder)
        except CMBNetError as problem:
            self._say(str(problem))
        self._show_rows()

    def save(self) -> Path:
        """Write the list of corrections into the collection; returns its path (there is no file for an empty list).

        Raises
        ------
        InputError
            No collection is chosen, or its folder cannot be written.
        """
        if self._folder is None:
            raise InputError(_("Choose a folder for the collection."))
        path = fixes_path(self._folder)
        if self.fixes or path.is_file():
            write_fixes(self.fixes, path)
        return path

    def _shown(self) -> list[ReviewRow]:
        return [row for row in self.rows if row.doubtful or not self._ui.doubtfulBox.checked]

    def _show_rows(self, *_checked: Any) -> None:
        table, rows = self._ui.microbleedTable, self._shown()
        table.rowCount = len(rows)
        for number, row in enumerate(rows):
            fix = self._fix_of(row)
            cells = (
                row.scan_id,
                str(row.id),
                row.quality,
                row.method,
                "" if row.diameter_mm is None else f"{row.diameter_mm:.1f}",
                ", ".join(row.flags),
                "" if fix is None else fix.action,
            )
            for column, text in enumerate(cells):
                table.setItem(number, column, qt.QTableWidgetItem(text))
        table.resizeColumnsToContents()
        self._ui.fixesLabel.text = self._summary()
        self._row_chosen()

    def _summary(self) -> str:
        count = len(self.fixes)
        if count == 0:
            return _("No corrections")
        if count == 1:
            return _("One correction; it is applied by the next run.")
        return _("{count} corrections; they are applied by the next run.").format(count=count)

    def _row_chosen(self) -> None:
        row = self.row
        self._ui.addFixButton.enabled = row is not None
        self._ui.removeFixButton.enabled = row is not None and self._fix_of(row) is not None
        show_picture(self._ui.pictureLabel, None if row is None else row.picture)

    def _fix_of(self, row: ReviewRow) -> ManualFix | None:
        """Return the correction written for a microbleed: the one at its point."""
        for fix in self.fixes:
            away = max(abs(a - b) for a, b in zip(fix.point_ras, row.point_ras, strict=True))
            if fix.scan_id == row.scan_id and away < 0.01:
                return fix
        return None

    def _add_fix(self, _checked: bool = False) -> None:
        row, box = self.row, self._ui.actionBox
        if row is None:
            return
        action = str(box.itemData(box.currentIndex))
        diameter = round(self._ui.diameterSpin.value, 3) if action in _WITH_DIAMETER else None
        fix = ManualFix(row.scan_id, *row.point_ras, action, diameter, self._ui.noteLine.text)
        old = self._fix_of(row)
        self.fixes = [other for other in self.fixes if other is not old] + [fix]
        self._written()

    def _remove_fix(self, _checked: bool = False) -> None:
        row = self.row
        old = None if row is None else self._fix_of(row)
        self.fixes = [fix for fix in self.fixes if fix is not old]
        self._written()

    def _written(self) -> None:
        number = self._ui.microbleedTable.currentRow()
        try:
            self.save()
        except CMBNetError as problem:
            self._say(str(problem))
        self._show_rows()
        if 0 <= number < self._ui.microbleedTable.rowCount:
            self._ui.microbleedTable.selectRow(number)
