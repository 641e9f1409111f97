"""How bright each tissue of a training sample is, and what phase its susceptibility makes: physical or at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from CMBNetTrainingLib.acquisition import GYROMAGNETIC_MHZ_PER_T
from CMBNetTrainingLib.anatomy_heads import OUTER_CSF_CODE, outer_air
from CMBNetTrainingLib.protocol import ECHO_TIMES_MS
from CMBNetTrainingLib.tissue import CSF_LABELS, FIRST_EXTRACEREBRAL_LABEL, draw_tissue_table

PHYSICAL_SHARE = 0.85
SWI_SHARE = 0.45
FIELDS_T, FIELD_SHARES = (1.5, 3.0, 7.0), (0.45, 0.47, 0.08)
# Echo times are drawn so far beyond those of the lesion simulator: anatomy is asked of localisers too.
WIDER = 0.2
_BONE, _CSF = 515, 24


@dataclass(frozen=True)
class Contrast:
    """What a scan makes of the tissues.

    Attributes
    ----------
    magnitude, chi_ppm : ndarray of float32
        By code of the head; magnitude of white matter is about 1.
    radians_per_ppm : float
        Phase at the echo; 0: no field is computed.
    swi : bool
        Whether the phase is made a mask of the magnitude.
    """

    magnitude: np.ndarray
    chi_ppm: np.ndarray
    radians_per_ppm: float
    swi: bool


def draw_contrast(rng: np.random.Generator, label: np.ndarray) -> Contrast:
    """Contrast of one sample; ``label`` by code, as in `CodedHead`."""
    field_t = float(rng.choice(FIELDS_T, p=FIELD_SHARES))
    low, high = ECHO_TIMES_MS[field_t]
    echo_s = float(rng.uniform((1 - WIDER) * low, (1 + WIDER) * high)) / 1000
    tissue = draw_tissue_table(rng, field_t, float(rng.uniform(40, 90)))
    known = np.where(label == OUTER_CSF_CODE, _CSF, label)
    physical = rng.random() < PHYSICAL_SHARE
    if physical:
        magnitude = _physical(rng, label, tissue.weight[known] * np.exp(-echo_s * tissue.r2star[known]))
    else:
        magnitude = _random(rng, label)
    air = outer_air(label)
    magnitude[air] = 0.0
    # Air in the head disturbs the field; that around it would only tilt it.
    chi = np.where(air & (label != 0), 0.0, tissue.chi_ppm[known])
    phased = physical or rng.random() < 0.5
    turns = GYROMAGNETIC_MHZ_PER_T * field_t * echo_s if phased else 0.0
    swi = bool(phased and rng.random() < SWI_SHARE)
    return Contrast(magnitude.astype(np.float32), chi.astype(np.float32), 2 * np.pi * turns, swi)


def _physical(rng: np.random.Generator, label: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """T2*-weighted magnitude with the spread of flip angles, ages and scanners."""
    outside = (label >= FIRST_EXTRACEREBRAL_LABEL) & (label != OUTER_CSF_CODE)
    signal = signal * _by_label(rng, label, lambda: rng.lognormal(0, 0.07))
    signal[outside] *= rng.lognormal(0, 0.35) * _by_label(rng, label, lambda: rng.lognormal(0, 0.35))[outside]
    if rng.random() < 0.3:  # veins and pial iron darken what lies between the gyri
        signal[label == _CSF] *= rng.uniform(0.5, 1.0)
    signal[np.isin(label, (*CSF_LABELS, OUTER_CSF_CODE))] *= rng.lognormal(0, 0.15)
    return np.asarray(signal / max(float(signal[label == 2].max()), 1e-3))


def _random(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """Any intensity for any label (as in SynthSeg, Billot et al. 2023); bone mostly stays dark."""
    signal = _by_label(rng, label, lambda: rng.uniform(0.1, 1.0))
    if rng.random() < 0.6:
        signal[label == _BONE] = rng.uniform(0, 0.25)
    if rng.random() < 0.7:
        signal[label == OUTER_CSF_CODE] = signal[label == _CSF].max() * rng.uniform(0.8, 1.2)
    return signal


def _by_label(rng: np.random.Generator, label: np.ndarray, draw: Callable[[], float]) -> np.ndarray:
    """One draw for each label, the same for all codes of the label."""
    _, index = np.unique(label, return_inverse=True)
    return np.array([draw() for _ in range(index.max() + 1)])[index]
