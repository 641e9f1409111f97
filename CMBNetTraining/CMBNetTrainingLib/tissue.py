"""Magnetic properties of the tissues of a FreeSurfer-style label map, at a given field strength."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CMBNetLib.places import FIRST_TISSUE, PLACES

CSF_LABELS = (4, 5, 14, 15, 24, 43, 44, 72)
WHITE_MATTER_LABELS = (2, 41, 7, 46)
CORTEX_LABELS = (3, 42, 8, 47, 17, 53, 18, 54)
DEEP_LABELS = (10, 49, 11, 50, 12, 51, 13, 52, 26, 58)
BRAIN_STEM_LABELS = (16, 28, 60)
CEREBELLUM_LABELS = (7, 46, 8, 47)
LATERAL_VENTRICLE_LABELS = (4, 43)
THIRD_VENTRICLE_LABEL = 14
VENTRICLE_LABELS = (*LATERAL_VENTRICLE_LABELS, THIRD_VENTRICLE_LABEL, 15, 5, 44)
PALLIDUM_LABELS = (13, 52)
VENTRAL_DC_LABELS = (28, 60)
# 136/137 and 163/164 line the lateral ventricles and their inferior horns: choroid plexus.
PLEXUS_LABELS = (136, 163, 137, 164)
# Codes by kind of place, for those that microbleeds lie in and the ventricles.
PLACE_LABELS: dict[str, tuple[int, ...]] = {
    "ventricle": (*VENTRICLE_LABELS, 72, *PLEXUS_LABELS),
    "cortex": (3, 42, 17, 53, 18, 54),
    "white_matter": (2, 41, 25, 57),
    "striatum": (11, 50, 12, 51, 26, 58),
    "pallidum": PALLIDUM_LABELS,
    "thalamus": (10, 49),
    "brainstem": BRAIN_STEM_LABELS,
    "cerebellum": CEREBELLUM_LABELS,
}
SINUS_LABEL = 514
# Labels below 500 lie inside the skull; 24 (CSF) surrounds the brain and is not part of the brain mask.
FIRST_EXTRACEREBRAL_LABEL = 500
EXTRACEREBRAL_CODES = range(FIRST_EXTRACEREBRAL_LABEL, 600)


@dataclass(frozen=True)
class Tissue:
    """Bulk properties: susceptibility relative to water (ppm), R2* (1/s) as base + slope * B0 (T), signal weight."""

    chi_ppm: float
    r2star_base: float
    r2star_per_t: float
    weight: float


# Susceptibility and R2*: order of magnitude from the QSM and relaxometry literature at 1.5-7 T; weights from the look
# of spoiled gradient echo with a low flip angle (CSF >= grey > white). All are jittered per scan.
GREY = Tissue(0.020, 8.0, 2.6, 0.86)
WHITE = Tissue(-0.030, 8.0, 3.2, 0.72)
FLUID = Tissue(0.000, 1.0, 0.4, 0.95)
MUSCLE = Tissue(0.0, 18.0, 5.0, 0.55)
BONE = Tissue(-2.0, 200.0, 40.0, 0.15)
AIR = Tissue(9.2, 0.0, 0.0, 0.0)

TISSUES: dict[int, Tissue] = {
    0: AIR,
    **dict.fromkeys((2, 41), WHITE),
    **dict.fromkeys((7, 46), Tissue(-0.020, 8.0, 3.2, 0.74)),
    **dict.fromkeys((3, 42), GREY),
    **dict.fromkeys((8, 47), Tissue(0.015, 8.0, 2.6, 0.84)),
    **dict.fromkeys(CSF_LABELS, FLUID),
    **dict.fromkeys((10, 49), Tissue(0.010, 8.0, 4.0, 0.80)),
    **dict.fromkeys((11, 50), Tissue(0.050, 8.0, 5.0, 0.84)),
    **dict.fromkeys((12, 51), Tissue(0.060, 8.0, 5.5, 0.84)),
    **dict.fromkeys((13, 52), Tissue(0.130, 8.0, 9.5, 0.78)),
    **dict.fromkeys((17, 53, 18, 54), Tissue(0.015, 8.0, 2.2, 0.86)),
    16: Tissue(-0.010, 8.0, 3.2, 0.75),
    **dict.fromkeys((28, 60), Tissue(0.050, 8.0, 5.5, 0.76)),
    **dict.fromkeys((26, 58), Tissue(0.040, 8.0, 4.0, 0.84)),
    **dict.fromkeys((30, 62, SINUS_LABEL), Tissue(0.250, 15.0, 9.0, 0.80)),
    **dict.fromkeys((25, 57), FLUID),
    85: Tissue(-0.02, 8.0, 3.0, 0.72),
    **dict.fromkeys((136, 137, 163, 164), Tissue(0.03, 8.0, 4.0, 0.8)),
    506: FLUID,
    511: Tissue(0.0, 20.0, 4.0, 0.60),
    515: BONE,
    516: Tissue(-0.5, 60.0, 15.0, 0.55),
}


@dataclass(frozen=True)
class TissueTable:
    """Properties by label code for one scan: arrays indexed by the code (0..1023)."""

    chi_ppm: np.ndarray
    r2star: np.ndarray
    weight: np.ndarray


def iron_at(age_years: float) -> float:
    """Iron of the deep nuclei relative to that at about 60 years.

    Hallgren and Sourander (1958): it rises steeply to age 30, then slowly.
    """
    return float(0.6 + 0.5 * (1 - np.exp(-age_years / 25.0)) + 0.003 * (age_years - 50))


def draw_tissue_table(rng: np.random.Generator, field_t: float, age_years: float) -> TissueTable:
    """Jittered tissue properties of one head at `field_t` tesla; iron of the deep nuclei grows with age."""
    size = 1024
    chi, r2star, weight = (np.zeros(size, np.float32) for _ in range(3))
    iron = iron_at(age_years)
    contrast = {id(t): rng.normal(1.0, 0.08) for t in TISSUES.values()}
    for code in range(size):
        tissue = TISSUES.get(code, MUSCLE)
        ageing = iron if code in DEEP_LABELS else 1.0
        chi[code] = tissue.chi_ppm * ageing * (1.0 if tissue is AIR else rng.normal(1.0, 0.1))
        r2star[code] = tissue.r2star_base + tissue.r2star_per_t * ageing * field_t
        weight[code] = tissue.weight * contrast.get(id(tissue), 1.0)
    weight[[*CSF_LABELS]] *= rng.uniform(0.55, 1.15)  # flip angle and TR decide how bright fluid is
    weight[511] *= rng.uniform(0.3, 1.2)
    return TissueTable(chi, r2star * rng.normal(1.0, 0.08), weight)


def labels_in(labels: np.ndarray, codes: tuple[int, ...]) -> np.ndarray:
    """Boolean mask of the voxels whose label is one of `codes`."""
    table = np.zeros(1024, bool)
    table[list(codes)] = True
    return table[labels]


def places_in(labels: np.ndarray) -> np.ndarray:
    """Kinds of places (`CMBNetLib.places.PLACES`) of a label map, uint8; all that is no other kind is outside."""
    table = np.full(1024, PLACES.index("outside"), np.uint8)
    for place, codes in PLACE_LABELS.items():
        table[[*codes]] = PLACES.index(place)
    return table[labels]


def parenchyma_of(labels: np.ndarray) -> np.ndarray:
    """Where microbleeds may be: the brain without ventricles and plexus."""
    return places_in(labels) >= FIRST_TISSUE


def brain_of(labels: np.ndarray) -> np.ndarray:
    """Brain mask of a label map: everything inside the skull but outer CSF, vessels and sinuses."""
    table = np.zeros(1024, bool)
    table[1:FIRST_EXTRACEREBRAL_LABEL] = True
    table[[24, 30, 62, 85]] = False
    return table[labels]
