"""The patches of a preview in the slice views: as they were cut, and what augmentation makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from CMBNetLib.errors import CMBNetError
from CMBNetSlicer.training_views import TrainingViews


class PatchSection:
    """The list of patches of the last preview.

    Parameters
    ----------
    ui
        The named widgets of the panel.
    views
        Shows a patch.
    say
        Shows a sentence.
    """

    def __init__(self, ui: Any, views: TrainingViews, say: Callable[[str], None]) -> None:
        self._ui, self._views, self._say = ui, views, say
        self._files: list[tuple[str, Mapping[str, str]]] = []
        self._showing = False
        ui.patchBox.enabled = False
        ui.patchBox.currentTextChanged.connect(self._chosen)

    def show(self, patches: Sequence[Mapping[str, Any]]) -> None:
        """List the patches (as the event ``result`` of a preview has them) and show the first."""
        self._files = [
            (f"{number} {variant}: {patch['title']}", files)
            for number, patch in enumerate(patches, 1)
            for variant, files in patch["files"].items()
        ]
        box = self._ui.patchBox
        self._showing = True
        box.clear()
        box.addItems([title for title, _files in self._files])
        self._showing = False
        box.enabled = bool(self._files)
        self._chosen()

    def _chosen(self, _title: str = "") -> None:
        index = int(self._ui.patchBox.currentIndex)
        if self._showing or not 0 <= index < len(self._files):
            return
        title, files = self._files[index]
        try:
            self._views.show(title, Path(files["image"]), Path(files["classes"]))
        except CMBNetError as problem:
            self._say(_("The patch cannot be shown: {problem}").format(problem=problem))
