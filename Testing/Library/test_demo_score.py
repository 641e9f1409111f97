"""The score that `make demo` prints."""

from __future__ import annotations

import numpy as np

from CMBNetLib.volume import Volume
from demo_score import score

SPACING_MM = np.diag([0.5, 0.5, 2.0, 1.0])


def labels(*centres_kji: tuple[int, int, int]) -> Volume:
    array = np.zeros((20, 64, 64), dtype=np.uint16)
    for number, (k, j, i) in enumerate(centres_kji, start=1):
        array[k, j - 1 : j + 2, i - 1 : i + 2] = number
    return Volume(array, SPACING_MM, "labels", {})


def test_a_shifted_microbleed_is_found_and_a_distant_one_is_false() -> None:
    truth = labels((5, 20, 20), (10, 40, 40))
    assert score(labels((5, 22, 20), (15, 50, 50)), truth) == (1, 1, 1)


def test_two_detections_of_one_microbleed_count_once() -> None:
    assert score(labels((5, 20, 20), (5, 24, 20)), labels((5, 21, 20))) == (1, 0, 1)


def test_a_binary_mask_counts_its_components() -> None:
    truth = labels((5, 20, 20), (10, 40, 40))
    binary = Volume((truth.array > 0).astype(np.uint16), SPACING_MM, "mask", {})
    assert score(binary, truth) == (2, 0, 0)


def test_an_empty_result_finds_nothing() -> None:
    assert score(labels(), labels((5, 20, 20))) == (0, 1, 0)
    assert score(labels(), labels()) == (0, 0, 0)
