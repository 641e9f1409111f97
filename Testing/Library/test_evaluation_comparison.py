"""Two models on the same scans: paired intervals and permutation tests, of counts and of the FROC."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from CMBNetEvaluationLib.comparison import compare_models
from CMBNetEvaluationLib.difference import permutation_p
from CMBNetEvaluationLib.estimates import CrossedBootstrap, SubjectBootstrap
from CMBNetEvaluationLib.froc import RATES, froc_summary, gather_candidates
from CMBNetEvaluationLib.froc_comparison import permuted_differences, reached_at
from CMBNetEvaluationLib.scan_result import Ranking, ScanResult
from evaluation_cases import counted, ranked

EXACT = 1e-9


def random_model(seed: int, skill: float, n_scans: int = 12, steps: int = 20) -> list[ScanResult]:
    """Scans with 0 to 4 lesions; ``steps`` different scores, so that many are equal."""
    generator = np.random.default_rng(seed)
    results = []
    for scan in range(n_scans):
        lesions = scan % 5
        true = generator.random(lesions) < 0.4 + 0.5 * skill
        false = np.zeros(generator.poisson(1.5), bool)
        hits = np.concatenate([np.ones(int(true.sum()), bool), false])
        scores = np.clip(generator.normal(0.4 + 0.3 * hits * skill, 0.2), 0, 1)
        results.append(ranked(f"s{scan:02d}", np.round(scores * steps) / steps, hits.tolist(), lesions))
    return results


def rescaled(results: list[ScanResult], factor: float) -> list[ScanResult]:
    rankings = [Ranking(r.ranking.scores * factor, r.ranking.true, r.ranking.false) for r in results if r.ranking]
    return [replace(result, ranking=ranking) for result, ranking in zip(results, rankings, strict=True)]


def by_rate(results: list[ScanResult]) -> list[ScanResult]:
    """The same results with every score replaced by minus the rate at which it is reached."""
    candidates = gather_candidates(results)
    assert candidates is not None
    rates = reached_at(candidates)
    changed = []
    for number, result in enumerate(results):
        own = candidates.scan == number
        ranking = Ranking(-rates[own], candidates.true[own], candidates.false[own])
        changed.append(replace(result, ranking=ranking))
    return changed


def test_ranking_by_the_rate_changes_no_froc() -> None:
    for seed in range(10):
        results = random_model(seed, 0.7)
        before, after = (froc_summary(gather_candidates(some)) for some in (results, by_rate(results)))
        assert after[:8] == pytest.approx(before[:8], abs=EXACT)


def test_each_permutation_is_the_difference_of_the_swapped_models() -> None:
    """As many permutations as a person could make by hand: lists of results swapped scan by scan, measured anew."""
    first, second = random_model(1, 0.9), random_model(2, 0.4)
    swaps = np.random.default_rng(0).integers(0, 2, (20, len(first))).astype(float)
    swaps[0], swaps[1] = 0, 1
    found = permuted_differences(*(gather_candidates(side) for side in (first, second)), swaps)
    sides = by_rate(first), by_rate(second)
    for row, swap in zip(found, swaps, strict=True):
        mixed = [[sides[int(s) ^ side][n] for n, s in enumerate(swap)] for side in (0, 1)]
        one, other = (froc_summary(gather_candidates(results)) for results in mixed)
        assert row == pytest.approx(np.subtract(other, one)[:8], abs=EXACT)
    assert found[1] == pytest.approx(-found[0], abs=EXACT)


def test_a_model_beside_itself_does_not_differ() -> None:
    results = random_model(3, 0.6)
    metrics = compare_models(results, results, permutations=199)["metrics"]
    for name, difference in metrics.items():
        assert difference.difference == 0, name
        assert difference.p == (None if name == "average_precision" else 1.0), name


def test_a_much_better_model_is_told_apart() -> None:
    good, poor = random_model(4, 1.0, 30), random_model(5, 0.0, 30)
    metrics = compare_models(poor, good, permutations=999)["metrics"]
    assert metrics["mean_sensitivity"].p < 0.01
    assert metrics["mean_sensitivity"].low > 0
    assert {f"sensitivity_at_{rate:g}" for rate in RATES} < set(metrics)


def test_the_scale_of_the_scores_does_not_matter() -> None:
    """Divided by ten or not: the scores of a model say nothing but the order of its candidates."""
    first, second = random_model(6, 0.6), random_model(7, 0.5)
    plain = compare_models(first, second, permutations=999)["metrics"]
    shrunk = compare_models(first, rescaled(second, 0.1), permutations=999)["metrics"]
    for name in ("mean_sensitivity", "sensitivity_at_0.5", "sensitivity_at_1"):
        assert shrunk[name] == plain[name], name
    assert 0.02 < plain["mean_sensitivity"].p < 0.98


def test_the_test_of_the_froc_keeps_its_level() -> None:
    """Two models of one skill: p is below 0.05 in about one of 20 pairs; 120 pairs, at most 12 by chance (p 0.99)."""
    hits = 0
    for seed in range(120):
        sides = [gather_candidates(random_model(1000 + 2 * seed + side, 0.6)) for side in (0, 1)]
        swaps = np.random.default_rng(seed).integers(0, 2, (199, 12)).astype(float)
        observed = froc_summary(sides[1])[7] - froc_summary(sides[0])[7]
        hits += permutation_p(observed, permuted_differences(*sides, swaps)[:, 7]) < 0.05
    assert hits <= 12


def test_undefined_permutations_are_left_out() -> None:
    """|2| and |-2| of the two defined ones are as large as 2: (2 + 1) / (2 + 1)."""
    assert permutation_p(2.0, np.array([2.0, np.nan, -2.0])) == 1.0
    assert permutation_p(3.0, np.array([2.0, np.nan, -2.0])) == pytest.approx(1 / 3)


def test_without_scores_there_is_no_difference_of_froc() -> None:
    results = [counted(1, 0, 1, f"s{n}") for n in range(3)]
    assert "mean_sensitivity" not in compare_models(results, results, permutations=99)["metrics"]


def test_drawing_readers_too_widens_an_interval() -> None:
    """Six readers on ten cases, of whom one finds everything and the others nothing."""
    subjects = [f"s{case}" for case in range(10) for _reader in range(6)]
    readers = [f"r{reader}" for _case in range(10) for reader in range(6)]
    found = np.array([float(name == "r0") for name in readers])
    ones = np.ones(len(found))
    cases = SubjectBootstrap(subjects).ratio(found, ones)
    both = CrossedBootstrap(subjects, readers).ratio(found, ones)
    assert (cases.low, cases.high) == (None, None)
    assert both.value == pytest.approx(1 / 6)
    assert both.low == 0.0
    assert both.high > 0.4
