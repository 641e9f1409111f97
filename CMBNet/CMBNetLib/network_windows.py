"""The network over the brain of a scan: the finest level in windows, the coarser ones in one piece.

The finest level takes most of the memory and half of the work. Its convolutions reach few voxels, so its windows fit
the brain closely, waste little and leave no seams: the result is that of the network over everything at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, product
from types import EllipsisType

import numpy as np
import torch

from .errors import InputError
from .network import STACK, AnisotropicUNet
from .preparation import Prepared
from .progress import Progress

# Voxels (k, j, i) of the finest level that its two convolutions reach.
RIM = (1, 2, 2)
# Share of the run time of the finest level on the way down, and of all coarser ones.
DOWN_SHARE, COARSER_SHARE = 0.25, 0.35

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Window:
    """A box of the finest level: what is read, and the part of it whose result is kept; slices k, j, i."""

    read: Box
    keep: Box

    @property
    def inside(self) -> Box:
        """What is kept, counted from where reading begins."""
        k, j, i = (slice(b.start - a.start, b.stop - a.start) for a, b in zip(self.read, self.keep, strict=True))
        return k, j, i


class Evaluation:
    """A network on its device, run over a prepared scan.

    Parameters
    ----------
    most_voxels
        Of the image, that a window reads.
    on_fraction
        Called with 0..1 after each window.
    """

    def __init__(
        self,
        network: AnisotropicUNet,
        prepared: Prepared,
        device: str,
        most_voxels: int,
        progress: Progress,
        on_fraction: Callable[[float], None],
    ) -> None:
        self.network, self.slice_mm = network, prepared.slice_mm
        self.progress, self.on_fraction = progress, on_fraction
        self.shape, raster = prepared.brain.shape, network.raster(self.slice_mm)
        self.image = torch.from_numpy(_padded(prepared.image.array, raster))[None, None].to(device)
        self.places = None if prepared.places is None else _on_device(prepared.places, raster, device)
        self.factors = network.plan(self.slice_mm)[0]
        wanted, most = _stacked(prepared.brain, raster), most_voxels // STACK**2
        self.down, self.up = windows_of(np.ones_like(wanted), most), windows_of(wanted, most, self.factors)

    def result(self) -> tuple[np.ndarray, int]:
        """Class probabilities of every brain voxel, float32 (classes - 1, k, j, i), and the number of windows.

        Raises
        ------
        Cancelled
        """
        fine = self._finest()
        coarse = self.network.coarser(fine, self.slice_mm)
        k, j, i = self.shape
        return self._probability(fine, coarse)[:, :k, :j, :i], len(self.down) + len(self.up)

    def _finest(self) -> torch.Tensor:
        fine: torch.Tensor | None = None
        for done, window in enumerate(self.down, 1):
            self.progress.check_cancelled()
            box = _all(_pixels(window.read))
            told = None if self.places is None else self.places[box]
            part = self.network.finest(self.image[box], self.slice_mm, told)
            if fine is None:
                shape = (1, part.shape[1], *(s.stop for s in self.down[-1].keep))
                fine = torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=torch.channels_last_3d)
            fine[_all(window.keep)] = part[_all(window.inside)]
            self.on_fraction(DOWN_SHARE * done / len(self.down))
        assert fine is not None  # there is a window
        return fine

    def _probability(self, fine: torch.Tensor, coarse: torch.Tensor) -> np.ndarray:
        out = np.zeros((self.network.spec.classes - 1, *self.image.shape[2:]), np.float32)
        begin = DOWN_SHARE + COARSER_SHARE
        for done, window in enumerate(self.up, 1):
            self.progress.check_cancelled()
            logits = self.network.logits(fine[_all(window.read)], coarse[_all(_coarser(window.read, self.factors))])
            values = logits.float().softmax(dim=1)[0, 1:].cpu().numpy()
            out[_all(_pixels(window.keep))] = values[_all(_pixels(window.inside))]
            self.on_fraction(begin + (1 - begin) * done / len(self.up))
        return out


def windows_of(wanted: np.ndarray, most_voxels: int, raster: tuple[int, int, int] = (1, 1, 1)) -> list[Window]:
    """Windows that together keep every wanted voxel once, each as small as its share of them allows.

    Parameters
    ----------
    wanted
        bool [k, j, i], with at least one voxel.
    most_voxels
        That a window reads, about.
    raster
        Reads begin at multiples of this (k, j, i), so that the next level's voxels are read whole.
    """
    box = _box_of(wanted)
    counts = [1, 1, 1]
    while _read_size(box, counts) > most_voxels:
        sizes = [(s.stop - s.start) / n for s, n in zip(box, counts, strict=True)]
        # Split where a part is longest in units of its rim: that wastes least.
        axis = int(np.argmax([size / rim for size, rim in zip(sizes, RIM, strict=True)]))
        if sizes[axis] <= 2:
            break
        counts[axis] += 1
    windows = []
    for part in product(*(_parts(s, n) for s, n in zip(box, counts, strict=True))):
        if wanted[part].any():
            keep = _box_of(wanted[part], tuple(s.start for s in part))
            windows.append(Window(_grown(keep, wanted.shape, raster), keep))
    return windows


def _padded(image: np.ndarray, raster: tuple[int, int, int]) -> np.ndarray:
    """Edges made multiples of the raster by repeating the last voxel: patches in training are such multiples."""
    return np.pad(image, [(0, -n % step) for n, step in zip(image.shape, raster, strict=True)], mode="edge")


def _on_device(places: np.ndarray, raster: tuple[int, int, int], device: str) -> torch.Tensor:
    return torch.from_numpy(_padded(places, raster))[None].to(device)


def _stacked(mask: np.ndarray, raster: tuple[int, int, int]) -> np.ndarray:
    """Voxels of the finest level that hold any of a mask's."""
    padding = [(0, -n % step) for n, step in zip(mask.shape, raster, strict=True)]
    k, j, i = (padded := np.pad(mask, padding)).shape
    return np.asarray(padded.reshape(k, j // STACK, STACK, i // STACK, STACK).any((2, 4)))


def _pixels(box: Box) -> Box:
    """A box of the finest level in pixels of the image."""
    k, j, i = box
    return k, slice(j.start * STACK, j.stop * STACK), slice(i.start * STACK, i.stop * STACK)


def _coarser(box: Box, factors: tuple[int, int, int]) -> Box:
    """A box of the finest level on the next level."""
    k, j, i = (slice(s.start // n, -(-s.stop // n)) for s, n in zip(box, factors, strict=True))
    return k, j, i


def _all(box: Box) -> tuple[EllipsisType, slice, slice, slice]:
    """The box in all channels."""
    return (..., *box)


def _box_of(mask: np.ndarray, start: tuple[int, ...] = (0, 0, 0)) -> Box:
    """The smallest box that holds a mask, whose first voxel lies at ``start``."""
    box = []
    for axis in range(3):
        along = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(along):
            raise InputError("The brain mask is empty.")
        box.append(slice(start[axis] + int(along[0]), start[axis] + int(along[-1]) + 1))
    k, j, i = box
    return k, j, i


def _read_size(box: Box, counts: list[int]) -> int:
    return int(np.prod([-(-(s.stop - s.start) // n) + 2 * r for s, n, r in zip(box, counts, RIM, strict=True)]))


def _parts(whole: slice, count: int) -> list[slice]:
    edges = np.linspace(whole.start, whole.stop, count + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges) if b > a]


def _grown(box: Box, shape: tuple[int, ...], raster: tuple[int, int, int]) -> Box:
    """A box with its rim, as far as there are voxels."""
    k, j, i = (
        slice(max(s.start - rim, 0) // step * step, min(s.stop + rim, size))
        for s, rim, size, step in zip(box, RIM, shape, raster, strict=True)
    )
    return k, j, i
