"""``slicer.i18n``: no translation is loaded, every text stays as it is."""

from __future__ import annotations


def tr(text: str) -> str:
    """The text itself."""
    return text


def translate(_context: str, text: str) -> str:
    """The text itself."""
    return text
