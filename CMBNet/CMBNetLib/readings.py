"""The file that keeps what one reader decided on one case in one round; nothing in it is ever changed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .errors import CMBNetError, InputError
from .reading_events import MODES, Event
from .reading_journal import Journal, create_journal, read_journal
from .reading_lock import ReadingLock
from .reading_state import ReadingState, advance, fold

SCHEMA = "cmbnet-readings"
SCHEMA_VERSION = "1.0"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class ReadingsNotSavedError(CMBNetError):
    """The disk refused the last decisions; they are kept in memory until `retry` or
    `save_elsewhere` succeeds."""

    exit_code = 3


@dataclass(frozen=True)
class ReadingHeader:
    """Whose readings a file holds, and of which scan.

    Attributes
    ----------
    case_id : str
        Case of the worklist.
    reader : str
        Letters, digits, ``_``, ``-`` and ``.``; it is part of the file name.
    round : int
        1 for the first reading; the same reader may read again in round 2.
    fingerprint : str or None
        `Volume.fingerprint` of the scan; None where it is not known yet.
    """

    case_id: str
    reader: str
    round: int = 1
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.reader):
            raise InputError(
                f"The reader name '{self.reader}' cannot be used in a file name. Use up to 64 letters, digits, "
                "'_', '-' or '.', beginning with a letter or digit."
            )
        if not isinstance(self.round, int) or self.round < 1:
            raise InputError(f"The reading round must be 1 or more, not {self.round!r}.")

    def as_dict(self, created: str) -> dict[str, Any]:
        """Return the first line of a file."""
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "created": created,
            "case_id": self.case_id,
            "fingerprint": self.fingerprint,
            "reader": self.reader,
            "round": self.round,
        }


@dataclass(frozen=True)
class Readings:
    """A readings file as it was read: header, events, their sum, and what was wrong with the file."""

    path: Path
    header: ReadingHeader
    events: tuple[Event, ...]
    state: ReadingState
    problems: tuple[str, ...]
    ends_torn: bool


def readings_path(case_folder: Path, reader: str, round_number: int = 1) -> Path:
    """Return where the readings of one reader and round of a case are kept."""
    header = ReadingHeader("", reader, round_number)
    return Path(case_folder) / "readings" / f"{header.reader}_round{header.round}.jsonl"


def read_readings(path: Path) -> Readings:
    """Read a file without locking it.

    Raises
    ------
    InputError
        No readings file, of a newer version, or damaged in the middle. A cut-off last line is only reported.
    """
    content = read_journal(path)
    if not content.records:
        raise InputError(f"{path} is empty or cut off in its first line; delete it to begin the reading anew.")
    header = _read_header(path, content.records[0])
    events = tuple(_read_event(path, number, record) for number, record in enumerate(content.records[1:], start=1))
    try:
        state = fold(events)
    except InputError as error:
        raise InputError(f"{path} does not hold together: {error}") from error
    return Readings(path, header, events, state, content.problems, content.ends_torn)


class ReadingStore:
    """Takes a reader's events one by one, each on the disk before the next is accepted.

    Parameters
    ----------
    path : Path
        File to continue or begin; its folder is made.
    header : ReadingHeader
        Must fit the file that is there.
    mode : str
        Mode written into the events, one of `reading_events.MODES`; may be changed by assigning `mode`.
    force : bool
        Take over a lock whose owner cannot be seen to be dead (the user was asked).
    now : callable
        Returns the present time; tests pass their own.

    Attributes
    ----------
    state : ReadingState
        Sum of all events, unsaved ones included.
    problems : list of str
        What to tell the reader: cut-off lines, a folder that cannot be written.
    unsaved : list of Event
        Events that are only in memory.

    Raises
    ------
    LockedError
        Another program has the file open.
    InputError
        The file belongs to another case, scan, reader or round, is of a newer version, or damaged.
    """

    def __init__(
        self,
        path: Path,
        header: ReadingHeader,
        *,
        mode: str = "concurrent",
        force: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self.path = Path(path)
        self.header = header
        self.mode = _checked_mode(mode)
        self.problems: list[str] = []
        self.unsaved: list[Event] = []
        self._now = now
        self._events: list[Event] = []
        self.state = ReadingState({})
        self._ends_torn = False
        self._journal: Journal | None = None
        self._lock: ReadingLock | None = None
        self._open(force)

    @property
    def events(self) -> tuple[Event, ...]:
        """All events, unsaved ones included."""
        return tuple(self._events)

    @property
    def writable(self) -> bool:
        """False where events are only in memory: the file could not be opened, or refused the last ones."""
        return self._journal is not None and not self.unsaved

    def append(self, event: Event) -> Event:
        """Number, stamp and store an event; returns it as it was stored.

        Raises
        ------
        InputError
            The event does not fit the findings (for example, its finding was deleted); nothing was stored.
        ReadingsNotSavedError
            The event counts, but is only in memory: the disk is full, read-only or gone.
        """
        time = self._now().isoformat(timespec="milliseconds")
        event = event.stamped(len(self._events) + 1, time, self.header.reader, self.mode)
        after = advance(self.state, event)
        self.state = after if after is not None else fold([*self._events, event])
        self._events.append(event)
        self.unsaved.append(event)
        self.retry()
        return event

    def undo(self, seconds: float = 0.0) -> Event | None:
        """Take back the last act and return the act; None if there is nothing to undo."""
        return self._reverse("undo", self.state.undoable, seconds)

    def redo(self, seconds: float = 0.0) -> Event | None:
        """Bring back the act undone last and return the act; None if there is nothing to redo."""
        return self._reverse("redo", self.state.redoable, seconds)

    def retry(self) -> None:
        """Write the events that are only in memory; `ReadingsNotSavedError` if that fails again."""
        try:
            if self._journal is None or self._lock is None:
                raise OSError("the file is not open for writing")
            if not self._lock.held:
                raise OSError("its lock file is gone, or another program has taken it over")
            self._journal.append([event.as_dict() for event in self.unsaved])
        except OSError as error:
            raise ReadingsNotSavedError(self._not_saved(error)) from error
        self.unsaved.clear()

    def save_elsewhere(self, path: Path) -> None:
        """Write everything into a new file and go on there.

        Raises
        ------
        InputError
            The file exists or cannot be written; the store goes on as before.
        """
        path = Path(path)
        if path.exists():
            raise InputError(f"{path} exists already; choose a new file name.")
        other = ReadingStore(path, self.header, mode=self.mode, now=self._now)
        try:
            if other._journal is None:
                raise InputError(f"{path} cannot be written: {' '.join(other.problems)}")
            other._journal.append([event.as_dict() for event in self._events])
        except (OSError, InputError) as error:
            other.close()
            with contextlib.suppress(OSError):  # a folder that cannot be written holds no file of ours
                path.unlink()
            raise InputError(f"The readings cannot be saved to {path}: {error}") from error
        self.close()
        self.path, self._journal, self._lock = path, other._journal, other._lock
        self.unsaved.clear()

    def close(self) -> None:
        """Close the file and let others open it."""
        if self._journal is not None:
            self._journal.close()
        if self._lock is not None:
            self._lock.release()
        self._journal = self._lock = None

    def __enter__(self) -> ReadingStore:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _reverse(self, kind: str, numbers: tuple[int, ...], seconds: float) -> Event | None:
        if not numbers:
            return None
        reversed_event = self._events[numbers[-1] - 1]
        self.append(Event(kind, undoes=numbers[-1], target=reversed_event.key, seconds=seconds))
        return reversed_event

    def _open(self, force: bool) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = ReadingLock(self.path, force=force)
        except OSError as error:
            self.problems.append(_cannot_write(self.path, error))
        try:
            if self.path.exists():
                self._continue()
            elif self._lock is not None:
                create_journal(self.path, self.header.as_dict(self._now().isoformat(timespec="seconds")))
            if self._lock is not None:
                self._journal = Journal(self.path, ends_torn=self._ends_torn)
        except OSError as error:
            self.close()
            self.problems.append(_cannot_write(self.path, error))
        except InputError:
            self.close()
            raise

    def _continue(self) -> None:
        found = read_readings(self.path)
        _check_same(found, self.header)
        self._events = list(found.events)
        self.state = found.state
        self._ends_torn = found.ends_torn
        self.problems.extend(found.problems)

    def _not_saved(self, error: OSError) -> str:
        count = len(self.unsaved)
        acts = "1 decision is" if count == 1 else f"{count} decisions are"
        return (
            f"{self.path.name} cannot be written: {error.strerror or error}. {acts} kept in memory only: make room "
            "and try again, or save the readings elsewhere."
        )


def _checked_mode(mode: str) -> str:
    if mode not in MODES:
        raise InputError(f"Unknown reading mode '{mode}'. Choose one of: {', '.join(MODES)}.")
    return mode


def _cannot_write(path: Path, error: OSError) -> str:
    return (
        f"{path} cannot be written: {error.strerror or error}. Decisions are kept in memory only, until you save "
        "the readings elsewhere."
    )


def _read_header(path: Path, record: dict[str, Any]) -> ReadingHeader:
    if record.get("schema") != SCHEMA:
        raise InputError(f"{path} is not a readings file: its first line does not say '{SCHEMA}'.")
    version = str(record.get("schema_version", ""))
    if _version(version) > _version(SCHEMA_VERSION):
        raise InputError(
            f"{path} was written by a newer version of CMBNet (file version {version}, this program knows "
            f"{SCHEMA_VERSION}). Update the extension."
        )
    try:
        return ReadingHeader(record["case_id"], record["reader"], record["round"], record["fingerprint"])
    except (KeyError, TypeError) as error:
        raise InputError(f"The first line of {path} lacks {error}.") from error


def _version(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split("."))
    except ValueError as error:
        raise InputError(f"'{text}' is no version number of a readings file.") from error


def _read_event(path: Path, number: int, record: dict[str, Any]) -> Event:
    try:
        event = Event.from_dict(record)
    except InputError as error:
        raise InputError(f"Event {number} of {path}: {error}") from error
    if event.number != number:
        raise InputError(
            f"Event {number} of {path} says it is event {event.number}: lines are missing or two programs wrote the "
            "file. Restore it from a backup."
        )
    return event


def _check_same(found: Readings, header: ReadingHeader) -> None:
    mine, theirs = header, found.header
    if (mine.case_id, mine.reader, mine.round) != (theirs.case_id, theirs.reader, theirs.round):
        raise InputError(
            f"{found.path} holds round {theirs.round} of reader {theirs.reader} on case {theirs.case_id}, not round "
            f"{mine.round} of {mine.reader} on {mine.case_id}. Choose another file."
        )
    if mine.fingerprint and theirs.fingerprint and mine.fingerprint != theirs.fingerprint:
        raise InputError(
            f"{found.path} was made on another scan than the one that is open: the image of case "
            f"{mine.case_id} has "
            "changed since. Restore the image, or read it in a new round."
        )
