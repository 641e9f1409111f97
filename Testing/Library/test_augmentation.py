"""Augmentation: repeatable by seed, classes stay classes, no bright microbleeds by default."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from CMBNetTrainingLib.augmentation import Augmentation, thickened
from training_phantoms import phantom


@pytest.fixture(scope="module")
def patch() -> tuple[np.ndarray, np.ndarray]:
    image, labels, _ = phantom(1, 6)
    return image, (labels > 0).astype(np.uint8)


@pytest.mark.parametrize("preset", ["default", "seed", "none"])
def test_a_seed_gives_one_result(preset: str, patch: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = Augmentation(preset), Augmentation(preset)
    for seed in range(12):
        second(*patch, 99 + seed)
        a, b = first(*patch, seed), second(*patch, seed)
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
        assert a[0].shape == a[1].shape == torch.Size(patch[0].shape)
        assert set(a[1].unique().tolist()) <= {0, 1}


def test_default_keeps_microbleeds_dark(patch: tuple[np.ndarray, np.ndarray]) -> None:
    augment = Augmentation("default")
    for seed in range(20):
        image, classes = augment(*patch, seed)
        if (classes == 1).any():
            assert image[classes == 1].mean() < image[(classes == 0) & (image > -1)].mean()
        assert float(image.min()) >= -2
        assert float(image.max()) <= 3


def test_none_changes_nothing(patch: tuple[np.ndarray, np.ndarray]) -> None:
    image, classes = Augmentation("none")(*patch, 5)
    assert np.array_equal(image.numpy(), patch[0])
    assert np.array_equal(classes.numpy(), patch[1])


def test_thick_slices_judge_only_what_fills_half() -> None:
    image = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, 2, 2), np.float32)
    classes = np.zeros((4, 2, 2), np.uint8)
    classes[0:1, 0, 0], classes[2:4, 1, 1] = 1, 1
    mean, thick = thickened(image, classes, 2)
    assert mean[:, 0, 0].tolist() == [0.5, 2.5]
    assert (thick[0, 0, 0], thick[1, 1, 1], thick[1, 0, 0]) == (1, 1, 0)
    classes[1] = 0
    _, thicker = thickened(np.repeat(image, 2, 0)[:6], np.repeat(classes, 2, 0)[:6], 6)
    assert thicker[0, 0, 0] == 255
