"""The Python packages that Slicer brings along, and a Python that has no others, as after a fresh installation."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# Top-level names, from the External_python-*.cmake files of Slicer 5.12.
BUNDLED = frozenset(
    (
        "numpy", "scipy", "SimpleITK", "pydicom", "highdicom", "jpeg_ls", "openjpeg", "PIL", "packaging", "requests",
        "certifi", "idna", "urllib3", "chardet", "charset_normalizer", "six", "dateutil", "pyparsing", "pip",
        "setuptools", "_distutils_hack", "pkg_resources", "wheel", "git", "gitdb", "smmap", "github", "jwt", "nacl",
        "cffi", "_cffi_backend", "cryptography", "wrapt", "deprecated", "typing_extensions", "dicomweb_client",
        "retrying", "couchdb", "vtk", "vtkmodules", "slicer", "slicer_core",
    )
)  # fmt: skip
# What the stand-in itself and the test runner are made of.
_OURS = frozenset(("PySide6", "shiboken6", "pytest", "_pytest", "pluggy", "iniconfig", "hypothesis", "pygments"))


class _FreshInstallation:
    """Finds what the finders before it find, but nothing from site-packages that Slicer does not bring along."""

    def __init__(self, finders: Sequence[Any]) -> None:
        self._finders = finders

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Ask the finders in their order; an added package is not there."""
        if is_added(name):
            return None
        specs = (finder.find_spec(name, path, target) for finder in self._finders)
        return next((spec for spec in specs if spec is not None), None)


def is_added(name: str) -> bool:
    """Whether a module comes from a package that somebody installed beside Slicer's own."""
    top = name.partition(".")[0]
    if top in BUNDLED or top in _OURS or top in sys.stdlib_module_names:
        return False
    spec = PathFinder.find_spec(top)
    places = [spec.origin or "", *(spec.submodule_search_locations or ())] if spec is not None else []
    return any("site-packages" in place for place in places)


@contextmanager
def fresh_installation() -> Iterator[None]:
    """Within it Python has Slicer's own packages only; afterwards all is as it was."""
    finders = list(sys.meta_path)
    added = {name: module for name, module in sys.modules.items() if is_added(name)}
    for name in added:
        del sys.modules[name]
    sys.meta_path[:] = [_FreshInstallation(finders)]
    try:
        yield
    finally:
        sys.meta_path[:] = finders
        sys.modules.update(added)
