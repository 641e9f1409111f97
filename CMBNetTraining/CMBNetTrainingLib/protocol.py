"""How a scan is taken: sequence, field, echo, grid, tilt, noise and artefacts of one simulated scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CMBNetTrainingLib.rotation import rotation_kji

# Echo times in ms by field: what susceptibility sequences of the literature use.
ECHO_TIMES_MS = {1.5: (17.0, 45.0), 3.0: (12.0, 30.0), 7.0: (8.0, 16.0)}
FIELD_SHARES = {1.5: 0.42, 3.0: 0.50, 7.0: 0.08}
# Slices from this spacing on (mm) come from 2D sequences, with gaps.
THINNEST_2D_MM = 2.5
MOTION_SHARE = 0.25


@dataclass(frozen=True)
class Protocol:
    """One way to scan.

    Attributes
    ----------
    sequence : str
        ``T2*`` or ``SWI``.
    dimensions : int
        2: slices are excited one by one; 3: slices come out of k-space.
    field_t, echo_time_ms : float
    resolution_mm : float
        Acquired in-plane resolution; ``pixel_mm`` is that of the zero-filled reconstruction.
    slice_spacing_mm : float
        Between the middles of neighbouring slices; ``slice_fill`` is thickness over spacing, below 1 with a gap.
    snr : float
        Mean of the brain over the standard deviation of the noise in one channel.
    phase_sign : int
        +1 or -1: scanners differ in the sign of the phase of a paramagnetic substance.
    ghost : float
        Amplitude of the ghosts that periodic motion leaves along the phase encoding (j).
    motion_mm : float
        Shift of the head during part of the acquisition.
    tilt_deg : tuple of float
        Of the slices against the scanner, about its k, j and i axes (S, A, R).
    """

    sequence: str
    dimensions: int
    field_t: float
    echo_time_ms: float
    resolution_mm: float
    pixel_mm: float
    slice_spacing_mm: float
    slice_fill: float
    snr: float
    phase_sign: int
    ghost: float
    motion_mm: float
    tilt_deg: tuple[float, float, float]

    @property
    def slice_rotation(self) -> np.ndarray:
        """3x3, array axes (k, j, i) to scanner axes (S, A, R)."""
        return rotation_kji(self.tilt_deg)

    @property
    def b0_direction(self) -> tuple[float, float, float]:
        """Unit vector of the static field in array axes (k, j, i)."""
        k, j, i = self.slice_rotation[0]
        return float(k), float(j), float(i)


def draw_protocol(
    rng: np.random.Generator,
    *,
    pixel_mm: float = 0.5,
    slice_spacing_mm: float | None = None,
    sequence: str | None = None,
    fine_mm: float = 0.5,
) -> Protocol:
    """A plausible protocol; what is not given is drawn. A resolution below ``fine_mm`` cannot be simulated."""
    spacing = slice_spacing_mm or _draw_spacing(rng)
    field_t = float(rng.choice(list(FIELD_SHARES), p=list(FIELD_SHARES.values())))
    thick = spacing >= THINNEST_2D_MM
    drawn = "SWI" if spacing < 3.0 and rng.random() < 0.5 else "T2*"
    moved = rng.random(2) < MOTION_SHARE
    return Protocol(
        sequence=sequence or drawn,
        dimensions=2 if thick or rng.random() < 0.15 else 3,
        field_t=field_t,
        echo_time_ms=float(rng.uniform(*ECHO_TIMES_MS[field_t])),
        resolution_mm=float(rng.uniform(max(pixel_mm, fine_mm), 1.05)) if pixel_mm < 1.05 else pixel_mm,
        pixel_mm=pixel_mm,
        slice_spacing_mm=spacing,
        slice_fill=float(rng.uniform(0.75, 1.0)) if thick else 1.0,
        snr=float(np.exp(rng.uniform(np.log(12), np.log(70)))),
        phase_sign=int(rng.choice([-1, 1])),
        ghost=float(rng.uniform(0.005, 0.04)) if moved[0] else 0.0,
        motion_mm=float(rng.uniform(0.2, 1.2)) if moved[1] else 0.0,
        tilt_deg=(float(rng.normal(0, 2)), float(rng.normal(0, 2)), float(rng.normal(8, 9))),
    )


def _draw_spacing(rng: np.random.Generator) -> float:
    if rng.random() < 0.5:
        return float(rng.uniform(THINNEST_2D_MM, 7.0))
    return float(rng.choice([0.8, 1.0, 1.0, 1.0, 1.5, 2.0]))
