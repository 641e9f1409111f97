"""Lines for a path in the panels (ctkPathLineEdit): hearing of every change, and keeping what was used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def follow_path(line: Any, changed: Callable[[str], None]) -> None:
    """Call ``changed`` with the path whenever it changes, also when the line was emptied.

    For CTK an empty line is no valid input, and ``currentPathChanged`` is silent then.
    """
    line.currentPathChanged.connect(changed)
    line.validInputChanged.connect(lambda valid: None if valid else changed(""))


def remember_path(line: Any) -> None:
    """Let a line with a ``settingKey`` offer its path in the next session; CTK does it only when told."""
    if line.currentPath:
        line.addCurrentPathToHistory()
