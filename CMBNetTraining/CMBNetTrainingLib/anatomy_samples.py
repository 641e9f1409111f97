"""Training samples of the anatomy network: a patch of a bent head in a random contrast, seen by a random scanner.

All is done on few voxels: tissue intensities are looked up on the label map's own 1 mm grid, averaged to 2 mm, and
sampled once. A patch of 64 x 80 x 64 voxels takes about a quarter of a second on one core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from CMBNetLib.anatomy_input import anatomy_intensities
from CMBNetLib.anatomy_tissues import OUTER_CSF
from CMBNetTrainingLib.anatomy_heads import LEFT, OUTER_CSF_CODE, RIGHT, CodedHead, outer_air
from CMBNetTrainingLib.anatomy_slices import draw_slicing
from CMBNetTrainingLib.tissue import CSF_LABELS, FIRST_EXTRACEREBRAL_LABEL, draw_tissue_table

# From a part of a head to nearly all of one, as scans cover more or less.
PATCHES = ((64, 80, 64), (64, 80, 64), (80, 104, 80), (40, 104, 80))
VOXEL_MM = 2.0
UNKNOWN_SIDE = 255
PHYSICAL_SHARE = 0.85
# Phase (rad) over a voxel of 2 mm that a gradient of 1 ppm/mm makes at 3 T and 20 ms.
RADIANS_PER_PPM_MM = 2 * np.pi * 42.577 * 3.0 * 0.02 * 2.0


@dataclass(frozen=True)
class Sample:
    """Normalised image (float32), tissues (uint8) and side (0 left, 1 right, 255 unknown), [k, j, i]."""

    image: np.ndarray
    tissue: np.ndarray
    side: np.ndarray


def draw_sample(
    rng: np.random.Generator, heads: Sequence[CodedHead], patch: tuple[int, int, int] | None = None
) -> Sample:
    """One sample of one of the heads; ``patch``: its voxels (k, j, i), none: one of `PATCHES`."""
    head = heads[int(rng.integers(len(heads)))]
    patch = patch or PATCHES[int(rng.integers(len(PATCHES)))]
    points, mirrored = _draw_points(rng, head, patch)
    codes = _with_larger_ventricles(rng, head)
    here = _nearest(codes, points)
    tissue, side = head.tissue[here], head.side[here]
    if mirrored:
        side = np.array([0, RIGHT, LEFT], np.uint8)[side]
    image = _draw_signal(rng, head, codes, points)
    image, seen = _draw_scanner(rng, image, tissue)
    tissue = np.where(seen, tissue, 0).astype(np.uint8)
    told = np.where((side > 0) & (tissue > 0), side - 1, UNKNOWN_SIDE).astype(np.uint8)
    return Sample(anatomy_intensities(image), tissue, told)


def _draw_points(
    rng: np.random.Generator, head: CodedHead, patch: tuple[int, int, int]
) -> tuple[torch.Tensor, bool]:
    """Voxel coordinates (3, k, j, i) in the head of every voxel of the patch, and whether the head is mirrored."""
    spread = np.array([24.0, 26.0, 22.0]) if rng.random() < 0.8 else np.array([60.0, 70.0, 60.0])
    matrix = _rotation(rng) @ np.diag(rng.uniform(0.88, 1.12, 3)) + rng.normal(0, 0.02, (3, 3))
    mirrored = bool(rng.random() < 0.5)
    if mirrored:
        matrix[:, 2] *= -1
    axes = [(torch.arange(n, dtype=torch.float32) - (n - 1) / 2) * VOXEL_MM for n in patch]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    points = torch.einsum("ab,bkji->akji", torch.tensor(matrix, dtype=torch.float32), grid)
    size = int(rng.integers(4, 8))
    bend = torch.tensor(rng.normal(0, rng.uniform(0.5, 3.0), (1, 3, size, size, size)), dtype=torch.float32)
    points += F.interpolate(bend, size=patch, mode="trilinear", align_corners=True)[0]
    center = head.center + rng.uniform(-spread, spread)
    return points + torch.tensor(center, dtype=torch.float32)[:, None, None, None], mirrored


def _rotation(rng: np.random.Generator) -> np.ndarray:
    """Tilts of about 10 degrees about each axis; now and then up to 40."""
    degrees = rng.uniform(-40, 40, 3) if rng.random() < 0.12 else rng.normal(0, 10, 3)
    rotation = np.eye(3)
    for (a, b), angle in zip(((1, 2), (0, 2), (0, 1)), np.deg2rad(degrees), strict=True):
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    return rotation


def _with_larger_ventricles(rng: np.random.Generator, head: CodedHead) -> np.ndarray:
    """A quarter of the heads lose white matter to their ventricles."""
    if rng.random() >= 0.25:
        return head.codes
    codes = head.codes.copy()
    grown = head.near_ventricle[: int(rng.uniform(0.2, 1.0) * len(head.near_ventricle))]
    right = head.side[codes.ravel()[grown]] == RIGHT
    codes.ravel()[grown] = np.where(right, head.ventricle_codes[1], head.ventricle_codes[0])
    return codes


def _nearest(codes: np.ndarray, points: torch.Tensor) -> np.ndarray:
    """Codes at points; beyond the array its outermost code at the corner, which is air."""
    index = points.round().to(torch.int64)
    inside = torch.ones(index.shape[1:], dtype=torch.bool)
    flat = torch.zeros(index.shape[1:], dtype=torch.int64)
    for axis, size in enumerate(codes.shape):
        inside &= (index[axis] >= 0) & (index[axis] < size)
        flat = flat * size + index[axis].clamp(0, size - 1)
    found = torch.from_numpy(codes).reshape(-1)[flat]
    return torch.where(inside, found, torch.tensor(codes[-1, 0, 0])).numpy()


def _draw_signal(rng: np.random.Generator, head: CodedHead, codes: np.ndarray, points: torch.Tensor) -> np.ndarray:
    """Magnitude at the points: tissue contrast averaged over 2 mm, with the signal loss near air cavities."""
    physical = rng.random() < PHYSICAL_SHARE
    table = _physical_contrast(rng, head.label) if physical else _random_contrast(rng, head.label)
    low, high = _bounds(points, codes.shape)
    part = codes[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    smooth = _averaged(table.astype(np.float32)[part])
    image = _interpolated(torch.from_numpy(smooth)[None, None], points, low + 0.5, 1.0, 0.0)
    if physical or rng.random() < 0.5:
        gradient = torch.from_numpy(head.gradient)[None, None]
        slope = _interpolated(gradient, points, np.zeros(3), 2.0, 0.0)
        image = image * np.abs(np.sinc(slope * (rng.uniform(0.2, 1.3) * RADIANS_PER_PPM_MM / (2 * np.pi))))
    return image


def _averaged(fine: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 x 2 voxels, one voxel apart; slices of sums, which is ten times as fast as pooling in torch."""
    fine = fine[1:] + fine[:-1]
    fine = fine[:, 1:] + fine[:, :-1]
    return (fine[:, :, 1:] + fine[:, :, :-1]) * np.float32(0.125)


def _bounds(points: torch.Tensor, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    flat = points.reshape(3, -1)
    low = np.clip(flat.min(1).values.floor().numpy().astype(int) - 1, 0, np.array(shape) - 3)
    high = np.clip(flat.max(1).values.ceil().numpy().astype(int) + 2, low + 3, np.array(shape))
    return low, high


def _interpolated(
    values: torch.Tensor, points: torch.Tensor, origin: np.ndarray, step: float, outside: float
) -> np.ndarray:
    """Trilinear samples of (1, 1, k, j, i) whose first voxel lies at ``origin``; ``outside`` beyond its edge."""
    size = torch.tensor(values.shape[2:], dtype=torch.float32)[:, None, None, None]
    unit = (points - torch.tensor(origin, dtype=torch.float32)[:, None, None, None]) / step / (size - 1) * 2 - 1
    grid = unit.flip(0).permute(1, 2, 3, 0)[None]
    sampled = F.grid_sample(values - outside, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return (sampled[0, 0] + outside).numpy()


def _physical_contrast(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """T2*-weighted magnitude by code, at a random field, echo time and age."""
    field_t = float(rng.choice([1.5, 3.0, 7.0], p=[0.45, 0.47, 0.08]))
    echo_s = {1.5: (15, 42), 3.0: (10, 30), 7.0: (7, 17)}[field_t]
    tissue = draw_tissue_table(rng, field_t, float(rng.uniform(40, 90)))
    known = np.where(label == OUTER_CSF_CODE, CSF_LABELS[-2], label)
    signal = tissue.weight[known] * np.exp(-rng.uniform(*echo_s) / 1000 * tissue.r2star[known])
    outside = label >= FIRST_EXTRACEREBRAL_LABEL
    signal *= _by_label(rng, label, lambda: rng.lognormal(0, 0.07))
    signal[outside] *= rng.lognormal(0, 0.35) * _by_label(rng, label, lambda: rng.lognormal(0, 0.35))[outside]
    csf = np.isin(known, CSF_LABELS)
    if rng.random() < 0.3:  # veins and pial iron darken what lies between the gyri
        signal[label == CSF_LABELS[-2]] *= rng.uniform(0.5, 1.0)
    signal[csf] *= rng.lognormal(0, 0.15)
    signal[outer_air(label)] = 0.0
    return signal / max(float(signal[label == 2].max()), 1e-3)


def _random_contrast(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """Any intensity for any label (as in SynthSeg, Billot et al. 2023); air and mostly bone stay dark."""
    signal = _by_label(rng, label, lambda: rng.uniform(0.1, 1.0))
    if rng.random() < 0.6:
        signal[label == 515] = rng.uniform(0, 0.25)
    if rng.random() < 0.7:
        signal[label == OUTER_CSF_CODE] = signal[label == 24].max() * rng.uniform(0.8, 1.2)
    signal[outer_air(label)] = 0.0
    return signal


def _by_label(rng: np.random.Generator, label: np.ndarray, draw: object) -> np.ndarray:
    """One draw for each label, the same for all codes of the label."""
    _, index = np.unique(label, return_inverse=True)
    return np.array([draw() for _ in range(index.max() + 1)])[index]  # type: ignore[operator]


def _draw_scanner(rng: np.random.Generator, image: np.ndarray, tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Texture, veins, lesions, slices, coil, blur, noise, field of view, brain extraction; and what is in view."""
    reference = float(image[tissue > 0].mean()) if (tissue > 0).any() else float(image.mean())
    image = image * (1 + rng.uniform(0, 0.08) * _noise(rng, image.shape, rng.uniform(0.4, 1.2)))
    if rng.random() < 0.5:
        curves = (np.abs(_noise(rng, image.shape, 2.5)) < 0.12) & (np.abs(_noise(rng, image.shape, 2.5)) < 0.25)
        image = image * (1 - rng.uniform(0.2, 0.8) * curves)
    image = _with_blobs(rng, image)
    slicing = draw_slicing(rng, image.shape)
    image = slicing.blurred(image)
    image = image * _coil(rng, image.shape) if rng.random() < 0.9 else image
    if rng.random() < 0.3:
        image = ndimage.gaussian_filter(image, rng.uniform(0.25, 0.75))
    image = np.maximum(image, 0) ** rng.uniform(0.75, 1.35)
    noise = rng.standard_normal((2, *image.shape), dtype=np.float32) * rng.uniform(0, 0.07) * reference
    image = np.sqrt((image + slicing.blurred(noise[0])) ** 2 + slicing.blurred(noise[1]) ** 2)
    if rng.random() < 0.15:
        kept = (tissue > 0) & ((tissue != OUTER_CSF) | (rng.random() < 0.5))
        image = np.where(kept, image, 0)
    seen = slicing.in_view(rng)
    return np.where(seen, image, 0), np.broadcast_to(seen, image.shape)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Smooth noise of standard deviation 1, drawn on a coarser grid where it is smooth enough."""
    step = max(1, int(sigma))
    coarse = rng.standard_normal([-(-n // step) for n in shape], dtype=np.float32)
    coarse = ndimage.gaussian_filter(coarse, sigma / step, truncate=2.5)
    coarse /= coarse.std()
    if step == 1:
        return coarse
    return F.interpolate(torch.from_numpy(coarse)[None, None], size=tuple(shape), mode="trilinear")[0, 0].numpy()


def _coil(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    size = int(rng.integers(2, 5))
    coarse = torch.tensor(np.exp(rng.normal(0, rng.uniform(0.05, 0.4), (1, 1, size, size, size))), dtype=torch.float32)
    return F.interpolate(coarse, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0].numpy()


def _with_blobs(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Infarcts, oedema, haemorrhage: up to three ellipsoids that are darker or brighter than their surroundings."""
    if rng.random() < 0.6:
        return image
    image = image.copy()
    for _ in range(rng.integers(1, 4)):
        radius = rng.uniform(1.5, 7.0, 3)
        center = rng.uniform(0.15, 0.85, 3) * image.shape
        box = tuple(
            slice(max(0, int(c - r)), int(c + r) + 1) for c, r in zip(center, radius, strict=True)
        )
        grid = np.ogrid[box]
        inside = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, center, radius, strict=True))
        part = image[box]
        inside = inside[: part.shape[0], : part.shape[1], : part.shape[2]]
        part[inside < 1] *= rng.uniform(0.1, 0.8) if rng.random() < 0.6 else rng.uniform(1.2, 1.8)
    return image
