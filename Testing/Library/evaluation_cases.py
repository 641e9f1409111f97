"""Small made-up cases for the tests of the evaluation: masks, points, and results with given counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from CMBNetEvaluationLib.lesions import LesionSet, lesions_from_mask, lesions_from_points, lesions_from_voxels
from CMBNetEvaluationLib.pairs import Pair
from CMBNetEvaluationLib.rules import MatchingRule
from CMBNetEvaluationLib.scan_evaluation import EvaluationSettings, compare
from CMBNetEvaluationLib.scan_result import Call, Ranking, ScanResult
from CMBNetEvaluationLib.sparse_mask import nonzero_voxels
from CMBNetLib.volume import Grid, Volume, write_volume

SHAPE = (24, 40, 40)  # k, j, i
SPACING = (1.0, 1.0, 2.0)  # i, j, k in mm


def a_grid(spacing_mm: Sequence[float] = SPACING, shape: tuple[int, int, int] = SHAPE) -> Grid:
    """Straight axes, voxel (0, 0, 0) at RAS 0."""
    k, j, i = shape
    return Grid((i, j, k), np.diag([*spacing_mm, 1.0]))


def boxes(*corners: tuple[Sequence[int], Sequence[int]], shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Label map of boxes 1, 2, ..., each from its first k, j, i over so many voxels."""
    labels = np.zeros(shape, np.uint16)
    for value, (start, size) in enumerate(corners, 1):
        labels[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = value
    return labels


def lesions(labels: np.ndarray, grid: Grid | None = None, scores: Sequence[float] | None = None) -> LesionSet:
    """One lesion for each label of an array."""
    voxels = nonzero_voxels(labels)
    ids, owner = np.unique(labels.ravel()[voxels], return_inverse=True)
    numbers = None if scores is None else np.asarray(scores, float)
    grid = grid or a_grid(shape=labels.shape)
    return lesions_from_voxels(grid, voxels, owner.ravel(), ids=ids.astype(np.int64), scores=numbers)


def components(mask: np.ndarray, connectivity: int = 26, grid: Grid | None = None) -> LesionSet:
    """One lesion for each component of an array."""
    return lesions_from_mask(grid or a_grid(shape=mask.shape), nonzero_voxels(mask), connectivity)


def points(*places: Sequence[float], scores: Sequence[float] | None = None) -> LesionSet:
    """Points at RAS mm."""
    numbers = None if scores is None else np.asarray(scores, float)
    return lesions_from_points(np.array(places, float).reshape(-1, 3), scores=numbers)


def compared(
    prediction: LesionSet, reference: LesionSet, rule: MatchingRule | None = None, scan_id: str = "scan", **pair: Any
) -> ScanResult:
    """The result of one scan; candidates with scores are ranked too."""
    settings = EvaluationSettings(rule or MatchingRule())
    ranked = prediction if np.isfinite(prediction.scores).all() else None
    about = Pair(scan_id, pair.pop("subject_id", scan_id), **pair)
    return compare(about, prediction, reference, settings, ranked=ranked)


def counted(tp: int, fp: int, fn: int, scan_id: str = "scan", **more: Any) -> ScanResult:
    """A result of which only the counts are known."""
    outcomes = ["TP"] * tp + ["FP"] * fp + ["FN"] * fn
    calls = tuple(Call(outcome, (0.0, 0.0, 0.0), reference_id=number) for number, outcome in enumerate(outcomes))
    subject = more.pop("subject_id", scan_id)
    return ScanResult(scan_id, subject, more.pop("attributes", {}), tp + fn, tp + fp, calls, **more)


def ranked(scan_id: str, scores: Sequence[float], true: Sequence[int], n_reference: int, **more: Any) -> ScanResult:
    """A result of which only the ranking is known: 1 is a find, 0 a false positive."""
    hits = np.asarray(true, bool)
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    ranking = Ranking(np.asarray(scores, float)[order], hits[order], ~hits[order])
    tp = int(hits.sum())
    result = counted(tp, len(hits) - tp, n_reference - tp, scan_id, **more)
    return ScanResult(**{**vars(result), "ranking": ranking})


def write_labels(path: Path, labels: np.ndarray, spacing_mm: Sequence[float] = SPACING) -> Path:
    """Write an array with straight axes; floats become a probability map."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_volume(Volume(labels, np.diag([*spacing_mm, 1.0])), path)


def write_points(path: Path, rows: Sequence[Sequence[Any]], header: str = "x,y,z") -> Path:
    """Write a point list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path
