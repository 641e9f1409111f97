"""The seed system's published figures come out of its own list of scans; the ones it got wrong are put right."""

from __future__ import annotations

import pytest

import seed_results as seed
from CMBNetEvaluationLib.comparison import compare_models
from CMBNetEvaluationLib.detection_metrics import detection_metrics
from CMBNetEvaluationLib.estimates import SubjectBootstrap
from CMBNetEvaluationLib.scan_classification import classification_metrics


def measured(model: str):
    results = seed.results_of(model)
    return results, SubjectBootstrap([result.subject_id for result in results])


@pytest.mark.parametrize("model", seed.MODELS)
def test_pooled_figures_are_the_published_ones(model: str) -> None:
    results, bootstrap = measured(model)
    published = seed.PUBLISHED[model]
    detection = detection_metrics(results, bootstrap)
    counts, pooled = detection["counts"], detection["pooled"]
    names = ("true_positives", "false_positives", "false_negatives")
    assert [counts[name] for name in names] == [published[name] for name in ("tp", "fp", "fn")]
    assert counts["reference_lesions"] == 74
    for name in ("precision", "sensitivity", "f1"):
        assert pooled[name].value == pytest.approx(published[name], abs=0.0006), name
    assert pooled["false_positives_per_scan"].value == pytest.approx(published["fp_per_scan"])
    assert pooled["false_positives_per_microbleed"].value == pytest.approx(published["fp_per_microbleed"], abs=0.0006)


@pytest.mark.parametrize("model", seed.MODELS)
def test_figures_over_scans_are_the_published_ones(model: str) -> None:
    for name, (mean, deviation) in seed.macro(model).items():
        assert (mean, deviation) == pytest.approx(seed.PUBLISHED[model][name], abs=0.0006), name


def test_the_headline_is_per_microbleed_and_is_put_right(capsys: pytest.CaptureFixture[str]) -> None:
    results, bootstrap = measured("Scratch")
    pooled = detection_metrics(results, bootstrap)["pooled"]
    # Overlap: 11 of 20 scans and of 74 microbleeds; the abstract's run (distance) had 10.
    assert pooled["false_positives_per_scan"].value == 11 / 20
    assert pooled["false_positives_per_microbleed"].value == 11 / 74
    assert seed.HEADLINE["value"] == pytest.approx(10 / 74, abs=0.0005)
    seed.print_all()
    printed = capsys.readouterr().out
    assert "per scan it is 10 / 20 = 0.50" in printed
    assert "0.550 (" in next(line for line in printed.splitlines() if line.startswith("false positives per scan"))


def test_leaving_scans_out_raised_the_mean_f1() -> None:
    """Two of 20 scans have only a miss: their F1 is 0, so the mean is 0.868 * 18 / 20."""
    results, bootstrap = measured("Scratch")
    mean = detection_metrics(results, bootstrap)["per_scan_mean"]["f1"]
    assert mean.n == 20
    assert mean.value == pytest.approx(seed.macro("Scratch")["macro_f1"][0] * 18 / 20)


def test_intervals_agree_with_those_derived_before() -> None:
    """Wilson for precision and sensitivity, and 4000 draws of scans for F1 and false positives a scan."""
    results, bootstrap = measured("Scratch")
    pooled = detection_metrics(results, bootstrap)["pooled"]
    assert pooled["precision"].wilson == pytest.approx((0.710, 0.898), abs=0.0006)
    assert pooled["sensitivity"].wilson == pytest.approx((0.577, 0.783), abs=0.0006)
    assert (pooled["f1"].low, pooled["f1"].high) == pytest.approx((0.674, 0.857), abs=0.01)
    rate = pooled["false_positives_per_scan"]
    assert (rate.low, rate.high) == pytest.approx((0.05, 1.15), abs=0.06)


def test_scan_classification_is_of_the_positive_class() -> None:
    """Printed by the seed system with the classes swapped: "specificity" .900 at 1 is the sensitivity 18/20."""
    results, bootstrap = measured("Scratch")
    entries = classification_metrics(results, bootstrap)
    tables = [tuple(entry[name] for name in ("threshold", "tp", "fp", "fn", "tn")) for entry in entries]
    assert tables == [(1, 18, 0, 2, 0), (3, 8, 2, 0, 10), (5, 3, 0, 2, 15), (11, 1, 0, 2, 17)]
    first, third, fifth, eleventh = entries
    assert (first["sensitivity"].value, first["specificity"].value) == (0.9, None)
    assert (third["sensitivity"].value, third["specificity"].value) == pytest.approx((1.0, 0.833), abs=0.0006)
    assert (fifth["sensitivity"].value, fifth["specificity"].value) == (0.6, 1.0)
    assert eleventh["sensitivity"].value == pytest.approx(0.333, abs=0.0006)


def test_the_two_models_cannot_be_told_apart() -> None:
    scratch, transfer = (seed.results_of(model) for model in seed.MODELS)
    comparison = compare_models(scratch, transfer, permutations=999)
    f1 = comparison["metrics"]["f1"]
    assert f1.difference == pytest.approx(0.698 - 0.750, abs=0.001)
    assert f1.low < 0 < f1.high
    assert f1.p > 0.05
