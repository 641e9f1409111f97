"""Synthetic T2* and SWI scans with microbleeds whose visible extent is known.

Order of events: label map -> properties on a fine grid -> veins, iron, decoys -> field by the dipole kernel -> complex
signal -> slices and k-space of the protocol -> noise. The scan is made twice, without and with the microbleeds; the
relative loss of signal between the two is what the truth is drawn from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from CMBNetTrainingLib.acquisition import Protocol, acquire, field_of, render, signal_of, slices_of, spoil
from CMBNetTrainingLib.head import OUTER_AIR, Block, HeadMap, sample_labels, sample_properties
from CMBNetTrainingLib.sources import Source, draw_decoys, draw_microbleeds, paint_sources, vein_fraction
from CMBNetTrainingLib.tissue import brain_of, draw_tissue_table

BACKGROUND, MICROBLEED, MIMIC, IGNORE = 0, 1, 2, 255
# A radiologist sees a spot when it is clearly darker than what is round it.
VISIBLE_LOSS = 0.25
# Share of the brain's mean signal below which a place counts as dark before any lesion is there.
WEAKEST_SIGNAL = 0.3
BLOOD_R2STAR_PER_T = 25.0


@dataclass(frozen=True)
class Lesion:
    """One microbleed as it is seen: centre (voxels k, j, i), visible diameter (mm), peak loss, tissue code."""

    id: int
    center_kji: tuple[float, float, float]
    diameter_mm: float
    loss: float
    tissue: int
    visible: bool


@dataclass(frozen=True)
class SyntheticScan:
    """Image, class map (0 background, 1 microbleed, 2 mimic, 255 not to be judged), instances, brain; all [k, j, i]."""

    image: np.ndarray
    classes: np.ndarray
    instances: np.ndarray
    brain: np.ndarray
    labels: np.ndarray
    spacing_mm: tuple[float, float, float]  # i, j, k
    lesions: list[Lesion]
    protocol: Protocol


def fine_grid(
    size_mm: tuple[float, float, float], protocol: Protocol, fine_mm: float = 0.5
) -> tuple[tuple[int, int, int], np.ndarray, int]:
    """Fine shape (k, j, i), fine spacing (mm) and fine samples a slice, for a field of view of `size_mm` (k, j, i)."""
    per_slice = max(1, round(protocol.slice_spacing_mm / fine_mm))
    count = max(1, round(size_mm[0] / protocol.slice_spacing_mm))
    in_plane = [round(s / fine_mm / 2) * 2 for s in size_mm[1:]]
    spacing = np.array([protocol.slice_spacing_mm / per_slice, fine_mm, fine_mm])
    return (count * per_slice, in_plane[0], in_plane[1]), spacing, per_slice


@dataclass
class _Fine:
    labels: np.ndarray
    chi: np.ndarray
    r2star: np.ndarray
    weight: np.ndarray


def _fine_tissue(rng: np.random.Generator, head: HeadMap, block: Block, protocol: Protocol) -> _Fine:
    table = draw_tissue_table(rng, protocol.field_t, float(rng.uniform(45, 90)))
    table.chi_ppm[OUTER_AIR], table.weight[OUTER_AIR], table.r2star[OUTER_AIR] = 0.0, 0.0, 0.0
    points = block.sample_points()
    chi, r2star, weight = sample_properties(head, points, [table.chi_ppm, table.r2star, table.weight])
    texture = ndimage.gaussian_filter(rng.normal(size=chi.shape).astype(np.float32), 1.2)
    texture /= texture.std()
    chi += 0.008 * texture
    weight *= 1 + 0.025 * texture
    return _Fine(sample_labels(head, points), chi, r2star, weight)


def _add_blood(fine: _Fine, fraction: np.ndarray, chi_ppm: float, field_t: float) -> None:
    fine.chi += fraction * (chi_ppm - fine.chi)
    fine.r2star += fraction * (15.0 + BLOOD_R2STAR_PER_T * field_t * (chi_ppm / 0.3) - fine.r2star).clip(0)


def synthesize(
    rng: np.random.Generator, head: HeadMap, block: Block, protocol: Protocol, per_slice: int, n_microbleeds: int
) -> SyntheticScan:
    """One scan (or a block of one) with `n_microbleeds` implanted at most."""
    fine = _fine_tissue(rng, head, block, protocol)
    veins = vein_fraction(rng, fine.labels, block.spacing_mm)
    _add_blood(fine, veins, float(rng.uniform(0.12, 0.42)), protocol.field_t)
    decoys = paint_sources(rng, draw_decoys(rng, fine.labels, block.spacing_mm), fine.chi.shape, block.spacing_mm)
    fine.chi += decoys
    sources = draw_microbleeds(rng, fine.labels, n_microbleeds, block.spacing_mm)
    bleed_chi = paint_sources(rng, sources, fine.chi.shape, block.spacing_mm)
    before, after = _acquire_twice(fine, bleed_chi, block, protocol, per_slice)
    mimics = slices_of(np.maximum(veins, (np.abs(decoys) > 0.05).astype(np.float32)), per_slice, protocol.slice_fill)
    return _assemble(rng, fine, mimics, before, after, sources, block, protocol, per_slice)


def _acquire_twice(
    fine: _Fine, bleed_chi: np.ndarray, block: Block, protocol: Protocol, per_slice: int
) -> tuple[np.ndarray, np.ndarray]:
    field = field_of(fine.chi, block.spacing_mm, protocol.b0_direction)
    before = acquire(signal_of(fine.weight, fine.r2star, field, protocol), block.spacing_mm, per_slice, protocol)
    field = field + field_of(bleed_chi, block.spacing_mm, protocol.b0_direction)
    decay = fine.r2star + (bleed_chi > 0.02) * np.minimum(60.0 * protocol.field_t * bleed_chi, 400.0)
    after = acquire(signal_of(fine.weight, decay, field, protocol), block.spacing_mm, per_slice, protocol)
    return before, after


def _assemble(
    rng: np.random.Generator,
    fine: _Fine,
    mimics: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    sources: list[Source],
    block: Block,
    protocol: Protocol,
    per_slice: int,
) -> SyntheticScan:
    labels = fine.labels[per_slice // 2 :: per_slice][: after.shape[0]]
    labels, mimics = _match(labels, after.shape, 0), _match(mimics, after.shape, 1)
    brain = brain_of(labels)
    spacing = (protocol.pixel_mm, protocol.pixel_mm, protocol.slice_spacing_mm)
    clean_before, clean_after = render(before, protocol), render(after, protocol)
    loss = _signal_loss(clean_before, clean_after, brain)
    classes = np.where((mimics > 0.2) & (labels < 500), MIMIC, BACKGROUND).astype(np.uint8)
    instances = np.zeros(classes.shape, np.uint16)
    lesions = [_draw_truth(n, s, loss, classes, instances, labels, block, spacing) for n, s in enumerate(sources, 1)]
    level = float(np.abs(after)[brain].mean()) if brain.any() else float(np.abs(after).mean())
    image = render(spoil(rng, after, level, protocol), protocol)
    return SyntheticScan(
        image / max(level, 1e-6), classes, instances, brain, labels, spacing, [x for x in lesions if x], protocol
    )


def _signal_loss(before: np.ndarray, after: np.ndarray, brain: np.ndarray) -> np.ndarray:
    # Where bone or the air of a sinus took the signal already, nobody can see a microbleed.
    mean = float(before[brain].mean()) if brain.any() else float(before.mean())
    dark = before < WEAKEST_SIGNAL * mean
    return np.where(dark, 0.0, 1 - after / np.where(dark, 1.0, before))


def _match(volume: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    if volume.shape == shape:
        return volume
    factors = np.array(shape) / volume.shape
    return ndimage.zoom(volume, factors, order=order, grid_mode=True, mode="nearest")


def _draw_truth(
    number: int,
    source: Source,
    loss: np.ndarray,
    classes: np.ndarray,
    instances: np.ndarray,
    labels: np.ndarray,
    block: Block,
    spacing: tuple[float, float, float],
) -> Lesion | None:
    """Write one microbleed into the maps: the half-maximum region of its loss; what is not visible is ignored."""
    step = np.array(spacing[::-1])
    center = (np.array(source.center_mm) + block.spacing_mm / 2) / step - 0.5
    low = np.maximum(np.floor(center - 9.0 / step).astype(int), 0)
    high = np.minimum(np.ceil(center + 9.0 / step).astype(int) + 1, loss.shape)
    if np.any(high - low < 1):
        return None
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    part = loss[box]
    distance = np.linalg.norm((np.indices(part.shape).transpose(1, 2, 3, 0) + low - center) * step, axis=-1)
    near = np.where(distance <= source.radius_mm + 0.5 * step.max() + 0.75, part, -1.0)
    peak = np.unravel_index(np.argmax(near), near.shape)
    height = float(near[peak])
    region, _ = ndimage.label(part >= max(0.5 * height, 0.12))
    mask = (region == region[peak]) & (region > 0) & (distance < 9.0)
    diameter = float((6 / np.pi * mask.sum() * np.prod(step)) ** (1 / 3))
    visible = bool(height >= VISIBLE_LOSS and 1.0 <= diameter <= 12.0)
    classes[box][mask] = MICROBLEED if visible else IGNORE
    if visible:
        instances[box][mask] = number
    index = np.clip(np.rint(center).astype(int), 0, np.array(labels.shape) - 1)
    k, j, i = (float(c) for c in center)
    return Lesion(number, (k, j, i), diameter, height, int(labels[tuple(index)]), visible)
