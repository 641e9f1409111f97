"""Reading what the detector's process prints: one JSON object a line, and now and then a line that is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


class EventReader:
    """Turns pieces of a byte stream into events.

    A line that is no event (a library that prints) becomes ``{"event": "log", "message": ...}``.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Events of all lines that ``data`` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield from _events(line)

    def close(self) -> Iterator[dict[str, Any]]:
        """The event of a last line without an end, if there is one."""
        rest, self._rest = self._rest, b""
        yield from _events(rest)


def _events(line: bytes) -> Iterator[dict[str, Any]]:
    text = line.decode("utf-8", errors="replace").strip()
    if not text:
        return
    try:
        event = json.loads(text)
    except ValueError:
        event = None
    if isinstance(event, dict) and isinstance(event.get("event"), str):
        yield event
    else:
        yield {"event": "log", "message": text}


def remaining_text(seconds: float | None) -> str:
    """``about 1 min 20 s left``; empty where the time is not known."""
    if seconds is None:
        return ""
    minutes, rest = divmod(max(round(seconds), 0), 60)
    return f"about {minutes} min {rest} s left" if minutes else f"about {rest} s left"
