"""Candidates as the review room shows them, whatever tool they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .errors import InputError
from .reading_events import Point
from .reading_mask import ReadingMask
from .reading_state import Finding
from .volume import Volume

# A tenth of a voxel is rounding in a header, not another grid.
_SAME_WITHIN_VOXELS = 0.1


@dataclass(frozen=True)
class ReviewCandidate:
    """One proposal: its id in the source, place, score, outline, and the anatomical structure it lies in.

    `anatomy` is a region or structure as `location` names them; None where the source does not say.
    """

    id: int
    point_ras: Point
    score: float | None = None
    mask: ReadingMask | None = None
    anatomy: str | None = None
    side: str | None = None


@dataclass(frozen=True)
class CandidateSource:
    """The candidates of one tool for one scan.

    Attributes
    ----------
    name : str
        Names tool and version, e.g. ``"cmbnet-preview sha256:12ab..."``; stored with the readings, because candidate
        ids mean nothing without it.
    candidates : tuple of ReviewCandidate
        In the order in which they are shown.
    """

    name: str
    candidates: tuple[ReviewCandidate, ...] = ()
    by_id: Mapping[int, ReviewCandidate] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_id = {candidate.id: candidate for candidate in self.candidates}
        if len(by_id) != len(self.candidates):
            raise InputError(f"{self.name} uses a candidate id twice; every candidate needs its own.")
        object.__setattr__(self, "by_id", by_id)

    @property
    def shown_ids(self) -> tuple[int, ...]:
        """Candidate ids in the order in which they are shown."""
        return tuple(candidate.id for candidate in self.candidates)

    def complete(self, found: Finding) -> Finding:
        """Return a finding with the position and outline of its candidate where the reader said nothing."""
        candidate = self.by_id.get(found.candidate) if found.candidate is not None else None
        if candidate is None:
            return found
        if found.source_ras is None:
            found = replace(found, source_ras=candidate.point_ras)
        if found.mask is None and not found.outline_removed:
            found = replace(found, mask=candidate.mask)
        return found


NO_CANDIDATES = CandidateSource("none")


def check_same_grid(labels: Volume, scan: Volume, what: str) -> None:
    """Refuse a mask that is not on the scan's grid.

    Raises
    ------
    InputError
        Another size, or a voxel lies elsewhere by more than a tenth of a voxel.
    """
    sizes = [" x ".join(str(n) for n in volume.shape_ijk) for volume in (labels, scan)]
    if labels.shape_ijk != scan.shape_ijk:
        raise InputError(
            f"{what} has {sizes[0]} voxels and the scan {sizes[1]}. It is not resampled, since that would change the "
            "outlines: make it on the scan's own grid."
        )
    i, j, k = (n - 1 for n in scan.shape_ijk)
    corners = np.array([(0, 0, 0), (i, 0, 0), (0, j, 0), (0, 0, k), (i, j, k)], dtype=float)
    shift = np.linalg.norm(labels.ras_from_ijk(corners) - scan.ras_from_ijk(corners), axis=1).max()
    if shift > _SAME_WITHIN_VOXELS * min(scan.spacing_mm):
        raise InputError(
            f"{what} lies up to {shift:.2f} mm off the scan's grid. It is not resampled, since that would change the "
            "outlines: make it on the scan's own grid."
        )


def voxel_offset(ijk_to_ras: np.ndarray, scan: Volume, what: str) -> tuple[int, int, int]:
    """Return by how many voxels (i, j, k) a grid with the scan's axes and voxels is shifted against the scan's.

    Raises
    ------
    InputError
        Other axes or voxels, or a shift that is no whole number of voxels.
    """
    relative = np.linalg.inv(scan.ijk_to_ras) @ ijk_to_ras
    # Over the length of the scan a small turn or scale grows to a shift.
    turned = np.abs(relative[:3, :3] - np.eye(3)) @ np.asarray(scan.shape_ijk, dtype=float)
    shift = relative[:3, 3]
    if max(turned.max(), np.abs(shift - np.rint(shift)).max()) > _SAME_WITHIN_VOXELS:
        raise InputError(
            f"{what} is not on the scan's grid. It is not resampled, since that would change the outlines: make it on "
            "the scan's own grid."
        )
    i, j, k = (int(value) for value in np.rint(shift))
    return i, j, k


def check_inside(mask: ReadingMask, scan: Volume, what: str) -> None:
    """Refuse an outline that reaches outside the scan (:class:`InputError`)."""
    if any(edge.start < 0 or edge.stop > size for edge, size in zip(mask.box(), scan.array.shape, strict=True)):
        raise InputError(f"{what} reaches outside the scan.")


def masks_from_labels(labels: Volume, scan: Volume, what: str, method: str = "candidate") -> dict[int, ReadingMask]:
    """Return the outline of every label of a label map on the scan's grid.

    Raises
    ------
    InputError
        The label map is on another grid.
    """
    from scipy import ndimage

    check_same_grid(labels, scan, what)
    array = labels.array.astype(np.int32, copy=False)
    masks = {}
    for index, box in enumerate(ndimage.find_objects(array), start=1):
        if box is not None:
            offset = (box[2].start, box[1].start, box[0].start)
            masks[index] = ReadingMask.from_array(array[box] == index, method, offset_ijk=offset)
    return masks


def candidates_of_detection(
    content: Mapping[str, Any], masks: Mapping[int, ReadingMask], threshold: float | None = None
) -> CandidateSource:
    """Return the candidates of a detection file (`detection_file.read_detection`) from a score on.

    Parameters
    ----------
    content : mapping
        The detection file.
    masks : mapping
        Candidate id -> outline.
    threshold : float, optional
        Candidates below it are left out; by default all are shown.
    """
    model = content["model"]
    least = content["floor_threshold"] if threshold is None else threshold
    entries = [entry for entry in content["candidates"] if entry["score"] >= least]
    digest = str(model.get("sha256", "")).removeprefix("sha256:")[:16]
    name = f"{model.get('id')} {model.get('version')} sha256:{digest}"
    return CandidateSource(name, tuple(_candidate(entry, masks) for entry in sorted(entries, key=_by_score)))


def _by_score(entry: Mapping[str, Any]) -> tuple[float, int]:
    return -float(entry["score"]), int(entry["id"])


def _candidate(entry: Mapping[str, Any], masks: Mapping[int, ReadingMask]) -> ReviewCandidate:
    x, y, z = entry["center_ras"]
    number = int(entry["id"])
    point = (float(x), float(y), float(z))
    return ReviewCandidate(
        number, point, float(entry["score"]), masks.get(number), entry.get("region"), entry.get("side")
    )
