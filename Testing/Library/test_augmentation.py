"""Augmentation: repeatable by seed, classes stay classes, no bright microbleeds by default."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from CMBNetTrainingLib.augmentation import Augmentation, misplaced, thickened
from training_phantoms import phantom


@pytest.fixture(scope="module")
def patch() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image, labels, _ = phantom(1, 6)
    classes = (labels > 0).astype(np.uint8)
    # Places that know where the microbleeds are.
    return image, classes, np.where(classes, 6, 4).astype(np.uint8)


@pytest.mark.parametrize("preset", ["default", "seed", "none"])
def test_a_seed_gives_one_result(preset: str, patch: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    first, second = Augmentation(preset), Augmentation(preset)
    for seed in range(12):
        second(*patch, 99 + seed)
        a, b = first(*patch, seed), second(*patch, seed)
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
        assert torch.equal(a[2], b[2])
        # Places are turned and bent with the classes.
        assert torch.equal(a[1] == 1, a[2] == 6)
        assert a[0].shape == a[1].shape == torch.Size(patch[0].shape)
        assert set(a[1].unique().tolist()) <= {0, 1}


def test_default_keeps_microbleeds_dark(patch: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    augment = Augmentation("default")
    for seed in range(20):
        image, classes, _ = augment(*patch, seed)
        if (classes == 1).any():
            assert image[classes == 1].mean() < image[(classes == 0) & (image > -1)].mean()
        assert float(image.min()) >= -2
        assert float(image.max()) <= 3


def test_none_changes_nothing(patch: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    made = Augmentation("none")(*patch, 5)
    assert all(np.array_equal(a.numpy(), b) for a, b in zip(made, patch, strict=True))


def test_places_are_moved_a_little_or_not_told() -> None:
    places = np.where(np.indices((20, 40, 160))[2] < 80, 3, 4).astype(np.uint8)
    made = [misplaced(np.random.default_rng(seed), places, (1.0, 0.5, 0.5)) for seed in range(60)]
    told = [each for each in made if each.any()]
    assert 2 <= len(made) - len(told) <= 14
    # Of the slab of 80 mm what lies within some standard deviations (1.75 mm) of the border may change, the rest not.
    assert all(np.array_equal(each[:, :, :40], places[:, :, :40]) for each in told)
    changed = np.mean([(each != places).mean() for each in told])
    assert 0.7 < 80 * changed < 1.75


def test_thick_slices_judge_only_what_fills_half() -> None:
    image = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, 2, 2), np.float32)
    classes = np.zeros((4, 2, 2), np.uint8)
    classes[0:1, 0, 0], classes[2:4, 1, 1] = 1, 1
    places = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, 2, 2), np.uint8)
    mean, thick, middle = thickened(image, classes, places, 2)
    assert middle[:, 0, 0].tolist() == [1, 3]
    assert mean[:, 0, 0].tolist() == [0.5, 2.5]
    assert (thick[0, 0, 0], thick[1, 1, 1], thick[1, 0, 0]) == (1, 1, 0)
    classes[1] = 0
    _, thicker, _ = thickened(*(np.repeat(each, 2, 0)[:6] for each in (image, classes, places)), 6)
    assert thicker[0, 0, 0] == 255
