"""Model card of an exported run; every figure in it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from CMBNetEvaluationLib.counting import counting_metrics
from CMBNetEvaluationLib.detection_metrics import pooled_metrics
from CMBNetEvaluationLib.estimates import Estimate, SubjectBootstrap
from CMBNetEvaluationLib.froc import froc_metrics
from CMBNetEvaluationLib.scan_result import ScanResult, counts_of
from CMBNetEvaluationLib.segmentation_metrics import matched_metrics
from CMBNetEvaluationLib.strata import false_positive_causes, stratified_metrics
from CMBNetLib.burden import burden_name, burden_of
from CMBNetLib.detection import DEFAULT_OPERATING_POINT
from CMBNetLib.wording import number_of
from CMBNetTrainingLib.card_contrast import sensitivity_by_contrast
from CMBNetTrainingLib.source_scan import REAL
from CMBNetTrainingLib.training_validation import ValidatedScan, results_at

if TYPE_CHECKING:
    from CMBNetTrainingLib.bundle_export import Measurement

RATES = ("0.5", "1", "2")
# Slices under 2 mm, from there to under 4 mm, and thicker: thick ones hide what is small.
THICKNESS_MM = {"under 2 mm": (0.0, 2.0), "2 to under 4 mm": (2.0, 4.0), "4 mm and more": (4.0, 1e3)}
STRATA = {"sequence": "sequence", "field_strength_t": "field", "size": "diameter", "zone": "zone"}

_HEAD = """# {name}

**For research use only; not a medical device.**

Finds cerebral microbleeds on T2*-weighted gradient-echo and SWI magnitude scans of the brain, with a score for each
candidate.

## Training

{statement} (phases: {phases}; loss {loss}; augmentation {augmentation}; seed {seed}; checkpoint
`{checkpoint}`).{init}{thick}{places}

## Measurement

On {described}, with {lesions}{synthetic}.
Scans without a brain mask of theirs were prepared as detection does it. A candidate is right when its centre lies
within 5 mm of a microbleed's, one to one. The thresholds{calibrated} were chosen on these scans, so figures on new
scans will be worse. Intervals: 95 %, bootstrap over scans.

| operating point | threshold | sensitivity | precision | false positives a scan |
|---|---|---|---|---|
"""

_PLACES = """

Beside the image the network is told the kind of tissue of every voxel, as the anatomy model names it; where that
fails, nothing."""

_THICK = """

Scans with slices {least_mm:g} mm and more apart are searched by a second network of the same kind, which learned from
such scans alone: {steps} steps, seed {seed}, checkpoint `{checkpoint}`, beginning with {init}."""

_FAILURES = """
## Known failures

![Missed microbleeds on the left, false positives on the right]({picture})

At `balanced`, on validation scans. Left: missed microbleeds (blue: the reference). Right: the false positives with the
highest scores (orange: what was called). 30 mm across; axial, coronal, sagittal.
"""

_TAIL = """
## Limits

It was measured on the scans above and on nothing else. Look at every candidate.

## Licence

See `LICENSE`.
"""


def model_card(name: str, measurement: Measurement, training: Mapping[str, Any], failures: str = "") -> str:
    """Markdown of the card; ``failures`` names the picture of `failure_sheet` beside it."""
    validated = measurement.validated
    lesions = sum(entry.compared.result.n_reference for entry in validated)
    fitted = measurement.calibration.is_fitted
    simulated = all(entry.scan.entry.role != REAL for entry in validated)
    head = _HEAD.format(
        name=name, statement=training["statement"], phases=", ".join(training["phases"]), loss=training["loss"],
        augmentation=training["augmentation"], seed=training["seed"], checkpoint=training["checkpoint"],
        places=_PLACES if training["places"] else "",
        thick=_THICK.format(**training["thick_slices"]) if "thick_slices" in training else "",
        init=f" It began with the weights of {training['init']}." if training["init"] else "",
        described=measurement.described, lesions=number_of(lesions, "microbleed"),
        calibrated=" and the calibration" if fitted else "",
        synthetic=", all of them synthetic" if simulated else "",
    )  # fmt: skip
    rows = [_row(name, point.threshold, validated) for name, point in measurement.points.items()]
    threshold = measurement.points[DEFAULT_OPERATING_POINT].threshold
    figures = (_by_thickness(validated), _by_strata(validated, threshold), _calibration(measurement))
    shown = _FAILURES.format(picture=failures) if failures else ""
    told = (*figures, _burden(measurement), _checks(measurement), shown, _TAIL)
    return head + "\n".join(rows) + "\n" + "".join(told)


def _row(name: str, threshold: float, validated: Sequence[ValidatedScan]) -> str:
    results = results_at(validated, threshold)
    pooled = pooled_metrics(counts_of(results), _bootstrap(results))
    cells = (pooled["sensitivity"], pooled["precision"], pooled["false_positives_per_scan"])
    return f"| {name} | {threshold:.4f} | " + " | ".join(_cell(cell) for cell in cells) + " |"


def _by_thickness(validated: Sequence[ValidatedScan]) -> str:
    """Sensitivity at fixed rates of false positives, each group of scans with its own curve."""
    groups = {"all": list(validated)}
    groups |= {
        name: [v for v in validated if low <= round(v.scan.slice_mm, 2) < high]
        for name, (low, high) in THICKNESS_MM.items()
    }
    lines = [
        "",
        f"Sensitivity at {', '.join(RATES)} false positives a scan, by the distance of slices:",
        "",
        "| slices | scans | microbleeds | " + " | ".join(f"at {rate}" for rate in RATES) + " |",
        "|---|---|---|" + "---|" * len(RATES),
    ]
    for name, group in groups.items():
        results = [v.compared.result for v in group]
        measured = froc_metrics(results, _bootstrap(results)) if results else None
        if measured is not None:
            cells = " | ".join(_cell(measured["sensitivity_at"][rate]) for rate in RATES)
            lines.append(f"| {name} | {len(group)} | {sum(r.n_reference for r in results)} | {cells} |")
    return "\n".join(lines) + "\n"


def _by_strata(validated: Sequence[ValidatedScan], threshold: float) -> str:
    results = results_at(validated, threshold)
    bootstrap = _bootstrap(results)
    lines = [
        "",
        f"At `{DEFAULT_OPERATING_POINT}`:",
        "",
        "| | scans | microbleeds | sensitivity | false positives a scan |",
        "|---|---|---|---|---|",
    ]
    strata = stratified_metrics(results, bootstrap)
    for key, title in STRATA.items():
        for name, part in strata.get(key, {}).items():
            cells = " | ".join(_cell(part[figure]) for figure in ("sensitivity", "false_positives_per_scan"))
            lines.append(f"| {title}: {name} | {part['scans']} | {part['tp'] + part['fn']} | {cells} |")
    return "\n".join(lines) + "\n" + _by_contrast(validated, threshold) + _outlines_and_counts(results, bootstrap)


def _by_contrast(validated: Sequence[ValidatedScan], threshold: float) -> str:
    lines = [
        "",
        "By contrast, in standard deviations of what lies 1 to 3 mm round a microbleed in the scan with its noise:",
        "",
        "| contrast | microbleeds | sensitivity |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {count} | {_cell(found)} |" for name, count, found in sensitivity_by_contrast(validated, threshold)
    ]
    return "\n".join(lines) + "\n"


def _outlines_and_counts(results: Sequence[ScanResult], bootstrap: SubjectBootstrap) -> str:
    counts = _cell(counting_metrics(results, bootstrap)["same_burden_class"])
    lines = [f"* Class of the count (0, 1-4, 5-9, 10 and more) right: {counts}."]
    matched = matched_metrics(results, bootstrap)
    if matched is not None:
        lines.insert(0, f"* Mean Dice of the microbleeds found: {_cell(matched['dice'])}.")
    causes = false_positive_causes(results)
    if causes:
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in causes.items())
        lines.append(f"* The false positives are: {told} (unknown: mostly pieces of veins).")
    return "\n" + "\n".join(lines) + "\n"


def _calibration(measurement: Measurement) -> str:
    c = measurement.calibration
    if not c.is_fitted:
        return (
            f"\nScores are not calibrated: {c.n_true} true and {c.n_false} false candidates are too few for it. "
            f"Expected calibration error: {measurement.ece_after:.3f}.\n"
        )
    told = ", ".join(f"{weight:.3f} a unit of {name}" for name, weight in c.evidence.items())
    thick = "" if c.thick is None else f"; of thick slices {c.thick[0]:.3f} and {c.thick[1]:.3f}"
    return (
        f"\nScores were calibrated on {c.n_true} true and {c.n_false} false candidates (temperature "
        f"{c.temperature:.3f}, shift {c.shift:.3f}{thick}; added to the log-odds: {told}): expected calibration error "
        f"{c.ece_before:.3f} before, {measurement.ece_after:.3f} after.\n"
    )


def _burden(measurement: Measurement) -> str:
    """How often the likeliest class of the count, by all scores, is right."""
    if not measurement.calibration.is_fitted:
        return ""
    results = [v.compared.result for v in measurement.validated]
    likeliest = [burden_of(map(float, v.candidates.scores)).likeliest for v in measurement.validated]
    right = np.array(
        [name == burden_name(result.n_reference) for name, result in zip(likeliest, results, strict=True)], float
    )
    share = _cell(_bootstrap(results).ratio(right, np.ones(len(right)), kind="proportion"))
    return f"\nThe likeliest class of the count by the scores of all candidates is right in: {share}.\n"


def _checks(measurement: Measurement) -> str:
    """Scans that neither training nor thresholds have seen, by data set."""
    if not measurement.checks:
        return ""
    names = sorted({_dataset(check) for check in measurement.checks})
    lines = [
        "",
        "On scans of which neither training nor thresholds know:",
        "",
        "| | scans | microbleeds | operating point | sensitivity | false positives a scan | class of the count right |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        group = [check for check in measurement.checks if _dataset(check) == name]
        lines += [_check_row(name, group, point, p.threshold) for point, p in measurement.points.items()]
    return "\n".join(lines) + "\n"


def _check_row(name: str, group: Sequence[ValidatedScan], point: str, threshold: float) -> str:
    results = results_at(group, threshold)
    bootstrap = _bootstrap(results)
    pooled = pooled_metrics(counts_of(results), bootstrap)
    lesions = sum(result.n_reference for result in results)
    cells = [_cell(pooled[figure]) for figure in ("sensitivity", "false_positives_per_scan")]
    cells.append(_cell(counting_metrics(results, bootstrap)["same_burden_class"]))
    return f"| {name} | {len(group)} | {lesions} | {point} | {' | '.join(cells)} |"


def _dataset(check: ValidatedScan) -> str:
    return check.scan.entry.attributes.get("dataset", "") or check.scan.entry.role


def _bootstrap(results: Sequence[ScanResult]) -> SubjectBootstrap:
    return SubjectBootstrap([result.subject_id for result in results])


def _cell(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not defined"
    interval = "" if estimate.low is None else f" ({estimate.low:.2f}-{estimate.high:.2f})"
    return f"{estimate.value:.2f}{interval}"
