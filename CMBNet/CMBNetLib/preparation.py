"""From a scan to what the network sees: working grid, brain mask, normalised intensities."""

from __future__ import annotations

import numpy as np

PIXEL_MM = 0.5
# Slices thinner than this are averaged down to it; thicker ones stay as they are, because interpolating thick slices
# invents vein-like microbleeds (and an anisotropic network on such a grid was .16 F1 better in the literature).
THINNEST_SLICE_MM = 1.0


def normalise(image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Magnitude relative to the brain's median: 0 is the median, -2 is black; clipped to [-2, 3], float32.

    A multiplicative rule fits magnitude images, whose zero is a true zero, and does not depend on the scanner's scale.
    """
    median = float(np.median(image[brain])) if brain.any() else float(np.median(image))
    return np.clip(2 * (image.astype(np.float32) / max(median, 1e-12) - 1), -2, 3)


