"""The likely number of microbleeds by calibrated scores."""

from __future__ import annotations

import numpy as np
import pytest

from CMBNetLib.burden import BURDEN_NAMES, burden_name, burden_of


def test_certain_candidates_are_counted() -> None:
    burden = burden_of([1.0] * 6 + [0.0] * 3)
    assert (burden.expected, burden.low, burden.high, burden.likeliest) == (6.0, 6, 6, "5-9")
    assert burden.classes == {"0": 0.0, "1-4": 0.0, "5-9": 1.0, "10+": 0.0}


def test_a_scan_without_a_candidate_has_none() -> None:
    burden = burden_of([])
    assert (burden.expected, burden.low, burden.high, burden.likeliest) == (0.0, 0, 0, "0")


def test_many_doubtful_candidates_are_more_than_none() -> None:
    """None of them reaches a threshold of a half."""
    burden = burden_of([0.3] * 10)
    assert burden.expected == pytest.approx(3.0)
    assert burden.classes["0"] == pytest.approx(0.7**10, abs=1e-4)
    assert burden.likeliest == "1-4"
    assert (burden.low, burden.high) == (1, 5)


def test_the_distribution_is_that_of_drawn_counts() -> None:
    rng = np.random.default_rng(5)
    scores = rng.uniform(0.05, 0.95, 17)
    drawn = (rng.random((40_000, 17)) < scores).sum(1)
    burden = burden_of(scores)
    for name in BURDEN_NAMES:
        share = np.mean([burden_name(int(count)) == name for count in drawn])
        assert burden.classes[name] == pytest.approx(share, abs=0.01)
    assert np.mean((drawn >= burden.low) & (drawn <= burden.high)) >= 0.9


@pytest.mark.parametrize(("count", "name"), [(0, "0"), (1, "1-4"), (4, "1-4"), (5, "5-9"), (9, "5-9"), (10, "10+")])
def test_classes_begin_where_the_scale_says(count: int, name: str) -> None:
    assert burden_name(count) == name
