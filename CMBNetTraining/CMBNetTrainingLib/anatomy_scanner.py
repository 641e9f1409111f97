"""A random scanner for training samples of the anatomy network; all on a grid of 1 mm, on any device.

Nothing here asks a tensor for a value, for which a GPU would have to be waited for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from CMBNetLib.anatomy_tissues import OUTER_CSF
from CMBNetTrainingLib.acquisition import PHASE_FILTER_MM, phase_mask
from CMBNetTrainingLib.anatomy_slices import Slicing

MOST_SPOTS = 40
STRIPPED_SHARE = 0.12


def moved(array: np.ndarray, device: torch.device | str) -> Tensor:
    """A small array on the device, without waiting for what the device still does."""
    return torch.from_numpy(array).to(device, non_blocking=True)


def with_texture(rng: np.random.Generator, generator: torch.Generator, signal: Tensor) -> Tensor:
    """Noise of about 1 to 2 mm and of 6 mm within the tissues."""
    fine = smooth_noise(generator, signal.shape, float(rng.uniform(1.0, 2.5)))
    wide = smooth_noise(generator, signal.shape, 6.0)
    return signal * (1 + float(rng.uniform(0, 0.09)) * fine + float(rng.uniform(0, 0.04)) * wide)


def with_dark_things(rng: np.random.Generator, generator: torch.Generator, signal: Tensor) -> Tensor:
    """Veins, microbleeds and other small spots, infarcts and oedema: what must not move a border."""
    if rng.random() < 0.7:
        signal = signal * _veins(rng, generator, signal.shape)
    if rng.random() < 0.6:
        count = int(rng.integers(1, MOST_SPOTS))
        spots = _gaussians(rng, signal.shape, np.exp(rng.uniform(np.log(0.5), np.log(3.0), count)), signal.device)
        signal = signal * torch.exp(-float(rng.uniform(0.5, 4.0)) * spots)
    if rng.random() < 0.4:
        areas = _gaussians(rng, signal.shape, rng.uniform(3.0, 12.0, int(rng.integers(1, 4))), signal.device)
        change = rng.uniform(0.1, 0.8) if rng.random() < 0.6 else rng.uniform(1.2, 1.8)
        signal = signal * (1 + (float(change) - 1) * torch.sigmoid(20 * (areas - 0.4)))
    return signal


def _veins(rng: np.random.Generator, generator: torch.Generator, shape: Sequence[int]) -> Tensor:
    """Factor of the signal in curves where two smooth fields are near zero; veins turn the phase too."""
    one, other = (smooth_noise(generator, shape, float(rng.uniform(5, 12))) for _ in range(2))
    share = torch.exp(-((one / float(rng.uniform(0.06, 0.16))) ** 2) - (other / float(rng.uniform(0.1, 0.25))) ** 2)
    return torch.polar(1 - float(rng.uniform(0.1, 0.8)) * share, float(rng.uniform(0, 2.0)) * share)


def _gaussians(rng: np.random.Generator, shape: Sequence[int], sigmas_mm: np.ndarray, device: torch.device) -> Tensor:
    """Sum of bells of height 1 at random places."""
    factors = []
    for size in shape:
        at = torch.arange(size, device=device)
        center = moved(rng.uniform(0, size, (len(sigmas_mm), 1)).astype(np.float32), device)
        width = moved((sigmas_mm[:, None] * rng.uniform(0.7, 1.4, (len(sigmas_mm), 1))).astype(np.float32), device)
        factors.append(torch.exp(-0.5 * ((at - center) / width) ** 2))
    k, j, i = factors
    return (k.T @ (j[:, :, None] * i[:, None]).flatten(1)).unflatten(1, (shape[1], shape[2]))


def scanned(
    rng: np.random.Generator, generator: torch.Generator, signal: Tensor, tissue: Tensor, slicing: Slicing, swi: bool
) -> Tensor:
    """Magnitude of a complex signal: slices, pixels, noise, phase mask, coil.

    ``tissue`` is that of every voxel: what the noise is relative to is the mean of what is in the head.
    """
    inside = tissue > 0
    reference = (signal.abs() * inside).sum() / inside.sum().clamp_min(1)
    in_plane = [axis for axis in range(3) if axis != slicing.axis]
    signal = along(moved(slicing.matrix, signal.device), signal, slicing.axis)
    signal = smoothed(signal, float(rng.uniform(0.05, 0.6) if rng.random() < 0.9 else rng.uniform(0.6, 1.2)), in_plane)
    sd = reference * float(np.exp(rng.uniform(np.log(0.008), np.log(0.1))))
    signal = signal + sd * _noise(generator, signal, slicing, float(rng.uniform(0.05, 0.6)), in_plane)
    image = signal.abs()
    if swi:
        phase = (signal * smoothed(signal, PHASE_FILTER_MM, in_plane).conj()).angle()
        image = image * phase_mask(phase)
    if rng.random() < 0.9:
        image = image * _coil(rng, generator, image.shape)
    image = image ** float(rng.uniform(0.75, 1.35))
    if rng.random() < STRIPPED_SHARE:
        image = image * (inside & (tissue != OUTER_CSF) if rng.random() < 0.5 else inside)
    return image


def _noise(generator: torch.Generator, like: Tensor, slicing: Slicing, sigma: float, axes: Sequence[int]) -> Tensor:
    """Complex noise of standard deviation 1 a part, alike within a slice and over neighbouring pixels."""
    parts = torch.randn((*like.shape, 2), generator=generator, device=like.device)
    matrix = moved(slicing.matrix, like.device)
    spread = smoothing_matrix(sigma, like.shape[axes[0]], like.device)
    scale = matrix.square().sum(1).mean().sqrt() * spread.square().sum(1).mean()
    return smoothed(along(matrix, torch.view_as_complex(parts), slicing.axis), sigma, axes) / scale


def smooth_noise(generator: torch.Generator, shape: Sequence[int], length_mm: float) -> Tensor:
    """Noise of standard deviation 1 with a correlation length, drawn on a grid of that length."""
    coarse = [max(2, round(n / length_mm)) for n in shape]
    noise = torch.randn(1, 1, *coarse, generator=generator, device=generator.device)
    noise = F.interpolate(noise, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0]
    return noise / noise.std()


def _coil(rng: np.random.Generator, generator: torch.Generator, shape: Sequence[int]) -> Tensor:
    size = int(rng.integers(2, 5))
    coarse = torch.randn(1, 1, size, size, size, generator=generator, device=generator.device)
    coarse = torch.exp(float(rng.uniform(0.05, 0.4)) * coarse)
    return F.interpolate(coarse, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0]


def smoothed(image: Tensor, sigma: float, axes: Sequence[int]) -> Tensor:
    """Gaussian smoothing along axes, real or complex; edges are those of the array."""
    for axis in axes:
        image = along(smoothing_matrix(sigma, image.shape[axis], image.device), image, axis)
    return image


def smoothing_matrix(sigma: float, count: int, device: torch.device) -> Tensor:
    """Rows of Gaussian weights that sum to 1; products with it are faster than convolutions here."""
    at = torch.arange(count, device=device)
    weights = torch.exp(-0.5 * ((at[:, None] - at) / max(sigma, 0.05)) ** 2)
    return weights / weights.sum(1, keepdim=True)


def along(matrix: Tensor, image: Tensor, axis: int) -> Tensor:
    """A matrix applied along one axis of a real or complex array (k, j, i)."""
    if image.is_complex():
        parts = torch.view_as_real(image)
        return torch.view_as_complex(_along(matrix, parts, axis).contiguous())
    return _along(matrix, image, axis)


def _along(matrix: Tensor, image: Tensor, axis: int) -> Tensor:
    return torch.tensordot(matrix, image, dims=([1], [axis])).movedim(0, axis)
