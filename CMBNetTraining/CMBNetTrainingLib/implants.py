"""Microbleeds and decoys put into scans that exist, real ones too: the source's complex attenuation multiplies them.

The source is simulated on a fine grid of its own: susceptibility, dipole field, dephasing, slices and k-space. What
multiplies the scan is the acquired signal with the source over that without it. The scan keeps its own noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from CMBNetTrainingLib.acquisition import acquire, field_of, render, signal_of
from CMBNetTrainingLib.noise import noise_of
from CMBNetTrainingLib.painting import random_voxels
from CMBNetTrainingLib.protocol import ECHO_TIMES_MS, Protocol
from CMBNetTrainingLib.sources import (
    LEAST_DISTANCE_MM,
    MICROBLEED_KIND,
    MOST_RELAXATION,
    RELAXATION_PER_T_PPM,
    Source,
    draw_microbleed,
    paint_sources,
)
from CMBNetTrainingLib.truth import (
    BACKGROUND,
    IGNORE,
    MICROBLEED,
    Seen,
    ball_diameter,
    is_microbleed_seen,
    visible_region,
)

# Edge of the cube of tissue that is simulated round a source (mm); beyond, the field of the largest is a few Hz.
CUBE_MM = 24.0
FINE_MM = 0.5
# Value of black in normalised patches; see `CMBNetLib.preparation.normalise`.
BLACK = -2.0
# Places darker than this share of the brain's median are vein, bone or air: nothing is put there.
DARKEST_PLACE = 0.6
REACH_MM = 9.0
# At the very surface most of what is seen of a source would lie outside of the brain.
LEAST_DEPTH_MM = 2.0


@dataclass(frozen=True)
class Implant:
    """One implanted source: its kind, place (voxels k, j, i), visible diameter (mm), largest relative loss."""

    id: int
    kind: str
    center_kji: tuple[float, float, float]
    diameter_mm: float
    loss: float
    visible: bool


@dataclass(frozen=True)
class _Cube:
    """The little grid round a source: fine samples a voxel and their size in mm, both (k, j, i); scan voxels."""

    per_voxel: np.ndarray
    fine_mm: np.ndarray
    voxels: np.ndarray

    @classmethod
    def on(cls, spacing_mm: Sequence[float]) -> _Cube:
        edge = np.asarray(spacing_mm, float)
        per = np.maximum(1, np.rint(edge / FINE_MM)).astype(int)
        # An odd number of voxels has a middle one.
        return cls(per, edge / per, 2 * np.rint(CUBE_MM / edge / 2).astype(int) + 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        k, j, i = (int(n) for n in self.voxels * self.per_voxel)
        return k, j, i


def attenuations(
    rng: np.random.Generator, sources: Sequence[Source], protocol: Protocol, *, device: str = "cpu"
) -> Tensor:
    """Factors (n, k, j, i) on the scan's voxels, float32, each with its source near the middle of the cube.

    Magnitude of the complex attenuation; with the phase mask where the protocol is SWI.
    """
    cube = _Cube.on((protocol.slice_spacing_mm, protocol.pixel_mm, protocol.pixel_mm))
    middle = (np.array(cube.shape) - 1) / 2 * cube.fine_mm
    chi, water = [], []
    for source in sources:
        center = middle + rng.uniform(-0.5, 0.5, 3) * cube.per_voxel * cube.fine_mm
        k, j, i = (float(c) for c in center)
        painted = paint_sources(rng, [replace(source, center_mm=(k, j, i))], cube.shape, cube.fine_mm)
        chi.append(painted.chi_ppm)
        water.append(1 - painted.dryness)
    chi_ppm, weight = (torch.from_numpy(np.stack(each)).to(device) for each in (chi, water))
    field = field_of(chi_ppm, cube.fine_mm, protocol.b0_direction)
    decay = (RELAXATION_PER_T_PPM * protocol.field_t * chi_ppm.clamp_min(0)).clamp_max(MOST_RELAXATION)
    image = acquire(signal_of(weight, decay, field, protocol), cube.fine_mm, int(cube.per_voxel[0]), protocol)
    return render(image, protocol)


def implant(
    rng: np.random.Generator,
    image: np.ndarray,
    brain: np.ndarray,
    protocol: Protocol,
    count: int,
    noise: float,
) -> tuple[np.ndarray, np.ndarray, list[Implant]]:
    """Put ``count`` microbleeds (fewer where places run out) into a magnitude scan.

    Parameters
    ----------
    image
        Magnitude, [k, j, i], of the voxel size of ``protocol``.
    brain
        bool; where microbleeds may lie.
    noise
        Standard deviation of the scan's noise in one channel: what an implant dims of it is put back.

    Returns
    -------
    image : ndarray of float32
    labels : ndarray of uint16
        One value for each visible microbleed.
    implants : list of Implant
        Invisible ones too.
    """
    step = np.array([protocol.slice_spacing_mm, protocol.pixel_mm, protocol.pixel_mm])
    centers = _places(rng, image, brain, step, count)
    sources = [draw_microbleed(rng, center * step) for center in centers]
    out, labels, implants = image.astype(np.float32), np.zeros(image.shape, np.uint16), []
    for number, (source, center) in enumerate(zip(sources, centers, strict=True), 1):
        factor = attenuations(rng, [source], protocol)[0].numpy()
        box, inner = _overlap(center, factor.shape, image.shape)
        out[box] = _dimmed(rng, out[box], factor[inner], noise)
        loss = np.zeros(image.shape, np.float32)
        loss[box] = 1 - factor[inner]
        implants.append(_marked(number, source, Seen(out, noise, out, loss, brain, step), center.astype(float), labels))
    return out, labels, implants


def _places(
    rng: np.random.Generator, image: np.ndarray, brain: np.ndarray, step_mm: np.ndarray, count: int
) -> list[np.ndarray]:
    depth = ndimage.distance_transform_edt(brain, sampling=step_mm)
    fits = (depth >= LEAST_DEPTH_MM) & (image > DARKEST_PLACE * np.median(image[brain]))
    chosen: list[np.ndarray] = []
    for place in random_voxels(rng, fits, 20 * count, step_mm):
        # Two implants must not share what is seen of them.
        if len(chosen) < count and all(np.linalg.norm(place - other) > 2 * LEAST_DISTANCE_MM for other in chosen):
            chosen.append(place)
    return [np.rint(place / step_mm).astype(int) for place in chosen]


def _overlap(
    center: np.ndarray, size: Sequence[int], shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The box of a cube of ``size`` round ``center`` in an array of ``shape``, and the same part of the cube."""
    half = np.array(size) // 2
    low, high = np.maximum(center - half, 0), np.minimum(center + half + 1, shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    inner = tuple(slice(int(a), int(b)) for a, b in zip(low - center + half, high - center + half, strict=True))
    return box, inner


def _dimmed(rng: np.random.Generator, image: np.ndarray, factor: np.ndarray, noise: float) -> np.ndarray:
    """The magnitude with its signal dimmed but not its noise: what is missing of it is drawn anew."""
    missing = noise * np.sqrt(np.clip(1 - factor**2, 0, None))
    real, imaginary = rng.normal(size=(2, *image.shape)) * missing
    return np.hypot(image * factor + real, imaginary).astype(np.float32)


def _marked(number: int, source: Source, seen: Seen, center: np.ndarray, labels: np.ndarray) -> Implant:
    region = visible_region(seen.loss, center, source.radius_mm, seen.step_mm, REACH_MM)
    assert region is not None  # its centre lies in the scan
    mask, box, height = region
    diameter = ball_diameter(mask, seen.step_mm)
    visible = is_microbleed_seen(seen.within(box), mask)
    if visible:
        labels[box][mask] = number
    k, j, i = (float(c) for c in center)
    return Implant(number, MICROBLEED_KIND, (k, j, i), diameter, height, visible)


def with_fresh_lesion(
    rng: np.random.Generator,
    image: np.ndarray,
    classes: np.ndarray,
    tissue: np.ndarray,
    spacing_mm: tuple[float, float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """A normalised patch (float32 [k, j, i], -2 is black) with one new microbleed in ``tissue`` (bool).

    The patch is returned as it is where there is no place for one. In fluid there is none: what is dark there is a
    calcification or a vessel, and a network that is shown microbleeds there cannot learn so.
    """
    light = image > BLACK * (1 - DARKEST_PLACE)
    where = np.flatnonzero(tissue & light & (classes == BACKGROUND))
    if not len(where):
        return image, classes
    source = draw_microbleed(rng, np.zeros(3))
    factor = attenuations(rng, [source], _any_protocol(rng, spacing_mm))[0].numpy()
    center = np.array(np.unravel_index(where[rng.integers(len(where))], image.shape))
    box, inner = _overlap(center, factor.shape, image.shape)
    image, classes = image.copy(), classes.copy()
    part = factor[inner]
    image[box] = (image[box] - BLACK) * part + BLACK
    loss = np.zeros(image.shape, np.float32)
    loss[box] = 1 - part
    seen = Seen(image, noise_of(image, tissue), image - BLACK, loss, tissue, np.asarray(spacing_mm))
    _mark(classes, source, seen, center.astype(float))
    return image, classes


def _mark(classes: np.ndarray, source: Source, seen: Seen, center: np.ndarray) -> None:
    """Write what is seen of a source into a class map; what nobody would call is not to be judged."""
    region = visible_region(seen.loss, center, source.radius_mm, seen.step_mm, REACH_MM)
    if region is not None:
        mask, box, _ = region
        part = classes[box]
        called = is_microbleed_seen(seen.within(box), mask)
        part[mask & (part != IGNORE)] = MICROBLEED if called else IGNORE


def _any_protocol(rng: np.random.Generator, spacing_mm: tuple[float, float, float]) -> Protocol:
    """A protocol for patches of which nothing but the voxel size is known."""
    field_t = float(rng.choice([1.5, 3.0]))
    slice_mm, pixel_mm = spacing_mm[0], float(np.mean(spacing_mm[1:]))
    return Protocol(
        "T2*", 2, field_t, float(rng.uniform(*ECHO_TIMES_MS[field_t])), max(pixel_mm, float(rng.uniform(0.5, 1.05))),
        pixel_mm, slice_mm, 1.0, 100.0, 1, 0.0, 0.0, (0.0, 0.0, 0.0),
    )  # fmt: skip
