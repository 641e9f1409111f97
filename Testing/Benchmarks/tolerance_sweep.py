"""The peer of the refinement benchmark: one flood fill per tolerance, as MicrobleedNet describes its region growing.

Written from the description of its rows 5 to 8: intensities in raw units, distances in voxels, eight sweeps of which
the largest result wins. `sweep_plainly` fills the way the description reads, on the arrays of the whole scan; `sweep`
gives the same answer on Python lists, fast enough to measure Dice with it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage
from scipy.signal import argrelextrema

RELATIVE_TOLERANCES = np.concatenate(
    [np.arange(0.001, 20, 0.05), np.arange(20, 100, 1.0), np.arange(100, 10000, 100.0)]
)
ABSOLUTE_TOLERANCES = np.arange(0.001, 100, 0.05)
STEPS_6 = [step for step in product((-1, 0, 1), repeat=3) if sum(map(abs, step)) == 1]
STEPS_26 = [step for step in product((-1, 0, 1), repeat=3) if any(step)]


@dataclass(frozen=True)
class Sweep:
    """One of the eight settings."""

    neighbours: int
    running_average: bool
    relative: bool

    @property
    def steps(self) -> list[tuple[int, int, int]]:
        return STEPS_6 if self.neighbours == 6 else STEPS_26

    @property
    def tolerances(self) -> np.ndarray:
        return RELATIVE_TOLERANCES if self.relative else ABSOLUTE_TOLERANCES


ALL_SWEEPS = [Sweep(*setting) for setting in product((6, 26), (False, True), (False, True))]


def limits(spacing_mm: tuple[float, float, float]) -> tuple[int, int]:
    """Voxels of a 5 mm sphere, and 10 mm over the smallest edge as a distance in voxels."""
    return int(4 / 3 * np.pi * 5**3 / np.prod(spacing_mm)), int(10 / min(spacing_mm))


def knee_of(x: np.ndarray, y: np.ndarray) -> float | None:
    """Kneedle (Satopää et al. 2011) for a convex increasing curve, sensitivity 1, not online."""
    if len(x) < 3 or y[-1] <= y[0]:
        return None
    x_normal = (x - x[0]) / (x[-1] - x[0])
    y_normal = (y - y.min()) / (y.max() - y.min())
    difference = np.flip(1 - y_normal) - x_normal
    maxima = argrelextrema(difference, np.greater_equal)[0]
    minima = set(argrelextrema(difference, np.less_equal)[0].tolist())
    thresholds = {int(m): difference[m] - np.abs(np.diff(x_normal).mean()) for m in maxima}
    if not thresholds:
        return None
    threshold, at = 0.0, 0
    for index in range(min(thresholds), len(x) - 1):
        if index in thresholds:
            threshold, at = thresholds[index], index
        if index in minima:
            threshold = 0.0
        if difference[index + 1] < threshold:
            return float(x[-(at + 1)])
    return None


def largest_of_all_sweeps(
    image: np.ndarray, seed: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> np.ndarray:
    """The mask of the sweep that gives the most voxels."""
    masks = [sweep(image, seed, spacing_mm, setting) for setting in ALL_SWEEPS]
    return max(masks, key=np.count_nonzero)


def sweep(
    image: np.ndarray, seed: tuple[int, int, int], spacing_mm: tuple[float, float, float], how: Sweep
) -> np.ndarray:
    """The mask of one sweep, on lists of a crop as far as the distance limit reaches."""
    size_limit, reach = limits(spacing_mm)
    window = tuple(slice(max(0, s - reach), s + reach + 1) for s in seed)
    start = tuple(s - w.start for s, w in zip(seed, window, strict=True))
    padded = np.pad(np.asarray(image[window], dtype=float), 1)
    axes = np.meshgrid(*(np.arange(n) - s - 1 for n, s in zip(padded.shape, start, strict=True)), indexing="ij")
    open_voxels = np.sqrt(sum(axis**2 for axis in axes)) < reach
    open_voxels[[0, -1]] = open_voxels[:, [0, -1]] = open_voxels[:, :, [0, -1]] = False
    strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    crop = _Crop(
        padded.ravel().tolist(), open_voxels.ravel().tolist(), [int(np.dot(s, strides)) for s in how.steps],
        int(np.dot(np.add(start, 1), strides)),
    )  # fmt: skip
    members = _sweep_tolerances(lambda tolerance: crop.fill(tolerance, size_limit, how), how.tolerances)
    grown = np.zeros(padded.size, dtype=bool)
    grown[list(members)] = True
    mask = np.zeros(image.shape, dtype=bool)
    mask[window] = grown.reshape(padded.shape)[1:-1, 1:-1, 1:-1]
    return _largest(mask)


def sweep_plainly(
    image: np.ndarray, seed: tuple[int, int, int], spacing_mm: tuple[float, float, float], how: Sweep
) -> np.ndarray:
    """The mask of one sweep, filling the array of the whole scan for each tolerance."""
    size_limit, reach = limits(spacing_mm)
    mask = _sweep_tolerances(lambda tolerance: _fill(image, seed, tolerance, size_limit, reach, how), how.tolerances)
    return _largest(np.asarray(mask))


def _sweep_tolerances(fill, tolerances):  # type: ignore[no-untyped-def]
    """Fill until the size limit is exceeded, find the knee of the sizes, and fill with that tolerance."""
    used, sizes = [], []
    for tolerance in tolerances:
        _, size, exceeded = fill(float(tolerance))
        used.append(float(tolerance))
        sizes.append(size)
        if exceeded:
            break
    knee = knee_of(np.asarray(used), np.asarray(sizes, dtype=float))
    return fill(used[max(len(used) - 2, 0)] if knee is None else knee)[0]


def _fill(image, seed, tolerance, size_limit, reach, how):  # type: ignore[no-untyped-def]
    mask = np.zeros(image.shape, dtype=bool)
    visited = np.zeros(image.shape, dtype=bool)
    mask[seed] = visited[seed] = True
    queue, size, total = deque([seed]), 1, float(image[seed])
    while queue:
        voxel = queue.popleft()
        for step in how.steps:
            neighbour = tuple(np.add(voxel, step))
            if any(n < 0 or n >= limit for n, limit in zip(neighbour, image.shape, strict=True)) or visited[neighbour]:
                continue
            reference = total / size if how.running_average else float(image[voxel])
            difference = abs(float(image[neighbour]) - reference)
            if how.relative:
                difference /= abs(reference) or 1e-5
            if difference <= tolerance and np.linalg.norm(np.subtract(neighbour, seed)) < reach:
                mask[neighbour] = visited[neighbour] = True
                queue.append(neighbour)
                size, total = size + 1, total + float(image[neighbour])
                if size > size_limit:
                    return mask, size, True
    return mask, size, False


@dataclass(frozen=True)
class _Crop:
    values: list[float]
    open_voxels: list[bool]
    steps: list[int]
    seed: int

    def fill(self, tolerance: float, size_limit: int, how: Sweep) -> tuple[list[int], int, bool]:
        """The same flood fill on flat lists."""
        values, free = self.values, self.open_voxels.copy()
        free[self.seed] = False
        members, total = [self.seed], values[self.seed]
        for voxel in members:
            for step in self.steps:
                neighbour = voxel + step
                if not free[neighbour]:
                    continue
                reference = total / len(members) if how.running_average else values[voxel]
                difference = abs(values[neighbour] - reference)
                if how.relative:
                    difference /= abs(reference) or 1e-5
                if difference <= tolerance:
                    free[neighbour] = False
                    members.append(neighbour)
                    total += values[neighbour]
                    if len(members) > size_limit:
                        return members, len(members), True
        return members, len(members), False


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, number = ndimage.label(mask)
    if number < 2:
        return mask
    return labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
