"""How bright each tissue is in the scan at hand, and so where its borders run.

The anatomy network has seen every contrast, and what it says of one scan is blurred: it knows where tissues lie, but
draws blobs instead of gyri. Its probabilities are the prior here; the intensities of the scan itself sharpen them
(expectation maximisation with spatial priors and slowly varying means, as in Van Leemput et al. 1999). Where two
tissues look alike in a scan, the prior decides alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from torch import Tensor

ROUNDS = 5
# The mean of a tissue varies over this distance (coil, iron): standard deviation in voxels of the network, of 2 mm.
REACH_VOXELS = 5.0
# With less of a tissue around than this share, its mean in the whole scan counts more than that of the place.
LEAST_SHARE = 0.05
SMALLEST_VARIANCE = 2e-4
# Vessels, microbleeds and infarcts look like no tissue: this share has any intensity, evenly.
ODD_SHARE = 0.02
ODD_DENSITY = 0.3
# A tissue of fewer voxels than this has no intensity of its own.
FEWEST_VOXELS = 20.0
EVERYWHERE = (slice(None), slice(None), slice(None))


@dataclass(frozen=True)
class Contrast:
    """Intensities of the tissues of a scan relative to its brain's mean.

    Attributes
    ----------
    reference : float
        Mean intensity of the brain.
    means : list of Tensor or None
        By tissue: mean on every second voxel, (1, 1, k, j, i); None where there is too little of it to tell.
    variances : list of float
    """

    reference: float
    means: list[Tensor | None]
    variances: list[float]

    def likelihood(
        self, tissue: int, image: np.ndarray, box: tuple[slice, slice, slice] = EVERYWHERE
    ) -> np.ndarray | float:
        """How well a tissue explains the intensities in a box of an image of the same extent, finer or not."""
        import torch.nn.functional as F

        means, variance = self.means[tissue], self.variances[tissue]
        if means is None:
            return ODD_SHARE * ODD_DENSITY
        here = F.interpolate(means, size=image.shape, mode="trilinear")[0, 0].numpy()[box]
        density = np.exp((image[box] / np.float32(self.reference) - here) ** 2 * np.float32(-0.5 / variance))
        scale = np.float32((1 - ODD_SHARE) / np.sqrt(2 * np.pi * variance))
        return density * scale + np.float32(ODD_SHARE * ODD_DENSITY)


def contrast_of(image: np.ndarray, probability: np.ndarray, brain: np.ndarray) -> Contrast:
    """Contrast of an image [k, j, i] by what a network says of each voxel, (tissues, k, j, i); the first is no tissue.

    Parameters
    ----------
    brain
        Mask of what is certainly brain; its mean is the unit of intensity.
    """
    reference = max(float(image[brain].mean()), 1e-6)
    belief = probability
    for _ in range(ROUNDS - 1):
        belief = _updated(probability, image, _fitted(image, belief, reference))
    return _fitted(image, belief, reference)


def _updated(prior: np.ndarray, image: np.ndarray, contrast: Contrast) -> np.ndarray:
    """What is believed of the voxels, given what was before and the intensities; odd ones weigh less."""
    belief = np.empty_like(prior)
    belief[0] = prior[0] * ODD_DENSITY
    for tissue in range(1, len(prior)):
        belief[tissue] = prior[tissue] * contrast.likelihood(tissue, image)
    # What is odd tells nothing of the tissue it lies in.
    total = np.maximum(belief.sum(0), 1e-20)
    belief[1:] = np.maximum(belief[1:] - prior[1:] * np.float32(ODD_SHARE * ODD_DENSITY), 0)
    return belief / total


def _fitted(image: np.ndarray, belief: np.ndarray, reference: float) -> Contrast:
    """Means and variances of an image under what is believed of its voxels."""
    relative = (image / np.float32(reference)).astype(np.float32)
    found = [(None, 1.0), *(_of_tissue(relative, share) for share in belief[1:])]
    return Contrast(reference, [means for means, _ in found], [variance for _, variance in found])


def _of_tissue(image: np.ndarray, share: np.ndarray) -> tuple[Tensor | None, float]:
    import torch
    import torch.nn.functional as F

    total = float(share.sum())
    if total < FEWEST_VOXELS:
        return None, 1.0
    weighted = share * image
    overall = float(weighted.sum()) / total
    near, sums = (ndimage.gaussian_filter(a[::2, ::2, ::2], REACH_VOXELS / 2) for a in (share, weighted))
    means = torch.from_numpy((sums + LEAST_SHARE * overall) / (near + LEAST_SHARE))[None, None]
    here = F.interpolate(means, size=image.shape, mode="trilinear")[0, 0].numpy()
    return means, float((share * (image - here) ** 2).sum()) / total + SMALLEST_VARIANCE
