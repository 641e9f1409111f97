"""The lesions of one scan from one source: their voxels, centres, scores and what is known about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from CMBNetLib.volume import Grid, transform_points

from .sparse_mask import coordinates, label_components


@dataclass(frozen=True, eq=False)
class LesionSet:
    """Lesions 0..N-1 of one scan.

    Attributes
    ----------
    grid
        Where the voxels lie; None for points of which no image is known.
    voxels
        (V,) flat indices (C order of ``[k, j, i]``) of all lesion voxels, sorted.
    owner
        (V,) lesion number of each voxel.
    centers_ras
        (N, 3) centres of mass, or the points themselves (RAS mm).
    ids
        (N,) label or candidate id in the source.
    scores
        (N,) 0..1, NaN where the source gave none.
    ignore
        (N,) lesions that count neither as found nor as missed (uncertain, sub-visible).
    from_points
        True where the lesions are points: their one voxel is a place, not an extent.
    attributes
        One dict a lesion: zone, region, mimic and whatever else the source knew.
    """

    grid: Grid | None
    voxels: np.ndarray
    owner: np.ndarray
    centers_ras: np.ndarray
    ids: np.ndarray
    scores: np.ndarray
    ignore: np.ndarray
    from_points: bool = False
    attributes: tuple[dict[str, Any], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_voxels(self) -> np.ndarray:
        """(N,) voxels of each lesion."""
        return np.bincount(self.owner, minlength=len(self))

    @property
    def volumes_mm3(self) -> np.ndarray:
        """(N,) volume of each lesion; NaN for points."""
        if self.from_points or self.grid is None:
            return np.full(len(self), np.nan)
        return self.n_voxels * abs(np.linalg.det(self.grid.ijk_to_ras[:3, :3]))

    @property
    def diameters_mm(self) -> np.ndarray:
        """(N,) diameter of the ball of the same volume; NaN for points."""
        return np.cbrt(6.0 * self.volumes_mm3 / np.pi)

    def elongations(self) -> np.ndarray:
        """(N,) sqrt(second / largest variance) of the voxel centres in mm, 1 for round (as PyRadiomics names it).

        NaN for points and for lesions of a single line of voxels or less, where the ratio says nothing.
        """
        ratios = np.full(len(self), np.nan)
        if self.from_points or self.grid is None or not len(self.voxels):
            return ratios
        for number, points in enumerate(self.points_by_lesion()):
            if len(points) >= 3:
                _least, minor, major = np.linalg.eigvalsh(np.cov(points.T, bias=True))
                if minor > 1e-9 * max(major, 1e-12):
                    ratios[number] = np.sqrt(minor / major)
        return ratios

    def points_by_lesion(self) -> list[np.ndarray]:
        """RAS positions (n, 3) in mm of the voxel centres of each lesion."""
        if self.grid is None:
            return [np.zeros((0, 3)) for _ in range(len(self))]
        points = transform_points(self.grid.ijk_to_ras, self.positions_kji()[:, ::-1])
        order = np.argsort(self.owner, kind="stable")
        return np.split(points[order], np.cumsum(self.n_voxels)[:-1]) if len(self) else []

    def positions_kji(self) -> np.ndarray:
        """(V, 3) array positions k, j, i of all voxels."""
        return coordinates(self.voxels, array_shape(self.grid))

    def subset(self, keep: np.ndarray) -> LesionSet:
        """The lesions where the (N,) mask ``keep`` is True, numbered anew."""
        keep = np.asarray(keep, dtype=bool)
        number = np.cumsum(keep) - 1
        voxel_kept = keep[self.owner] if len(self.owner) else np.zeros(0, dtype=bool)
        attributes = tuple(entry for entry, kept in zip(self.attributes, keep, strict=True) if kept)
        return replace(
            self,
            voxels=self.voxels[voxel_kept],
            owner=number[self.owner[voxel_kept]],
            centers_ras=self.centers_ras[keep],
            ids=self.ids[keep],
            scores=self.scores[keep],
            ignore=self.ignore[keep],
            attributes=attributes,
        )


def array_shape(grid: Grid | None) -> tuple[int, int, int]:
    """Shape (k, j, i) of an array on ``grid``; nothing fits on no grid."""
    if grid is None:
        return 0, 0, 0
    i, j, k = grid.shape_ijk
    return k, j, i


def no_lesions(grid: Grid | None = None, from_points: bool = False) -> LesionSet:
    """An empty set: nothing was found, or nothing is there."""
    nothing = np.zeros(0, dtype=np.int64)
    return LesionSet(
        grid, nothing, nothing, np.zeros((0, 3)), nothing, np.zeros(0), np.zeros(0, dtype=bool), from_points
    )


def lesions_from_voxels(
    grid: Grid,
    voxels: np.ndarray,
    owner: np.ndarray,
    ids: Sequence[int] | np.ndarray | None = None,
    scores: np.ndarray | None = None,
) -> LesionSet:
    """Lesions whose voxels are known; centres are centres of mass.

    Parameters
    ----------
    voxels
        (V,) sorted flat indices on ``grid``.
    owner
        (V,) lesion number 0..N-1 of each voxel; each number occurs.
    ids
        (N,) names of the lesions, 1..N if left out.
    scores
        (N,) scores, unknown if left out.
    """
    count = int(owner.max()) + 1 if len(owner) else 0
    position = coordinates(voxels, array_shape(grid))
    weight = np.maximum(np.bincount(owner, minlength=count), 1)
    # + 0.0: the mean of an axis may be -0.0, which prints differently from 0.0
    means = [np.bincount(owner, position[:, axis], minlength=count) / weight + 0.0 for axis in (2, 1, 0)]
    centers = transform_points(grid.ijk_to_ras, np.stack(means, axis=1)) if count else np.zeros((0, 3))
    return LesionSet(
        grid,
        voxels,
        owner.astype(np.int64),
        centers,
        np.arange(1, count + 1) if ids is None else np.asarray(ids, dtype=np.int64),
        np.full(count, np.nan) if scores is None else np.asarray(scores, dtype=float),
        np.zeros(count, dtype=bool),
        attributes=tuple({} for _ in range(count)),
    )


def lesions_from_mask(grid: Grid, voxels: np.ndarray, connectivity: int) -> LesionSet:
    """One lesion for each connected component of the ``voxels`` (sorted flat indices)."""
    return lesions_from_voxels(grid, voxels, label_components(voxels, array_shape(grid), connectivity))


def lesions_from_points(
    points_ras: np.ndarray,
    grid: Grid | None = None,
    ids: Sequence[int] | np.ndarray | None = None,
    scores: np.ndarray | None = None,
    attributes: Sequence[dict[str, Any]] | None = None,
) -> LesionSet:
    """Lesions of which only a place is known, (N, 3) RAS mm; scores are unknown if left out."""
    points = np.asarray(points_ras, dtype=float).reshape(-1, 3)
    count = len(points)
    lesions = LesionSet(
        None,
        np.zeros(0, dtype=np.int64),
        np.zeros(0, dtype=np.int64),
        points,
        np.arange(1, count + 1) if ids is None else np.asarray(ids, dtype=np.int64),
        np.full(count, np.nan) if scores is None else np.asarray(scores, dtype=float),
        np.zeros(count, dtype=bool),
        True,
        tuple({} for _ in range(count)) if attributes is None else tuple(attributes),
    )
    return place_points(lesions, grid) if grid is not None else lesions


def place_points(lesions: LesionSet, grid: Grid) -> LesionSet:
    """Give each point the voxel of ``grid`` it lies in; a point outside the image gets none.

    Two points in one voxel share it: the first keeps it, so that no voxel has two owners.
    """
    ijk = np.rint(transform_points(np.linalg.inv(grid.ijk_to_ras), lesions.centers_ras)).astype(np.int64)
    shape = np.asarray(grid.shape_ijk)
    inside = np.flatnonzero(((ijk >= 0) & (ijk < shape)).all(axis=1))
    flat = np.ravel_multi_index(tuple(ijk[inside][:, ::-1].T), array_shape(grid))
    voxels, first = np.unique(flat, return_index=True)
    return replace(lesions, grid=grid, voxels=voxels.astype(np.int64), owner=inside[first])
