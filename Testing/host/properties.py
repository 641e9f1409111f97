"""Qt properties as attributes, the way PythonQt shows them.

PySide6 can do this for one Python module at a time (its ``true_property`` feature, normally chosen by
``from __feature__ import true_property``). Module files written for Slicer cannot carry that line, so an import hook
chooses it for every module loaded from below the folders given.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from PySide6.support import feature


def switch_on(module_name: str) -> None:
    """Choose ``true_property`` for one module by name, before or after it is imported."""
    feature.set_selection(feature.true_property, module_name)


class _PropertyFinder:
    """Meta path finder that finds nothing itself: it only marks the modules below its folders."""

    def __init__(self) -> None:
        self.folders: list[Path] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Ask the ordinary finder, mark the module if it is one of ours, and hand the answer on."""
        spec: Any = PathFinder.find_spec(name, path, target)
        origin = getattr(spec, "origin", None)
        if origin and any(folder in Path(origin).resolve().parents for folder in self.folders):
            switch_on(name)
        return spec


_finder = _PropertyFinder()


def add_folders(folders: Iterable[Path]) -> None:
    """Mark every module that is imported from below these folders from now on."""
    _finder.folders += [Path(folder).resolve() for folder in folders]
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
