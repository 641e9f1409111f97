"""A whole set of scans: every pair compared, then everything measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from CMBNetLib.errors import CMBNetError, InputError
from CMBNetLib.progress import Progress

from .counting import counting_metrics
from .detection_metrics import detection_metrics
from .estimates import SubjectBootstrap
from .froc import froc_metrics, unscored_among_scored
from .pairs import Pair
from .scan_classification import calibration_metrics, classification_metrics, scan_auc
from .scan_evaluation import ComparedScan, EvaluationSettings, evaluate_pair
from .scan_result import ScanResult
from .segmentation_metrics import matched_metrics, whole_scan_metrics
from .strata import false_positive_causes, place_disagreements, stratified_metrics

# Called with each compared scan while its lesions are still in memory, e.g. to draw them.
Observer = Callable[[Pair, ComparedScan], ScanResult]


@dataclass(frozen=True)
class Evaluation:
    """Results of all scans, and what could not be evaluated.

    Attributes
    ----------
    results
        One for each evaluated scan, by name.
    problems
        ``{"scan_id", "message"}`` of scans left out and of what was doubtful about pairs.
    pairs
        What was compared, so that a case can be opened again.
    """

    results: tuple[ScanResult, ...]
    settings: EvaluationSettings
    problems: tuple[dict[str, str], ...] = field(default=())
    pairs: tuple[Pair, ...] = field(default=())


def evaluate_pairs(
    pairs: Sequence[Pair],
    settings: EvaluationSettings,
    progress: Progress | None = None,
    observer: Observer | None = None,
) -> Evaluation:
    """Compare scan after scan; one that fails is listed and the rest goes on.

    Raises
    ------
    InputError
        No pair could be evaluated.
    Cancelled
        The job was cancelled.
    """
    progress = progress or Progress()
    results: list[ScanResult] = []
    problems: list[dict[str, str]] = []
    for number, pair in enumerate(pairs):
        progress.check_cancelled()
        try:
            compared = evaluate_pair(pair, settings)
            result = observer(pair, compared) if observer else compared.result
            results.append(result)
            problems += [{"scan_id": pair.scan_id, "message": text} for text in result.warnings]
        except InputError as error:
            problems.append({"scan_id": pair.scan_id, "message": f"Not evaluated: {error}"})
            progress.warning("not_evaluated", f"{pair.scan_id} was not evaluated: {error}")
        progress.advance(0.9 * (number + 1) / len(pairs))
    if not results:
        raise _nothing_evaluated(problems)
    unscored = unscored_among_scored(results)
    if unscored:
        names = f"{len(unscored)} of {len(results)} scans, such as {unscored[0]}"
        problems.append({"scan_id": "scores", "message": f"No FROC: the predictions of {names}, have no scores."})
    return Evaluation(
        tuple(sorted(results, key=lambda result: result.scan_id)), settings, tuple(problems), tuple(pairs)
    )


def measure(
    results: Sequence[ScanResult], *, strata: Sequence[str] = (), bootstrap: SubjectBootstrap | None = None
) -> dict[str, Any]:
    """Everything that is measured over a set of scans, by section; leaves are `Estimate`, int or curves."""
    bootstrap = bootstrap or SubjectBootstrap([result.subject_id for result in results])
    return {
        "detection": detection_metrics(results, bootstrap),
        "froc": froc_metrics(results, bootstrap),
        "segmentation": {
            "matched_lesions": matched_metrics(results, bootstrap),
            "whole_scan": whole_scan_metrics(results, bootstrap),
        },
        "counting": counting_metrics(results, bootstrap),
        "classification": classification_metrics(results, bootstrap),
        "scan_auc": scan_auc(results, bootstrap),
        "calibration": calibration_metrics(results, bootstrap),
        "strata": stratified_metrics(results, bootstrap, strata),
        "false_positive_causes": false_positive_causes(results),
        "zone_of_hits": place_disagreements(results, "zone"),
        "region_of_hits": place_disagreements(results, "region"),
    }


def plain(value: Any) -> Any:
    """The JSON form of a measured section: estimates and curves as objects, NaN as null."""
    if hasattr(value, "as_dict"):
        return plain(value.as_dict())
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _nothing_evaluated(problems: Sequence[dict[str, str]]) -> CMBNetError:
    first = problems[0]["message"] if problems else "There are no scans."
    return InputError(f"None of the scans could be evaluated. The first: {first}")
