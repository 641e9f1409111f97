"""One way into every kind of file that says where lesions are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from CMBNetLib.errors import InputError
from CMBNetLib.volume import Grid

from .detection_files import read_detection
from .lesion_images import IMAGE_SUFFIXES, is_image, lesions_of, read_sparse_image
from .lesion_points import read_point_list
from .lesions import LesionSet
from .reading_lesions import READINGS_SUFFIX, is_readings, read_mimics, read_reading_lesions
from .rules import MatchingRule

SUFFIXES = (*IMAGE_SUFFIXES, ".csv", ".tsv", ".json", READINGS_SUFFIX)


@dataclass(frozen=True)
class Prediction:
    """What a detector said about one scan.

    Attributes
    ----------
    called
        What it calls microbleeds at its operating point.
    ranked
        All it proposed, with scores; None where there are no scores, so that there is only the operating point.
    """

    called: LesionSet
    ranked: LesionSet | None


def read_prediction(
    path: Path, rule: MatchingRule, *, floor: float = 0.1, threshold: float | None = None
) -> Prediction:
    """Read a prediction of any kind.

    Parameters
    ----------
    floor
        Voxels of probability maps from here on form the candidates of the FROC.
    threshold
        Candidates with scores are called from here on; by default what a detection file says, everything in a
        point list, and the rule's threshold for a probability map.

    Raises
    ------
    InputError
        The file is missing, damaged or of an unknown kind.
    """
    name = path.name.lower()
    if name.endswith(".json"):
        candidates, called = read_detection(path)
        return _by_score(candidates, called, threshold)
    if is_image(path):
        image = read_sparse_image(path)
        limit = rule.probability_threshold if threshold is None else threshold
        found = lesions_of(image, rule, limit)
        if image.kind != "probability":
            return Prediction(found, _nothing_ranked(found))
        return Prediction(found, lesions_of(image, rule, min(floor, limit)))
    points = _read_points(path)
    everything = np.ones(len(points), dtype=bool)
    if not np.isfinite(points.scores).any():
        return Prediction(points, _nothing_ranked(points))
    return _by_score(points, everything, threshold)


def read_reference(path: Path, rule: MatchingRule, grid: Grid | None = None) -> LesionSet:
    """Read reference lesions: a mask, label map, point list, detection file (its microbleeds) or readings file.

    Parameters
    ----------
    grid
        Of the scan, for outlines in readings files.

    Raises
    ------
    InputError
        The file is missing, damaged or of an unknown kind.
    """
    if is_readings(path):
        return read_reading_lesions(path, grid)
    if path.name.lower().endswith(".json"):
        candidates, called = read_detection(path)
        return candidates.subset(called)
    if is_image(path):
        return lesions_of(read_sparse_image(path), rule, rule.probability_threshold)
    return _read_points(path)


def read_decoys(path: Path, rule: MatchingRule) -> LesionSet:
    """Read known mimics: a readings file (what it rejects), a point list with the column mimic, or a mask."""
    return read_mimics(path) if is_readings(path) else read_reference(path, rule)


def _read_points(path: Path) -> LesionSet:
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        raise InputError(f"{path.name} is of no kind that holds lesions; known are {', '.join(SUFFIXES)}.")
    return read_point_list(path)


def _nothing_ranked(found: LesionSet) -> LesionSet | None:
    """Nothing proposed is a full ranking without scores; anything proposed without a score is none."""
    return None if len(found) else found


def _by_score(candidates: LesionSet, called: np.ndarray, threshold: float | None) -> Prediction:
    scores = np.nan_to_num(candidates.scores, nan=0.0)
    ranked = replace(candidates, scores=scores)
    return Prediction(ranked.subset(called if threshold is None else scores >= threshold), ranked)
