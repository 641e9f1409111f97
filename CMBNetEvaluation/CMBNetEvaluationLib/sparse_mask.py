"""Voxels of small lesions in a large image, kept as sorted flat indices instead of arrays of the image's size.

A scan of 400 x 400 x 150 voxels holds 24 million voxels and a few thousand lesion voxels; everything after
reading works on those few thousand.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Shape = tuple[int, int, int]
CONNECTIVITIES = (6, 18, 26)
# Above this a dense labelling is faster than the search of neighbours; only broken predictions get there.
_DENSE_FROM = 3_000_000


def nonzero_voxels(array: np.ndarray) -> np.ndarray:
    """Sorted flat indices (C order) of the voxels of ``array`` that are not zero."""
    flat = np.ascontiguousarray(array).ravel()
    # One comparison of eight bytes skips eight empty voxels of a byte mask at once.
    step = 64 // flat.dtype.itemsize
    whole = flat.size - flat.size % step
    blocks = flat[:whole].view(np.uint64).reshape(-1, 8)
    filled = np.flatnonzero(np.bitwise_or.reduce(blocks, axis=1))
    inside = (filled[:, None] * step + np.arange(step)).ravel()
    inside = inside[flat[inside] != 0]
    rest = whole + np.flatnonzero(flat[whole:])
    return np.concatenate([inside, rest]).astype(np.int64)


def coordinates(voxels: np.ndarray, shape: Shape) -> np.ndarray:
    """(V, 3) array positions in the order k, j, i of flat indices into an array of ``shape``."""
    return np.stack(np.unravel_index(voxels, shape), axis=1).astype(np.int64)


def offsets(connectivity: int) -> list[tuple[int, int, int]]:
    """Half of the neighbour steps (k, j, i) of a 6-, 18- or 26-neighbourhood; the other half mirrors it."""
    if connectivity not in CONNECTIVITIES:
        raise ValueError(f"connectivity is one of {CONNECTIVITIES}, not {connectivity}")
    most = {6: 1, 18: 2, 26: 3}[connectivity]
    steps = [step for step in product((-1, 0, 1), repeat=3) if 0 < sum(map(abs, step)) <= most]
    return [(k, j, i) for k, j, i in steps if (k, j, i) > (0, 0, 0)]


def neighbour_positions(
    voxels: np.ndarray, position_ijk: np.ndarray, shape: Shape, step: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (a, b) of places in the sorted ``voxels`` where voxel b is voxel a moved by ``step`` (k, j, i).

    ``position_ijk`` are the `coordinates` of the voxels; they stop a step from wrapping round a row's end.
    """
    moved = position_ijk + np.asarray(step)
    inside = np.flatnonzero(((moved >= 0) & (moved < np.asarray(shape))).all(axis=1))
    target = voxels[inside] + (step[0] * shape[1] + step[1]) * shape[2] + step[2]
    place = np.searchsorted(voxels, target)
    place[place == len(voxels)] = 0
    found = voxels[place] == target
    return inside[found], place[found]


def label_components(
    voxels: np.ndarray, shape: Shape, connectivity: int, values: np.ndarray | None = None
) -> np.ndarray:
    """Component number 0, 1, ... of each voxel, numbered in the order in which components first appear.

    Parameters
    ----------
    voxels
        Sorted flat indices into an array of ``shape``.
    connectivity
        6, 18 or 26 neighbours.
    values
        If given, only neighbours of the same value join.
    """
    if len(voxels) == 0:
        return np.zeros(0, dtype=np.int64)
    if len(voxels) > _DENSE_FROM and values is None:
        return _in_order_of_appearance(_dense_labels(voxels, shape, connectivity))
    position = coordinates(voxels, shape)
    edges = [neighbour_positions(voxels, position, shape, step) for step in offsets(connectivity)]
    first = np.concatenate([a for a, _ in edges])
    second = np.concatenate([b for _, b in edges])
    if values is not None:
        same = values[first] == values[second]
        first, second = first[same], second[same]
    graph = coo_matrix((np.ones(len(first), dtype=bool), (first, second)), shape=(len(voxels), len(voxels)))
    return _in_order_of_appearance(connected_components(graph, directed=False)[1])


def surface_voxels(voxels: np.ndarray, shape: Shape, owner: np.ndarray | None = None) -> np.ndarray:
    """True for each voxel of which at least one of the six neighbours is not in the set (or not in the image).

    With ``owner``, the lesion of each voxel, neighbours of another lesion are not in the set.
    """
    position = coordinates(voxels, shape)
    inner = np.zeros(len(voxels), dtype=np.int64)
    for step in offsets(6):
        first, second = neighbour_positions(voxels, position, shape, step)
        if owner is not None:
            same = owner[first] == owner[second]
            first, second = first[same], second[same]
        inner[first] += 1
        inner[second] += 1
    return inner < 6


def _dense_labels(voxels: np.ndarray, shape: Shape, connectivity: int) -> np.ndarray:
    from scipy import ndimage

    mask = np.zeros(shape, dtype=bool)
    mask.ravel()[voxels] = True
    structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    return ndimage.label(mask, structure)[0].ravel()[voxels]


def _in_order_of_appearance(labels: np.ndarray) -> np.ndarray:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse.ravel()]
