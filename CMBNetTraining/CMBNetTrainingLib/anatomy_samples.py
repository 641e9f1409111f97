"""Training samples of the anatomy network: a patch of a bent head in a random contrast, seen by a random scanner.

A patch is simulated on voxels of 1 mm and averaged in pairs along k. Everything runs where the heads' tensors are; of
a GPU no value is asked, so that the next sample can be begun while it is busy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from CMBNetLib.network_anatomy import anatomy_intensities
from CMBNetTrainingLib.acquisition import field_of
from CMBNetTrainingLib.anatomy_contrasts import Contrast, draw_contrast
from CMBNetTrainingLib.anatomy_heads import LEFT, RIGHT, CodedHead
from CMBNetTrainingLib.anatomy_scanner import moved, scanned, with_dark_things, with_texture
from CMBNetTrainingLib.anatomy_slices import draw_slicing

PAIR = 2  # slices of 1 mm in a voxel of the network
UNKNOWN_SIDE = 255
# Voxels kept empty round a head where its field is computed, whose borders are periodic.
FIELD_MARGIN = 8
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Sample:
    """Normalised image (float32), tissues (uint8) and side (0 left, 1 right, 255 unknown), tensors (k, j, i)."""

    image: Tensor
    tissue: Tensor
    side: Tensor


@dataclass(frozen=True)
class SampledHead:
    """A head whose codes lie on the device on which samples of it are made."""

    coded: CodedHead
    codes: Tensor
    near_ventricle: Tensor

    @classmethod
    def on(cls, device: torch.device | str, coded: CodedHead) -> SampledHead:
        codes, near = torch.from_numpy(coded.codes.astype(np.int32)), torch.from_numpy(coded.near_ventricle)
        return cls(coded, codes.to(device), near.to(device))


def _values(table: np.ndarray, codes: Tensor) -> Tensor:
    """What a table says of each code."""
    return moved(np.ascontiguousarray(table), codes.device)[codes]


def draw_sample(rng: np.random.Generator, heads: Sequence[SampledHead], patch: Shape) -> Sample:
    """One sample of one of the heads, of so many voxels (k, j, i) of 2 x 1 x 1 mm; the same for the same ``rng``."""
    head = heads[int(rng.integers(len(heads)))]
    device = head.codes.device
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    points, mirrored = _draw_points(rng, generator, head.coded, patch)
    codes = _with_larger_ventricles(rng, head)
    contrast = draw_contrast(rng, head.coded.label)
    slicing = draw_slicing(rng, tuple(points.shape[1:]))
    signal = _signal(rng, head, codes, points, contrast)
    signal = with_dark_things(rng, generator, with_texture(rng, generator, signal))
    tissue = _values(head.coded.tissue, _nearest(codes, points))
    image = scanned(rng, generator, signal, tissue, slicing, contrast.swi)
    seen = moved(slicing.in_view(rng), device).expand(image.shape)
    image, seen = _pair_means(image * seen), seen[::PAIR]
    tissue, side = _truth(head, codes, points.unflatten(1, (-1, PAIR)).mean(2), mirrored, seen)
    return Sample(anatomy_intensities(image), tissue, side)


def _truth(head: SampledHead, codes: Tensor, points: Tensor, mirrored: bool, seen: Tensor) -> tuple[Tensor, Tensor]:
    here = _nearest(codes, points)
    tissue = _values(head.coded.tissue, here) * seen
    sides = head.coded.side
    if mirrored:
        sides = np.array([0, RIGHT, LEFT], np.uint8)[sides]
    told = np.where(sides > 0, sides - 1, UNKNOWN_SIDE).astype(np.uint8)
    return tissue, torch.where(tissue > 0, _values(told, here), UNKNOWN_SIDE)


def _pair_means(image: Tensor) -> Tensor:
    return image.unflatten(0, (-1, PAIR)).mean(1)


def _draw_points(
    rng: np.random.Generator, generator: torch.Generator, head: CodedHead, patch: Shape
) -> tuple[Tensor, bool]:
    """Voxel coordinates (3, 2 k, j, i) in the head of every 1 mm of the patch, and whether the head is mirrored."""
    spread = np.array([24.0, 26.0, 22.0]) if rng.random() < 0.8 else np.array([60.0, 70.0, 60.0])
    matrix = _rotation(rng) @ np.diag(rng.uniform(0.88, 1.12, 3)) + rng.normal(0, 0.02, (3, 3))
    mirrored = bool(rng.random() < 0.5)
    if mirrored:
        matrix[:, 2] *= -1
    device = generator.device
    shape = (PAIR * patch[0], *patch[1:])
    axes = [torch.arange(n, dtype=torch.float32, device=device) - (n - 1) / 2 for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    points = torch.einsum("ab,bkji->akji", moved(matrix.astype(np.float32), device), grid)
    size = int(rng.integers(4, 8))
    bend = torch.randn(1, 3, size, size, size, generator=generator, device=device) * float(rng.uniform(0.5, 3.0))
    points += F.interpolate(bend, size=shape, mode="trilinear", align_corners=True)[0]
    center = moved((head.center + rng.uniform(-spread, spread)).astype(np.float32), device)
    return points + center[:, None, None, None], mirrored


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


def _with_larger_ventricles(rng: np.random.Generator, head: SampledHead) -> Tensor:
    """A quarter of the heads lose white matter to their ventricles."""
    if rng.random() >= 0.25:
        return head.codes
    codes = head.codes.clone()
    grown = head.near_ventricle[: int(rng.uniform(0.2, 1.0) * len(head.near_ventricle))]
    left, right = head.coded.ventricle_codes
    flat = codes.view(-1)
    flat[grown] = _values(np.where(head.coded.side == RIGHT, right, left).astype(np.int32), flat[grown])
    return codes


def _nearest(codes: Tensor, points: Tensor) -> Tensor:
    """Codes at points; beyond the array its outermost code at the corner, which is air."""
    index = points.round().to(torch.int32)
    inside = torch.ones(index.shape[1:], dtype=torch.bool, device=codes.device)
    flat = torch.zeros(index.shape[1:], dtype=torch.int32, device=codes.device)
    for axis, size in enumerate(codes.shape):
        inside &= (index[axis] >= 0) & (index[axis] < size)
        flat = flat * size + index[axis].clamp(0, size - 1)
    return torch.where(inside, codes.view(-1)[flat], codes[-1, 0, 0])


def _signal(rng: np.random.Generator, head: SampledHead, codes: Tensor, points: Tensor, contrast: Contrast) -> Tensor:
    """Complex signal at the points: contrast of the tissues, and the phase of the field that they make."""
    magnitude = _values(contrast.magnitude, codes)
    if not contrast.radians_per_ppm:
        return torch.complex(_interpolated(magnitude[None], points)[0], torch.zeros((), device=codes.device))
    field = _field(_values(contrast.chi_ppm, codes), rng.normal(0, 0.15, 2))
    size, phase = _interpolated(torch.stack([magnitude, field * contrast.radians_per_ppm]), points)
    return torch.polar(size, phase)


def _field(chi_ppm: Tensor, tilt: np.ndarray) -> Tensor:
    """Field (ppm) of a head in a scanner that is tilted against it."""
    sizes = [next_fast_len(n + FIELD_MARGIN, real=True) for n in chi_ppm.shape]
    padding = [p for n, size in zip(chi_ppm.shape[::-1], sizes[::-1], strict=True) for p in (0, size - n)]
    up = np.array([1.0, *tilt])
    k, j, i = (float(x) for x in up / np.linalg.norm(up))
    field = field_of(F.pad(chi_ppm, padding), np.ones(3), (k, j, i))
    return field[tuple(slice(n) for n in chi_ppm.shape)]


def _interpolated(values: Tensor, points: Tensor) -> Tensor:
    """Trilinear samples (c, ...) of arrays (c, k, j, i) at points (3, ...); 0 beyond their edge."""
    size = moved(np.array(values.shape[1:], np.float32), points.device)[:, None, None, None]
    unit = points / (size - 1) * 2 - 1
    grid = unit.flip(0).permute(1, 2, 3, 0)[None]
    return F.grid_sample(values[None], grid, mode="bilinear", padding_mode="zeros", align_corners=True)[0]
