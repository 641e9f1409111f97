"""Tissues sharpened by the intensities of the scan: borders, coils, dark spots, tissues that look alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from CMBNetLib.anatomy_contrast import contrast_of
from CMBNetLib.anatomy_segmentation import segment
from CMBNetLib.anatomy_tissues import TISSUES
from CMBNetLib.network_anatomy import AnatomySpec
from CMBNetLib.volume import Volume

SHAPE = (24, 48, 48)
LEFT_TISSUE, RIGHT_TISSUE = 1, 2
CORTEX, WHITE = TISSUES.index("cortex"), TISSUES.index("white_matter")


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """Two tissues whose border has folds 12 voxels deep, 0 outside."""
    _k, j, i = np.indices(SHAPE)
    tissue = np.where(i > 24 + 6 * np.sin(j / 1.7), RIGHT_TISSUE, LEFT_TISSUE)
    return np.where(np.minimum(np.minimum(j, 47 - j), np.minimum(i, 47 - i)) < 3, 0, tissue)


@pytest.fixture(scope="module")
def prior(truth: np.ndarray) -> np.ndarray:
    """What a network would say that draws blobs: all folds are smoothed away."""
    blurred = np.stack([ndimage.gaussian_filter((truth == n).astype(np.float32), 4) for n in range(3)])
    return (blurred + 0.01) / (blurred + 0.01).sum(0)


def scan(truth: np.ndarray, bright: tuple[float, float], noise: float = 0.04) -> np.ndarray:
    image = np.choose(truth, [0.0, *bright]) + np.random.default_rng(1).normal(0, noise, truth.shape)
    return (300 * image).astype(np.float32)


def sharpened(image: np.ndarray, prior: np.ndarray, truth: np.ndarray) -> np.ndarray:
    contrast = contrast_of(image, prior, truth > 0)
    return 1 + np.argmax([prior[n] * contrast.likelihood(n, image) for n in (1, 2)], axis=0)


def share_right(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found == truth)[truth > 0].mean())


@pytest.mark.parametrize("bright", [(1.0, 1.3), (1.3, 1.0)])
def test_folds_that_the_network_missed_are_drawn(
    bright: tuple[float, float], prior: np.ndarray, truth: np.ndarray
) -> None:
    assert share_right(1 + prior[1:].argmax(0), truth) < 0.93
    assert share_right(sharpened(scan(truth, bright), prior, truth), truth) > 0.98


def test_a_coil_that_changes_more_than_the_tissues_do(prior: np.ndarray, truth: np.ndarray) -> None:
    coil = np.linspace(0.75, 1.25, SHAPE[1], dtype=np.float32)[:, None]
    assert share_right(sharpened(scan(truth, (1.0, 1.3)) * coil, prior, truth), truth) > 0.95


def test_where_tissues_look_alike_the_network_decides(prior: np.ndarray, truth: np.ndarray) -> None:
    found = sharpened(scan(truth, (1.0, 1.0)), prior, truth)
    assert (found == 1 + prior[1:].argmax(0))[truth > 0].mean() > 0.97


def test_a_dark_spot_is_the_tissue_that_it_lies_in(prior: np.ndarray, truth: np.ndarray) -> None:
    image = scan(truth, (1.0, 0.8))
    spots = np.zeros(SHAPE, bool)
    spots[6::12, 8:40:8, 10] = spots[6::12, 8:40:8, 38] = True
    image[spots] = 20.0
    found = sharpened(image, prior, truth)
    assert (found == truth)[spots].all()


def test_a_tissue_that_is_hardly_there_stays_what_the_network_said(prior: np.ndarray, truth: np.ndarray) -> None:
    scarce = np.concatenate([prior, np.full((1, *SHAPE), 1e-5, np.float32)])
    contrast = contrast_of(scan(truth, (1.0, 1.3)), scarce, truth > 0)
    assert contrast.means[3] is None
    assert np.isfinite(contrast.likelihood(3, np.ones(SHAPE, np.float32)))


def test_a_finer_image_of_the_same_place(prior: np.ndarray, truth: np.ndarray) -> None:
    image = scan(truth, (1.0, 1.3))
    contrast = contrast_of(image, prior, truth > 0)
    fine = np.repeat(np.repeat(np.repeat(image, 2, 0), 2, 1), 2, 2)
    coarse, finer = contrast.likelihood(1, image), contrast.likelihood(1, fine)
    assert isinstance(finer, np.ndarray)
    assert np.corrcoef(coarse.ravel(), finer[::2, ::2, ::2].ravel())[0, 1] > 0.98


def test_of_an_empty_scan_the_network_decides(prior: np.ndarray, truth: np.ndarray) -> None:
    found = sharpened(np.zeros(SHAPE, np.float32), prior, truth)
    assert (found == 1 + prior[1:].argmax(0)).all()


class Blurred(torch.nn.Module):
    """A network that says the same of every scan: white matter in a smooth ball, cortex round it."""

    spec = AnatomySpec()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        k, j, i = (torch.arange(n) - (n - 1) / 2 for n in image.shape[2:])
        radius = torch.sqrt(k[:, None, None] ** 2 + j[:, None] ** 2 + i**2)
        logits = torch.full((1, len(TISSUES) + 1, *image.shape[2:]), -6.0)
        logits[0, 0] = 2.0 * (radius - 20)
        logits[0, CORTEX] = 0.0
        logits[0, WHITE] = 0.5 * (14 - radius)
        logits[0, -1] = i
        return logits


def test_a_segmentation_has_the_tissues_with_and_without_the_intensities() -> None:
    k, j, i = np.indices((88, 88, 88)) - 43.5
    radius = np.sqrt(k**2 + j**2 + i**2)
    wall = 28 + 5 * np.sin(5 * np.arctan2(j, i))
    image = np.where(radius < wall, 1.0, 1.4) * (radius < 40) + np.random.default_rng(2).normal(0, 0.03, radius.shape)
    bleeds = (np.abs(k) < 2) & (np.abs(np.abs(i) - 34) < 2) & (np.abs(j) < 2)
    image[bleeds] = 0.1
    found = segment(Volume((500 * image).astype(np.float32), np.eye(4), "scan"), Blurred().eval())
    brain = found.brain.array > 0
    truth = np.where(radius < wall, WHITE, CORTEX)
    sharp, plain = found.tissue.array, found.plain_tissue.array
    assert (sharp == truth)[brain].mean() > 0.97
    assert 0.8 < (plain == truth)[brain].mean() < 0.93
    # By the network alone the border is round, whatever the scan shows.
    assert ((plain == WHITE) == (radius < 28))[brain & (np.abs(radius - 28) > 1)].all()
    assert (sharp == truth)[bleeds].mean() > 0.9
