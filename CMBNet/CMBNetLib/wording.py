"""How numbers stand in sentences."""

from __future__ import annotations


def number_of(count: int, noun: str, plural: str = "") -> str:
    """``1 scan``, ``2 scans``; ``plural`` where that is not the noun with an s."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def were(count: int) -> str:
    """``was`` for one, ``were`` for any other number."""
    return "was" if count == 1 else "were"
