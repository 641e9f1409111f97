"""Whether to believe what the anatomy network sees in a scan."""

from __future__ import annotations

import numpy as np

from .anatomy_segmentation import Segmentation
from .volume import Volume, resample_to

# Bounds far outside of what the network shows on simulated scans, thin or thick, whole or cut; see the model card.
BRAIN_ML = (150.0, 2500.0)
SMALLEST_PIECE = 0.9
# Simulated scans of heads it did not learn from and the real one have .73 to .83, a phantom of ellipsoids has .60.
SMALLEST_CERTAINTY = 0.65
SMALLEST_SIDE = 0.3
SMALLEST_OVERLAP = 0.6


def doubts_about(seen: Segmentation, classical: Volume | None) -> list[str]:
    """What speaks against the brain mask of a segmentation, as sentences without a full stop; empty if it is plausible.

    Parameters
    ----------
    classical
        Brain mask by the classical method, or None where that found none; then there is nothing to compare with.
    """
    volume_ml = float(seen.brain.array.sum()) * seen.brain.voxel_volume_mm3 / 1000
    if not BRAIN_ML[0] <= volume_ml <= BRAIN_ML[1]:
        return [f"it sees {volume_ml:.0f} ml of brain"]
    doubts = []
    if seen.in_one_piece < SMALLEST_PIECE:
        doubts.append(f"{100 * (1 - seen.in_one_piece):.0f} % of the brain it sees lies apart from the rest")
    if (share := smaller_side(seen)) < SMALLEST_SIDE and _both_sides_in_view(seen):
        doubts.append(f"one hemisphere has {100 * share:.0f} % of the brain")
    if classical is not None and (overlap := overlap_with(seen.brain, classical)) < SMALLEST_OVERLAP:
        doubts.append(f"its brain mask agrees little with the one found by intensity (Dice {overlap:.2f})")
    return doubts


def doubts_about_tissues(seen: Segmentation) -> list[str]:
    """What speaks against the tissues of a segmentation whose brain mask is believed."""
    if seen.certainty >= SMALLEST_CERTAINTY:
        return []
    return [f"the anatomy network is not certain about the tissues (mean probability {seen.certainty:.2f})"]


def smaller_side(seen: Segmentation) -> float:
    """Share of the brain on the smaller side, 0 to 0.5."""
    brain = seen.brain.array > 0
    right = float(seen.right[brain].mean()) if brain.any() else 0.0
    return min(right, 1 - right)


def _both_sides_in_view(seen: Segmentation) -> bool:
    """Whether the brain ends before the field of view does, on both sides."""
    brain = seen.brain.array > 0
    return not (brain[:, :, 0].any() or brain[:, :, -1].any())


def overlap_with(brain: Volume, other: Volume) -> float:
    """Dice of two masks on different grids."""
    there = resample_to(other.with_array((other.array > 0).astype(np.float32)), brain.grid).array >= 0.5
    here = brain.array > 0
    return float(2 * (here & there).sum() / max(int(here.sum()) + int(there.sum()), 1))
