"""Iron-rich nuclei that the label maps do not outline: dentate, red nucleus, substantia nigra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CMBNetTrainingLib.tissue import VENTRAL_DC_LABELS

CEREBELLAR_WHITE_MATTER = (7, 46)


@dataclass(frozen=True)
class Nucleus:
    """A soft ellipsoid beside the middle of a labelled structure.

    Attributes
    ----------
    labels : tuple of int
        Left and right structure.
    offset_mm : tuple of float
        From the structure's middle: up, forward, to the outer side.
    radii_mm : tuple of float
        Along k, j, i.
    chi_ppm : float
        In the middle, at 60 years.
    """

    labels: tuple[int, int]
    offset_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    chi_ppm: float


NUCLEI = (
    Nucleus(CEREBELLAR_WHITE_MATTER, (1.0, 3.0, -3.0), (3.5, 5.0, 4.5), 0.10),
    Nucleus(VENTRAL_DC_LABELS, (0.5, -3.0, -3.0), (3.0, 2.5, 2.5), 0.09),
    Nucleus(VENTRAL_DC_LABELS, (-3.5, 0.5, -1.0), (2.5, 4.0, 2.5), 0.13),
)


def iron_ppm(rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray, strength: float) -> np.ndarray:
    """Susceptibility (ppm, float32 [k, j, i]) that the nuclei add; ``strength`` is 1 at 60 years."""
    added = np.zeros(labels.shape, np.float32)
    coarse = labels[::2, ::2, ::2]
    for nucleus in NUCLEI:
        for code, outward in zip(nucleus.labels, (-1.0, 1.0), strict=True):
            where = np.argwhere(coarse == code)
            # A structure that the block cuts has its middle elsewhere.
            if len(where) * 8 * float(np.prod(spacing_mm)) < 1500:
                continue
            offset = np.array(nucleus.offset_mm) * [1, 1, outward]
            center = where.mean(0) * 2 * spacing_mm + offset + rng.normal(0, 0.5, 3)
            radii = np.array(nucleus.radii_mm) * rng.uniform(0.8, 1.2, 3)
            _add_ellipsoid(added, center, radii, nucleus.chi_ppm * strength * rng.uniform(0.7, 1.3), spacing_mm)
    return added


def _add_ellipsoid(
    volume: np.ndarray, center_mm: np.ndarray, radii_mm: np.ndarray, height: float, spacing_mm: np.ndarray
) -> None:
    low = np.maximum(np.floor((center_mm - 1.6 * radii_mm) / spacing_mm).astype(int), 0)
    high = np.minimum(np.ceil((center_mm + 1.6 * radii_mm) / spacing_mm).astype(int) + 1, volume.shape)
    if np.any(high <= low):
        return
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    at = np.ogrid[box]
    square = sum(((x * s - c) / r) ** 2 for x, s, c, r in zip(at, spacing_mm, center_mm, radii_mm, strict=True))
    volume[box] += height / (1 + np.exp(np.clip(6 * (np.sqrt(square) - 1), -30, 30)))
