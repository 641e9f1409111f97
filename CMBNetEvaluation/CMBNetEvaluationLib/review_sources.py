"""Candidates of any tool for the review room, through the readers that evaluation uses."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from CMBNetLib.reading_mask import ReadingMask
from CMBNetLib.review_candidates import CandidateSource, ReviewCandidate, check_same_grid
from CMBNetLib.review_loading import detected_candidates
from CMBNetLib.volume import Volume
from CMBNetLib.worklist import Case

from .lesion_sources import read_prediction
from .lesions import LesionSet
from .rules import MatchingRule


def read_candidates(case: Case, scan: Volume) -> CandidateSource:
    """Return the candidates of the file that the worklist names, else of our detector, else none.

    Raises
    ------
    InputError
        The file is damaged or of an unknown kind, or its outlines are not on the scan's grid.
    """
    return detected_candidates(case, scan) if case.candidates is None else candidates_of_file(case.candidates, scan)


def candidates_of_file(path: Path, scan: Volume) -> CandidateSource:
    """Return the candidates of a mask, label map, probability map, table of points or detection file."""
    prediction = read_prediction(path, MatchingRule())
    lesions = prediction.ranked if prediction.ranked is not None else prediction.called
    if lesions.grid is not None and not lesions.from_points:
        nothing = np.zeros(lesions.grid.shape_ijk[::-1], bool)
        check_same_grid(Volume(nothing, lesions.grid.ijk_to_ras), scan, path.name)
    name = f"{path.name} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    order = np.argsort(-np.nan_to_num(lesions.scores, nan=0.0), kind="stable")
    masks = _masks(lesions)
    return CandidateSource(name, tuple(_candidate(lesions, int(n), masks.get(int(n))) for n in order))


def _candidate(lesions: LesionSet, number: int, mask: ReadingMask | None) -> ReviewCandidate:
    score = float(lesions.scores[number])
    facts = lesions.attributes[number]
    x, y, z = (round(float(value), 4) for value in lesions.centers_ras[number])
    return ReviewCandidate(
        int(lesions.ids[number]),
        (x, y, z),
        score if np.isfinite(score) else None,
        mask,
        facts.get("region"),
        facts.get("side"),
    )


def _masks(lesions: LesionSet) -> dict[int, ReadingMask]:
    if lesions.grid is None or lesions.from_points or not len(lesions.voxels):
        return {}
    positions = lesions.positions_kji()
    masks = {}
    for number in range(len(lesions)):
        voxels = positions[lesions.owner == number]
        if len(voxels):
            low = voxels.min(axis=0)
            crop = np.zeros(voxels.max(axis=0) - low + 1, bool)
            crop[tuple((voxels - low).T)] = True
            offset = (int(low[2]), int(low[1]), int(low[0]))
            masks[number] = ReadingMask.from_array(crop, "imported", offset_ijk=offset)
    return masks
