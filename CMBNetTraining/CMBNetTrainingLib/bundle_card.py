"""Model card of an exported run; every figure in it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from CMBNetEvaluationLib.detection_metrics import pooled_metrics
from CMBNetEvaluationLib.estimates import Estimate, SubjectBootstrap
from CMBNetEvaluationLib.scan_result import ScanResult, counts_of
from CMBNetTrainingLib.training_validation import compare_scan

if TYPE_CHECKING:
    from CMBNetTrainingLib.bundle_export import Measurement

_HEAD = """# {name}

**For research use only; not a medical device.**

Finds cerebral microbleeds on T2*-weighted gradient-echo and SWI magnitude scans of the brain, with a score for each
candidate.

## Training

{statement} (phases: {phases}; loss {loss}; augmentation {augmentation}; seed {seed}; checkpoint `{checkpoint}`).{init}

## Measurement

On {described}, with {lesions} microbleeds. A candidate is right when its centre lies within 5 mm of a microbleed's, one
to one. The thresholds{calibrated} were chosen on these scans, so figures on new scans will be somewhat worse.
Intervals: 95 %, bootstrap over scans.

| operating point | threshold | sensitivity | precision | false positives a scan |
|---|---|---|---|---|
"""

_TAIL = """
## Limits

It was measured on the scans above and on nothing else. Look at every candidate.

## Licence

See `LICENSE`.
"""


def model_card(name: str, measurement: Measurement, training: Mapping[str, Any]) -> str:
    """Markdown of the card."""
    lesions = sum(entry.compared.result.n_reference for entry in measurement.validated)
    fitted = measurement.calibration.is_fitted
    head = _HEAD.format(
        name=name, statement=training["statement"], phases=", ".join(training["phases"]), loss=training["loss"],
        augmentation=training["augmentation"], seed=training["seed"], checkpoint=training["checkpoint"],
        init=f" It began with the weights of {training['init']}." if training["init"] else "",
        described=measurement.described, lesions=lesions, calibrated=" and the calibration" if fitted else "",
    )  # fmt: skip
    rows = [_row(name, point.threshold, measurement) for name, point in measurement.points.items()]
    return head + "\n".join(rows) + "\n" + _calibration(measurement) + _TAIL


def _row(name: str, threshold: float, measurement: Measurement) -> str:
    results = [compare_scan(v.scan, v.candidates, threshold).result for v in measurement.validated]
    pooled = _pooled(results)
    cells = (pooled["sensitivity"], pooled["precision"], pooled["false_positives_per_scan"])
    return f"| {name} | {threshold:.4f} | " + " | ".join(_cell(cell) for cell in cells) + " |"


def _pooled(results: Sequence[ScanResult]) -> dict[str, Estimate]:
    bootstrap = SubjectBootstrap([result.subject_id for result in results])
    return pooled_metrics(counts_of(results), bootstrap)


def _cell(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not defined"
    interval = "" if estimate.low is None else f" ({estimate.low:.2f}-{estimate.high:.2f})"
    return f"{estimate.value:.2f}{interval}"


def _calibration(measurement: Measurement) -> str:
    c = measurement.calibration
    if not c.is_fitted:
        return (
            f"\nScores are not calibrated: {c.n_true} true and {c.n_false} false candidates are too few for it. "
            f"Expected calibration error: {measurement.ece_after:.3f}.\n"
        )
    return (
        f"\nScores were calibrated on {c.n_true} true and {c.n_false} false candidates (temperature "
        f"{c.temperature:.3f}, shift {c.shift:.3f}): expected calibration error {c.ece_before:.3f} before, "
        f"{measurement.ece_after:.3f} after.\n"
    )
