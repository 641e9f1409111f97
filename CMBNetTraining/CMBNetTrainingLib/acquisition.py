"""The scanner: from susceptibility and relaxation on a fine grid to a magnitude T2* or SWI volume with its noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

GYROMAGNETIC_MHZ_PER_T = 42.577


@dataclass(frozen=True)
class Protocol:
    """How a scan is taken. Lengths in mm, echo time in ms, field in T; `pixel_mm`: the reconstructed in-plane edge."""

    sequence: str
    field_t: float
    echo_time_ms: float
    resolution_mm: float
    pixel_mm: float
    slice_spacing_mm: float
    slice_fill: float  # slice thickness over slice spacing: below 1 there is a gap
    snr: float
    phase_sign: int
    ghost: float
    b0_direction: tuple[float, float, float]  # unit vector in array axes (k, j, i)


def draw_protocol(
    rng: np.random.Generator, *, pixel_mm: float = 0.5, slice_spacing_mm: float | None = None
) -> Protocol:
    """A plausible clinical protocol; a third SWI, the rest T2*; thin 3D and thick 2D slices."""
    thick = slice_spacing_mm is None and rng.random() < 0.5
    spacing = slice_spacing_mm or float(rng.uniform(2.5, 6.0) if thick else rng.choice([1.0, 1.0, 1.0, 1.5, 2.0]))
    field_t = float(rng.choice([1.5, 3.0, 7.0], p=[0.42, 0.5, 0.08]))
    echo = {1.5: (17.0, 40.0), 3.0: (12.0, 28.0), 7.0: (8.0, 16.0)}[field_t]
    tilt = rng.normal(0, 0.12, 2)
    direction = np.array([1.0, *tilt]) / np.linalg.norm([1.0, *tilt])
    return Protocol(
        sequence="SWI" if spacing < 3.0 and rng.random() < 0.5 else "T2*",
        field_t=field_t,
        echo_time_ms=float(rng.uniform(*echo)),
        resolution_mm=float(rng.uniform(max(pixel_mm, 0.5), 1.05)),
        pixel_mm=pixel_mm,
        slice_spacing_mm=spacing,
        slice_fill=float(rng.uniform(0.8, 1.0)) if spacing >= 2.5 else 1.0,
        snr=float(np.exp(rng.uniform(np.log(12), np.log(70)))),
        phase_sign=int(rng.choice([-1, 1])),
        ghost=float(rng.uniform(0, 0.04)) if rng.random() < 0.2 else 0.0,
        b0_direction=(float(direction[0]), float(direction[1]), float(direction[2])),
    )


def field_of(chi_ppm: np.ndarray, spacing_mm: np.ndarray, b0_direction: tuple[float, float, float]) -> np.ndarray:
    """Relative field (ppm) of a susceptibility map by the dipole kernel 1/3 - cos^2 in k-space (periodic borders)."""
    shape = chi_ppm.shape
    k = [fft.fftfreq(n, s).astype(np.float32) for n, s in zip(shape, spacing_mm, strict=True)]
    k[2] = fft.rfftfreq(shape[2], spacing_mm[2]).astype(np.float32)
    kk, kj, ki = np.meshgrid(*k, indexing="ij", sparse=True)
    along = b0_direction[0] * kk + b0_direction[1] * kj + b0_direction[2] * ki
    square = kk**2 + kj**2 + ki**2
    square[0, 0, 0] = 1.0
    kernel = np.float32(1 / 3) - along**2 / square
    kernel[0, 0, 0] = 0.0
    return fft.irfftn(fft.rfftn(chi_ppm) * kernel, s=shape)


def signal_of(weight: np.ndarray, r2star: np.ndarray, field_ppm: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Complex signal on the fine grid."""
    te_s = protocol.echo_time_ms / 1000
    phase = 2 * np.pi * GYROMAGNETIC_MHZ_PER_T * protocol.field_t * te_s * field_ppm * protocol.phase_sign
    return weight * np.exp(-te_s * r2star) * np.exp(1j * phase.astype(np.float32))


def slices_of(fine: np.ndarray, per_slice: int, fill: float) -> np.ndarray:
    """Mean over the thickness of each slice: [k, j, i] fine to [slice, j, i]; a gap leaves samples out."""
    count = fine.shape[0] // per_slice
    used = max(1, round(per_slice * fill))
    start = (per_slice - used) // 2
    groups = fine[: count * per_slice].reshape(count, per_slice, *fine.shape[1:])
    return groups[:, start : start + used].mean(1)


def to_kspace(slices: np.ndarray, fine_mm: float, resolution_mm: float) -> np.ndarray:
    """Centred in-plane k-space of each slice, cut to the sampled band (sharp: Gibbs ringing comes with it)."""
    spectrum = fft.fftshift(fft.fft2(slices, axes=(1, 2)), axes=(1, 2))
    keep = [max(2, round(n * fine_mm / resolution_mm) // 2) for n in spectrum.shape[1:]]
    middle = [n // 2 for n in spectrum.shape[1:]]
    mask = np.zeros(spectrum.shape[1:], np.float32)
    mask[middle[0] - keep[0] : middle[0] + keep[0], middle[1] - keep[1] : middle[1] + keep[1]] = 1
    # Scanners apodise: a light Fermi-like edge, drawn the same for all, keeps ringing at the observed level.
    mask = ndimage.gaussian_filter(mask, 0.06 * min(keep)) * mask
    return spectrum * mask


def from_kspace(spectrum: np.ndarray, fine_mm: float, pixel_mm: float) -> np.ndarray:
    """Complex slices with `pixel_mm` edges: zero-filled or cropped k-space, transformed back."""
    target = [max(8, round(n * fine_mm / pixel_mm)) for n in spectrum.shape[1:]]
    for axis, (have, want) in enumerate(zip(spectrum.shape[1:], target, strict=True), start=1):
        if want < have:
            start = have // 2 - want // 2
            spectrum = np.take(spectrum, range(start, start + want), axis=axis)
        elif want > have:
            before = want // 2 - have // 2
            pad = [(0, 0)] * 3
            pad[axis] = (before, want - have - before)
            spectrum = np.pad(spectrum, pad)
    return fft.ifft2(fft.ifftshift(spectrum, axes=(1, 2)), axes=(1, 2))


def acquire(fine_signal: np.ndarray, fine_spacing_mm: np.ndarray, per_slice: int, protocol: Protocol) -> np.ndarray:
    """Noise-free complex image [slice, j, i] of the fine complex signal."""
    slices = slices_of(fine_signal, per_slice, protocol.slice_fill)
    spectrum = to_kspace(slices, float(fine_spacing_mm[1]), protocol.resolution_mm)
    return from_kspace(spectrum, float(fine_spacing_mm[1]), protocol.pixel_mm)


def render(image: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Magnitude (T2*) or susceptibility-weighted magnitude (SWI) of a complex image."""
    magnitude = np.abs(image).astype(np.float32)
    if protocol.sequence != "SWI":
        return magnitude
    low = _smooth_complex(image, 3.0 / protocol.pixel_mm)
    phase = np.angle(image * np.conj(low)) * protocol.phase_sign
    # Haacke (2004): a linear mask on the phase that blood and iron produce, to the fourth power.
    mask = np.clip(1 - np.maximum(phase, 0) / np.pi, 0, 1) ** 4
    return magnitude * mask.astype(np.float32)


def _smooth_complex(image: np.ndarray, sigma: float) -> np.ndarray:
    real = ndimage.gaussian_filter(image.real, (0, sigma, sigma))
    return real + 1j * ndimage.gaussian_filter(image.imag, (0, sigma, sigma))


def spoil(rng: np.random.Generator, image: np.ndarray, reference: float, protocol: Protocol) -> np.ndarray:
    """The complex image with coil bias, ghosts and complex noise; `reference` is the brain's mean magnitude."""
    if protocol.ghost > 0:
        image = image + protocol.ghost * np.roll(image, image.shape[1] // 2, axis=1)
    coarse = np.exp(rng.normal(0, 0.16, (3, 4, 4)))
    bias = ndimage.zoom(coarse, np.array(image.shape) / coarse.shape, order=1)[
        : image.shape[0], : image.shape[1], : image.shape[2]
    ]
    noise = rng.normal(size=image.shape).astype(np.float32) + 1j * rng.normal(size=image.shape).astype(np.float32)
    correlated = _smooth_complex(noise, 0.35 * protocol.resolution_mm / protocol.pixel_mm)
    correlated *= reference / protocol.snr / max(float(correlated.real.std()), 1e-6)
    return image * bias + correlated
