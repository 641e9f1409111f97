"""One line of a readings file: what a reader did, when, in which mode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from .errors import InputError
from .reading_mask import ReadingMask

MODES = ("blinded", "second reader", "concurrent")
VERDICTS = ("microbleed", "not", "unsure")
# What undo takes back; the rest are marks about the session, not decisions on a lesion.
UNDOABLE = ("decide", "region", "comment", "add", "move", "mask", "split", "merge", "delete")
MARKS = ("source", "reveal", "finish", "reopen", "visit", "undo", "redo")

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """A piece of a split lesion that becomes a finding of its own."""

    point_ras: Point
    mask: ReadingMask


@dataclass(frozen=True)
class Event:
    """One act of a reader.

    Attributes
    ----------
    kind : str
        One of `UNDOABLE` or `MARKS`.
    number, time, reader, mode
        Running number in the file from 1, ISO 8601 time in UTC, who, and one of `MODES`; set by the store.
    target : str or None
        Key of the finding: ``"c12"`` is candidate 12, ``"p7"`` the point that event 7 added.
    candidate : int or None
        Candidate id of the detector or of another source.
    point_ras : tuple of float or None
        Where the source, or the reader who added it, put the finding (RAS, mm); never edited.
    verdict, certainty, mimic, region, comment : str or None
        Verdict is one of `VERDICTS`; the others are ids of the taxonomy, and free text.
    moved_to_ras : tuple of float or None
        New position (RAS, mm) of a move; `point_ras` stays what it was.
    mask : ReadingMask or None
        The outline after this act; a ``mask`` event without one removes the outline.
    others : tuple of str
        Findings that a merge takes into the target.
    parts : tuple of Part
        Pieces that a split takes out of the target.
    undoes : int or None
        Number of the event that ``undo`` takes back or ``redo`` brings back.
    source : str or None
        Which candidates the reader is shown, e.g. ``"cmbnet-preview sha256:12ab"``: candidate ids are those of it.
    seconds : float
        Time the reader looked at this finding since the event before, without the time the window was away.
    """

    kind: str
    number: int = 0
    time: str = ""
    reader: str = ""
    mode: str = ""
    target: str | None = None
    candidate: int | None = None
    point_ras: Point | None = None
    verdict: str | None = None
    certainty: str | None = None
    mimic: str | None = None
    region: str | None = None
    comment: str | None = None
    moved_to_ras: Point | None = None
    mask: ReadingMask | None = None
    others: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    undoes: int | None = None
    source: str | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        check_event(self)

    @property
    def key(self) -> str | None:
        """Key of the finding this event is about; an ``add`` names its finding after its own number."""
        return f"p{self.number}" if self.kind == "add" else self.target

    def stamped(self, number: int, time: str, reader: str, mode: str) -> Event:
        """Return a copy with the fields that the store fills in."""
        seconds = round(self.seconds, 3)
        return replace(self, number=number, time=time, reader=reader, mode=mode, seconds=seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; fields that say nothing are left out."""
        content: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value != ():
                content[field.name] = value
        if self.mask is not None:
            content["mask"] = self.mask.as_dict()
        if self.parts:
            content["parts"] = [{"point_ras": part.point_ras, "mask": part.mask.as_dict()} for part in self.parts]
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Event:
        """Read the JSON form.

        Raises
        ------
        InputError
            A field is missing, unknown, or does not fit the kind of event.
        """
        known = {field.name for field in fields(cls)}
        unknown = set(content) - known
        if unknown:
            raise InputError(f"An event has unknown fields: {', '.join(sorted(unknown))}.")
        values = dict(content)
        try:
            for name in ("point_ras", "moved_to_ras"):
                if name in values:
                    values[name] = _point(values[name])
            if "mask" in values:
                values["mask"] = ReadingMask.from_dict(values["mask"])
            values["others"] = tuple(str(key) for key in values.get("others", ()))
            values["parts"] = tuple(_part(part) for part in values.get("parts", ()))
            return cls(**values)
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(f"An event cannot be read: {error}.") from error


def candidate_key(candidate_id: int) -> str:
    """Return the key of a candidate's finding."""
    return f"c{candidate_id}"


def candidate_of(key: str) -> int | None:
    """Return the candidate id that a key names, or None for an added point."""
    return int(key[1:]) if key.startswith("c") and key[1:].isdigit() else None


def check_event(event: Event) -> None:
    """Refuse an event whose fields contradict each other or its kind (:class:`InputError`)."""
    if event.kind not in UNDOABLE + MARKS:
        raise InputError(f"Unknown kind of event '{event.kind}'; the file may be from a newer version.")
    if event.mode and event.mode not in MODES:
        raise InputError(f"Unknown reading mode '{event.mode}'. Choose one of: {', '.join(MODES)}.")
    if not (isinstance(event.seconds, int | float) and math.isfinite(event.seconds) and event.seconds >= 0):
        raise InputError(f"The seconds of an event cannot be {event.seconds!r}.")
    if event.kind in UNDOABLE and event.kind != "add" and not event.target:
        raise InputError(f"A '{event.kind}' event needs the finding it is about.")
    if event.kind == "delete" and candidate_of(event.target or "") is not None:
        raise InputError("A candidate of the detector is rejected as a mimic, not deleted.")
    check = _CHECKS.get(event.kind)
    if check is not None:
        check(event)


def _check_decide(event: Event) -> None:
    check_verdict(event.verdict, event.mimic)


def check_verdict(verdict: str | None, mimic: str | None) -> None:
    """Refuse a *not* without a mimic and a mimic without a *not*; verdict None takes a decision back."""
    if verdict is not None and verdict not in VERDICTS:
        raise InputError(f"Unknown verdict '{verdict}'. Choose one of: {', '.join(VERDICTS)}.")
    if verdict == "not" and not mimic:
        raise InputError("A candidate that is no microbleed needs a mimic: say what it is instead.")
    if verdict != "not" and mimic:
        raise InputError(f"Only a rejected candidate has a mimic; the verdict is '{verdict}'.")


def _check_add(event: Event) -> None:
    _need(event, "point_ras")
    check_verdict(event.verdict, event.mimic)


def _check_merge(event: Event) -> None:
    _need(event, "mask")
    if not event.others or event.target in event.others:
        raise InputError("A merge needs at least one other finding.")


def _check_split(event: Event) -> None:
    _need(event, "mask")
    if not event.parts:
        raise InputError("A split needs at least one part beside the one that stays.")


def _need(event: Event, name: str) -> None:
    if getattr(event, name) is None:
        raise InputError(f"A '{event.kind}' event needs '{name}'.")


_CHECKS = {
    "decide": _check_decide,
    "region": lambda event: _need(event, "region"),
    "comment": lambda event: _need(event, "comment"),
    "add": _check_add,
    "move": lambda event: _need(event, "moved_to_ras"),
    "merge": _check_merge,
    "split": _check_split,
    "undo": lambda event: _need(event, "undoes"),
    "redo": lambda event: _need(event, "undoes"),
    "source": lambda event: _need(event, "source"),
}


def _point(value: Any) -> Point:
    point = tuple(float(number) for number in value)
    if len(point) != 3 or not all(math.isfinite(number) for number in point):
        raise ValueError(f"a point needs three finite numbers, not {value!r}")
    return point  # type: ignore[return-value]


def _part(content: Mapping[str, Any]) -> Part:
    return Part(_point(content["point_ras"]), ReadingMask.from_dict(content["mask"]))
