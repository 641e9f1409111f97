"""Batches of patches, made ahead of time by worker processes where there are any."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from CMBNetLib.grid import spacing_of
from CMBNetTrainingLib.augmentation import Augmentation, misplaced, thickened
from CMBNetTrainingLib.implants import with_fresh_lesion
from CMBNetTrainingLib.patches import Batch, Draw, Patches, PatchPlan, Sampling, cut, patch_size
from CMBNetTrainingLib.training_processes import Team
from CMBNetTrainingLib.training_scans import TrainingScan
from CMBNetTrainingLib.truth import MICROBLEED


class PatchMaker:
    """Cuts and changes the patches of a batch; the same draw gives the same patch.

    Parameters
    ----------
    augmentation
        Preset.
    classes
        Of the network; 2: mimics are background.
    fresh
        Share of patches without a microbleed that get a newly simulated one.
    """

    def __init__(
        self, scans: Sequence[TrainingScan], sampling: Sampling, augmentation: str, classes: int, fresh: float = 0.0
    ) -> None:
        self.scans, self.sampling, self._classes, self._fresh = scans, sampling, classes, fresh
        self._changes = augmentation != "none"
        self._augment = Augmentation(augmentation, cube=sampling.pixels == sampling.slices)
        self.hard: Mapping[str, np.ndarray] = {}

    def batch(self, batch: Batch, share: slice = slice(None)) -> Patches:
        """The patches of a share of a batch."""
        slice_mm = float(np.mean([self.scans[draw.scan].slice_mm for draw in batch.draws]))
        size = patch_size(self.sampling, slice_mm, batch.thick)
        with _one_thread():
            made = [self.patch(draw, size, batch.thick) for draw in batch.draws[share]]
        images, classes, places = (torch.stack(each) for each in zip(*made, strict=True))
        return Patches(images, classes, places, slice_mm * batch.thick)

    def patch(self, draw: Draw, size: tuple[int, int, int], thick: int) -> tuple[Tensor, Tensor, Tensor]:
        """Image, classes and places of one patch of ``size`` voxels of the scan, re-sliced and changed."""
        scan, rng = self.scans[draw.scan], np.random.default_rng(draw.seed)
        hard = self.hard.get(scan.entry.scan_id)
        patch = cut(rng, scan, draw.kind, size, self.sampling, hard)
        image, classes, (i, j, k) = patch.image, patch.classes, spacing_of(scan.ijk_to_ras)
        if self._fresh and rng.random() < self._fresh and not (classes == MICROBLEED).any():
            image, classes = with_fresh_lesion(rng, image, classes, patch.tissue > 0, (k, j, i))
        places = misplaced(rng, patch.places, (k, j, i)) if self._changes else patch.places
        x, y, z = self._augment(*thickened(image, classes, places, thick), draw.seed)
        if self._classes == 2:
            y = torch.where(y == 2, torch.zeros_like(y), y)
        return x, y, z


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, as a worker process has.

    Blur and elastic bending end in other last bits with two, so patches would depend on who made them.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _leave_signals_to_the_parent(_worker: int) -> None:
    """A whole process tree may be asked to end; the trainer saves its state, and ends its workers then."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class _Steps(Dataset[Patches]):
    """Step number -> this process's patches."""

    def __init__(self, maker: PatchMaker, plan: PatchPlan, share: slice) -> None:
        self._maker, self._plan, self._share = maker, plan, share

    def __getitem__(self, step: int) -> Patches:
        return self._maker.batch(self._plan[step], self._share)


def batches(
    maker: PatchMaker, plan: PatchPlan, steps: range, team: Team, workers: int, *, pin: bool = False
) -> Iterator[Patches]:
    """This process's share of the batches of ``steps``, in order, whatever the number of workers."""
    share = team.share(len(plan[steps.start].draws))
    options: dict[str, Any] = {"num_workers": workers}
    if workers:
        options["worker_init_fn"] = _leave_signals_to_the_parent
        # Scans are mapped into memory: a forked worker shares them, a spawned one would get copies.
        options["multiprocessing_context"] = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    # As lists: torch iterates a range of steps as a sampler.
    loader = DataLoader(
        _Steps(maker, plan, share),
        batch_size=None,
        sampler=list(steps),
        pin_memory=pin,
        **options,  # type: ignore[arg-type]
    )
    return iter(loader)
