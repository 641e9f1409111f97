"""Figures worked out on paper, and the same figures by scipy and scikit-learn where those define them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from CMBNetEvaluationLib.counting import (
    agreement_of_counts,
    bland_altman,
    burden_class,
    icc,
    slope_of_difference,
    spearman,
    weighted_kappa,
)
from CMBNetEvaluationLib.detection_metrics import detection_metrics
from CMBNetEvaluationLib.estimates import SubjectBootstrap, poisson_interval, wilson_interval
from CMBNetEvaluationLib.froc import average_precision, froc_metrics, gather_candidates
from CMBNetEvaluationLib.scan_classification import (
    calibration_metrics,
    classification_metrics,
    roc_area,
    scan_auc,
)
from evaluation_cases import counted, ranked

EXACT = 1e-9
FOUR_SCANS = [counted(3, 1, 1, "a"), counted(0, 2, 0, "b"), counted(2, 0, 2, "c"), counted(0, 0, 0, "d")]
TWO_RANKED = [
    ranked("a", [0.9, 0.8, 0.6], [1, 0, 1], n_reference=2),
    ranked("b", [0.7, 0.5, 0.4], [1, 0, 0], n_reference=2),
]


def bootstrap_of(results) -> SubjectBootstrap:
    return SubjectBootstrap([result.subject_id for result in results], replicates=300)


def values(estimates) -> dict[str, float | None]:
    return {name: estimate.value for name, estimate in estimates.items()}


def test_pooled_figures() -> None:
    """TP 5, FP 3, FN 3 on four scans, two of them (b, d) without a lesion, on which lie 2 of the 3 false positives."""
    pooled = detection_metrics(FOUR_SCANS, bootstrap_of(FOUR_SCANS))["pooled"]
    assert values(pooled) == {
        "precision": 5 / 8, "sensitivity": 5 / 8, "f1": 10 / 16, "false_positives_per_scan": 3 / 4,
        "false_positives_per_negative_scan": 2 / 2, "false_positives_per_microbleed": 3 / 8,
    }  # fmt: skip
    # 5 of 8 by Wilson, on paper: (5/8 + z2/16 -/+ z sqrt(15/64/8 + z2/256)) / (1 + z2/8) with z2 = 3.8415.
    assert pooled["f1"].n == 11
    assert pooled["precision"].wilson == pytest.approx((0.30574, 0.86316), abs=1e-5)


def test_figures_of_single_scans() -> None:
    """Precision 3/4, 0, 1, none; sensitivity 3/4, none, 1/2, none; F1 6/8, 0, 4/6, none; FP 1, 2, 0, 0."""
    detection = detection_metrics(FOUR_SCANS, bootstrap_of(FOUR_SCANS))
    mean, median = detection["per_scan_mean"], detection["per_scan_median"]
    f1 = (0.75 + 2 / 3) / 2  # of a and c alone, the scans with lesions
    assert values(mean) == pytest.approx(
        {"precision": 1.75 / 3, "sensitivity": 0.625, "f1": (0.75 + 2 / 3) / 3, "false_positives": 0.75,
         "f1_scans_with_lesions": f1}, abs=EXACT,
    )  # fmt: skip
    assert values(median) == pytest.approx(
        {"precision": 0.75, "sensitivity": 0.625, "f1": 2 / 3, "false_positives": 0.5, "f1_scans_with_lesions": f1},
        abs=EXACT,
    )
    assert {name: estimate.n for name, estimate in mean.items()} == {
        "precision": 3, "sensitivity": 2, "f1": 3, "false_positives": 4, "f1_scans_with_lesions": 2,
    }  # fmt: skip


def test_no_lesion_and_no_call_leaves_figures_undefined_instead_of_perfect() -> None:
    pooled = detection_metrics([counted(0, 0, 0)], bootstrap_of([counted(0, 0, 0)]))["pooled"]
    assert pooled["precision"].value is None
    assert pooled["sensitivity"].value is None
    assert pooled["false_positives_per_scan"].value == 0.0


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (7, 7), (5, 8), (51, 61), (1, 1000)])
def test_wilson_as_scipy(successes: int, trials: int) -> None:
    interval = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((interval.low, interval.high), abs=EXACT)


@pytest.mark.parametrize(("events", "units"), [(0, 20), (3, 4), (121, 114)])
def test_the_interval_of_a_rate_as_by_chi_squared(events: int, units: int) -> None:
    """Garwood: chi-squared quantiles with 2 events and 2 events + 2 degrees of freedom, halved."""
    low = stats.chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    expected = (low / units, stats.chi2.ppf(0.975, 2 * events + 2) / 2 / units)
    assert poisson_interval(events, units) == pytest.approx(expected, abs=EXACT)
    assert poisson_interval(events, 0) is None


def test_no_false_positive_in_any_scan_is_no_certainty() -> None:
    """No false positive in 20 scans: no bootstrap interval, and up to 3.689 / 20 from the counts."""
    results = [counted(1, 0, 0, f"s{n}") for n in range(20)]
    rate = detection_metrics(results, bootstrap_of(results))["pooled"]["false_positives_per_scan"]
    assert (rate.value, rate.low, rate.high) == (0.0, None, None)
    assert rate.by_counts == pytest.approx((0.0, 3.68888 / 20), abs=1e-5)


def test_intervals_draw_subjects_not_scans() -> None:
    """Ten scans of each of two subjects say no more about other subjects than one scan of each."""
    once = [counted(1, 0, 0, "a1", subject_id="a"), counted(0, 0, 1, "b1", subject_id="b")]
    often = [counted(1, 0, 0, f"a{n}", subject_id="a") for n in range(10)]
    often += [counted(0, 0, 1, f"b{n}", subject_id="b") for n in range(10)]
    # Both subjects are drawn in half of the draws, one of them twice in a quarter each: 0, 1/2 or 1.
    for results in (once, often):
        sensitivity = detection_metrics(results, bootstrap_of(results))["pooled"]["sensitivity"]
        assert (sensitivity.value, sensitivity.low, sensitivity.high) == (0.5, 0.0, 1.0)
    as_subjects = [counted(r.tp, r.fp, r.fn, r.scan_id) for r in often]
    wide = detection_metrics(as_subjects, bootstrap_of(as_subjects))["pooled"]["sensitivity"]
    assert wide.low > 0.2
    assert wide.high < 0.8


def test_one_subject_has_no_interval() -> None:
    one = [counted(1, 1, 0, "a", subject_id="s"), counted(1, 0, 2, "b", subject_id="s")]
    f1 = detection_metrics(one, bootstrap_of(one))["pooled"]["f1"]
    assert (f1.value, f1.low, f1.high) == (4 / 7, None, None)


def test_bootstrap_interval_covers_as_it_says() -> None:
    """Of 200 samples of 60 scans with a true rate of 2 false positives, about 95 % hold 2 in the interval."""
    generator = np.random.default_rng(3)
    hits = 0
    for trial in range(200):
        numbers = generator.poisson(2.0, 60).astype(float)
        sample = SubjectBootstrap([str(n) for n in range(60)], replicates=400, seed=trial)
        estimate = sample.ratio(numbers, np.ones(60))
        hits += estimate.low <= 2.0 <= estimate.high
    assert 180 <= hits <= 198


def test_froc_on_paper() -> None:
    """Falling scores T F T T F F with 4 lesions on 2 scans: at 0.5 false positives a scan 3 of 4 are found."""
    froc = froc_metrics(TWO_RANKED, bootstrap_of(TWO_RANKED))
    assert froc["curve"].false_positives_per_scan.tolist() == [0, 0.5, 0.5, 0.5, 1, 1.5]
    assert froc["curve"].sensitivity.tolist() == [0.25, 0.25, 0.5, 0.75, 0.75, 0.75]
    assert values(froc["sensitivity_at"]) == {
        "0.125": 0.25, "0.25": 0.25, "0.5": 0.75, "1": 0.75, "2": 0.75, "4": 0.75, "8": 0.75,
    }  # fmt: skip
    assert froc["mean_sensitivity"].value == pytest.approx(4.25 / 7, abs=EXACT)
    # Precision 1, 2/3 and 3/4 where sensitivity rises by 1/4 each.
    assert froc["average_precision"].value == pytest.approx((1 + 2 / 3 + 3 / 4) / 4, abs=EXACT)
    assert froc["most_false_positives_per_scan"] == 1.5


def test_equal_scores_are_one_threshold() -> None:
    results = [ranked("a", [0.9, 0.9, 0.5], [1, 0, 1], n_reference=2)]
    candidates = gather_candidates(results)
    assert candidates.last.tolist() == [1, 2]
    assert average_precision(candidates) == pytest.approx(0.5 * 0.5 + 0.5 * 2 / 3, abs=EXACT)


def test_froc_counts_scans_without_lesions_and_without_predictions() -> None:
    results = [*TWO_RANKED, ranked("c", [0.95], [0], n_reference=0), counted(0, 0, 3, "d", missing_prediction=True)]
    froc = froc_metrics(results, bootstrap_of(results))
    assert froc["curve"].false_positives_per_scan[0] == 1 / 4
    assert froc["curve"].sensitivity[-1] == 3 / 7


def test_no_froc_where_a_prediction_has_no_scores() -> None:
    results = [*TWO_RANKED, counted(1, 0, 0, "c")]
    assert froc_metrics(results, bootstrap_of(results)) is None


def random_ranking(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, list]:
    """Scores with ties, whether true, and results of ten scans that hold them; every lesion is proposed."""
    generator = np.random.default_rng(seed)
    scores = np.round(generator.random(n), 1)
    true = generator.random(n) < 0.2 + 0.6 * scores
    results = []
    for scan in range(10):
        own = slice(scan, None, 10)
        results.append(ranked(f"s{scan}", scores[own], true[own], n_reference=int(true[own].sum())))
    return scores, true, results


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_and_brier_as_scikit_learn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, true, results = random_ranking(seed)
    bootstrap = bootstrap_of(results)
    expected = metrics.average_precision_score(true, scores)
    assert froc_metrics(results, bootstrap)["average_precision"].value == pytest.approx(expected, abs=EXACT)
    brier = calibration_metrics(results, bootstrap)["brier"].value
    assert brier == pytest.approx(metrics.brier_score_loss(true, scores), abs=EXACT)


@pytest.mark.parametrize("seed", range(3))
def test_area_under_the_curve_as_scikit_learn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(seed)
    scores, positive = np.round(generator.random(50), 1), generator.random(50) < 0.4
    weights = generator.integers(0, 3, size=(4, 50))
    for weight, area in zip(weights, roc_area(scores, positive, weights), strict=True):
        assert area == pytest.approx(metrics.roc_auc_score(positive, scores, sample_weight=weight), abs=EXACT)


@pytest.mark.parametrize(("power", "name"), [(0, None), (1, "linear"), (2, "quadratic")])
def test_kappa_as_scikit_learn(power: int, name: str | None) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(power)
    first = generator.integers(0, 4, 80)
    second = np.clip(first + generator.integers(-1, 2, 80), 0, 3)
    ours = weighted_kappa(first, second, 4, power=power)[0]
    assert ours == pytest.approx(metrics.cohen_kappa_score(first, second, weights=name), abs=EXACT)


def test_detection_figures_as_scikit_learn() -> None:
    """Precision, recall and F1 of all lesions and false calls, written as labels."""
    metrics = pytest.importorskip("sklearn.metrics")
    wanted, called = [1] * 5 + [0] * 3 + [1] * 3, [1] * 5 + [1] * 3 + [0] * 3
    precision, recall, f1, _support = metrics.precision_recall_fscore_support(wanted, called, average="binary")
    pooled = detection_metrics(FOUR_SCANS, bootstrap_of(FOUR_SCANS))["pooled"]
    ours = [pooled[name].value for name in ("precision", "sensitivity", "f1")]
    assert ours == pytest.approx([precision, recall, f1], abs=EXACT)


def test_kappa_on_paper() -> None:
    """20 both yes, 15 both no, 5 and 10 apart: observed 0.7, by chance 0.5, kappa 0.4."""
    first = np.repeat([1, 1, 0, 0], [20, 5, 10, 15])
    second = np.repeat([1, 0, 1, 0], [20, 5, 10, 15])
    assert weighted_kappa(first, second, 2, power=0)[0] == pytest.approx(0.4, abs=EXACT)


def test_icc_on_paper() -> None:
    """Counts 1, 2, 3 and 2, 3, 4: rows 2, columns 1.5, no error: ICC(C,1) = 1, ICC(A,1) = 2 / (2 + 2 * 1.5 / 3)."""
    agreement, consistency = icc(np.array([1.0, 2, 3]), np.array([2.0, 3, 4]))
    assert consistency[0] == pytest.approx(1.0, abs=EXACT)
    assert agreement[0] == pytest.approx(2 / 3, abs=EXACT)


def test_bland_altman_on_paper() -> None:
    """Differences -1, -1, 2: bias 0, standard deviation sqrt(3)."""
    limits = [value[0] for value in bland_altman(np.array([1.0, 2, 5]), np.array([2.0, 3, 3]))]
    half = 1.959963984540054 * np.sqrt(3)
    assert limits == pytest.approx([0, -half, half], abs=EXACT)


def test_slope_of_the_difference_on_paper() -> None:
    """Predicted is half of the reference 2, 4, 8: differences -1, -2, -4 on means 1.5, 3, 6: slope -2/3."""
    reference = np.array([2.0, 4, 8])
    assert slope_of_difference(reference / 2, reference)[0] == pytest.approx(-2 / 3, abs=EXACT)
    assert np.isnan(slope_of_difference(np.array([1.0, 2]), np.array([2.0, 1]))[0])


def test_statistics_of_weights_are_those_of_repeated_scans() -> None:
    """A bootstrap draw is a list in which scans are repeated; the fast way must give the same as the list."""
    generator = np.random.default_rng(11)
    first, second = generator.poisson(4, 30).astype(float), generator.poisson(4, 30).astype(float)
    weights = generator.multinomial(30, np.full(30, 1 / 30), size=5)
    for number, weight in enumerate(weights):
        a, b = np.repeat(first, weight), np.repeat(second, weight)
        for function in (icc, bland_altman):
            whole = [float(value[number]) for value in function(first, second, weights)]
            assert whole == pytest.approx([float(value[0]) for value in function(a, b)], abs=EXACT)
        slope = stats.linregress((a + b) / 2, a - b).slope
        assert slope_of_difference(first, second, weights)[number] == pytest.approx(slope, abs=EXACT)
        assert spearman(first, second, weights)[number] == pytest.approx(stats.spearmanr(a, b).statistic, abs=EXACT)


def test_burden_classes() -> None:
    assert burden_class(np.array([0, 1, 4, 5, 9, 10, 40])).tolist() == [0, 1, 1, 2, 2, 3, 3]
    agreement = agreement_of_counts(
        np.array([0.0, 5, 12]), np.array([1.0, 5, 4]), SubjectBootstrap(["a", "b", "c"], replicates=50)
    )
    # Rows are the reference: of two in class 1-4 one was called 0 and one 10+.
    assert agreement["burden_table"] == [[0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert agreement["same_burden_class"].value == pytest.approx(1 / 3)


def test_scans_are_classified_the_right_way_round() -> None:
    """Reference 0, 0, 2, 3; predicted 1, 0, 0, 4. With 1 or more: one of two positives found, one of two negatives."""
    results = [counted(0, 1, 0, "a"), counted(0, 0, 0, "b"), counted(0, 0, 2, "c"), counted(3, 1, 0, "d")]
    first, third, *_ = classification_metrics(results, bootstrap_of(results))
    assert [first[name] for name in ("threshold", "tp", "fp", "fn", "tn")] == [1, 1, 1, 1, 1]
    assert [third[name] for name in ("threshold", "tp", "fp", "fn", "tn")] == [3, 1, 0, 0, 3]
    assert (third["sensitivity"].value, third["specificity"].value) == (1.0, 1.0)
    # A detector that finds every positive scan and calls every negative one too.
    always = [counted(0, 3, 0, "a"), counted(0, 1, 0, "b"), counted(2, 0, 0, "c"), counted(3, 0, 0, "d")]
    entry = classification_metrics(always, bootstrap_of(always))[0]
    assert (entry["sensitivity"].value, entry["specificity"].value) == (1.0, 0.0)
    assert (entry["ppv"].value, entry["npv"].value) == (0.5, None)


def test_scan_auc_leaves_candidates_on_ignored_lesions_out() -> None:
    from CMBNetEvaluationLib.scan_result import Ranking, ScanResult

    nothing = np.zeros(1, bool)
    excused = Ranking(np.array([0.99]), nothing, nothing)
    negative = ScanResult(**{**vars(counted(0, 0, 0, "n")), "ranking": excused})
    results = [ranked("p", [0.6], [1], n_reference=1), negative]
    assert scan_auc(results, bootstrap_of(results)).value == 1.0


def test_calibration_on_paper() -> None:
    """Two at 0.9, both true; two at 0.4, one true: gaps 0.1 and 0.1, Brier (0.01 * 2 + 0.36 + 0.16) / 4."""
    results = [ranked("a", [0.9, 0.4], [1, 1], n_reference=2), ranked("b", [0.9, 0.4], [1, 0], n_reference=1)]
    calibration = calibration_metrics(results, bootstrap_of(results))
    assert calibration["expected_calibration_error"].value == pytest.approx(0.1, abs=EXACT)
    assert calibration["brier"].value == pytest.approx((0.02 + 0.36 + 0.16) / 4, abs=EXACT)
    filled = [(entry["from"], entry["n"], entry["share_true"]) for entry in calibration["bins"] if entry["n"]]
    assert filled == [(0.4, 2, 0.5), (0.9, 2, 1.0)]
    # Mean score 2.6 / 4, three of four true.
    assert calibration["mean_score_minus_share_true"].value == pytest.approx(-0.1, abs=EXACT)
    interval = (calibration["bins"][9]["wilson_low"], calibration["bins"][9]["wilson_high"])
    assert interval == pytest.approx(wilson_interval(2, 2))
