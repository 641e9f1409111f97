"""Text of the anatomy model's card, all figures from measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from CMBNetLib.anatomy import CLASSICAL, MASK_BY_NETWORK
from CMBNetTrainingLib.anatomy_contrasts import PHYSICAL_SHARE
from CMBNetTrainingLib.anatomy_measure import REGIONS, AnatomyScore
from CMBNetTrainingLib.anatomy_scans import KINDS

_HEAD = """# CMBNet anatomy

**Trained and measured on simulated scans. For research use only; not a medical device.**

Brain mask, tissues and sides of a T2*-weighted gradient-echo or SWI magnitude scan, of any orientation and slice
thickness, from which zone and region of a microbleed follow. No T1 scan is needed.

## How it was trained

{label_maps} anatomical label maps, bent, tilted, scaled and mirrored at random, were given contrasts: {physical} %
physical (T2*-weighted signal at 1.5, 3 or 7 T with the field that the tissues make, some as SWI), the rest random.
Slices of up to 7 mm in three directions, coil bias, noise, veins, dark spots, larger lesions, wider ventricles, cut
fields of view and removed skulls are part of it. No patient scan was used. {steps} steps in {minutes} minutes on
{device}; {share} of the schedule was done.
{before}To repeat it: `python -m CMBNetTrainingLib.anatomy_training`, see `Docs/training.md`.

## How it was measured

{scans} whole scans simulated from four heads that training does not see, by the physical simulator that makes the
lesion model's scans. In {atlas} of them the tissues were uncertain, so the network's mask was kept and the atlas named
the regions; in {fallbacks} the mask was not believed and the classical method took over. They are counted as the
program left them.
Dice is on 1 mm voxels against the labels; the region figure is the mean over ten regions, left and right apart. Zone
and side are those of 2000 random points of brain tissue a scan. "Before" is the classical mask with the registered
atlas on the same scans.

"""

_TAIL = """
## Limits

* Simulated scans are cleaner than patients: tumours, large infarcts, resections and metal are not in the training.
* The label maps are those of 12 adults. Children were not seen.
* Where cortex and CSF, or cortex and white matter, are equally bright in a scan, what lies between them is guessed.
* Where the mask is not plausible the classical mask and the registered atlas take over, and the scan's QC says so
  (`anatomy_fallback`).

## Licence

Apache-2.0, weights included.
"""

FIGURES: tuple[tuple[str, Callable[[AnatomyScore], float]], ...] = (
    ("brain Dice", lambda s: s.brain_dice),
    ("mean region Dice", lambda s: s.mean_region_dice),
    ("zone right", lambda s: s.zone_right),
    ("side right", lambda s: s.side_right),
    ("s a scan", lambda s: s.seconds),
)


def model_card(ours: Sequence[AnatomyScore], before: Sequence[AnatomyScore], training: dict[str, Any]) -> str:
    """Markdown of the card."""
    methods = [score.method for score in ours]
    fallbacks, atlas = methods.count(CLASSICAL), methods.count(MASK_BY_NETWORK)
    physical = round(100 * PHYSICAL_SHARE)
    earlier = training.get("steps_before")
    before_them = f"They went on from the weights of another run, which took {earlier} steps.\n" if earlier else ""
    device = "a CPU" if training["device"] == "cpu" else "one GPU"
    told = {"device": device, "fallbacks": fallbacks, "atlas": atlas, "physical": physical, "before": before_them}
    head = _HEAD.format(scans=len(ours), **{**training, **told})
    return head + _by_kind(ours, before) + "\n" + _by_region(ours, before) + _TAIL


def _by_kind(ours: Sequence[AnatomyScore], before: Sequence[AnatomyScore]) -> str:
    lines = ["| scans | " + " | ".join(name for name, _ in FIGURES) + " | before |",
             "|---" * (len(FIGURES) + 2) + "|"]  # fmt: skip
    for kind in KINDS:
        told = f"{kind.sequence}, {kind.slice_spacing_mm:g} mm slices"
        lines.append(_row(told, _of(ours, kind.name), _of(before, kind.name)))
    lines.append(_row("all", ours, before))
    lines.append(f"| worst scan | {_worst(ours)} | {_worst(before).replace(' | ', ' / ')} |")
    return "\n".join(lines) + "\n"


def _of(scores: Sequence[AnatomyScore], kind: str) -> list[AnatomyScore]:
    return [score for score in scores if score.name.endswith(kind)]


def _row(told: str, ours: Sequence[AnatomyScore], before: Sequence[AnatomyScore]) -> str:
    cells = [_shown(np.mean([figure(s) for s in ours])) for _, figure in FIGURES]
    others = [_shown(np.mean([figure(s) for s in before])) for _, figure in FIGURES]
    return f"| {told} | {' | '.join(cells)} | {' / '.join(others)} |"


def _worst(scores: Sequence[AnatomyScore]) -> str:
    worst = [max if name == "s a scan" else min for name, _ in FIGURES]
    return " | ".join(_shown(pick(f(s) for s in scores)) for pick, (_, f) in zip(worst, FIGURES, strict=True))


def _shown(figure: Any) -> str:
    return f"{float(figure):.3f}" if figure < 1 else f"{float(figure):.1f}"


def _by_region(ours: Sequence[AnatomyScore], before: Sequence[AnatomyScore]) -> str:
    lines = ["| Dice of the region | now | before |", "|---|---|---|"]
    for name in REGIONS:
        cells = [_shown(np.mean([s.region_dice[name] for s in scores])) for scores in (ours, before)]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"
