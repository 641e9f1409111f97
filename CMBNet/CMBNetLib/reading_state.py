"""What a reader's events add up to: one finding for each candidate or added point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from .errors import InputError
from .reading_events import UNDOABLE, Event, Point, candidate_of
from .reading_mask import ReadingMask


@dataclass(frozen=True)
class Finding:
    """The current reading of one candidate or added point.

    Attributes
    ----------
    key : str
        ``"c12"`` for candidate 12, ``"p7"`` for the point added by event 7, ``"p9.1"`` for the first part that
        split 9 took out.
    candidate : int or None
        Candidate id; None for an added point.
    source_ras : tuple of float or None
        Where the source put it (RAS, mm); a move does not change it.
    moved_to_ras : tuple of float or None
        Where the reader moved it.
    verdict, certainty, mimic, region, comment
        As in `Event`; None where nothing was said.
    mask : ReadingMask or None
        The reader's outline; None means the source's own, if it has one.
    outline_removed : bool
        The reader removed the outline, the source's included.
    gone_into : str or None
        Key of the finding it was merged into.
    deleted : bool
        An added point that was taken away again.
    parent : str or None
        Key of the finding it was split from.
    mode : str
        Mode of the last decision.
    seconds : float
        Time spent on it in all, undone acts included: the time was spent.
    """

    key: str
    candidate: int | None = None
    source_ras: Point | None = None
    moved_to_ras: Point | None = None
    verdict: str | None = None
    certainty: str | None = None
    mimic: str | None = None
    region: str | None = None
    comment: str | None = None
    mask: ReadingMask | None = None
    outline_removed: bool = False
    gone_into: str | None = None
    deleted: bool = False
    parent: str | None = None
    mode: str = ""
    seconds: float = 0.0

    @property
    def position_ras(self) -> Point | None:
        """Where it is now (RAS, mm)."""
        return self.moved_to_ras if self.moved_to_ras is not None else self.source_ras

    @property
    def shift_mm(self) -> float:
        """How far the reader moved it."""
        if self.moved_to_ras is None or self.source_ras is None:
            return 0.0
        squares = ((a - b) ** 2 for a, b in zip(self.moved_to_ras, self.source_ras, strict=True))
        return float(sum(squares) ** 0.5)

    @property
    def present(self) -> bool:
        """True unless it was deleted or merged away."""
        return not self.deleted and self.gone_into is None

    @property
    def decided(self) -> bool:
        """True if it has a verdict, or needs none because it is gone."""
        return self.verdict is not None or not self.present


@dataclass(frozen=True)
class ReadingState:
    """The fold over the events of one reader on one case.

    Attributes
    ----------
    findings : mapping
        Key to `Finding`, in the order they were first touched; a candidate nobody touched has no entry.
    undoable, redoable : tuple of int
        Numbers of the events that undo takes back and redo brings back, last first in line at the end.
    revealed : bool
        In blinded mode: the detector's candidates have been shown.
    finished : bool
        The reader declared the case done.
    source : str or None
        Which candidates the ids are of, as `Event.source` last said.
    seconds : float
        Time spent on the case.
    """

    findings: Mapping[str, Finding] = field(default_factory=dict)
    undoable: tuple[int, ...] = ()
    redoable: tuple[int, ...] = ()
    revealed: bool = False
    finished: bool = False
    source: str | None = None
    seconds: float = 0.0

    def finding(self, key: str) -> Finding:
        """Return the finding of ``key``; a blank one for a candidate that nobody touched."""
        found = self.findings.get(key)
        return found if found is not None else Finding(key, candidate=candidate_of(key))

    def added(self) -> list[Finding]:
        """Findings that the reader added and that are still there."""
        return [found for found in self.findings.values() if found.candidate is None and found.present]

    def microbleeds(self) -> list[Finding]:
        """Findings that the reader calls microbleeds."""
        return [found for found in self.findings.values() if found.present and found.verdict == "microbleed"]


def fold(events: Iterable[Event]) -> ReadingState:
    """Add up the events of a file.

    Raises
    ------
    InputError
        An ``undo`` or ``redo`` names an event that is not next in line, or an event is about a finding that does
        not exist: the file was edited or damaged.
    """
    events = list(events)
    undoable, redoable = _active(events)
    active = set(undoable)
    state = ReadingState({})
    for event in events:
        state = _step(state, event, active=event.number in active)
    return replace(state, undoable=tuple(undoable), redoable=tuple(redoable))


def advance(state: ReadingState, event: Event) -> ReadingState | None:
    """Return the state after one more event without a new fold; None if only a fold can tell (undo, redo)."""
    if event.kind in ("undo", "redo"):
        return None
    if event.kind not in UNDOABLE:
        return _step(replace(state, findings=dict(state.findings)), event, active=False)
    after = _step(replace(state, findings=dict(state.findings)), event, active=True)
    return replace(after, undoable=(*state.undoable, event.number), redoable=())


def _step(state: ReadingState, event: Event, *, active: bool) -> ReadingState:
    """Take in one event; changes the findings of ``state`` in place, so hand in a copy."""
    findings = state.findings
    assert isinstance(findings, dict)
    if active:
        _apply(findings, event)
    _add_seconds(findings, event)
    return replace(
        state,
        revealed=state.revealed or event.kind == "reveal",
        source=event.source if event.kind == "source" else state.source,
        finished=(state.finished or event.kind == "finish") and event.kind != "reopen",
        seconds=state.seconds + event.seconds,
    )


def _active(events: list[Event]) -> tuple[list[int], list[int]]:
    """Numbers of the acts that count, and of those that redo would bring back."""
    done: list[int] = []
    undone: list[int] = []
    for event in events:
        if event.kind in UNDOABLE:
            done.append(event.number)
            undone.clear()
        elif event.kind in ("undo", "redo"):
            source, sink = (done, undone) if event.kind == "undo" else (undone, done)
            if not source or source[-1] != event.undoes:
                raise InputError(f"Event {event.number} would {event.kind} event {event.undoes}, which is not next.")
            sink.append(source.pop())
    return done, undone


def _apply(findings: dict[str, Finding], event: Event) -> None:
    key = event.key or ""
    before = findings.get(key)
    if before is None:
        before = _new_finding(key, event)
    elif before.source_ras is None and event.point_ras is not None:
        before = replace(before, source_ras=event.point_ras)
    if not before.present:
        raise InputError(f"Event {event.number} is about {key}, which was deleted or merged before.")
    findings[key] = _ACTS[event.kind](before, event)
    if event.kind == "merge":
        _take_in(findings, event)
    for index, part in enumerate(event.parts, start=1):
        taken = replace(
            findings[key], key=f"p{event.number}.{index}", candidate=None, source_ras=part.point_ras,
            moved_to_ras=None, mask=part.mask, outline_removed=False, parent=key, seconds=0.0,
        )  # fmt: skip
        findings[taken.key] = taken


def _new_finding(key: str, event: Event) -> Finding:
    candidate = candidate_of(key)
    if candidate is None and event.kind != "add":
        raise InputError(f"Event {event.number} is about {key}, which no event before it added.")
    return Finding(key, candidate=candidate, source_ras=event.point_ras)


def _take_in(findings: dict[str, Finding], event: Event) -> None:
    for key in event.others:
        other = findings.get(key) or Finding(key, candidate=candidate_of(key))
        if (key not in findings and other.candidate is None) or not other.present:
            raise InputError(f"Event {event.number} merges {key}, which is not there.")
        findings[key] = replace(other, gone_into=event.key)


def _add_seconds(findings: dict[str, Finding], event: Event) -> None:
    key = event.key
    if not key or not event.seconds:
        return
    found = findings.get(key)
    if found is None and candidate_of(key) is not None:
        found = Finding(key, candidate=candidate_of(key), source_ras=event.point_ras)
    if found is not None:  # an added point whose adding was undone has no finding to keep its time
        findings[key] = replace(found, seconds=found.seconds + event.seconds)


def _decide(found: Finding, event: Event) -> Finding:
    region = event.region if event.region is not None else found.region
    return replace(
        found,
        verdict=event.verdict,
        certainty=event.certainty,
        mimic=event.mimic,
        region=region,
        mode=event.mode,
    )


def _add(found: Finding, event: Event) -> Finding:
    return replace(_decide(found, event), comment=event.comment, mask=event.mask)


def _outline(found: Finding, event: Event) -> Finding:
    return replace(found, mask=event.mask, outline_removed=event.mask is None)


_ACTS: dict[str, Callable[[Finding, Event], Finding]] = {
    "decide": _decide,
    "add": _add,
    "region": lambda found, event: replace(found, region=event.region),
    "comment": lambda found, event: replace(found, comment=event.comment or None),
    "move": lambda found, event: replace(found, moved_to_ras=event.moved_to_ras),
    "mask": _outline,
    "split": _outline,
    "merge": _outline,
    "delete": lambda found, _event: replace(found, deleted=True),
}
