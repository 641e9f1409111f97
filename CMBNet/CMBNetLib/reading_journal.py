"""A file to which whole lines are added, each on disk before the next; and what a crash leaves of it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError

_BINARY = getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class JournalContent:
    """The complete lines of a journal as JSON objects, and what is wrong with the rest.

    `ends_torn` tells that the file ends without a line end, so that the next line must begin with one.
    """

    records: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    ends_torn: bool


class Journal:
    """Adds lines to a file; a line that fails half-way is taken back, or marked so that readers skip it.

    Parameters
    ----------
    path : Path
        An existing file; `create` makes one.
    ends_torn : bool
        The file ends in the middle of a line (from `read_journal`).
    """

    def __init__(self, path: Path, *, ends_torn: bool = False) -> None:
        self.path = path
        self._torn = ends_torn
        self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_APPEND | _BINARY)

    def append(self, records: list[dict[str, Any]]) -> None:
        """Write the records as lines and wait until they are on the disk.

        Raises
        ------
        OSError
            Nothing was added, or what was added will be skipped by readers.
        """
        if self._descriptor is None:
            raise OSError("the file is closed")
        start = os.fstat(self._descriptor).st_size
        # The repair line tells readers that the broken line before it is known.
        prefix = b"\n" + _line({"kind": "repair"}) if self._torn else b""
        try:
            _write_all(self._descriptor, prefix + b"".join(_line(record) for record in records))
            os.fsync(self._descriptor)
        except OSError:
            self._take_back(start)
            raise
        self._torn = False

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _take_back(self, size: int) -> None:
        assert self._descriptor is not None
        try:
            os.ftruncate(self._descriptor, size)
        except OSError:
            self._torn = True


def create_journal(path: Path, header: dict[str, Any]) -> None:
    """Make a new journal with its first line; it appears complete or not at all (OSError)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".cmbnet-{os.getpid()}-{path.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, 0o644)
    try:
        _write_all(descriptor, _line(header))
        os.fsync(descriptor)
        os.close(descriptor)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_journal(path: Path) -> JournalContent:
    """Read the complete lines of a journal.

    A broken last line (the program was killed in the middle of it) is reported and skipped; one inside the file
    only where a repair line follows it.

    Raises
    ------
    InputError
        The file cannot be read, or is damaged in the middle.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    parsed = [_parse(line) for line in lines]
    problems = [_tear(path, index, parsed) for index, record in enumerate(parsed) if record is None and lines[index]]
    records = tuple(record for record in parsed if record is not None and record.get("kind") != "repair")
    ends_torn = bool(lines) and (parsed[-1] is None or not data.endswith(b"\n"))
    return JournalContent(records, tuple(problems), ends_torn)


def _tear(path: Path, index: int, parsed: list[dict[str, Any] | None]) -> str:
    """Describe the broken line ``index``; refuse it where no crash of this program explains it."""
    following = next((record for record in parsed[index:] if record is not None), None)
    if following is not None and following.get("kind") != "repair":
        raise InputError(
            f"Line {index + 1} of {path} is damaged, and not by a crash of this program. Restore the file from a "
            "backup, or remove that line if you know what it was."
        )
    return f"Line {index + 1} of {path.name} was cut off when the program ended, and is skipped."


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows cannot open a folder
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
