"""A paragraph for the methods section of a paper: what was counted, how, and with which versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from CMBNetLib.wording import number_of, were

from . import __version__
from .comparison import PERMUTATIONS
from .estimates import REPLICATES, SEED
from .rules import MatchingRule
from .scan_evaluation import EvaluationSettings
from .scan_result import ScanResult

PACKAGES = ("numpy", "scipy", "SimpleITK")


def software_versions() -> dict[str, str]:
    """Versions of everything that can change a number."""
    found = {"CMBNetEvaluationLib": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def methods_paragraph(
    results: Sequence[ScanResult],
    settings: EvaluationSettings,
    metrics: Mapping[str, Any],
    *,
    compared: bool = False,
    left_out: int = 0,
) -> str:
    """The paragraph.

    Parameters
    ----------
    metrics
        From `evaluation.measure`.
    compared
        A second model was compared.
    left_out
        Scans that could not be evaluated.
    """
    sentences = (
        _data_sentence(metrics["detection"]["counts"]),
        f"{number_of(left_out, 'further scan')} could not be evaluated and {were(left_out)} left out." * bool(left_out),
        f"{settings.rule.sentence()} {source_sentence(settings.rule)}",
        _threshold_sentence(settings),
        _DETECTION,
        _froc_sentence(results, settings) if metrics["froc"] is not None else "",
        _COUNTING,
        intervals_sentence(),
        COMPARISON if compared else "",
        versions_sentence(),
    )
    return " ".join(sentence.strip() for sentence in sentences if sentence.strip())


_DETECTION = (
    "Precision, sensitivity and F1 are given pooled over all lesions and as mean and median over scans; a scan without "
    "predictions has no precision and one without lesions no sensitivity, a scan with only false calls has an F1 of 0, "
    "and a scan with neither lesions nor predictions has no F1. False positives per scan are averaged over all scans, "
    "those without microbleeds included."
)
_COUNTING = (
    "Agreement of counts is given as intraclass correlation of two-way single measurements, absolute agreement "
    "ICC(A,1) and consistency ICC(C,1) (McGraw and Wong 1996), 95 % limits of agreement (Bland and Altman 1999), "
    "Spearman's rank correlation, and kappa of the burden classes 0, 1-4, 5-9 and 10 or more with linear "
    "and quadratic weights."
)
COMPARISON = (
    "Differences between two models have intervals by the paired bootstrap over subjects and two-sided p by "
    f"{PERMUTATIONS} permutations that swap the models subject by subject; for the FROC, every candidate was ranked by "
    "the false positives per scan at which its model reaches it. p values are not adjusted for the number of figures."
)


def intervals_sentence() -> str:
    """How intervals were made."""
    return (
        f"95 % intervals are percentiles of {REPLICATES} bootstrap samples of subjects (seed {SEED}), all scans of a "
        "subject together; Wilson intervals of proportions and exact Poisson intervals of rates (Garwood 1936), which "
        "take lesions as independent, are given beside them."
    )


def versions_sentence() -> str:
    """With which software."""
    versions = ", ".join(f"{name} {number}" for name, number in software_versions().items())
    return f"Computed with {versions}."


def source_sentence(rule: MatchingRule) -> str:
    """Whose rule it is; empty for our own."""
    return "" if rule.source == MatchingRule().source else f"(Rule {rule.name}. {rule.source}.)"


def _data_sentence(counts: Mapping[str, Any]) -> str:
    missing = counts["scans_without_prediction"]
    ignored = counts["ignored_reference_lesions"]
    parts = [
        f"{number_of(counts['scans'], 'scan')} of {number_of(counts['subjects'], 'subject')} with "
        f"{number_of(counts['reference_lesions'], 'reference microbleed')} {were(counts['scans'])} evaluated, "
        f"{counts['scans_without_lesions']} of the scans without any."
    ]
    if missing:
        parts.append(f"{number_of(missing, 'scan')} had no prediction; all their microbleeds counted as missed.")
    if ignored:
        parts.append(
            f"{number_of(ignored, 'reference lesion')} {were(ignored)} ignored: counted neither as found nor as "
            "missed, and predictions there not as false."
        )
    return " ".join(parts)


def _threshold_sentence(settings: EvaluationSettings) -> str:
    parts = []
    if settings.threshold is not None:
        parts.append(f"Candidates were called from a score of {settings.threshold:g}.")
    if settings.ignore_below_mm > 0:
        parts.append(f"Reference lesions below {settings.ignore_below_mm:g} mm equivalent diameter were ignored.")
    return " ".join(parts)


def _froc_sentence(results: Sequence[ScanResult], settings: EvaluationSettings) -> str:
    if any(result.ranking is None and not result.missing_prediction for result in results):
        return ""
    return (
        "The FROC curve matches the candidates above each threshold anew (one to one, largest number of pairs); "
        "sensitivity at a rate is the largest that is reached with at most that many false positives per scan, "
        f"without interpolation. Candidates of probability maps are the components of voxels from {settings.floor:g} "
        "on, scored by their largest probability."
    )
