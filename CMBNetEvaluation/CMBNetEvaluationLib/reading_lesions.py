"""Lesions from what a reader decided: microbleeds, uncertain findings and named mimics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from CMBNetLib.reading_state import Finding, ReadingState
from CMBNetLib.readings import read_readings
from CMBNetLib.volume import Grid

from .lesions import LesionSet, array_shape, lesions_from_points

READINGS_SUFFIX = ".jsonl"


def read_reading_lesions(path: Path, grid: Grid | None = None) -> LesionSet:
    """The microbleeds of a readings file; findings the reader was unsure of are ignored lesions.

    Parameters
    ----------
    grid
        Of the scan that was read. With it, outlines count as masks where every finding has one.
    """
    return lesions_from_state(read_readings(Path(path)).state, grid)


def read_mimics(path: Path) -> LesionSet:
    """The findings a reader rejected, each with its mimic in its attributes."""
    state = read_readings(Path(path)).state
    return _lesions(_placed(state, lambda found: found.verdict == "not"), None)


def lesions_from_state(state: ReadingState, grid: Grid | None = None) -> LesionSet:
    """The lesions of a reading state; see `read_reading_lesions`."""
    return _lesions(_placed(state, lambda found: found.verdict in ("microbleed", "unsure")), grid)


def _placed(state: ReadingState, wanted: Callable[[Finding], bool]) -> list[Finding]:
    """Findings that are wanted and whose place is known, in the order of the state."""
    return [
        found for found in state.findings.values() if found.present and found.position_ras is not None and wanted(found)
    ]


def _lesions(findings: Sequence[Finding], grid: Grid | None) -> LesionSet:
    points = np.array([found.position_ras for found in findings], dtype=float).reshape(-1, 3)
    attributes = [_attributes(found) for found in findings]
    ids = [found.candidate if found.candidate is not None else 0 for found in findings]
    # Added points have no candidate id; they are numbered after the candidates.
    first_free = max(ids, default=0) + 1
    added = iter(range(first_free, first_free + len(ids)))
    ids = [number or next(added) for number in ids]
    lesions = lesions_from_points(points, ids=ids, attributes=attributes)
    lesions = replace(lesions, ignore=np.array([found.verdict == "unsure" for found in findings], dtype=bool))
    if grid is None or not findings or any(found.mask is None for found in findings):
        return lesions
    return _with_outlines(lesions, findings, grid)


def _attributes(found: Finding) -> dict[str, str]:
    values = {"key": found.key, "region": found.region, "mimic": found.mimic, "certainty": found.certainty}
    return {name: value for name, value in values.items() if value}


def _with_outlines(lesions: LesionSet, findings: Sequence[Finding], grid: Grid) -> LesionSet:
    shape = array_shape(grid)
    parts = []
    for found in findings:
        assert found.mask is not None
        positions = np.argwhere(found.mask.array()) + np.asarray(found.mask.offset_ijk)[::-1]
        inside = ((positions >= 0) & (positions < shape)).all(axis=1)
        parts.append(np.ravel_multi_index(tuple(positions[inside].T), shape).astype(np.int64))
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    voxels, first = np.unique(np.concatenate(parts), return_index=True)
    return replace(lesions, grid=grid, voxels=voxels, owner=owner[first], from_points=False)


def is_readings(path: Path) -> bool:
    """True if the name ends like a readings file."""
    return path.name.lower().endswith(READINGS_SUFFIX)
