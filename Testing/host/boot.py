"""Starting the stand-in: the order in which Qt, MRML and the ``slicer`` names come up."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from host.application import Application

_application: Application | None = None


def started() -> bool:
    """Whether :func:`start` was called in this process."""
    return _application is not None


def start(property_folders: Iterable[Path] = (), *, main_window: bool = True) -> Application:
    """Boot Qt (offscreen unless a platform is chosen already), the MRML scene and the ``slicer`` names.

    Parameters
    ----------
    property_folders
        Modules loaded from below these folders see Qt properties as attributes, as every module does in Slicer.
    main_window
        False imitates ``Slicer --no-main-window``: ``layoutManager()`` and ``mainWindow()`` answer None.

    Returns
    -------
    Application
        The object behind ``slicer.app``; the same one at every call.
    """
    global _application
    if _application is None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        from host import application, qt_names, scene, slicer_names

        qt_names.install()
        mrml = scene.boot()
        _application = application.Application(mrml, main_window=main_window)
        slicer_names.install(_application, mrml)
    from host.properties import add_folders

    add_folders(property_folders)
    return _application


def properties_in(module_name: str) -> None:
    """Let the named module (a test file, say) see Qt properties as attributes from now on."""
    from host.properties import switch_on

    switch_on(module_name)
    if module_name in sys.modules:
        switch_on(sys.modules[module_name].__name__)
