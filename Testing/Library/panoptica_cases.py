"""Label maps on which this evaluation and panoptica must give equal numbers; needs nothing but numpy."""

from __future__ import annotations

import numpy as np

Case = tuple[np.ndarray, np.ndarray]
IOU_LIMIT = 0.5


def balls(shape: tuple[int, int, int], centers: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Binary mask of balls in voxels, uint8 [k, j, i]; balls are drawn in boxes, not over the whole array."""
    mask = np.zeros(shape, np.uint8)
    for center, radius in zip(centers, radii, strict=True):
        reach = int(np.ceil(radius))
        first = np.floor(center).astype(int)
        low, high = np.maximum(first - reach, 0), np.minimum(first + reach + 2, shape)
        grid = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        inside = sum((axis - place) ** 2 for axis, place in zip(grid, center, strict=True)) <= radius**2
        mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] |= inside.astype(np.uint8)
    return mask


def random_case(seed: int, shape: tuple[int, int, int] = (40, 64, 64), most: int = 20) -> Case:
    """Prediction and reference: most lesions found, each a little moved and resized, some missed, some invented."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(0, most + 1))
    centers = generator.uniform(4, np.array(shape) - 4, size=(count, 3))
    radii = generator.uniform(1.0, 4.0, size=count)
    found = generator.random(count) < 0.8
    moved = centers[found] + generator.normal(0, 0.6, size=(int(found.sum()), 3))
    resized = np.maximum(radii[found] * generator.uniform(0.8, 1.2, size=len(moved)), 1.0)
    invented = int(generator.poisson(most / 10))
    places = np.concatenate([moved, generator.uniform(4, np.array(shape) - 4, size=(invented, 3))])
    sizes = np.concatenate([resized, generator.uniform(1.0, 2.0, size=invented)])
    return balls(shape, places, sizes), balls(shape, centers, radii)


def known_cases() -> dict[str, Case]:
    """The cases by name: by hand, and random ones of increasing burden."""
    empty = np.zeros((12, 16, 16), np.uint8)
    cube, shifted, far = (empty.copy() for _ in range(3))
    cube[4:8, 4:8, 4:8], shifted[4:8, 4:8, 5:9], far[1:3, 12:15, 12:15] = 1, 1, 1
    cases = {
        "same": (cube, cube), "shifted": (shifted, cube), "missed": (empty, cube), "false": (far, empty),
        "found and false": (np.maximum(shifted, far), cube), "one of two": (cube, np.maximum(shifted, far)),
    }  # fmt: skip
    return {**cases, **{f"random {seed}": random_case(seed, most=4 * seed) for seed in range(1, 9)}}
