"""What the anatomy network sees of a scan; the same in training and in use."""

from __future__ import annotations

import numpy as np

# Voxels above this share of the 99th percentile count as head.
HEAD_SHARE = 0.1
BRIGHTEST = 4.0


def anatomy_intensities(image: np.ndarray) -> np.ndarray:
    """Magnitude relative to the mean of the head, minus one: -1 is black; clipped to [-1, 3], float32."""
    image = np.maximum(np.asarray(image, np.float32), 0)
    top = float(np.percentile(image[::2, ::2, ::2], 99))
    head = image > HEAD_SHARE * top
    if not top > 0 or not head.any():
        return np.full(image.shape, -1, np.float32)
    return np.minimum(image / float(image[head].mean()), BRIGHTEST) - np.float32(1)
