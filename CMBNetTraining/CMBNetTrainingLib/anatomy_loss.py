"""Loss of the anatomy network: cross-entropy and Dice of the tissues, Dice of the brain, cross-entropy of the side."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from CMBNetLib.anatomy_tissues import OUTER_CSF, TISSUES
from CMBNetLib.network_anatomy import AnatomyUNet, stack_squares
from CMBNetTrainingLib.anatomy_samples import UNKNOWN_SIDE

CLASSES = len(TISSUES)
# Of the four voxels of a square two are judged a step: neighbours teach nearly the same, and it takes half as long.
JUDGED = 2
SMOOTH = 5.0
# One over the root of the share of a patch that a tissue takes, relative to cortex, at most 5: without it the nuclei
# (0.1 to 0.5 % of a patch) were not learned at all in the first 1100 steps.
WEIGHTS = {
    "background": 0.6, "cortex": 1.0, "white_matter": 1.0, "caudate": 5.0, "putamen": 5.0, "pallidum": 5.0,
    "thalamus": 5.0, "ventral_dc": 5.0, "hippocampus_amygdala": 5.0, "brainstem": 4.5, "cerebellum": 1.9,
    "ventricle": 4.2, "sulcal_csf": 2.3, "outer_csf": 1.5,
}  # fmt: skip
SIDE_SHARE = 0.3


def anatomy_loss(network: AnatomyUNet, image: Tensor, tissue: Tensor, side: Tensor, judged: Tensor) -> Tensor:
    """Loss of a batch (b, 1, k, j, i) on the places within the squares that ``judged`` lists (0..3, on the CPU)."""
    features = network.features(image)
    rows = (judged[:, None] * (CLASSES + 1) + torch.arange(CLASSES + 1)).flatten().to(image.device, non_blocking=True)
    judged = judged.to(image.device, non_blocking=True)
    logits = F.conv3d(features, network.head.weight[rows], network.head.bias[rows])  # type: ignore[index]
    logits = logits.float().unflatten(1, (len(judged), CLASSES + 1))
    told = stack_squares(tissue[:, None])[:, judged].long()
    sides = stack_squares(side[:, None])[:, judged]
    return tissue_loss(logits[:, :, :CLASSES].transpose(1, 2), told) + SIDE_SHARE * side_loss(logits[:, :, -1], sides)


def tissue_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy + mean Dice loss of the classes + Dice loss of the brain; classes on axis 1."""
    log_probability = F.log_softmax(logits, 1)
    weights = torch.tensor([WEIGHTS[name] for name in TISSUES]).to(logits.device, non_blocking=True)
    entropy = F.nll_loss(log_probability, truth, weights)
    probability = log_probability.exp().flatten(2)
    classes = torch.arange(CLASSES, device=logits.device)[:, None]
    here = truth.flatten(1)[:, None] == classes
    dice = _dice((probability * here).sum(2), probability.sum(2), here.sum(2))
    inside = 1 - probability[:, 0] - probability[:, OUTER_CSF]
    brain = ~(here[:, 0] | here[:, OUTER_CSF])
    return entropy + (1 - dice.mean()) + (1 - _dice((inside * brain).sum(1), inside.sum(1), brain.sum(1)).mean())


def _dice(common: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return (2 * common + SMOOTH) / (one + other + SMOOTH)


def side_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy where the side is known; 0 where it is nowhere."""
    known = truth != UNKNOWN_SIDE
    each = F.binary_cross_entropy_with_logits(logits, (truth == 1).float(), reduction="none")
    return (each * known).sum() / known.sum().clamp_min(1)
