"""Where the files lie that come with the extension, and where the user's own bundles are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .errors import EnvironmentProblem

_HERE = Path(__file__).resolve().parent
# A checkout has Resources/ beside CMBNet/; Slicer installs all modules and Resources/ into one flat folder.
_ROOTS = (_HERE.parent.parent / "Resources", _HERE.parent / "Resources")


def resource_path(name: str) -> Path:
    """Path of the shipped file or folder ``Resources/<name>``.

    Raises
    ------
    EnvironmentProblem
        It is not there: the installation is not complete.
    """
    for root in _ROOTS:
        if (root / name).exists():
            return root / name
    looked = " and ".join(str(root / name) for root in _ROOTS)
    raise EnvironmentProblem(f"The installation is not complete: looked for {looked}. Install SlicerCMBNet again.")


def user_models_dir() -> Path:
    """Folder of the bundles a user imported (it may not exist yet), where the platform keeps such data."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "CMBNet" / "Models"
