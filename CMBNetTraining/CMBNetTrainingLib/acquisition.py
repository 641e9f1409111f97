"""The scanner: from susceptibility and relaxation on a fine grid to a magnitude T2* or SWI volume with its noise.

Tensors are (..., k, j, i), on any device; leading dimensions are a batch that shares a protocol.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from CMBNetTrainingLib.protocol import Protocol

GYROMAGNETIC_MHZ_PER_T = 42.577
AXIS_K, AXIS_J, AXIS_I = -3, -2, -1
# Width of the edge of the k-space window, in shares of the sampled half width: scanners apodise lightly.
APODISATION = 0.06
# Standard deviation (mm) of the smooth part of the phase that the SWI filter takes out.
PHASE_FILTER_MM = 3.0
COIL_BIAS = 0.16


def field_of(chi_ppm: Tensor, spacing_mm: np.ndarray, b0_direction: tuple[float, float, float]) -> Tensor:
    """Relative field (ppm) of a susceptibility map by the dipole kernel 1/3 - cos^2 in k-space (periodic borders).

    Source: Salomir et al. (2003), Marques and Bowtell (2005).
    """
    shape = chi_ppm.shape[-3:]
    k = [torch.fft.fftfreq(n, float(s), device=chi_ppm.device) for n, s in zip(shape, spacing_mm, strict=True)]
    k[2] = torch.fft.rfftfreq(shape[2], float(spacing_mm[2]), device=chi_ppm.device)
    kk, kj, ki = k[0][:, None, None], k[1][:, None], k[2]
    square = kk**2 + kj**2 + ki**2
    square[0, 0, 0] = 1.0
    kernel = 1 / 3 - (b0_direction[0] * kk + b0_direction[1] * kj + b0_direction[2] * ki) ** 2 / square
    kernel[0, 0, 0] = 0.0
    axes = (AXIS_K, AXIS_J, AXIS_I)
    return torch.fft.irfftn(torch.fft.rfftn(chi_ppm, dim=axes) * kernel, s=shape, dim=axes)


def signal_of(weight: Tensor, r2star: Tensor, field_ppm: Tensor, protocol: Protocol) -> Tensor:
    """Complex signal at the echo time on the fine grid."""
    te_s = protocol.echo_time_ms / 1000
    turns = GYROMAGNETIC_MHZ_PER_T * protocol.field_t * te_s * protocol.phase_sign
    return torch.polar(weight * torch.exp(-te_s * r2star), (2 * math.pi * turns) * field_ppm)


def acquire(fine_signal: Tensor, fine_spacing_mm: np.ndarray, per_slice: int, protocol: Protocol) -> Tensor:
    """Noise-free complex image (..., slice, j, i) of the fine complex signal.

    2D: mean over the thickness of each slice. 3D: the slices' band of k-space, ringing included. In plane: the band
    of the acquired resolution, zero-filled to the pixel.
    """
    image = slices_of(fine_signal, per_slice, protocol.slice_fill) if protocol.dimensions == 2 else fine_signal
    for dim, fine_mm in ((AXIS_J, float(fine_spacing_mm[1])), (AXIS_I, float(fine_spacing_mm[2]))):
        count = image.shape[dim]
        image = in_band(image, dim, pixels_of(count, fine_mm, protocol.pixel_mm), fine_mm / protocol.resolution_mm)
    if protocol.dimensions == 2:
        return image
    return in_band(image, AXIS_K, image.shape[AXIS_K] // per_slice, 1 / per_slice)


def pixels_of(fine_count: int, fine_mm: float, pixel_mm: float) -> int:
    """Pixels across a field of view of ``fine_count`` fine voxels."""
    return max(8, round(fine_count * fine_mm / pixel_mm))


def slices_of(fine: Tensor, per_slice: int, fill: float) -> Tensor:
    """Mean over the thickness of each slice: (..., k, j, i) fine to (..., slice, j, i); a gap leaves samples out."""
    count = fine.shape[AXIS_K] // per_slice
    used = max(1, round(per_slice * fill))
    start = (per_slice - used) // 2
    groups = fine.narrow(AXIS_K, 0, count * per_slice).unflatten(AXIS_K, (count, per_slice))
    return groups.narrow(-3, start, used).mean(-3)


def in_band(signal: Tensor, dim: int, count: int, share: float) -> Tensor:
    """``count`` samples along ``dim``, over the same length, of the lowest ``share`` of the sampled frequencies."""
    have = signal.shape[dim]
    half = int(min(share * have / 2, (have - 1) / 2, (count - 1) / 2))
    spectrum = torch.fft.fft(signal, dim=dim)
    shape = list(signal.shape)
    shape[dim] = count
    kept = torch.zeros(shape, dtype=spectrum.dtype, device=signal.device)
    for start, target, number in ((0, 0, half + 1), (have - half, count - half, half)):
        part = spectrum.narrow(dim, start, number)
        numbers = torch.arange(number, device=signal.device) + (start - have if start else 0)
        torch.mul(part, _along(_band_factor(numbers, half, have, count), dim), out=kept.narrow(dim, target, number))
    return torch.fft.ifft(kept, dim=dim)


def _band_factor(numbers: Tensor, half: int, have: int, count: int) -> Tensor:
    """Complex weights of the frequencies ``numbers``: a window, and the shift that keeps the field of view in place."""
    window = torch.special.expit((half * (1 - APODISATION) - numbers.abs()) / max(APODISATION * half / 4, 1e-3))
    # Samples lie in the middle of their share of the field of view.
    return torch.polar(window * (count / have), (math.pi * (have / count - 1) / have) * numbers)


def _along(values: Tensor, dim: int) -> Tensor:
    """A vector that broadcasts along ``dim``, counted from the end."""
    return values.reshape([-1] + [1] * (-1 - dim))


def render(image: Tensor, protocol: Protocol) -> Tensor:
    """Magnitude (T2*) or susceptibility-weighted magnitude (SWI) of a complex image."""
    magnitude = image.abs()
    if protocol.sequence != "SWI":
        return magnitude
    phase = (image * smooth_in_plane(image, PHASE_FILTER_MM / protocol.pixel_mm).conj()).angle() * protocol.phase_sign
    return magnitude * phase_mask(phase)


def phase_mask(phase: Tensor) -> Tensor:
    """Haacke (2004): a linear mask on the phase that blood and iron produce (positive), to the fourth power."""
    return (1 - phase.clamp_min(0) / math.pi).clamp(0, 1) ** 4


def smooth_in_plane(image: Tensor, sigma_pixels: float) -> Tensor:
    """Gaussian smoothing of a complex image over j and i (periodic borders)."""
    j, i = (torch.fft.fftfreq(image.shape[dim], device=image.device) for dim in (AXIS_J, AXIS_I))
    kernel = torch.exp(-2 * (math.pi * sigma_pixels) ** 2 * (j[:, None] ** 2 + i**2))
    return torch.fft.ifft2(torch.fft.fft2(image) * kernel)


def spoil(generator: torch.Generator, image: Tensor, reference: float, protocol: Protocol) -> Tensor:
    """The complex image with motion, coil bias and complex noise; ``reference`` is the brain's mean magnitude."""
    image = _with_motion(generator, image, protocol) * _coil_bias(generator, image)
    real, imaginary = (torch.randn(image.shape, generator=generator, device=image.device) for _ in range(2))
    noise = torch.complex(real, imaginary)
    for dim in (AXIS_J, AXIS_I):
        noise = in_band(noise, dim, noise.shape[dim], protocol.pixel_mm / protocol.resolution_mm)
    return image + noise * (reference / protocol.snr / noise.real.std().clamp_min(1e-6))


def _coil_bias(generator: torch.Generator, image: Tensor) -> Tensor:
    coarse = torch.exp(COIL_BIAS * torch.randn(1, 1, 3, 4, 4, generator=generator, device=image.device))
    size = image.shape[-3:]
    return F.interpolate(coarse, size=size, mode="trilinear", align_corners=True)[0, 0]


def _with_motion(generator: torch.Generator, image: Tensor, protocol: Protocol) -> Tensor:
    """Ghosts of a periodic motion, and lines of k-space that were taken after the head had moved."""
    if not protocol.ghost and not protocol.motion_mm:
        return image
    lines = image.shape[AXIS_J]
    number = torch.round(torch.fft.fftfreq(lines, device=image.device) * lines)
    period, phase, start, length = torch.rand(4, generator=generator, device=image.device)
    beat = 2 * math.pi * ((0.05 + 0.4 * period) * number + phase)
    factor = torch.complex(1 + protocol.ghost * torch.cos(beat), protocol.ghost * torch.sin(beat))
    # The middle of k-space, which holds most of the picture, is spared; a shift of all lines would be none.
    moved = (number - (0.1 + 0.3 * start) * lines).abs() < (0.02 + 0.1 * length) * lines
    ramp = 2 * math.pi * number / lines * (protocol.motion_mm / protocol.pixel_mm) * moved
    factor = factor * torch.polar(torch.ones_like(ramp), ramp)
    return torch.fft.ifft(torch.fft.fft(image, dim=AXIS_J) * factor[:, None], dim=AXIS_J)
