"""Reading the files of a case, ahead of the reader and away from the main thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .errors import CMBNetError, InputError
from .reading_events import Point
from .review_candidates import (
    NO_CANDIDATES,
    CandidateSource,
    candidates_of_detection,
    check_same_grid,
    masks_from_labels,
)
from .volume import Volume
from .volume import read_labels as read_label_file
from .volume import read_volume as read_scan_file
from .worklist import Case

if TYPE_CHECKING:
    from .anatomy import Anatomy

# Enough voxels for percentiles to 0.1 %, few enough to take milliseconds.
_SAMPLE = 200_000
# Darker than this share of the range is air.
_AIR_SHARE = 0.1
T = TypeVar("T")


@dataclass
class LoadedCase:
    """Everything of a case that the room shows.

    Attributes
    ----------
    case : Case
    scan : Volume
    second, prior, reference : Volume or None
        Reference is a label map on the scan's grid.
    source : CandidateSource
    fingerprint : str
        Of the scan, for the readings file.
    range : tuple of float
        Intensities to show as black and white.
    problems : list of str
        What could not be read and is left out.
    """

    case: Case
    scan: Volume
    source: CandidateSource = NO_CANDIDATES
    second: Volume | None = None
    prior: Volume | None = None
    reference: Volume | None = None
    fingerprint: str = ""
    range: tuple[float, float] = (0.0, 1.0)
    problems: list[str] = field(default_factory=list)


SourceReader = Callable[[Case, Volume], CandidateSource]


def read_case(case: Case, read_source: SourceReader | None = None) -> LoadedCase:
    """Read the files of a case; only the scan itself must be readable.

    Parameters
    ----------
    read_source : callable, optional
        Gives the candidates; `detected_candidates` by default.

    Raises
    ------
    InputError
        The scan cannot be read.
    """
    scan = read_scan_file(case.image)
    loaded = LoadedCase(case, scan, fingerprint=scan.fingerprint(), range=display_range(scan.array))
    loaded.problems += [str(text) for text in scan.metadata.get("warnings", [])]
    loaded.second = _optional(loaded, "second volume", lambda: read_scan_file(case.second) if case.second else None)
    loaded.prior = _optional(loaded, "prior", lambda: read_scan_file(case.prior) if case.prior else None)
    loaded.reference = _optional(loaded, "reference", lambda: _reference(case, scan))
    source = _optional(loaded, "candidates", lambda: (read_source or detected_candidates)(case, scan))
    loaded.source = source or NO_CANDIDATES
    return loaded


def detected_candidates(case: Case, scan: Volume) -> CandidateSource:
    """Return what our detector found for a case; no candidates if it has not run.

    Raises
    ------
    InputError
        The detection file is damaged, of another scan, or its candidate map is not on the scan's grid.
    """
    if not case.detection.exists():
        return NO_CANDIDATES
    from .detection_file import read_detection

    content = read_detection(case.detection)
    if content["scan"]["fingerprint"] != scan.fingerprint():
        raise InputError(f"{case.detection.name} was made on another scan than {case.image.name}. Detect again.")
    name = content["files"].get("candidates")
    masks = {}
    if name:
        labels = read_label_file(case.detection.with_name(name))
        masks = masks_from_labels(labels, scan, f"The candidate map {name}")
    return candidates_of_detection(content, masks)


def display_range(array: np.ndarray) -> tuple[float, float]:
    """Return intensities to show as black and white: the least, and nearly the largest of what is not air.

    Air is half of most scans; a percentile of all voxels would show the brain too bright.
    """
    flat = array.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    low, high = np.percentile(sample[np.isfinite(sample)], (0.0, 99.5))
    tissue = sample[sample > low + _AIR_SHARE * (high - low)]
    if tissue.size:
        high = np.percentile(tissue, 99.8)
    return float(low), float(max(high, low + 1e-6))


class CaseLoader:
    """Reads cases in a thread and keeps a few of them.

    Parameters
    ----------
    read : callable
        Case -> `LoadedCase`; may raise `CMBNetError`.
    """

    def __init__(self, read: Callable[[Case], LoadedCase] = read_case) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="cases")
        self._anatomy_pool = ThreadPoolExecutor(1, thread_name_prefix="anatomy")
        self._futures: dict[str, Future[LoadedCase]] = {}
        self._anatomy: dict[str, Future[Anatomy]] = {}
        self._guard = threading.Lock()

    @property
    def kept(self) -> tuple[str, ...]:
        """Case ids that are read or being read."""
        return tuple(self._futures)

    @property
    def busy(self) -> bool:
        """True while a thread works."""
        waiting = [future.done() for future in self._futures.values()]
        return not all(waiting + [future.done() for future in self._anatomy.values()])

    def ready(self, case: Case) -> bool:
        """True if `get` would answer at once."""
        future = self._futures.get(case.case_id)
        return future is not None and future.done()

    def get(self, case: Case) -> LoadedCase:
        """Return a case, waiting for it if it must; `CMBNetError` if it cannot be read."""
        future = self._begin(case)
        try:
            return future.result()
        except (CMBNetError, OSError):
            self.forget(case.case_id)  # the file may be mended before the next try
            raise

    def keep(self, cases: Iterable[Case]) -> None:
        """Read these cases ahead, in this order, and let go of all others."""
        wanted = {case.case_id: case for case in cases}
        for case_id in [case_id for case_id in self._futures if case_id not in wanted]:
            self.forget(case_id)
        for case in wanted.values():
            if case.image.exists():
                self._begin(case)

    def forget(self, case_id: str) -> None:
        """Let go of a case."""
        reading, finding = self._futures.pop(case_id, None), self._anatomy.pop(case_id, None)
        if reading is not None:
            reading.cancel()
        if finding is not None:
            finding.cancel()

    def locate(self, loaded: LoadedCase, point_ras: Point) -> str | None:
        """Return the region of a point, or None while the anatomy of the scan is not known yet."""
        self.begin_anatomy(loaded)
        future = self._anatomy[loaded.case.case_id]
        if not future.done() or future.exception() is not None:
            return None
        from .location import locate

        return locate(np.array([point_ras]), future.result())[0].structure

    def begin_anatomy(self, loaded: LoadedCase) -> None:
        """Find the anatomy of a case in a thread of its own: it takes seconds, and the next case must not wait."""
        from .anatomy import find_anatomy

        if loaded.case.case_id not in self._anatomy:
            self._anatomy[loaded.case.case_id] = self._anatomy_pool.submit(find_anatomy, loaded.scan)

    def close(self) -> None:
        """Let go of everything and end the thread."""
        for case_id in {*self._futures, *self._anatomy}:
            self.forget(case_id)
        for pool in (self._pool, self._anatomy_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, case: Case) -> Future[LoadedCase]:
        with self._guard:
            if case.case_id not in self._futures:
                self._futures[case.case_id] = self._pool.submit(self._read, case)
            return self._futures[case.case_id]


def _optional(loaded: LoadedCase, what: str, read: Callable[[], T | None]) -> T | None:
    try:
        return read()
    except CMBNetError as error:
        loaded.problems.append(f"The {what} is left out: {error}")
        return None


def _reference(case: Case, scan: Volume) -> Volume | None:
    if case.reference is None:
        return None
    labels = read_label_file(case.reference)
    check_same_grid(labels, scan, f"The reference {case.reference.name}")
    return labels
