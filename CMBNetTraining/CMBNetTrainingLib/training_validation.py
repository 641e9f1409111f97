"""Validation as users meet the model: whole scans through inference, lesions matched as evaluation matches them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from CMBNetEvaluationLib.froc import RATES as FROC_RATES
from CMBNetEvaluationLib.froc import average_precision, froc_curve, gather_candidates, sensitivity_at
from CMBNetEvaluationLib.gallery import Gallery
from CMBNetEvaluationLib.lesions import LesionSet, lesions_from_mask, lesions_from_voxels
from CMBNetEvaluationLib.pairs import Pair
from CMBNetEvaluationLib.scan_evaluation import ComparedScan, EvaluationSettings, compare, join_ignored
from CMBNetEvaluationLib.scan_result import Call, ScanResult
from CMBNetLib.candidates import find_candidates
from CMBNetLib.evidence import evidence, regraded
from CMBNetLib.grid import Grid
from CMBNetLib.inference import ALL_TURNS, Views, infer
from CMBNetLib.network import AnisotropicUNet
from CMBNetLib.progress import Progress
from CMBNetLib.ventricles import less_likely
from CMBNetTrainingLib.sources import MICROBLEED_KIND
from CMBNetTrainingLib.training_scans import TrainingScan
from CMBNetTrainingLib.truth import IGNORE

# Lowest score of a candidate that is kept, in validation and in the bundle.
FLOOR = 0.05
NO_EVIDENCE: Mapping[str, float] = {}
_CONNECTIVITY = 26


@dataclass(frozen=True, eq=False)
class ValidatedScan:
    """Candidates and reference of one scan, and their comparison with every candidate called."""

    scan: TrainingScan
    candidates: LesionSet
    compared: ComparedScan


def validate_scans(
    network: AnisotropicUNet,
    scans: Iterable[TrainingScan],
    device: str,
    progress: Progress,
    weights: Mapping[str, float] = NO_EVIDENCE,
    views: Views = ALL_TURNS,
) -> list[ValidatedScan]:
    """Detect in whole scans and match; ``weights`` are those of the evidence."""
    validated = []
    for scan in scans:
        progress.check_cancelled()
        candidates = candidates_of(network, scan, device, progress, weights, views)
        validated.append(ValidatedScan(scan, candidates, compare_scan(scan, candidates, FLOOR)))
    return validated


def candidates_of(
    network: AnisotropicUNet,
    scan: TrainingScan,
    device: str,
    progress: Progress,
    weights: Mapping[str, float] = NO_EVIDENCE,
    views: Views = ALL_TURNS,
) -> LesionSet:
    """The candidates of a scan down to `FLOOR`, as detection finds them; their evidence is in the attributes."""
    probability, _ = infer(network, scan.prepared(), device, progress, views=views)
    return candidates_in(probability[0], scan, weights)


def candidates_in(
    probability: np.ndarray, scan: TrainingScan, weights: Mapping[str, float] = NO_EVIDENCE
) -> LesionSet:
    """The candidates in a probability [k, j, i] of microbleed on the working grid of a scan."""
    prepared = scan.prepared()
    in_tissue = prepared.image.with_array(less_likely(probability, np.asarray(scan.ventricles) > 0))
    found = find_candidates(in_tissue, prepared.brain, FLOOR)
    found = regraded(found, prepared.image, scan.fluid, weights, FLOOR)
    labels = found.labels.array.ravel()
    voxels = np.flatnonzero(labels)
    owner, scores = labels[voxels].astype(np.int64) - 1, np.array(found.scores)
    lesions = lesions_from_voxels(found.labels.grid, voxels, owner, scores=scores)
    values = evidence(found, prepared.image, scan.fluid)
    each = zip(*values.values(), strict=True)
    return replace(lesions, attributes=tuple(dict(zip(values, map(float, row), strict=True)) for row in each))


def compare_scan(scan: TrainingScan, candidates: LesionSet, threshold: float) -> ComparedScan:
    """Match the candidates from ``threshold`` on with the scan's microbleeds; the ranking is of all of them."""
    reference = reference_of(scan, candidates.grid)
    called = candidates.subset(candidates.scores >= threshold)
    pair = pair_of(scan)
    result = compare(pair, called, reference, EvaluationSettings(threshold=threshold, floor=FLOOR), ranked=candidates)
    return ComparedScan(result, called, reference)


def results_at(validated: Sequence[ValidatedScan], threshold: float) -> list[ScanResult]:
    """The scans with what is called from ``threshold`` on."""
    return [compare_scan(v.scan, v.candidates, threshold).result for v in validated]


def reference_of(scan: TrainingScan, grid: Grid | None) -> LesionSet:
    """The microbleeds of a scan; what is not to be judged inside the brain (too faint to be seen) is ignored."""
    grid = grid or scan.prepared().image.grid
    labels = np.asarray(scan.lesions).ravel()
    voxels = np.flatnonzero(labels)
    ids, owner = np.unique(labels[voxels], return_inverse=True)
    reference = lesions_from_voxels(grid, voxels, owner, ids=ids)
    reference = replace(reference, attributes=_places(scan.entry.truth, ids))
    unjudged = (np.asarray(scan.classes) == IGNORE) & (np.asarray(scan.brain) > 0)
    faint = lesions_from_mask(grid, np.flatnonzero(unjudged), _CONNECTIVITY)
    return join_ignored(reference, faint) if len(faint) else reference


def figures(validated: Sequence[ValidatedScan]) -> dict[str, float]:
    """Lesion-level figures over all scans.

    Returns
    -------
    dict
        ``scans``, ``lesions``, and where there is a lesion: ``froc`` (mean sensitivity at 1/8 to 8 false positives a
        scan), ``average_precision``, ``best_f1`` with the ``threshold`` it is reached at, ``sensitivity_at_1`` and
        ``_at_2`` false positives a scan.
    """
    results = [entry.compared.result for entry in validated]
    counts = {"scans": float(len(results)), "lesions": float(sum(result.n_reference for result in results))}
    candidates = gather_candidates(results)
    if candidates is None:
        return counts
    curve = froc_curve(candidates)
    lesions = counts["lesions"]
    true, false = curve.sensitivity * lesions, curve.false_positives_per_scan * counts["scans"]
    f1 = 2 * true / np.maximum(true + false + lesions, 1)
    best = int(f1.argmax()) if len(f1) else -1
    return counts | {
        "froc": float(np.mean([sensitivity_at(curve, rate) for rate in FROC_RATES])),
        "average_precision": average_precision(candidates),
        "best_f1": float(f1[best]) if len(f1) else 0.0,
        "threshold": float(curve.thresholds[best]) if len(f1) else 0.5,
        "sensitivity_at_1": sensitivity_at(curve, 1.0),
        "sensitivity_at_2": sensitivity_at(curve, 2.0),
    }


@dataclass(frozen=True, eq=False)
class Mistake:
    """A missed microbleed or a false positive, with the scan and the comparison it is of."""

    scan: TrainingScan
    compared: ComparedScan
    call: Call


def mistakes_of(validated: Sequence[ValidatedScan], threshold: float, outcome: str) -> list[Mistake]:
    """All ``FN`` or ``FP`` from ``threshold`` on, the surest false positives first."""
    found = []
    for entry in validated:
        compared = compare_scan(entry.scan, entry.candidates, threshold)
        found += [Mistake(entry.scan, compared, c) for c in compared.result.calls if c.outcome == outcome]
    return sorted(found, key=lambda mistake: -(mistake.call.score or 0.0))


def draw_false_calls(validated: Sequence[ValidatedScan], threshold: float, folder: Path, most: int) -> None:
    """Pictures of missed microbleeds and of false positives from ``threshold`` on, the surest mistakes first."""
    missed = mistakes_of(validated, threshold, "FN")[: most // 2]
    shown = missed + mistakes_of(validated, threshold, "FP")[: most - len(missed)]
    gallery = Gallery(folder, ("FN", "FP"))
    for entry in validated:
        own = [mistake for mistake in shown if mistake.scan is entry.scan]
        if own:
            result = replace(own[0].compared.result, calls=tuple(mistake.call for mistake in own))
            gallery(pair_of(entry.scan), replace(own[0].compared, result=result))


def hard_voxels(scan: TrainingScan, candidates: LesionSet, most: int = 50) -> list[list[int]]:
    """Centres ``[k, j, i]`` of the surest false positives in a scan."""
    compared = compare_scan(scan, candidates, FLOOR)
    false = sorted((c for c in compared.result.calls if c.outcome == "FP"), key=lambda c: -(c.score or 0.0))[:most]
    ras = np.array([call.center_ras for call in false]).reshape(-1, 3)
    inverse = np.linalg.inv(scan.ijk_to_ras)
    ijk = np.rint(ras @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    return np.clip(ijk[:, ::-1], 0, np.array(scan.image.shape) - 1).tolist()


def _places(truth: Path | None, ids: np.ndarray) -> tuple[dict[str, str], ...]:
    """Zone and region of the microbleeds with these label values, where a table states them."""
    if truth is None:
        return tuple({} for _ in ids)
    with truth.open(encoding="utf-8", newline="") as stream:
        rows = {int(row["id"]): row for row in csv.DictReader(stream) if row["kind"] == MICROBLEED_KIND}
    return tuple({key: rows[int(n)][key] for key in ("zone", "region")} if int(n) in rows else {} for n in ids)


def pair_of(scan: TrainingScan) -> Pair:
    """The scan as evaluation names it."""
    entry = scan.entry
    return Pair(entry.scan_id, entry.scan_id, decoys=entry.decoys, image=entry.image, attributes=dict(entry.attributes))
