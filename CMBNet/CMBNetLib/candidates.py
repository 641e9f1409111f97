"""Candidates: what the detector proposes, each with its score."""

from __future__ import annotations

from dataclasses import dataclass

from .location import Location
from .shape import LesionShape


@dataclass(frozen=True)
class Candidate:
    """One component the detector proposes.

    Attributes
    ----------
    id : int
        1..N by descending score, so that the microbleeds at any threshold are the ids 1..n.
    score : float
        0 to 1.
    center_ras : (x, y, z)
        Centre in RAS millimetres.
    n_voxels : int
        Size on the scan's grid.
    shape : LesionShape, optional
        Size and form.
    location : Location, optional
        Zone, region and side.
    """

    id: int
    score: float
    center_ras: tuple[float, float, float]
    n_voxels: int
    shape: LesionShape | None = None
    location: Location | None = None
