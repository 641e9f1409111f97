"""The scans of a manifest as a table, and one of them in the slice views."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from CMBNetLib.errors import CMBNetError
from CMBNetSlicer.training_views import TrainingViews

if TYPE_CHECKING:
    from CMBNetTrainingLib.training_manifest import ScanEntry

COLUMNS = ("scan", "role", "split", "microbleeds", "data set", "sequence")
_FROM_MANIFEST = ("n_microbleeds", "dataset", "sequence")


class ScanSection:
    """The table of scans.

    Parameters
    ----------
    ui
        The named widgets of the panel.
    views
        Shows a scan.
    say
        Shows a sentence.
    """

    def __init__(self, ui: Any, views: TrainingViews, say: Callable[[str], None]) -> None:
        self._ui, self._views, self._say = ui, views, say
        self._manifest = ""
        self.entries: list[ScanEntry] = []
        self._rows: dict[str, dict[str, str]] = {}
        ui.scanTable.columnCount = len(COLUMNS)
        ui.scanTable.setHorizontalHeaderLabels([_(name) for name in COLUMNS])
        ui.scanTable.itemSelectionChanged.connect(self._row_chosen)
        ui.scanTable.cellDoubleClicked.connect(self._double_clicked)
        ui.showScanButton.clicked.connect(self._show)

    def open(self, manifest: str) -> None:
        """Show the scans of another manifest; one that cannot be read is told."""
        if manifest == self._manifest:
            return
        self._manifest, self.entries = manifest, []
        text = _("No scans")
        if manifest and Path(manifest).is_file():
            from CMBNetTrainingLib.training_manifest import read_manifests

            try:
                self.entries = read_manifests([Path(manifest)])
                self._rows = _rows_of(Path(manifest))
                text = _summary(self.entries)
            except CMBNetError as problem:
                text = str(problem)
        self._ui.scansLabel.text = text
        self._fill()

    def _fill(self) -> None:
        table = self._ui.scanTable
        table.rowCount = len(self.entries)
        for number, entry in enumerate(self.entries):
            more = [self._rows.get(entry.scan_id, {}).get(name) or "" for name in _FROM_MANIFEST]
            for column, text in enumerate((entry.scan_id, entry.role, entry.split, *more)):
                table.setItem(number, column, qt.QTableWidgetItem(text))
        table.resizeColumnsToContents()
        self._row_chosen()

    def _row_chosen(self) -> None:
        self._ui.showScanButton.enabled = 0 <= self._ui.scanTable.currentRow() < len(self.entries)

    def _double_clicked(self, _row: int, _column: int) -> None:
        self._show()

    def _show(self, _checked: bool = False) -> None:
        number = self._ui.scanTable.currentRow()
        if not 0 <= number < len(self.entries):
            return
        entry = self.entries[number]
        try:
            self._views.show(entry.scan_id, entry.image, entry.label)
        except CMBNetError as problem:
            self._say(str(problem))


def _rows_of(manifest: Path) -> dict[str, dict[str, str]]:
    with manifest.open(encoding="utf-8-sig", newline="") as stream:
        return {(row.get("scan_id") or "").strip(): row for row in csv.DictReader(stream)}


def _summary(entries: list[ScanEntry]) -> str:
    groups = sorted({(entry.split, entry.role) for entry in entries})
    counts = [(sum((e.split, e.role) == group for e in entries), *group) for group in groups]
    return ", ".join(f"{count} {role} for {split}" for count, split, role in counts)
