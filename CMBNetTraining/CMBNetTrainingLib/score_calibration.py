"""Scores that mean what they say: temperature, shift and what uneven surroundings cost.

Temperature and shift of the microbleed class are put into the network's last layer; the cost stands in the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from torch import Tensor

from CMBNetLib.bundle import MOST_UNEVENNESS_COST
from CMBNetLib.network import STACK
from CMBNetTrainingLib.training_validation import UNEVENNESS, ValidatedScan
from CMBNetTrainingLib.truth import MICROBLEED

# With fewer true or false candidates the three numbers would describe chance.
FEWEST = 20
BINS = 10
# A weak pull towards no change (log temperature 0, shift 0).
_PULL = 0.01


@dataclass(frozen=True)
class Calibration:
    """Temperature, shift and cost, and the error before (`ece_before`) on the candidates they were fitted to."""

    temperature: float = 1.0
    shift: float = 0.0
    cost: float = 0.0
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


def surroundings(validated: Sequence[ValidatedScan]) -> np.ndarray:
    """Unevenness round each candidate of `scores_and_truth`; both lists run by falling score."""
    kept = [(v.candidates, v.compared.result.ranking) for v in validated if v.compared.result.ranking is not None]
    values = [
        np.array([each[UNEVENNESS] for each in candidates.attributes])[ranking.true | ranking.false]
        for candidates, ranking in kept
    ]
    return np.concatenate(values) if values else np.zeros(0)


def fit_calibration(scores: np.ndarray, true: np.ndarray, around: np.ndarray) -> Calibration:
    """Temperature, shift and cost of uneven surroundings (``around``) that make the scores the most likely.

    Platt's method with one more number.
    """
    n_true, n_false = int(true.sum()), int((~true).sum())
    before = expected_calibration_error(scores, true)
    if min(n_true, n_false) < FEWEST:
        return Calibration(n_true=n_true, n_false=n_false, ece_before=before)
    logit = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / np.clip(1 - scores, 1e-6, 1))

    def cost(x: np.ndarray) -> float:
        z = logit * np.exp(-x[0]) + x[1] - x[2] * around
        return float(np.mean(np.logaddexp(0, np.where(true, -z, z))) + _PULL * np.sum(x[:2] ** 2))

    bounds = [(None, None), (None, None), (0.0, MOST_UNEVENNESS_COST)]
    log_temperature, shift, of_edges = minimize(cost, np.zeros(3), bounds=bounds).x
    return Calibration(float(np.exp(log_temperature)), float(shift), round(float(of_edges), 4), n_true, n_false, before)


def calibrated(weights: Mapping[str, Tensor], calibration: Calibration) -> dict[str, Tensor]:
    """Weights whose probabilities are calibrated; the order of scores within a scan hardly changes."""
    out = {name: tensor.clone() for name, tensor in weights.items()}
    out["head.weight"] /= calibration.temperature
    out["head.bias"] /= calibration.temperature
    pixels = STACK**2
    out["head.bias"][MICROBLEED * pixels : (MICROBLEED + 1) * pixels] += calibration.shift
    return out


def expected_calibration_error(scores: np.ndarray, true: np.ndarray) -> float:
    """Mean distance of score and share of true candidates over ten bins of scores, weighted by their size."""
    if not len(scores):
        return float("nan")
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    error = [abs(scores[bins == b].mean() - true[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return float(np.sum(error) / len(scores))
