"""The data sets that can be read, and which of them a folder is."""

from __future__ import annotations

from pathlib import Path

from CMBNetLib.errors import InputError

from .layout_bids import Bids
from .layout_dou import Dou
from .layout_momeni import Momeni
from .layout_negative import ReportNegative
from .layout_readings import ReaderReadings
from .layout_redbrick import RedBrick
from .layout_rodeja import Rodeja
from .layout_valdo import Valdo
from .source_scan import Layout

LAYOUTS: tuple[Layout, ...] = (
    Valdo(), Dou(), Momeni(), Rodeja(), RedBrick(), ReportNegative(), Bids(), ReaderReadings()
)  # fmt: skip
AUTO = "auto"


def layout_names() -> list[str]:
    """Return the names that `choose_layout` takes."""
    return [AUTO, *(layout.name for layout in LAYOUTS)]


def choose_layout(root: Path, name: str = AUTO) -> Layout:
    """Return the reader of a folder.

    Raises
    ------
    InputError
        No such folder; the folder is not the stated data set; it fits no reader (the message says what each of them
        missed), or several.
    """
    if not root.is_dir():
        raise InputError(f"There is no folder {root}. Check the path.")
    candidates = LAYOUTS if name == AUTO else tuple(layout for layout in LAYOUTS if layout.name == name)
    if not candidates:
        raise InputError(f"Unknown data set '{name}'; choose one of {', '.join(layout_names())}.")
    missed = {layout.name: layout.misses(root) for layout in candidates}
    fitting = [layout for layout in candidates if missed[layout.name] is None]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(layout.name for layout in fitting)
        raise InputError(f"{root} could be {names}. Say which with --dataset.")
    reasons = "; ".join(f"{layout.name} ({layout.title}): {missed[layout.name]}" for layout in candidates)
    raise InputError(f"{root} fits no reader of data sets. Missed: {reasons}.")
