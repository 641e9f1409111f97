"""The pictures of a run: its collection, curves, preview, and the gallery of false calls of each validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

_WIDEST = 420  # pixels, the width of a module panel; the button opens the whole picture


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
        ui.openPictureButton.clicked.connect(self._open)

    @property
    def path(self) -> Path | None:
        """The picture that is chosen, if its file is there."""
        index = int(self._ui.pictureBox.currentIndex)
        return self.paths[index] if 0 <= index < len(self.paths) and self.paths[index].is_file() else None

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
        if self._showing:
            return
        path, label = self.path, self._ui.trainPictureLabel
        self._ui.openPictureButton.enabled = path is not None
        show_picture(label, path)

    def _open(self, _checked: bool = False) -> None:
        if self.path is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.path)))


def show_picture(label: Any, path: Path | None) -> None:
    """A picture in a label, whole and no wider than a module panel; without one the label says so."""
    if path is None or not path.is_file():
        label.text = _("No picture")
        label.minimumHeight = 0
        return
    picture = qt.QPixmap(str(path))
    if picture.width() > _WIDEST:
        picture = picture.scaledToWidth(_WIDEST, qt.Qt.SmoothTransformation)
    label.pixmap = picture
    # A layout that was made before the picture may leave it too little height.
    label.minimumHeight = picture.height()


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
