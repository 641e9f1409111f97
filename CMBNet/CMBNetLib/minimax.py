"""Region growing for every tolerance at once, as one minimax flood.

A voxel joins the region grown from a seed with tolerance ``t`` exactly when some path from the seed reaches
it through voxels whose cost stays at or below ``t``. The smallest such ``t`` is the minimax path cost of the
voxel, and a priority queue hands voxels out in order of it (Prim's algorithm on vertex costs). Regions of
growing tolerance are therefore prefixes of one list, and no tolerance has to be tried.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# Half of the 18 neighbours that share a face or an edge; the other half is their negative. In-plane edges
# only would break symmetry for oblique veins, corners make one-voxel bridges into them.
FACES = ((0, 0, 1), (0, 1, 0), (1, 0, 0))
EDGES = ((0, 1, 1), (0, 1, -1), (1, 0, 1), (1, 0, -1), (1, 1, 0), (1, -1, 0))


@dataclass(frozen=True)
class Flood:
    """Voxels in the order in which a growing tolerance reaches them.

    Attributes
    ----------
    indices : np.ndarray
        (n,) flat indices into the flooded array, in order of joining.
    tolerance : np.ndarray
        (n,) smallest tolerance at which each of them belongs to the region; never decreases.
    shape : tuple of int
        Shape of the flooded array, ``[k, j, i]``.
    complete : bool
        False when the flood was stopped by ``max_voxels`` with voxels still in reach.
    """

    indices: np.ndarray
    tolerance: np.ndarray
    shape: tuple[int, int, int]
    complete: bool

    def count(self, tolerance: float) -> int:
        """Return the number of voxels in the region of that tolerance."""
        return int(np.searchsorted(self.tolerance, tolerance, side="right"))

    def region(self, count: int) -> np.ndarray:
        """Return the first ``count`` voxels as a bool array of shape ``self.shape``."""
        mask = np.zeros(self.shape, dtype=bool)
        mask.reshape(-1)[self.indices[:count]] = True
        return mask


def flood(cost: np.ndarray, seeds: Iterable[int], *, max_voxels: int | None = None, edges: bool = False) -> Flood:
    """Flood ``cost`` from ``seeds`` in order of minimax path cost.

    Parameters
    ----------
    cost : np.ndarray
        3D cost of each voxel; non-finite voxels are walls and are never entered.
    seeds : iterable of int
        Flat indices where the flood starts; seeds on a wall are passed over.
    max_voxels : int, optional
        Stop after that many voxels. The part that was flooded is exact whatever the limit.
    edges : bool
        Also step to the 12 neighbours that share only an edge (18-neighbourhood instead of 6).

    Returns
    -------
    Flood
        Empty when every seed is a wall.
    """
    walled = np.pad(np.asarray(cost, dtype=np.float64), 1, constant_values=np.inf)
    walled[~np.isfinite(walled)] = np.inf
    limit = cost.size if max_voxels is None else max_voxels
    inner_starts = np.unravel_index(np.fromiter(seeds, dtype=np.int64), cost.shape)
    starts = np.ravel_multi_index(tuple(axis + 1 for axis in inner_starts), walled.shape).tolist()
    order, reached, complete = _pop_in_order(walled.ravel().tolist(), starts, _steps(walled.shape, edges), limit)
    inner = np.unravel_index(np.asarray(order, dtype=np.int64), walled.shape)
    flat = np.ravel_multi_index(tuple(axis - 1 for axis in inner), cost.shape)
    k, j, i = cost.shape
    return Flood(flat, np.asarray(reached, dtype=np.float64), (k, j, i), complete)


def _steps(shape: tuple[int, ...], edges: bool) -> list[int]:
    """Return the flat offsets of the neighbourhood in an array of that shape."""
    strides = (shape[1] * shape[2], shape[2], 1)
    half = [sum(s * d for s, d in zip(strides, step, strict=True)) for step in (FACES + EDGES if edges else FACES)]
    return half + [-step for step in half]


def _pop_in_order(
    cost: list[float], starts: list[int], steps: list[int], limit: int
) -> tuple[list[int], list[float], bool]:
    """Pop voxels from a priority queue; plain lists because scalar access to numpy arrays is 5 times slower."""
    wall = float("inf")
    heap = [(cost[start], start) for start in dict.fromkeys(starts) if cost[start] != wall]
    for _, start in heap:
        cost[start] = wall
    heapq.heapify(heap)
    order: list[int] = []
    reached: list[float] = []
    level = -wall
    push, pop = heapq.heappush, heapq.heappop
    while heap and len(order) < limit:
        value, voxel = pop(heap)
        level = max(level, value)
        order.append(voxel)
        reached.append(level)
        for step in steps:
            neighbour = voxel + step
            value = cost[neighbour]
            if value != wall:
                cost[neighbour] = wall
                push(heap, (value, neighbour))
    return order, reached, not heap
