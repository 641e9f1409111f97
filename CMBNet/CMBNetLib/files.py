"""Output files that appear complete or not at all, and the name a scan gives to its results."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError

_PARTIAL_PREFIX = ".cmbnet-"
_TEMPORARY_NAME = re.compile(r"\.cmbnet-(?P<pid>\d+)-(?P<host>[0-9a-f]{6})-[0-9a-f]{8}")
_STALE_AFTER_S = 24 * 3600.0
_SCAN_SUFFIXES = (
    ".nii.gz", ".img.gz", ".hdr.gz", ".nii", ".img", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".ima",
)  # fmt: skip
_LEAST_ROOM = 100_000  # bytes; results of a detection take more
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_open_outputs: set[Path] = set()


def scan_stem(path: str | os.PathLike[str]) -> str:
    """Name of a scan without its folder and image suffix: ``sub-1_swi`` for ``sub-1_swi.nii.gz``.

    A DICOM folder gives its own name, dots included.
    """
    path = Path(path)
    name = path.name if path.name not in ("", "..") else path.resolve().name
    if not path.is_dir():
        lower = name.lower()
        for suffix in _SCAN_SUFFIXES:
            if lower.endswith(suffix) and len(name) > len(suffix):
                return name[: -len(suffix)]
    return name or "scan"


@contextmanager
def atomic_output(path: str | os.PathLike[str], *, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` on success, remove it on any failure.

    The temporary name keeps the suffix (``.nii.gz`` included), because writers choose their format by it. It
    begins with a dot and carries the process id, so that whoever kills this process can clean up after it with
    `remove_partial_outputs`; else the next output to the same folder does.

    Parameters
    ----------
    flush : bool
        Wait until the content is on the disk; without it a power cut, but no killed process, may lose it.

    Raises
    ------
    InputError
        The folder cannot be made or written, ``path`` is a folder, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise InputError(f"Cannot write {path}: a folder of that name exists. Choose another name.")
        _remove_stale(path.parent)
        temporary = _temporary_beside(path)
        _open_outputs.add(temporary)
        try:
            yield temporary
            if flush:
                _flush_to_disk(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
            _open_outputs.discard(temporary)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}. Choose another folder.") from error


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Say before minutes of work that results cannot be written into ``folder``, which need not be there yet.

    Raises
    ------
    InputError
        The folder or what it lies in is read-only, full, a file or not there at all.
    """
    folder = Path(os.path.abspath(folder))
    try:
        existing = next((place for place in (folder, *folder.parents) if place.exists()), None)
        if existing is None:
            raise InputError(f"Cannot write into {folder}: there is no such drive. Choose another folder.")
        with tempfile.TemporaryFile(dir=existing) as stream:
            stream.write(bytes(_LEAST_ROOM))
    except OSError as error:
        raise InputError(f"Cannot write into {folder}: {error.strerror or error}. Choose another folder.") from error


def remove_open_outputs() -> None:
    """Remove the temporary files this process is writing now; for the moment before a forced exit."""
    for path in list(_open_outputs):
        path.unlink(missing_ok=True)


def remove_partial_outputs(folder: str | os.PathLike[str], pid: int) -> list[Path]:
    """Remove the temporary files that the ended process ``pid`` left in ``folder`` and return their paths."""
    left = sorted(Path(folder).glob(f"{_PARTIAL_PREFIX}{pid}-*"))
    for path in left:
        path.unlink(missing_ok=True)
    return left


def _temporary_beside(path: Path) -> Path:
    suffix = "".join(path.suffixes[-2:]) if path.suffix.lower() in _COMPRESSED else path.suffix
    return path.parent / f"{_PARTIAL_PREFIX}{os.getpid()}-{_host_tag()}-{secrets.token_hex(4)}{suffix}"


def _host_tag() -> str:
    """Six hex digits that stand for this computer: process ids of others in a shared folder mean nothing here."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def _flush_to_disk(path: Path) -> None:
    # Without fsync a power cut after the rename may leave an empty file under the final name.
    with open(path, "r+b") as stream:
        os.fsync(stream.fileno())


def _remove_stale(folder: Path) -> None:
    """Remove what killed processes left; one killed with SIGKILL cannot clean up itself."""
    # A day is far longer than any job runs, whatever computer it runs on.
    oldest = time.time() - _STALE_AFTER_S
    for path in folder.glob(f"{_PARTIAL_PREFIX}*-*"):
        with contextlib.suppress(OSError):  # another process may clean up at the same time
            if path.is_file() and (_is_orphan(path) or path.stat().st_mtime < oldest):
                path.unlink(missing_ok=True)


def _is_orphan(path: Path) -> bool:
    """Whether the process of this computer that wrote the temporary file has ended."""
    from .reading_lock import process_is_alive

    match = _TEMPORARY_NAME.match(path.name)
    return match is not None and match["host"] == _host_tag() and not process_is_alive(int(match["pid"]))
