"""Synthetic T2* and SWI scans with microbleeds and decoys whose visible extent is known.

Order of events: label map -> properties on a fine grid -> veins, iron -> field by the dipole kernel -> complex signal
-> slices and k-space of the protocol -> noise. The scan is made three times: bare, with the decoys, and with the
microbleeds too; the relative loss of signal from one to the next is what the truth is drawn from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from CMBNetTrainingLib.acquisition import acquire, field_of, render, signal_of, slices_of, spoil
from CMBNetTrainingLib.decoys import draw_decoys
from CMBNetTrainingLib.head import OUTER_AIR, Block, HeadMap, sample_labels, sample_properties
from CMBNetTrainingLib.iron import iron_ppm
from CMBNetTrainingLib.protocol import Protocol
from CMBNetTrainingLib.sources import (
    MOST_RELAXATION,
    RELAXATION_PER_T_PPM,
    Painted,
    Source,
    draw_microbleeds,
    paint_sources,
)
from CMBNetTrainingLib.tissue import brain_of, draw_tissue_table, iron_at, parenchyma_of
from CMBNetTrainingLib.truth import IGNORE, MICROBLEED, MIMIC, Lesion, Seen, TruthMaps, mark_source, signal_loss
from CMBNetTrainingLib.veins import vein_fraction

BLOOD_R2STAR_PER_T = 25.0
VEIN_PPM = (0.15, 0.42)
# Share of a voxel that must be vein for it to count as one.
VEIN_SHARE = 0.2
# Texture within a tissue: correlation lengths (mm), and its size in susceptibility (ppm) and in signal.
TEXTURES_MM = (1.2, 6.0)
TEXTURE_PPM, TEXTURE_SIGNAL = 0.008, 0.025


@dataclass(frozen=True)
class SyntheticScan:
    """One simulated scan; arrays are [k, j, i].

    Attributes
    ----------
    image : ndarray of float32
        Magnitude, the brain's mean is about 1.
    classes : ndarray of uint8
        0 background, 1 microbleed, 2 mimic, 255 not to be judged.
    instances, decoy_instances : ndarray of uint16
        One value for each visible microbleed and decoy.
    brain : ndarray of bool
    labels : ndarray of int16
        Of the label map, at the middle of each voxel.
    spacing_mm : tuple of float
        i, j, k.
    lesions, decoys : list of Lesion
        Invisible ones too.
    protocol : Protocol
    """

    image: np.ndarray
    classes: np.ndarray
    instances: np.ndarray
    decoy_instances: np.ndarray
    brain: np.ndarray
    labels: np.ndarray
    spacing_mm: tuple[float, float, float]
    lesions: list[Lesion]
    decoys: list[Lesion]
    protocol: Protocol

    def without_border(self, border: tuple[int, int, int]) -> SyntheticScan:
        """The scan without so many voxels (k, j, i) on either side; what has its middle there is not to be judged."""
        box = tuple(slice(n, size - n) for n, size in zip(border, self.image.shape, strict=True))
        image, classes = self.image[box], self.classes[box].copy()
        lesions, decoys = (_moved(each, border, image.shape) for each in (self.lesions, self.decoys))
        instances, decoy_instances = _only(self.instances[box], lesions), _only(self.decoy_instances[box], decoys)
        classes[(classes == MICROBLEED) & (instances == 0)] = IGNORE
        return SyntheticScan(
            image, classes, instances, decoy_instances, self.brain[box], self.labels[box], self.spacing_mm, lesions,
            decoys, self.protocol,
        )  # fmt: skip


def _moved(lesions: list[Lesion], border: tuple[int, int, int], shape: tuple[int, ...]) -> list[Lesion]:
    """Those whose middle lies in a grid of ``shape`` that begins ``border`` voxels further."""
    moved = []
    for lesion in lesions:
        k, j, i = (float(x) - n for x, n in zip(lesion.center_kji, border, strict=True))
        if all(-0.5 <= x < n - 0.5 for x, n in zip((k, j, i), shape, strict=True)):
            moved.append(replace(lesion, center_kji=(k, j, i)))
    return moved


def _only(instances: np.ndarray, lesions: list[Lesion]) -> np.ndarray:
    return np.where(np.isin(instances, [lesion.id for lesion in lesions]), instances, 0)


def fine_grid(
    size_mm: tuple[float, float, float], protocol: Protocol, fine_mm: float = 0.5
) -> tuple[tuple[int, int, int], np.ndarray, int]:
    """Fine shape (k, j, i), fine spacing (mm) and fine samples a slice, for a field of view of `size_mm` (k, j, i).

    The field of view is a whole number of slices and of pixels, so that truth and image lie on the same grid.
    """
    per_slice = max(1, round(protocol.slice_spacing_mm / fine_mm))
    count = max(1, round(size_mm[0] / protocol.slice_spacing_mm))
    pixels = [round(s / protocol.pixel_mm / 2) * 2 for s in size_mm[1:]]
    in_plane = [round(n * protocol.pixel_mm / fine_mm / 2) * 2 for n in pixels]
    spacing = [n * protocol.pixel_mm / fine for n, fine in zip(pixels, in_plane, strict=True)]
    return (
        (count * per_slice, in_plane[0], in_plane[1]),
        np.array([protocol.slice_spacing_mm / per_slice, *spacing]),
        per_slice,
    )


@dataclass
class _Fine:
    """Properties on the fine grid: labels in memory, the rest on the device."""

    labels: np.ndarray
    chi_ppm: Tensor
    r2star: Tensor
    weight: Tensor
    veins: Tensor


@dataclass(frozen=True)
class _Physics:
    """What turns a fine grid into images."""

    block: Block
    protocol: Protocol
    per_slice: int

    def field(self, chi_ppm: Tensor) -> Tensor:
        return field_of(chi_ppm, self.block.spacing_mm, self.protocol.b0_direction)

    def image(self, weight: Tensor, r2star: Tensor, field_ppm: Tensor) -> Tensor:
        fine = signal_of(weight, r2star, field_ppm, self.protocol)
        return acquire(fine, self.block.spacing_mm, self.per_slice, self.protocol)


def synthesize(
    rng: np.random.Generator,
    head: HeadMap,
    block: Block,
    protocol: Protocol,
    per_slice: int,
    n_microbleeds: int,
    *,
    device: str = "cpu",
) -> SyntheticScan:
    """One scan (or a block of one) with at most ``n_microbleeds``; the same ``rng`` gives the same on one device."""
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    fine = _fine_tissue(rng, generator, head, block, protocol, device)
    decoys = draw_decoys(rng, fine.labels, block.spacing_mm)
    bleeds = draw_microbleeds(rng, fine.labels, n_microbleeds, block.spacing_mm)
    physics = _Physics(block, protocol, per_slice)
    bare, mimicking, full = _three_images(rng, fine, decoys, bleeds, physics)
    return _assemble(generator, head, fine, (bare, mimicking, full), decoys, bleeds, physics)


def _fine_tissue(
    rng: np.random.Generator,
    generator: torch.Generator,
    head: HeadMap,
    block: Block,
    protocol: Protocol,
    device: str,
) -> _Fine:
    age = float(rng.uniform(45, 90))
    table = draw_tissue_table(rng, protocol.field_t, age)
    table.chi_ppm[OUTER_AIR], table.weight[OUTER_AIR], table.r2star[OUTER_AIR] = 0.0, 0.0, 0.0
    points = block.sample_points(device)
    labels = sample_labels(head, points)
    chi, r2star, weight = sample_properties(head, points, [table.chi_ppm, table.r2star, table.weight])
    del points
    texture = _texture(generator, block)
    chi += TEXTURE_PPM * texture
    weight *= 1 + TEXTURE_SIGNAL * texture
    iron = torch.from_numpy(iron_ppm(rng, labels, block.spacing_mm, iron_at(age))).to(device)
    chi += iron
    r2star += RELAXATION_PER_T_PPM * protocol.field_t * iron
    veins = torch.from_numpy(vein_fraction(rng, labels, block.spacing_mm)).to(device)
    fine = _Fine(labels, chi, r2star, weight, veins)
    _fill_with_blood(fine, float(rng.uniform(*VEIN_PPM)), protocol.field_t)
    return fine


def _texture(generator: torch.Generator, block: Block) -> Tensor:
    """Unit noise with the correlation lengths of `TEXTURES_MM`, half of its variance each."""
    total = torch.zeros(block.shape, device=generator.device)
    for length_mm in TEXTURES_MM:
        coarse = [max(2, round(n * s / length_mm)) for n, s in zip(block.shape, block.spacing_mm, strict=True)]
        noise = torch.randn(1, 1, *coarse, generator=generator, device=generator.device)
        total += F.interpolate(noise, size=block.shape, mode="trilinear", align_corners=True)[0, 0]
    return total / total.std()


def _fill_with_blood(fine: _Fine, chi_ppm: float, field_t: float) -> None:
    fine.chi_ppm += fine.veins * (chi_ppm - fine.chi_ppm)
    relaxation = 15.0 + BLOOD_R2STAR_PER_T * field_t * (chi_ppm / 0.3)
    fine.r2star += fine.veins * (relaxation - fine.r2star).clamp_min(0)


def _three_images(
    rng: np.random.Generator, fine: _Fine, decoys: list[Source], bleeds: list[Source], physics: _Physics
) -> tuple[Tensor, Tensor, Tensor]:
    """Complex images: bare, with decoys, with decoys and microbleeds. Fields of sources add up."""
    field = physics.field(fine.chi_ppm)
    images = [physics.image(fine.weight, fine.r2star, field)]
    for sources in (decoys, bleeds):
        if not sources:
            images.append(images[-1])
            continue
        painted = paint_sources(rng, sources, fine.labels.shape, physics.block.spacing_mm)
        chi = torch.from_numpy(painted.chi_ppm).to(field.device)
        field = field + physics.field(chi)
        _apply(fine, painted, chi, physics.protocol.field_t)
        images.append(physics.image(fine.weight, fine.r2star, field))
    return images[0], images[1], images[2]


def _apply(fine: _Fine, painted: Painted, chi_ppm: Tensor, field_t: float) -> None:
    """Relaxation of old blood, and the water that solid calcium displaces."""
    fine.r2star += (RELAXATION_PER_T_PPM * field_t * chi_ppm.clamp_min(0)).clamp_max(MOST_RELAXATION)
    fine.weight *= 1 - torch.from_numpy(painted.dryness).to(chi_ppm.device)


def _assemble(
    generator: torch.Generator,
    head: HeadMap,
    fine: _Fine,
    images: tuple[Tensor, Tensor, Tensor],
    decoys: list[Source],
    bleeds: list[Source],
    physics: _Physics,
) -> SyntheticScan:
    protocol, full = physics.protocol, images[2]
    labels = _on_pixels(fine.labels, full.shape)
    brain, tissue = brain_of(labels), parenchyma_of(labels)
    bare, mimicking, clean = (render(image, protocol).cpu().numpy() for image in images)
    maps = TruthMaps.empty(labels.shape)
    veins = slices_of(fine.veins, physics.per_slice, protocol.slice_fill)
    maps.classes[(_on_pixels(veins.cpu().numpy(), full.shape) > VEIN_SHARE) & (labels < 500)] = MIMIC
    step = np.array([protocol.slice_spacing_mm, protocol.pixel_mm, protocol.pixel_mm])
    level = max(float(clean[brain].mean()) if brain.any() else float(clean.mean()), 1e-6)
    image = render(spoil(generator, full, level, protocol), protocol).cpu().numpy() / level

    def marked(sources: list[Source], before: np.ndarray, after: np.ndarray) -> list[Lesion]:
        seen = Seen(image, 1 / protocol.snr, after, signal_loss(before, after, brain), tissue, step)
        made = [mark_source(n, s, seen, maps, head, physics.block) for n, s in enumerate(sources, 1)]
        return [lesion for lesion in made if lesion is not None]

    seen_decoys = marked(decoys, bare, mimicking)
    seen_bleeds = marked(bleeds, mimicking, clean)
    spacing = (protocol.pixel_mm, protocol.pixel_mm, protocol.slice_spacing_mm)
    return SyntheticScan(
        image, maps.classes, maps.microbleeds, maps.decoys, brain, labels, spacing, seen_bleeds, seen_decoys, protocol
    )


def _on_pixels(volume: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The fine voxel at the middle of each voxel of the scan."""
    sizes = zip(volume.shape, shape, strict=True)
    return volume[np.ix_(*[((np.arange(n) + 0.5) * have / n).astype(int) for have, n in sizes])]
