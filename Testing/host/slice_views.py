"""``sliceWidget(name).sliceView()``: a slice view with a real VTK interactor and a picture that can be looked at."""

from __future__ import annotations

from typing import Any

from host.layout import SliceWidget
from host.slice_pictures import SlicePicture

_views: dict[str, SliceView] = {}


class SliceView:
    """What qMRMLSliceView answers: the interactor of its window."""

    def __init__(self, name: str) -> None:
        self.picture = SlicePicture(name)

    def interactor(self) -> Any:
        """The vtkRenderWindowInteractor."""
        return self.picture.interactor

    def forceRender(self) -> None:
        """Draw now."""
        self.picture.draw()


def _slice_view(widget: SliceWidget) -> SliceView:
    name = widget.mrmlSliceNode().GetLayoutName()
    if name not in _views:
        _views[name] = SliceView(name)
    return _views[name]


def install() -> None:
    """Give every slice widget its view; the views live as long as the process."""
    if not hasattr(SliceWidget, "sliceView"):
        SliceWidget.sliceView = _slice_view  # type: ignore[attr-defined]
