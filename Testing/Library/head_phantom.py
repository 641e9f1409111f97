"""A head of ellipsoids with dark spots, on any grid: enough for brain masks, grids and whole runs without real data."""

from __future__ import annotations

import numpy as np

from CMBNetLib.volume import Volume

BRAIN_RADII_MM = np.array([66.0, 84.0, 62.0])
SPOTS_RAS = ((30.0, 20.0, 10.0), (-35.0, -30.0, 25.0), (20.0, -45.0, 0.0))


def grid_matrix(
    shape_ijk: tuple[int, int, int], spacing: tuple[float, float, float], turn_deg: float = 0.0
) -> np.ndarray:
    """4x4 ijk_to_ras, centred on the origin, turned about the left-right axis."""
    a = np.deg2rad(turn_deg)
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.asarray(spacing)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.asarray(shape_ijk) - 1) / 2)
    return matrix


def head(
    spacing: tuple[float, float, float] = (1.0, 1.0, 2.0),
    *,
    spots: tuple[tuple[float, float, float], ...] = SPOTS_RAS,
    spot_mm: float = 4.0,
    turn_deg: float = 0.0,
    noise: float = 0.03,
    size_mm: tuple[float, float, float] = (176.0, 216.0, 160.0),
) -> Volume:
    """Magnitude scan: brain 100 with a cortex a little brighter, dark skull, scalp, air; spots as given."""
    i, j, k = (round(size / edge) for size, edge in zip(size_mm, spacing, strict=True))
    matrix = grid_matrix((i, j, k), spacing, turn_deg)
    kji = np.stack(np.meshgrid(np.arange(k), np.arange(j), np.arange(i), indexing="ij"), -1)
    ras = kji[..., ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
    image = _tissue(ras)
    for spot in spots:
        image[np.linalg.norm(ras - np.asarray(spot), axis=-1) <= spot_mm / 2] = 15.0
    rng = np.random.default_rng(3)
    image = np.hypot(image + 100 * noise * rng.normal(size=image.shape), 100 * noise * rng.normal(size=image.shape))
    return Volume(image.astype(np.float32), matrix, "phantom", {"sequence": "T2*"})


def brain_of(volume: Volume) -> np.ndarray:
    """True brain mask, bool [k, j, i], on the grid of ``volume``."""
    kji = np.stack(np.meshgrid(*(np.arange(n) for n in volume.array.shape), indexing="ij"), -1)
    ras = kji[..., ::-1] @ volume.ijk_to_ras[:3, :3].T + volume.ijk_to_ras[:3, 3]
    return _radius(ras, BRAIN_RADII_MM) <= 1


def _radius(ras: np.ndarray, radii: np.ndarray) -> np.ndarray:
    return np.sqrt(((ras / radii) ** 2).sum(-1))


def _tissue(ras: np.ndarray) -> np.ndarray:
    inside, cortex = _radius(ras, BRAIN_RADII_MM), _radius(ras, BRAIN_RADII_MM - 5)
    scalp_in, scalp_out = _radius(ras, BRAIN_RADII_MM + 7), _radius(ras, BRAIN_RADII_MM + 13)
    image = np.zeros(ras.shape[:-1])
    image[(scalp_in > 1) & (scalp_out <= 1)] = 70.0
    image[inside <= 1] = 112.0
    image[cortex <= 1] = 100.0
    return image
