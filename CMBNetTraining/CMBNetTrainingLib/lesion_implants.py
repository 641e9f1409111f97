"""A fresh microbleed in a patch of any scan: the complex attenuation of a small source multiplies the image.

The source is simulated on a fine grid of its own: susceptibility, dipole field, dephasing, slices and in-plane band.
What multiplies the scan is the acquired signal with the source over that without it. The scan keeps its own noise.
"""

from __future__ import annotations

import numpy as np

from CMBNetTrainingLib.acquisition import GYROMAGNETIC_MHZ_PER_T, field_of
from CMBNetTrainingLib.sources import Source, blob_points, paint
from CMBNetTrainingLib.synthesis import IGNORE, MICROBLEED, VISIBLE_LOSS

# Cube of tissue that is simulated round a source (mm); beyond, the field of the largest is a few Hz.
REACH_MM = 24.0
FINE_MM = 0.5
RELAXATION_PER_T_PPM = 60.0
MOST_RELAXATION = 400.0


def attenuation_of(
    rng: np.random.Generator,
    source: Source,
    spacing_mm: tuple[float, float, float],
    field_t: float,
    echo_time_ms: float,
    b0_direction: tuple[float, float, float] = (1.0, 0.0, 0.0),
) -> np.ndarray:
    """Complex factor [k, j, i] on voxels of ``spacing_mm`` (k, j, i); the source lies near the middle of the cube."""
    per = [max(1, round(edge / FINE_MM)) for edge in spacing_mm]
    fine = np.array([edge / n for edge, n in zip(spacing_mm, per, strict=True)])
    # An odd number of voxels has a middle one.
    voxels = [2 * round(REACH_MM / edge / 2) + 1 for edge in spacing_mm]
    shape = (voxels[0] * per[0], voxels[1] * per[1], voxels[2] * per[2])
    middle = (np.array(shape) - 1) / 2 * fine + rng.uniform(-0.5, 0.5, 3) * spacing_mm
    placed = Source(
        source.kind, (float(middle[0]), float(middle[1]), float(middle[2])), source.radius_mm, source.chi_ppm
    )
    points, weights = blob_points(rng, placed, float(fine.prod()))
    chi = source.chi_ppm * paint(points, weights, shape, fine)
    te_s = echo_time_ms / 1000
    phase = 2 * np.pi * GYROMAGNETIC_MHZ_PER_T * field_t * te_s * field_of(chi, fine, b0_direction)
    decay = np.minimum(RELAXATION_PER_T_PPM * field_t * np.maximum(chi, 0), MOST_RELAXATION)
    signal = np.exp(-te_s * decay) * np.exp(1j * phase.astype(np.float32))
    blocks = signal.reshape(voxels[0], per[0], voxels[1], per[1], voxels[2], per[2])
    return blocks.mean((1, 3, 5)).astype(np.complex64)


def with_fresh_lesion(
    rng: np.random.Generator, image: np.ndarray, classes: np.ndarray, spacing_mm: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """A normalised patch (float32 [k, j, i], -2 is black) with one new microbleed at a place that may be judged.

    The patch is returned as it is where there is no place for one.
    """
    where = np.flatnonzero(classes == 0)
    if not len(where):
        return image, classes
    field_t = float(rng.choice([1.5, 3.0]))
    radius = float(np.exp(rng.uniform(np.log(0.5), np.log(2.2))))
    source = Source("microbleed", (0.0, 0.0, 0.0), radius, float(np.exp(rng.uniform(np.log(0.5), np.log(3.0)))))
    echo = float(rng.uniform(12.0, 28.0) if field_t == 3.0 else rng.uniform(17.0, 40.0))
    factor = np.abs(attenuation_of(rng, source, spacing_mm, field_t, echo))
    center = np.array(np.unravel_index(where[rng.integers(len(where))], image.shape))
    half = np.array(factor.shape) // 2
    low, high = np.maximum(center - half, 0), np.minimum(center + half + 1, image.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    inner = tuple(slice(a, b) for a, b in zip(low - center + half, high - center + half, strict=True))
    image, classes = image.copy(), classes.copy()
    part = factor[inner].astype(np.float32)
    image[box] = (image[box] + 2.0) * part - 2.0
    _mark(classes[box], 1 - part)
    return image, classes


def _mark(classes: np.ndarray, loss: np.ndarray) -> None:
    """Write the half-maximum region of the loss into a part of the class map."""
    height = float(loss.max())
    region = loss >= max(0.5 * height, 0.12)
    classes[region & (classes != IGNORE)] = MICROBLEED if height >= VISIBLE_LOSS else IGNORE
