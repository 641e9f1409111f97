"""Losses of training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from CMBNetTrainingLib.training_config import LOSSES
from CMBNetTrainingLib.training_losses import loss_of
from CMBNetTrainingLib.truth import IGNORE, MICROBLEED


def patch() -> Tensor:
    """One microbleed of 8 voxels among 1000."""
    classes = torch.zeros(1, 10, 10, 10, dtype=torch.long)
    classes[0, 4:6, 4:6, 4:6] = MICROBLEED
    return classes


def logits_of(classes: Tensor, height: float) -> Tensor:
    """Logits that call every voxel rightly, ``height`` above the others."""
    return height * torch.nn.functional.one_hot(classes, 3).permute(0, 4, 1, 2, 3).float()


@pytest.mark.parametrize("name", LOSSES)
def test_right_calls_cost_less_than_wrong_ones(name: str) -> None:
    sums, loss = loss_of(name, 3)
    classes = patch()
    costs = [float(loss(sums(logits_of(classes, height), classes))) for height in (-4.0, 0.0, 4.0)]
    assert costs[0] > costs[1] > costs[2]


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_not_to_be_judged_costs_nothing(name: str) -> None:
    sums, loss = loss_of(name, 3)
    classes, logits = patch(), logits_of(patch(), 4.0)
    classes[..., 0] = IGNORE
    expected = loss(sums(logits, classes))
    logits[..., 0] = 7.0 * torch.randn(1, 3, 10, 10)
    assert float(loss(sums(logits, classes))) == pytest.approx(float(expected))


def test_certainty_beyond_measure_is_pulled_back() -> None:
    """Calls that are all certain cannot be ranked."""
    sums, loss = loss_of("dice-soft-ce", 3)
    classes = patch()
    logits = logits_of(classes, 14.0).requires_grad_()
    loss(sums(logits, classes)).backward()
    assert logits.grad is not None
    assert (logits.grad[:, MICROBLEED][classes == MICROBLEED] > 0).all()
