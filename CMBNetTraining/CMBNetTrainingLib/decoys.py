"""Decoys: what readers and networks take for microbleeds, at the places where it is found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from CMBNetTrainingLib.painting import brain_litres, random_voxels
from CMBNetTrainingLib.sources import Source
from CMBNetTrainingLib.tissue import (
    CORTEX_LABELS,
    DEEP_LABELS,
    PALLIDUM_LABELS,
    PLEXUS_LABELS,
    THIRD_VENTRICLE_LABEL,
    VENTRICLE_LABELS,
    WHITE_MATTER_LABELS,
    labels_in,
)

CALCIUM_PPM = (-2.5, -0.8)


@dataclass(frozen=True)
class Habit:
    """Where a decoy is found, how often, how it looks.

    Attributes
    ----------
    kind : str
        Id of the mimic in the taxonomy.
    labels : tuple of int
        Codes of the label map.
    per_litre : float
        Mean number in a litre of brain.
    radius_mm, chi_ppm : tuple of float
        Range.
    form : str
    dryness : float
    """

    kind: str
    labels: tuple[int, ...]
    per_litre: float
    radius_mm: tuple[float, float]
    chi_ppm: tuple[float, float]
    form: str = "ellipsoid"
    dryness: float = 0.0


# Calcified plexus is common at an age at which one looks for microbleeds. The rates are guesses, not counts.
HABITS = (
    Habit("calcification", PLEXUS_LABELS, 1.2, (0.6, 2.5), CALCIUM_PPM, "cluster", 0.9),
    Habit("calcification", VENTRICLE_LABELS, 0.5, (0.6, 2.0), CALCIUM_PPM, "ellipsoid", 0.9),
    Habit("old_haemorrhage", CORTEX_LABELS + WHITE_MATTER_LABELS, 0.25, (4.0, 8.0), (0.3, 1.2), "ellipsoid"),
    Habit("old_haemorrhage", DEEP_LABELS + WHITE_MATTER_LABELS, 0.15, (4.0, 10.0), (0.4, 1.5), "slit"),
    Habit("cavernoma", WHITE_MATTER_LABELS, 0.1, (3.5, 8.0), (0.6, 2.0), "shell"),
)
PINEAL_SHARE, PALLIDUM_SHARE = 0.5, 0.15
# The falx has no label of its own: it is the fluid that lies between the two hemispheres, near both cortices.
FALX = Habit("calcification", (), 0.4, (0.4, 1.8), CALCIUM_PPM, "ellipsoid", 0.9)
FALX_REACH_MM, LEFT_CORTEX_LABEL, RIGHT_CORTEX_LABEL, FLUID_LABEL = 5.0, 3, 42, 24
# From the back end of the third ventricle to the pineal gland (mm: up, backward, to the side).
PINEAL_OFFSET_MM = (0.0, -4.0, 0.0)


def draw_decoys(rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray) -> list[Source]:
    """Calcifications of plexus, falx, pineal gland and pallidum; old haemorrhages and cavernomas."""
    litres = brain_litres(labels, spacing_mm)
    decoys = []
    for habit in HABITS:
        count = int(rng.poisson(habit.per_litre * litres))
        if count:
            places = random_voxels(rng, labels_in(labels, habit.labels), count, spacing_mm)
            decoys += [_draw(rng, habit, place) for place in places]
    decoys += _falx(rng, labels, spacing_mm, litres)
    return [*decoys, *_pineal(rng, labels, spacing_mm), *_pallidum(rng, labels, spacing_mm)]


def _draw(rng: np.random.Generator, habit: Habit, place_mm: np.ndarray) -> Source:
    k, j, i = (float(c) for c in place_mm)
    radius, chi = float(rng.uniform(*habit.radius_mm)), float(rng.uniform(*habit.chi_ppm))
    return Source(habit.kind, (k, j, i), radius, chi, habit.form, habit.dryness)


def _falx(rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray, litres: float) -> list[Source]:
    count = int(rng.poisson(FALX.per_litre * litres))
    sides = [labels == code for code in (LEFT_CORTEX_LABEL, RIGHT_CORTEX_LABEL)]
    if not count or not all(side.any() for side in sides):
        return []
    # Cubes instead of balls: exact distances in a whole head take seconds.
    size = [int(2 * round(FALX_REACH_MM / step) + 1) for step in spacing_mm]
    near = [ndimage.maximum_filter(side, size) for side in sides]
    places = random_voxels(rng, (labels == FLUID_LABEL) & near[0] & near[1], count, spacing_mm)
    return [_draw(rng, FALX, place) for place in places]


def _pineal(rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray) -> list[Source]:
    """The gland lies behind the third ventricle; half of the adults have calcium in it."""
    where = np.argwhere(labels[::2, ::2, ::2] == THIRD_VENTRICLE_LABEL) * 2
    if rng.random() > PINEAL_SHARE or len(where) < 50 or where[:, 1].min() < 10:
        return []
    back = where[where[:, 1] <= np.quantile(where[:, 1], 0.03)].mean(0) * spacing_mm
    habit = Habit("calcification", (), 0.0, (0.8, 2.5), CALCIUM_PPM, "cluster", 0.9)
    return [_draw(rng, habit, back + PINEAL_OFFSET_MM + rng.normal(0, 1.0, 3))]


def _pallidum(rng: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray) -> list[Source]:
    """Calcium of the basal ganglia, on both sides alike."""
    if rng.random() > PALLIDUM_SHARE:
        return []
    habit = Habit("basal_ganglia_mineralisation", (), 0.0, (0.5, 2.0), CALCIUM_PPM, "cluster", 0.5)
    count = int(rng.integers(1, 4))
    sides = [random_voxels(rng, labels == code, count, spacing_mm) for code in PALLIDUM_LABELS]
    return [_draw(rng, habit, place) for places in sides for place in places]
