"""Losses made of sums over the whole batch, so that several processes together have the loss of one.

A process sums over its own patches; the sums are added across processes (with gradients) before ratios are formed.
Voxels of class 255 count nowhere.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from CMBNetTrainingLib.truth import IGNORE, MICROBLEED

# Weights of background, microbleed, mimic.
CE_WEIGHTS = (1.0, 6.0, 2.0)
# Overlap alone drives every call to certainty, and certain calls cannot be ranked: cross-entropy is a mean over all
# voxels, so it takes this factor to be heard at the few that are dark, and a little smoothing keeps its logits finite.
SOFT_SHARE, SOFT_SMOOTHING = 20.0, 0.01
SEED_WEIGHTS = (0.1, 5.0, 0.1)
FOCAL_WEIGHTS = (1.0, 4.0, 2.0)
FOCAL_GAMMA = 2.0
# Focal Tversky loss (Abraham and Khan, 2019) with the seed system's numbers: alpha and beta .5, gamma 3, smooth 1.
TVERSKY_ALPHA, TVERSKY_GAMMA, TVERSKY_SMOOTH = 0.5, 3.0, 1.0
DICE_SMOOTH = 20.0  # voxels: a batch without a microbleed has a Dice of about 1 when little is called

# (logits, classes) -> sums, and sums -> loss.
Sums = Callable[[Tensor, Tensor], Tensor]
Loss = tuple[Sums, Callable[[Tensor], Tensor]]


def loss_of(name: str, n_classes: int) -> Loss:
    """One of `training_config.LOSSES` as a pair of functions: sums, then the loss of sums."""
    weights, gamma, share, smoothing = {
        "dice-ce": (CE_WEIGHTS, 0.0, 1.0, 0.0),
        "dice-soft-ce": (CE_WEIGHTS, 0.0, SOFT_SHARE, SOFT_SMOOTHING),
        "dice-focal": (FOCAL_WEIGHTS, FOCAL_GAMMA, 1.0, 0.0),
        "tversky-ce": (SEED_WEIGHTS, 0.0, 1.0, 0.0),
    }[name]
    overlap = _focal_tversky if name == "tversky-ce" else _dice

    def sums(logits: Tensor, classes: Tensor) -> Tensor:
        of_classes = torch.tensor(weights[:n_classes], device=logits.device)
        return batch_sums(logits, classes, of_classes, gamma, smoothing)

    def value(total: Tensor) -> Tensor:
        entropy, weight, common, called, truth = total
        return share * entropy / weight.clamp(min=1e-6) + overlap(common, called, truth)

    return sums, value


def batch_sums(logits: Tensor, classes: Tensor, weights: Tensor, gamma: float, smoothing: float = 0.0) -> Tensor:
    """(5,) weighted (focal) cross-entropy and its weights; of the microbleed class: common, called, true volume.

    Parameters
    ----------
    logits
        (b, c, k, j, i).
    classes
        (b, k, j, i), int64; classes the network does not have are background.
    smoothing
        Share of the target that is spread over all classes.
    """
    logits = logits.float()
    valid = classes != IGNORE
    target = torch.where(valid & (classes < logits.shape[1]), classes, 0)
    log_p = F.log_softmax(logits, 1)
    log_t = log_p.gather(1, target[:, None])[:, 0]
    weight = weights[target] * valid
    target_log_p = (1 - smoothing) * log_t + smoothing * log_p.mean(1) if smoothing else log_t
    focal = (1 - log_t.exp()) ** gamma if gamma else 1.0
    microbleed = log_p[:, MICROBLEED].exp() * valid
    truth = ((target == MICROBLEED) & valid).float()
    return torch.stack(
        [
            -(weight * focal * target_log_p).sum(),
            weight.sum(),
            (microbleed * truth).sum(),
            microbleed.sum(),
            truth.sum(),
        ]
    )


def downsampled(classes: Tensor, size: tuple[int, ...]) -> Tensor:
    """Classes on a coarser grid: a voxel with any microbleed is one, else any mimic, else not judged, else background.

    For deep supervision: a small lesion must not vanish at a coarse level.
    """
    # 0 background, 1 not judged, 2 mimic, 3 microbleed
    rank = torch.where(classes == IGNORE, 1, torch.where(classes == MICROBLEED, 3, torch.where(classes > 0, 2, 0)))
    coarse = F.adaptive_max_pool3d(rank[:, None].float(), size)[:, 0].long()
    return torch.tensor([0, IGNORE, 2, MICROBLEED], device=classes.device)[coarse]


def _dice(common: Tensor, called: Tensor, truth: Tensor) -> Tensor:
    return 1 - (2 * common + DICE_SMOOTH) / (called + truth + DICE_SMOOTH)


def _focal_tversky(common: Tensor, called: Tensor, truth: Tensor) -> Tensor:
    index = common + TVERSKY_SMOOTH
    index = index / (index + TVERSKY_ALPHA * (called - common) + (1 - TVERSKY_ALPHA) * (truth - common))
    # The root's slope is infinite at 0, where a batch without microbleeds may end.
    return (1 - index).clamp(min=1e-6) ** (1 / TVERSKY_GAMMA)
