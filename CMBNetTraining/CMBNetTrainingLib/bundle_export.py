"""``cmbnet export``: a checkpoint of a run becomes a model with measured operating points and a model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from CMBNetEvaluationLib.froc import froc_curve, gather_candidates
from CMBNetLib.bundle import THICK_RANGE_MM, Bundle, OperatingPoint
from CMBNetLib.bundle_weights import for_slices, restored, stored, with_thick
from CMBNetLib.detection import DEFAULT_OPERATING_POINT
from CMBNetLib.errors import InputError
from CMBNetLib.inference import choose_device
from CMBNetLib.network import AnisotropicUNet
from CMBNetLib.progress import Progress
from CMBNetLib.wording import number_of
from CMBNetTrainingLib.bundle_card import model_card
from CMBNetTrainingLib.bundle_writing import BundleText, Grading, write_bundle
from CMBNetTrainingLib.collection_splits import VALIDATION
from CMBNetTrainingLib.failure_sheet import failure_sheet
from CMBNetTrainingLib.score_calibration import (
    Calibration,
    calibrated,
    evidence_of,
    expected_calibration_error,
    fit_calibration,
    scores_and_truth,
)
from CMBNetTrainingLib.source_scan import REAL
from CMBNetTrainingLib.trainer import config_of_run
from CMBNetTrainingLib.training_checkpoint import LAST, checkpoint_path, read_checkpoint
from CMBNetTrainingLib.training_config import CRITERIA, EVERY_SLICE_MM, TrainingConfig
from CMBNetTrainingLib.training_entries import entries_of
from CMBNetTrainingLib.training_manifest import ScanEntry, read_manifests
from CMBNetTrainingLib.training_model import network_spec
from CMBNetTrainingLib.training_scans import ScanCache
from CMBNetTrainingLib.training_validation import FLOOR, NO_EVIDENCE, ValidatedScan, validate_scans

# Mean false positives a scan that the operating points aim at.
TARGETS = {"sensitive": 2.0, "balanced": 0.5, "specific": 0.125}
FAILURES = "failures.png"
BEST = "best"
LICENSE_TEXT = "These weights were trained by a user of SlicerCMBNet, who decides on their licence.\n"
Measure = Callable[..., list[ValidatedScan]]
_PREFERRED = ("froc", "average_precision", "best_f1", "sensitivity_at_2", "sensitivity_at_1", "loss")


@dataclass(frozen=True)
class Measurement:
    """What is known about an exported model: scans, points, calibration, the error after it, further scans."""

    validated: Sequence[ValidatedScan]
    points: dict[str, OperatingPoint]
    calibration: Calibration
    ece_after: float
    described: str
    checks: Sequence[ValidatedScan] = ()


def export_run(
    run: Path,
    folder: Path,
    progress: Progress,
    *,
    checkpoint: str = BEST,
    thick: tuple[Path, float] | None = None,
    calibrate: bool = True,
    name: str = "",
    license_file: Path | None = None,
    checks: Sequence[Path] = (),
) -> Bundle:
    """Write the bundle ``folder`` of a run.

    Parameters
    ----------
    checkpoint
        ``best`` (by FROC where that was kept), ``last`` or a criterion.
    thick
        Another run whose network shall search scans with slices so far apart (mm) and farther.
    calibrate
        Let scores mean shares of true candidates, as far as the validation scans allow.
    license_file
        Text of the licence of the weights; without it the bundle says that its maker decides.
    checks
        Manifests of further scans that the card shall tell of; no threshold is chosen by them.

    Raises
    ------
    InputError
        The folder is no run, the checkpoint is not there, or there is nothing to measure with.
    """
    config = config_of_run(run)
    license_text = _license(license_file)
    weights, step, used = _weights(run, config, checkpoint)
    entries = entries_of(config, progress)
    held_out = [entry for entry in entries if entry.split == VALIDATION]
    if not held_out:
        raise InputError("The run has no validation scan, so no operating point can be measured.")
    network = config.network
    further = [read_manifests([path]) for path in checks]
    training = _training_statement(config, entries, step, used)
    thick_mm = thick[1] if thick else None
    if thick:
        weights, training["thick_slices"] = _with_thick_run(weights, config, thick, checkpoint)

    measure = _measurer(config, thick_mm, run / "cache", progress)
    measurement, weights = _measured(measure, weights, held_out, calibrate, thick_mm)
    measurement = _checked(measure, weights, further, measurement)
    sheet = failure_sheet(measurement.validated, measurement.points[DEFAULT_OPERATING_POINT].threshold)
    card = model_card(name or folder.name, measurement, training, FAILURES if sheet else "")
    text = BundleText(
        name or folder.name, card, license_text, change=f"step {step} of {run.name}", status="preview",
        data_source=training["statement"], training=training, pictures={FAILURES: sheet} if sheet else {},
    )  # fmt: skip
    _warn_of_failure(measurement.points, progress)
    error = round(measurement.ece_after, 4) if measurement.calibration.is_fitted else None
    grading = Grading(FLOOR, measurement.points, measurement.calibration.evidence, error)
    return write_bundle(folder, weights, network_spec(network), network.thinnest_slice_mm, grading, text, thick_mm)


def _with_thick_run(
    weights: dict[str, Tensor], config: TrainingConfig, thick: tuple[Path, float], checkpoint: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and those of a run for thick slices, and what the card says of that."""
    run, least_mm = thick
    other = config_of_run(run)
    low, high = THICK_RANGE_MM
    if not low <= least_mm <= high:
        raise InputError(f"A network for thick slices begins at {low:g} to {high:g} mm, not at {least_mm:g} mm.")
    kinds = [(network_spec(c.network), c.network.thinnest_slice_mm) for c in (config, other)]
    if kinds[0] != kinds[1]:
        raise InputError(f"The network of {run} is of another kind: {kinds[1]}, not {kinds[0]}.")
    own, step, used = _weights(run, other, checkpoint)
    told = {"least_mm": least_mm, "steps": step, "checkpoint": used, "seed": other.seed, "init": other.init}
    return with_thick(weights, own), told


def _measurer(config: TrainingConfig, thick_mm: float | None, cache: Path, progress: Progress) -> Measure:
    """What validates tensors of the run's network (of both: from ``thick_mm`` on the other) on scans."""
    network, device = config.network, choose_device(config.device)

    def measure(
        tensors: dict[str, Tensor], entries: Sequence[ScanEntry], weights: Mapping[str, float] = NO_EVIDENCE,
        part: str = "",
    ) -> list[ValidatedScan]:  # fmt: skip
        progress.stage("measure", f"Measuring on {number_of(len(entries), 'scan')}")
        scans = ScanCache(cache / part, network.pixel_mm, network.thinnest_slice_mm).fill(entries, progress)
        models = {}
        for is_thick in (False, True) if thick_mm is not None else (False,):
            models[is_thick] = AnisotropicUNet(network_spec(network)).eval()
            models[is_thick].load_state_dict(for_slices(tensors, is_thick))
        validated = []
        for scan in scans:
            model = models[thick_mm is not None and scan.slice_mm >= thick_mm]
            validated += validate_scans(model, [scan], device, progress, weights)
        return validated

    return measure


def choose_points(validated: Sequence[ValidatedScan], measured_on: str) -> dict[str, OperatingPoint]:
    """The lowest thresholds with at most the false positives a scan of `TARGETS`, one point of the FROC each."""
    candidates = gather_candidates([entry.compared.result for entry in validated])
    if candidates is None:
        raise InputError("The validation scans have no microbleed, so no operating point can be measured.")
    curve = froc_curve(candidates)
    points = {}
    for name, target in TARGETS.items():
        reached = int(np.searchsorted(curve.false_positives_per_scan, target + 1e-12, side="right"))
        threshold, sensitivity, false = 1.0, 0.0, 0.0
        if reached:
            # Halfway to the next candidate: a score that differs by rounding must not change sides.
            score = float(curve.thresholds[reached - 1])
            below = float(curve.thresholds[reached]) if reached < len(curve.thresholds) else FLOOR
            threshold = max(round((score + below) / 2, 4), FLOOR)
            sensitivity = float(curve.sensitivity[reached - 1])
            false = float(curve.false_positives_per_scan[reached - 1])
        points[name] = OperatingPoint(threshold, round(sensitivity, 3), round(false, 3), measured_on)
    return points


def _measured(
    measure: Measure,
    weights: dict[str, Tensor],
    held_out: Sequence[ScanEntry],
    calibrate: bool,
    thick_mm: float | None,
) -> tuple[Measurement, dict[str, Tensor]]:
    """Measure, calibrate where there is enough to go by, and measure what will be shipped."""
    described = _described(held_out)
    weights = {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
    validated = measure(restored(stored(weights)), held_out)
    calibration = fit_calibration(*scores_and_truth(validated), evidence_of(validated), thick_mm)
    if calibrate and calibration.is_fitted:
        weights = calibrated(weights, calibration)
        validated = measure(restored(stored(weights)), held_out, calibration.evidence)
    else:
        calibration = Calibration(n_true=calibration.n_true, n_false=calibration.n_false)
    after = expected_calibration_error(*scores_and_truth(validated))
    return Measurement(validated, choose_points(validated, described), calibration, after, described), weights


def _checked(
    measure: Measure, weights: dict[str, Tensor], further: Sequence[Sequence[ScanEntry]], measurement: Measurement
) -> Measurement:
    """The measurement with further collections, each by itself: scans of different ones may have the same name."""
    shipped, evidence = restored(stored(weights)), measurement.calibration.evidence
    each = (measure(shipped, scans, evidence, f"check_{number}") for number, scans in enumerate(further))
    return replace(measurement, checks=[scan for scans in each for scan in scans])


def _weights(run: Path, config: TrainingConfig, wanted: str) -> tuple[dict[str, Tensor], int, str]:
    """Averaged weights, their step, and which checkpoint they are of."""
    there = [name for name in _PREFERRED if checkpoint_path(run, name).is_file()]
    chosen = (there[0] if there else LAST) if wanted == BEST else wanted
    if chosen not in (LAST, *CRITERIA):
        raise InputError(f"There is no checkpoint '{wanted}'; this run has {', '.join([*there, LAST])}.")
    tensors, header = read_checkpoint(checkpoint_path(run, chosen))
    if chosen == LAST:
        tensors = {k.removeprefix("average."): v for k, v in tensors.items() if k.startswith("average.")}
    return tensors, int(header["step"]), chosen


def _license(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path else LICENSE_TEXT
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the licence {path}: {error}.") from error


def _described(entries: Sequence[ScanEntry]) -> str:
    real = sum(entry.role == REAL for entry in entries)
    parts = [
        f"{real} real" if real else "",
        f"{len(entries) - real} synthetic or negative" if real < len(entries) else "",
    ]
    return f"{' and '.join(part for part in parts if part)} scans of the validation split"


def _training_statement(config: TrainingConfig, entries: Sequence[ScanEntry], step: int, used: str) -> dict[str, Any]:
    train = [entry for entry in entries if entry.split != VALIDATION]
    counts = {role: sum(entry.role == role for entry in train) for role in sorted({e.role for e in train})}
    told = ", ".join(f"{count} {role}" for role, count in counts.items())
    low, high = config.slices_mm
    which = "" if config.slices_mm == EVERY_SLICE_MM else f", of those with slices {low:g} to below {high:g} mm apart,"
    return {
        "scans": counts,
        "steps": step,
        "checkpoint": used,
        "seed": config.seed,
        "phases": [phase.name for phase in config.phases],
        "init": config.init,
        "loss": config.loss,
        "augmentation": config.augmentation,
        "places": config.network.places,
        "statement": f"Trained on {told} scans{which} for {step} steps",
    }


def _warn_of_failure(points: dict[str, OperatingPoint], progress: Progress) -> None:
    if not any(point.sensitivity for point in points.values()):
        text = "The model finds no microbleed of the validation scans at any operating point. Train it for longer."
        progress.warning("useless", text)
