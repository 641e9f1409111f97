"""Readings files of a small study, for the tests of reader agreement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from CMBNetLib.reading_events import Event
from CMBNetLib.readings import ReadingHeader, ReadingStore, readings_path

Place = tuple[float, float, float]
P1, P2, P3, P4, P5 = ((20.0 * number, 0.0, 0.0) for number in range(5))


def yes(place: Place, seconds: float = 0.0) -> Event:
    """A microbleed the reader added."""
    return Event("add", point_ras=place, verdict="microbleed", seconds=seconds)


def unsure(place: Place) -> Event:
    """A place the reader cannot decide on."""
    return Event("add", point_ras=place, verdict="unsure")


def no(place: Place, candidate: int) -> Event:
    """A candidate that the reader rejects."""
    return Event("decide", target=f"c{candidate}", point_ras=place, verdict="not", mimic="vein")


def write_reading(
    folder: Path, case: str, reader: str, acts: Sequence[Event], *, mode: str = "blinded", round_number: int = 1,
    finish: bool = True,
) -> Path:  # fmt: skip
    """Write one readings file as the review module does."""
    path = readings_path(folder / case, reader, round_number)
    clock = datetime(2026, 3, 1, 9, 0, tzinfo=timezone.utc)
    with ReadingStore(path, ReadingHeader(case, reader, round_number), mode=mode, now=lambda: clock) as store:
        for act in [*acts, *([Event("finish")] if finish else [])]:
            store.append(act)
    return path


def write_three_readers(folder: Path, case: str = "sub-1") -> None:
    """All see P1, anna and ben P2, only anna P3; ben is unsure about P4, cleo sees it; anna rejects P5."""
    write_reading(folder, case, "anna", [yes(P1, 30), yes(P2), yes(P3), no(P5, 9)])
    write_reading(folder, case, "ben", [yes((1.0, 0, 0), 20), yes((20.0, 2, 0)), unsure(P4)])
    write_reading(folder, case, "cleo", [yes((0, 1.0, 0), 10), yes((60.0, 0, 1))])
