"""Scores that mean what they say: temperature, shift and what the evidence beside the peak counts.

Temperature and shift of the microbleed class are put into the network's last layer; the weights stand in the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize
from torch import Tensor

from CMBNetLib.bundle import EVIDENCE, MOST_EVIDENCE, THICKNESS
from CMBNetLib.bundle_weights import THICK
from CMBNetLib.network import STACK
from CMBNetTrainingLib.training_validation import ValidatedScan
from CMBNetTrainingLib.truth import MICROBLEED

# With fewer true or false candidates these numbers would describe chance.
FEWEST = 20
BINS = 10
# A weak pull towards no change (log temperature 0, shift 0).
_PULL = 0.01


@dataclass(frozen=True)
class Calibration:
    """Temperature, shift, weights of the evidence; the error before (`ece_before`) on the candidates they fit.

    ``thick``: temperature and shift of the network for thick slices, where there is one.
    """

    temperature: float = 1.0
    shift: float = 0.0
    thick: tuple[float, float] | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)
    n_true: int = 0
    n_false: int = 0
    ece_before: float = float("nan")

    @property
    def is_fitted(self) -> bool:
        """Whether there were candidates enough."""
        return min(self.n_true, self.n_false) >= FEWEST


def scores_and_truth(validated: Sequence[ValidatedScan]) -> tuple[np.ndarray, np.ndarray]:
    """Score of each candidate that is true or false, and which it is."""
    rankings = [v.compared.result.ranking for v in validated]
    kept = [r for r in rankings if r is not None]
    scores = np.concatenate([r.scores[r.true | r.false] for r in kept]) if kept else np.zeros(0)
    true = np.concatenate([r.true[r.true | r.false] for r in kept]) if kept else np.zeros(0, bool)
    return scores, true.astype(bool)


def evidence_of(validated: Sequence[ValidatedScan]) -> dict[str, np.ndarray]:
    """The evidence of each candidate of `scores_and_truth`, by name; both lists run by falling score."""
    values: dict[str, list[float]] = {name: [] for name in EVIDENCE}
    for entry in validated:
        ranking = entry.compared.result.ranking
        if ranking is None:
            continue
        for attributes, judged in zip(entry.candidates.attributes, ranking.true | ranking.false, strict=True):
            for name in EVIDENCE if judged else ():
                values[name].append(float(attributes[name]))
    return {name: np.array(numbers) for name, numbers in values.items()}


def fit_calibration(
    scores: np.ndarray, true: np.ndarray, evidence: Mapping[str, np.ndarray], thick_mm: float | None = None
) -> Calibration:
    """Temperature, shift and weights of the evidence that make the scores the most likely.

    Platt's method with more numbers. Fluid and uneven surroundings may only speak against a candidate: where they
    speak for one it is by chance. From ``thick_mm`` on, which the evidence tells, scores are those of another network.
    """
    n_true, n_false = int(true.sum()), int((~true).sum())
    before = expected_calibration_error(scores, true)
    if min(n_true, n_false) < FEWEST:
        return Calibration(n_true=n_true, n_false=n_false, ece_before=before)
    logit = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / np.clip(1 - scores, 1e-6, 1))
    columns = np.array(list(evidence.values())).reshape(len(evidence), len(scores)).T
    other = np.zeros(len(scores), int) if thick_mm is None else (evidence[THICKNESS] >= np.log2(thick_mm)).astype(int)

    def cost(x: np.ndarray) -> float:
        log_temperature, shift = x[:2], x[2:4]
        z = logit * np.exp(-log_temperature[other]) + shift[other] + columns @ x[4:]
        return float(np.mean(np.logaddexp(0, np.where(true, -z, z))) + _PULL * np.sum(x[:4] ** 2))

    highest = [MOST_EVIDENCE if name == THICKNESS else 0.0 for name in evidence]
    bounds = [*4 * [(None, None)], *((-MOST_EVIDENCE, most) for most in highest)]
    x = minimize(cost, np.zeros(4 + len(evidence)), bounds=bounds).x
    fitted = {name: round(float(weight), 4) for name, weight in zip(evidence, x[4:], strict=True)}
    own, thick = ((float(np.exp(x[n])), float(x[2 + n])) for n in (0, 1))
    return Calibration(*own, None if thick_mm is None else thick, fitted, n_true, n_false, before)


def calibrated(weights: Mapping[str, Tensor], calibration: Calibration) -> dict[str, Tensor]:
    """Weights whose probabilities are calibrated; the order of scores within a scan hardly changes."""
    out = {name: tensor.clone() for name, tensor in weights.items()}
    pixels = STACK**2
    heads = {"head.": (calibration.temperature, calibration.shift)}
    if calibration.thick is not None:
        heads[THICK + "head."] = calibration.thick
    for head, (temperature, shift) in heads.items():
        out[head + "weight"] /= temperature
        out[head + "bias"] /= temperature
        out[head + "bias"][MICROBLEED * pixels : (MICROBLEED + 1) * pixels] += shift
    return out


def expected_calibration_error(scores: np.ndarray, true: np.ndarray) -> float:
    """Mean distance of score and share of true candidates over ten bins of scores, weighted by their size."""
    if not len(scores):
        return float("nan")
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    error = [abs(scores[bins == b].mean() - true[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return float(np.sum(error) / len(scores))
