"""What surrounds a candidate changes its score."""

from __future__ import annotations

import numpy as np
import pytest

from CMBNetLib.candidates import Found, find_candidates
from CMBNetLib.surroundings import less_likely_at_edges, unevenness
from CMBNetLib.volume import Volume

MATRIX = np.diag([0.5, 0.5, 2.0, 1.0])
BRAIN = np.ones((12, 60, 60), bool)


def spots() -> tuple[Found, Volume]:
    """A spot in even tissue and a surer one at the edge of something bright."""
    k, j, i = np.indices(BRAIN.shape)
    image = np.where(i < 40, 0.0, 1.5)
    probability = np.zeros(BRAIN.shape, np.float32)
    for center, peak in (((6, 30, 15), 0.7), ((6, 30, 40), 0.9)):
        distance = np.sqrt(sum(((a - c) * s) ** 2 for a, c, s in zip((k, j, i), center, (2, 0.5, 0.5), strict=True)))
        probability = np.maximum(probability, np.where(distance < 1.5, peak, 0))
        image = np.where(distance < 1.5, -1.8, image)
    return find_candidates(Volume(probability, MATRIX), BRAIN, 0.05), Volume(image.astype(np.float32), MATRIX)


def test_unevenness_is_zero_in_even_tissue_and_the_step_at_an_edge() -> None:
    found, image = spots()
    assert unevenness(found, image) == pytest.approx([1.5, 0.0])


def test_a_candidate_at_an_edge_falls_behind_one_in_even_tissue() -> None:
    found, image = spots()
    judged = less_likely_at_edges(found, image, 2.0, 0.05)
    assert judged.scores == pytest.approx([0.7, 1 / (1 + np.exp(2 * 1.5) / 9)])
    assert judged.peaks == pytest.approx([0.7, 0.9])
    for number, i in ((1, 15), (2, 40)):
        assert judged.labels.array[6, 30, i] == number
    assert (judged.labels.array > 0).sum() == (found.labels.array > 0).sum()


def test_without_a_cost_nothing_changes_and_below_the_floor_nothing_is_kept() -> None:
    found, image = spots()
    assert less_likely_at_edges(found, image, 0.0, 0.05) is found
    alone = less_likely_at_edges(found, image, 20.0, 0.05)
    assert alone.scores == pytest.approx([0.7])
    assert alone.labels.array.max() == 1


def test_certain_calls_keep_their_order() -> None:
    found, image = spots()
    found = Found(found.labels, [1.0, 1.0], [1.0, 1.0], 0)
    assert less_likely_at_edges(found, image, 1.0, 0.05).scores[0] > 0.999
