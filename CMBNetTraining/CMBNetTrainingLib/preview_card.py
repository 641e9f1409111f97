"""Text of the preview's model card, all figures from measurement."""

from __future__ import annotations

from typing import Any

import numpy as np

from CMBNetLib.bundle import OperatingPoint
from CMBNetTrainingLib.preview_measure import (
    MATCH_MM,
    Measured,
    false_positives,
    interval,
    sensitivity,
    strata,
)

_HEAD = """# CMBNet preview

**Preview. Trained and measured on simulated scans. For research use only; not a medical device.**

Finds cerebral microbleeds on T2*-weighted gradient-echo and SWI magnitude scans of the brain, with a score for each
candidate.

## How it was trained

{label_maps} anatomical label maps were turned into scans by simulation: tissue properties, veins, iron, calcifications
and microbleeds on a 0.5 mm grid, the magnetic field they cause, the signal at the echo time, the slices and the k-space
of a drawn protocol (1.5, 3 and 7 T; 1 to 6 mm slices; T2* magnitude and SWI), coil bias and noise. No patient scan was
used. The network is an anisotropic 3D U-Net of 1.1 million parameters; it was trained for {steps} steps,
{core_minutes} core minutes on a CPU. To repeat it: `CMBNetTrainingLib.pool`, then `CMBNetTrainingLib.preview_training`.

## How it was measured

{scans} whole simulated scans of four heads that training does not see, with {lesions} visible microbleeds of {low:.1f}
to {high:.1f} mm (visible: at least 25 % signal loss). A candidate is right when its centre lies within {match:g} mm of
a microbleed's, one to one. Candidates on simulated microbleeds too faint to be seen count neither way. The thresholds
were chosen on these scans, so the figures of a new scan will be somewhat worse. Intervals: 95 %, bootstrap over scans.
"""

_TAIL = """
## Limits

* Simulated scans are cleaner than patients. Expect more false positives near the skull base, in the sinuses, along
  veins and with motion, and lower sensitivity.
* It has not been measured against readers, nor on any public set of real microbleeds.
* Slices of more than 3 mm hide small microbleeds; phase images, QSM and CT are not supported.

## Licence

Apache-2.0, weights included.
"""


def model_card(
    points: dict[str, OperatingPoint], scans: list[Measured], on_real: list[int] | None, training: dict[str, Any]
) -> str:
    """Markdown of the card."""
    sizes = [size for scan in scans for size in scan.diameters_mm]
    head = _HEAD.format(
        **training, scans=len(scans), lesions=len(sizes), low=min(sizes), high=max(sizes), match=MATCH_MM
    )
    return head + _points_table(points, scans) + _strata_table(points, scans) + _real(points, on_real) + _TAIL


def _points_table(points: dict[str, OperatingPoint], scans: list[Measured]) -> str:
    lines = [
        "",
        "| operating point | threshold | sensitivity (synthetic) | false positives a scan (synthetic) |",
        "|---|---|---|---|",
    ]
    for name, point in points.items():
        t = point.threshold
        low, high = interval(scans, lambda s, t=t: sensitivity(s, t))  # type: ignore[misc]
        few, many = interval(scans, lambda s, t=t: false_positives(s, t))  # type: ignore[misc]
        lines.append(
            f"| {name} | {t:.3f} | {point.sensitivity:.2f} ({low:.2f}-{high:.2f}) "
            f"| {point.false_positives_per_scan:.2f} ({few:.2f}-{many:.2f}) |"
        )
    return "\n".join(lines) + "\n"


def _strata_table(points: dict[str, OperatingPoint], scans: list[Measured]) -> str:
    t = points["balanced"].threshold
    lines = [
        "",
        "At `balanced`, all synthetic:",
        "",
        "| | scans | microbleeds | sensitivity | false positives a scan | Dice of those found |",
        "|---|---|---|---|---|---|",
    ]
    for name, group in strata(scans).items():
        dice = [value for scan in group for value in scan.dice]
        lines.append(
            f"| {name} | {len(group)} | {sum(len(s.hits) for s in group)} | {sensitivity(group, t):.2f} "
            f"| {false_positives(group, t):.2f} | {np.mean(dice) if dice else float('nan'):.2f} |"
        )
    return "\n".join(lines) + "\n"


def _real(points: dict[str, OperatingPoint], on_real: list[int] | None) -> str:
    if on_real is None:
        return ""
    counts = ", ".join(f"{count} at `{name}`" for name, count in zip(points, on_real, strict=True))
    return (
        "\nOn the one real scan at hand (T2*, 1.5 T, 4.8 mm slices, a healthy volunteer without known microbleeds) "
        f"it reports {counts}; all of them count as false.\n"
    )
