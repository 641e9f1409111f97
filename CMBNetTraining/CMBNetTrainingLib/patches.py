"""Which patches a network sees, in which order: a function of seed, phase and round, so that a resume repeats it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from torch import Tensor

from CMBNetLib.network import pooling_plan
from CMBNetLib.places import UNKNOWN
from CMBNetTrainingLib.training_config import NetworkConfig, PhaseConfig, SamplingConfig
from CMBNetTrainingLib.training_scans import TrainingScan
from CMBNetTrainingLib.truth import IGNORE

# Value of black in normalised images; see `CMBNetLib.preparation.normalise`.
BLACK = -2.0
# Without a fixed number of slices a patch is this deep, and has at least so many slices.
DEPTH_MM, FEWEST_SLICES = 28.0, 12
# Slices are averaged to thicker ones up to this spacing (mm).
THICKEST_MM = 6.0


@dataclass(frozen=True)
class Sampling:
    """How patches are chosen.

    Attributes
    ----------
    per_scan : int
        Patches of one visit to a scan.
    pixels, slices : int
        Size of a patch; 0 slices: as many as `DEPTH_MM` takes.
    shares : dict
        Kind -> share of the patches of a scan. Kinds: ``lesion`` (a microbleed, then one of its voxels), ``voxel`` (any
        microbleed voxel, so large ones come more often), ``mimic``, ``hard`` (a false positive of the model so far),
        ``brain`` (any brain voxel) and ``volume`` (anywhere). Where a scan has nothing of a kind, ``rest`` is drawn.
    rest : str
        ``brain`` or ``volume``.
    shift : float
        Largest distance of the centre from that place, in patch sizes.
    thick : float
        Share of the batches whose slices are averaged by 2 or 3.
    """

    per_scan: int
    pixels: int
    slices: int
    shares: Mapping[str, float]
    rest: str
    shift: float
    thick: float = 0.0


PRESETS = {
    "default": Sampling(16, 80, 0, {"lesion": 0.5, "mimic": 0.15, "hard": 0.1, "brain": 0.25}, "brain", 0.45, 0.15),
    # MicrobleedNet: 30 patches of 96 cubed, 27 round a random microbleed voxel shifted by up to half a patch, 3 random;
    # a scan without microbleeds gives 30 random ones.
    "seed": Sampling(30, 96, 96, {"voxel": 0.9, "volume": 0.1}, "volume", 0.5),
}


@dataclass(frozen=True)
class Draw:
    """One patch to cut: number of the scan, what to centre on, seed of all that is random about it."""

    scan: int
    kind: str
    seed: int


class Patches(NamedTuple):
    """Patches to learn from, (b, k, j, i): images (float32), classes and places (uint8); their slice spacing."""

    images: Tensor
    classes: Tensor
    places: Tensor
    slice_mm: float


@dataclass(frozen=True)
class Patch:
    """What is cut out of a scan, [k, j, i]: image (float32), classes, mask of tissue and places (uint8)."""

    image: np.ndarray
    classes: np.ndarray
    tissue: np.ndarray
    places: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Patches that share a pooling plan; `thick` slices are averaged to one."""

    draws: tuple[Draw, ...]
    thick: int = 1


def sampling_of(config: SamplingConfig) -> Sampling:
    """The preset with what the configuration sets instead."""
    own = {name: getattr(config, name) for name in ("per_scan", "pixels", "slices") if getattr(config, name)}
    sampling = replace(PRESETS[config.preset], **own)
    if not config.hard:
        return sampling
    others = {kind: share for kind, share in sampling.shares.items() if kind != "hard"}
    left = (1 - config.hard) / sum(others.values())
    return replace(sampling, shares={**{kind: share * left for kind, share in others.items()}, "hard": config.hard})


class PatchPlan:
    """The batches of a phase, by number.

    Parameters
    ----------
    scans
        All training scans; the phase takes those of its roles.
    batch
        Patches of one step, over all processes.
    seed
        Of the run; `phase_number` is mixed in.
    """

    def __init__(
        self,
        scans: Sequence[TrainingScan],
        phase: PhaseConfig,
        network: NetworkConfig,
        sampling: Sampling,
        batch: int,
        seed: tuple[int, int],
    ) -> None:
        self._by_role: dict[str, list[int]] = defaultdict(list)
        for number, scan in enumerate(scans):
            if scan.entry.role in phase.roles:
                self._by_role[scan.entry.role].append(number)
        self._scans, self._phase, self._network, self._sampling = scans, phase, network, sampling
        self._batch, self._seed = batch, seed
        self._rounds: list[list[Batch]] = []

    def __getitem__(self, step: int) -> Batch:
        """Batch of a step of the phase, 0, 1, ... without end."""
        for number in range(step + 1):
            if number == len(self._rounds):
                self._rounds.append(self._round(number))
            if step < len(self._rounds[number]):
                return self._rounds[number][step]
            step -= len(self._rounds[number])
        raise IndexError(step)

    def _round(self, number: int) -> list[Batch]:
        """Every scan's patches, in random order, in batches of one pooling plan each."""
        rng = np.random.default_rng([*self._seed, number])
        draws = [draw for scan in self._visits(rng) for draw in draws_of(rng, self._scans, scan, self._sampling)]
        groups: dict[str, list[Draw]] = defaultdict(list)
        for index in rng.permutation(len(draws)):
            groups[self._plan_of(draws[index].scan)].append(draws[index])
        batches = []
        for name in sorted(groups):
            # The last batch of a group is filled up from its beginning.
            group = groups[name]
            count = -(-len(group) // self._batch)
            padded = [group[n % len(group)] for n in range(count * self._batch)]
            batches += [tuple(padded[n : n + self._batch]) for n in range(0, len(padded), self._batch)]
        return [self._thickened(rng, batches[n]) for n in rng.permutation(len(batches))]

    def _visits(self, rng: np.random.Generator) -> list[int]:
        """Scans of a round: each of the phase's once, or as many of each role as its share of the mix."""
        everyone = [n for role in sorted(self._by_role) for n in self._by_role[role]]
        mix = {role: share for role, share in self._phase.mix.items() if self._by_role.get(role)}
        if not mix:
            return [everyone[n] for n in rng.permutation(len(everyone))]
        visits = []
        for role in sorted(mix):
            count = max(1, round(len(everyone) * mix[role] / sum(mix.values()))) if mix[role] else 0
            own = self._by_role[role]
            turns = [own[n] for _ in range(-(-count // len(own))) for n in rng.permutation(len(own))]
            visits += turns[:count]
        return visits

    def _plan_of(self, scan: int) -> str:
        spec = self._network
        return str(pooling_plan(len(spec.filters), self._scans[scan].slice_mm, spec.pixel_mm))

    def _thickened(self, rng: np.random.Generator, draws: tuple[Draw, ...]) -> Batch:
        draw, factor = rng.random(), int(rng.integers(2, 4))
        thickest = max(self._scans[d.scan].slice_mm for d in draws) * factor
        fits = draw < self._sampling.thick and thickest <= THICKEST_MM
        return Batch(draws, factor if fits else 1)


def draws_of(rng: np.random.Generator, scans: Sequence[TrainingScan], scan: int, sampling: Sampling) -> list[Draw]:
    """The patches of one visit to a scan: the shares as whole numbers, largest remainders first."""
    kinds = list(sampling.shares)
    exact = np.array([sampling.shares[kind] for kind in kinds]) / sum(sampling.shares.values()) * sampling.per_scan
    counts = np.floor(exact + 1e-9).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: sampling.per_scan - counts.sum()]:
        counts[index] += 1
    centers = scans[scan].centers
    has = {"lesion": len(centers["lesion"]), "voxel": len(centers["lesion"]), "mimic": len(centers["mimic"])}
    drawn = [
        kind if has.get(kind, 1) else sampling.rest for kind, n in zip(kinds, counts, strict=True) for _ in range(n)
    ]
    return [Draw(scan, kind, int(seed)) for kind, seed in zip(drawn, rng.integers(0, 2**31, len(drawn)), strict=True)]


def patch_size(sampling: Sampling, slice_mm: float, thick: int) -> tuple[int, int, int]:
    """Size (k, j, i) in voxels of the scan; `thick` of its slices become one of the patch."""
    slices = sampling.slices or max(round(DEPTH_MM / (slice_mm * thick)), FEWEST_SLICES)
    return slices * thick, sampling.pixels, sampling.pixels


def cut(
    rng: np.random.Generator,
    scan: TrainingScan,
    kind: str,
    size: tuple[int, int, int],
    sampling: Sampling,
    hard: np.ndarray | None = None,
) -> Patch:
    """One patch; black and not judged beyond the scan.

    Parameters
    ----------
    hard
        (n, 3) voxels k, j, i of false positives in this scan.
    """
    shape, extent = np.array(scan.image.shape), np.array(size)
    center = _center(rng, scan, kind, sampling.rest, hard)
    if center is None:
        start = rng.integers(0, np.maximum(shape - extent, 0) + 1)
    else:
        moved = center + rng.uniform(-sampling.shift, sampling.shift, 3) * extent
        start = np.clip(np.rint(moved - extent / 2).astype(int), 0, np.maximum(shape - extent, 0))
    box = tuple(slice(a, a + n) for a, n in zip(start, extent, strict=True))
    image = np.asarray(scan.image[box], np.float32)
    missing = [(0, int(n - have)) for n, have in zip(extent, image.shape, strict=True)]

    def filled(array: np.ndarray, beyond: float) -> np.ndarray:
        return np.pad(array, missing, constant_values=beyond) if any(after for _, after in missing) else array

    return Patch(
        filled(image, BLACK),
        filled(np.asarray(scan.classes[box]), IGNORE),
        filled(np.asarray(scan.tissue[box]), 0),
        filled(np.asarray(scan.places[box]), UNKNOWN),
    )


def _center(
    rng: np.random.Generator, scan: TrainingScan, kind: str, rest: str, hard: np.ndarray | None
) -> np.ndarray | None:
    """Voxel to centre on; None: anywhere in the volume."""
    if kind == "lesion" and scan.lesion_voxels:
        voxels = scan.lesion_voxels[rng.integers(len(scan.lesion_voxels))]
    elif kind == "voxel":
        voxels = scan.centers["lesion"]
    elif kind == "hard" and hard is not None and len(hard):
        voxels = hard
    else:
        kind = rest if kind in ("hard", "lesion") else kind
        voxels = scan.centers.get(kind, np.zeros((0, 3), int))
    return voxels[rng.integers(len(voxels))] if len(voxels) else None
