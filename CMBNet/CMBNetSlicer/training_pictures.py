"""The pictures of a run: its collection, curves, preview, and the gallery of false calls of each validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

_WIDEST = 900  # pixels; curves are drawn wider than a panel


class TrainingPictures:
    """A list of pictures and the one that is chosen.

    Parameters
    ----------
    ui
        The named widgets: ``pictureBox`` and ``trainPictureLabel``.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._showing = False
        self.paths: list[Path] = []
        ui.pictureBox.currentTextChanged.connect(self._chosen)

    def load(self, run: str, collection: str) -> None:
        """List what is there now; the picture that is chosen stays chosen, and is read again."""
        titled = pictures_of(Path(run) if run else None, Path(collection) if collection else None)
        box = self._ui.pictureBox
        before = str(box.currentText)
        self._showing = True
        if [title for title, _path in titled] != [str(box.itemText(index)) for index in range(box.count)]:
            box.clear()
            box.addItems([title for title, _path in titled])
            box.currentIndex = max(box.findText(before), 0) if titled else -1
        self.paths = [path for _title, path in titled]
        self._showing = False
        self._chosen()

    def show(self, path: Path) -> None:
        """Choose a picture of the list."""
        if path in self.paths:
            self._ui.pictureBox.currentIndex = self.paths.index(path)

    def _chosen(self, _title: str = "") -> None:
        index, label = int(self._ui.pictureBox.currentIndex), self._ui.trainPictureLabel
        if self._showing:
            return
        if not 0 <= index < len(self.paths) or not self.paths[index].is_file():
            label.text = _("No picture")
            return
        picture = qt.QPixmap(str(self.paths[index]))
        wide = picture.width() > _WIDEST
        label.pixmap = picture.scaledToWidth(_WIDEST, qt.Qt.SmoothTransformation) if wide else picture


def pictures_of(run: Path | None, collection: Path | None) -> list[tuple[str, Path]]:
    """Title and file of each picture there is; of the galleries the last one first."""
    found = []
    if run is not None:
        found += [("curves", run / "curves.png"), ("patches", run / "preview" / "preview.png")]
    if collection is not None:
        found.append(("collection", collection / "tables" / "collection.png"))
    if run is not None:
        galleries = sorted((run / "gallery").glob("step_*"), reverse=True)
        found += [(f"{folder.name} {path.stem}", path) for folder in galleries for path in sorted(folder.glob("*.png"))]
    return [(title, path) for title, path in found if path.is_file()]
