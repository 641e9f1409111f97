"""What a reader of a data set finds: its scans, what is marked in them, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from CMBNetLib.errors import InputError

REAL, SYNTHETIC, NEGATIVE = "real", "synthetic", "negative"
# How the values of a label file are to be read.
BINARY = "binary"  # one value; every connected piece is a microbleed
INSTANCES = "instances"  # one value a microbleed
DOTS = "dots"  # one value an entry of a reader: a few voxels in each of its microbleeds


class SourceError(InputError):
    """A scan of a data set that cannot be taken.

    Attributes
    ----------
    code : str
        As in `Problem`.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[SourceError], tuple[str, str]]:
        # Exceptions of a worker process are sent by what made them.
        return SourceError, (str(self), self.code)


@dataclass(frozen=True)
class SourcePoint:
    """The centre of a microbleed as the source states it.

    Attributes
    ----------
    source_id : str
        How the source names it, so that a message can be looked up there.
    position : tuple of float
        (x, y, z); RAS mm, or voxels (i, j, k) counted from 0, as ``in_voxels`` says.
    in_voxels : bool
        Which of the two.
    attributes : Mapping
        What the source says about it.
    """

    source_id: str
    position: tuple[float, float, float]
    in_voxels: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceScan:
    """One scan of a data set and where its reference is.

    Attributes
    ----------
    scan_id, subject_id : str
        Unique over all data sets: they begin with the name of the data set.
    image : Path
        The scan.
    dataset : str
        Name of the layout it came from.
    role : str
        ``real``, ``synthetic`` or ``negative``.
    label : Path, optional
        Label file; read as ``label_kind`` says.
    label_kind : str
        ``binary``, ``instances`` or ``dots``.
    points : tuple of SourcePoint, optional
        Centres; None when the data set marks microbleeds in label files. Empty: a scan without microbleeds.
    mimics : tuple of SourcePoint
        Points that look like microbleeds and are none.
    label_attributes : Mapping
        Label value -> attributes, or -> None for a value that is no microbleed.
    sequence, field_strength_t, echo_time_ms
        What the data set says about the acquisition; the file's own word comes first.
    session : str
        Visit, or "".
    notes : tuple of str
        Sentences for the record.
    """

    scan_id: str
    subject_id: str
    image: Path
    dataset: str
    role: str = REAL
    label: Path | None = None
    label_kind: str = BINARY
    points: tuple[SourcePoint, ...] | None = None
    mimics: tuple[SourcePoint, ...] = ()
    label_attributes: Mapping[int, Mapping[str, Any] | None] | None = None
    sequence: str | None = None
    field_strength_t: float | None = None
    echo_time_ms: float | None = None
    session: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read for it."""
        return (self.image,) if self.label is None else (self.image, self.label)


@dataclass(frozen=True)
class Problem:
    """Why a scan of a data set cannot be taken, or what is odd about the whole.

    Attributes
    ----------
    scan_id : str
        The scan, or the file, that it is about.
    code : str
        ``missing_image``, ``missing_label``, ``duplicate``, ``damaged``, ``grid``, ``outside``, ``values`` ...
    message : str
        A sentence with what was found and what to do.
    """

    scan_id: str
    code: str
    message: str


@dataclass(frozen=True)
class Listing:
    """The scans of a data set, sorted by id, and the problems found without opening an image."""

    scans: tuple[SourceScan, ...]
    problems: tuple[Problem, ...] = ()


class Layout(Protocol):
    """Reader of one data set's folders and spreadsheets.

    Attributes
    ----------
    name : str
        As in ``--dataset``.
    title : str
        For people.
    """

    name: str
    title: str

    def misses(self, root: Path) -> str | None:
        """Return what the folder lacks to be this data set, None where it fits."""

    def list_scans(self, root: Path) -> Listing:
        """Return all scans; a damaged spreadsheet or a missing file is a problem, never an exception."""


def checked_listing(scans: list[SourceScan], problems: list[Problem]) -> Listing:
    """Return a listing in which no id occurs twice; the second scan of an id becomes a problem."""
    kept: dict[str, SourceScan] = {}
    problems = list(problems)
    for scan in sorted(scans, key=lambda scan: (scan.scan_id, str(scan.image))):
        if scan.scan_id in kept:
            text = f"Two scans have the id {scan.scan_id}: {kept[scan.scan_id].image} and {scan.image}. Rename one."
            problems.append(Problem(scan.scan_id, "duplicate", text))
        else:
            kept[scan.scan_id] = scan
    return Listing(tuple(kept.values()), tuple(sorted(problems, key=lambda p: (p.scan_id, p.code, p.message))))
