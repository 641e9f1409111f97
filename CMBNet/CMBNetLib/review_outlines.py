"""All outlines of a case in one small label map, changed only where something changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .reading_mask import ReadingMask
from .reading_state import Finding

# Label values; the finding on show is drawn over the others.
UNDECIDED, MICROBLEED, NOT, UNSURE, CURRENT = 1, 2, 3, 4, 5
NAMES = {
    UNDECIDED: "Undecided", MICROBLEED: "Microbleed", NOT: "Not a microbleed", UNSURE: "Unsure", CURRENT: "Current",
}  # fmt: skip
_OF_VERDICT = {None: UNDECIDED, "microbleed": MICROBLEED, "not": NOT, "unsure": UNSURE}


class OutlineMap:
    """Paints findings into a label map ``[k, j, i]`` and remembers what it painted where.

    Parameters
    ----------
    labels : np.ndarray
        uint8 array of the scan's shape, all zero; it is written in place.
    """

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels
        self._painted: dict[str, tuple[ReadingMask, int]] = {}
        self._cached: dict[str, _Cached] = {}

    def update(self, findings: Mapping[str, Finding], current: str | None) -> bool:
        """Paint the findings as they are now; returns whether a voxel may have changed."""
        wanted = {
            key: (found.mask, CURRENT if key == current else _OF_VERDICT[found.verdict])
            for key, found in findings.items()
            if found.mask is not None
        }
        changed = [key for key in {*wanted, *self._painted} if _differ(wanted.get(key), self._painted.get(key))]
        if not changed:
            return False
        before = [self._of(key, *self._painted[key]) for key in changed if key in self._painted]
        for old in before:
            self.labels[old.box] = 0
        cached = {key: self._of(key, mask, value) for key, (mask, value) in wanted.items()}
        # A neighbour may have lost voxels to the clearing, or lie under what is painted now.
        touched = before + [cached[key] for key in changed if key in wanted]
        self._cached, self._painted = cached, wanted
        # The one on show goes last, so that a neighbour never hides it.
        for key in sorted(_meeting(cached, touched), key=lambda key: wanted[key][1] == CURRENT):
            self.labels[cached[key].box][cached[key].array] = wanted[key][1]
        return True

    def _of(self, key: str, mask: ReadingMask, _value: int) -> _Cached:
        """Box and voxels of an outline: unpacking them takes 0.1 ms, which 300 findings would make felt."""
        cached = self._cached.get(key)
        if cached is None or cached.mask is not mask:
            if not _inside(mask, self.labels.shape):
                raise InputError(f"The outline of {key} reaches outside the scan; it is of another scan.")
            cached = _Cached(mask, mask.box(), mask.array())
        return cached


@dataclass(frozen=True)
class _Cached:
    mask: ReadingMask
    box: tuple[slice, slice, slice]
    array: np.ndarray

    @property
    def low_high(self) -> tuple[int, ...]:
        return tuple(edge.start for edge in self.box) + tuple(edge.stop for edge in self.box)


def _differ(first: tuple[ReadingMask, int] | None, second: tuple[ReadingMask, int] | None) -> bool:
    if first is None or second is None:
        return first is not second
    return first[1] != second[1] or (first[0] is not second[0] and first[0] != second[0])


def _meeting(cached: Mapping[str, _Cached], touched: Sequence[_Cached]) -> list[str]:
    """The outlines whose boxes meet one of the boxes that were touched."""
    if not cached:
        return []
    edges = np.array([each.low_high for each in cached.values()])
    meets = np.zeros(len(edges), bool)
    for box in {each.low_high for each in touched}:
        meets |= np.all((edges[:, :3] < box[3:]) & (edges[:, 3:] > box[:3]), axis=1)
    return [key for key, does in zip(cached, meets, strict=True) if does]


def _inside(mask: ReadingMask, shape: tuple[int, ...]) -> bool:
    return all(edge.start >= 0 and edge.stop <= size for edge, size in zip(mask.box(), shape, strict=True))

