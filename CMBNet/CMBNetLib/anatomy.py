"""Brain mask and regions of a scan: by the anatomy network, or by the classical mask and the atlas where that fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .atlas import fit_regions
from .brain_mask import find_brain
from .errors import InputError
from .volume import Volume

if TYPE_CHECKING:
    from .network_anatomy import AnatomyUNet

PLAUSIBLE_BRAIN_ML = (300.0, 2500.0)
BY_NETWORK, MASK_BY_NETWORK = "anatomy network", "mask by the anatomy network, affine atlas"
CLASSICAL = "classical mask, affine atlas"


@dataclass(frozen=True)
class Anatomy:
    """What is where in a scan.

    Attributes
    ----------
    brain : Volume
        uint8 mask on a coarse grid along the scan's own axes.
    regions : Volume
        uint8 region codes (see `location.region_code`) on the same grid.
    method : str
        How it was found.
    flags : list of dict
        ``{"code", "message"}`` of what is doubtful.
    tissue : Volume or None
        `anatomy_segmentation.Segmentation.tissue`; None where the network's tissues were not believed.
    """

    brain: Volume
    regions: Volume
    method: str
    flags: list[dict[str, str]] = field(default_factory=list)
    tissue: Volume | None = None


def find_anatomy(scan: Volume, network: AnatomyUNet | None = None) -> Anatomy:
    """Brain mask and regions of a scan.

    Parameters
    ----------
    scan
        Magnitude T2* or SWI, any orientation.
    network
        `AnatomyBundle.load_network`. Where the brain it sees is not plausible, and without one, the brain is masked by
        intensity and shape; where only its tissues are uncertain, its mask is kept. In both cases the zone atlas is
        fitted to the mask, and what the network failed in is told in the flags.

    Raises
    ------
    InputError
        No brain can be found in the scan.
    """
    if network is None:
        return _classical(scan, [])
    from .anatomy_checks import doubts_about, doubts_about_tissues
    from .anatomy_regions import region_map
    from .anatomy_segmentation import segment

    with ThreadPoolExecutor(1) as beside:
        second_opinion = beside.submit(_brain_or_none, scan)
        seen = segment(scan, network)
        doubts = doubts_about(seen, second_opinion.result())
    if doubts:
        text = f"The anatomy network was not used: {'; '.join(doubts)}. The brain mask and the regions are approximate."
        return _classical(scan, [{"code": "anatomy_fallback", "message": text}])
    flags = _volume_flags(seen.brain)
    if doubts := doubts_about_tissues(seen):
        text = f"The regions are those of the atlas, which are approximate: {'; '.join(doubts)}."
        flags = [{"code": "anatomy_regions", "message": text}, *flags]
        return Anatomy(seen.brain, fit_regions(seen.brain), MASK_BY_NETWORK, flags)
    return Anatomy(seen.brain, region_map(seen), BY_NETWORK, flags, seen.tissue)


def _classical(scan: Volume, flags: list[dict[str, str]]) -> Anatomy:
    brain = find_brain(scan)
    return Anatomy(brain, fit_regions(brain), CLASSICAL, [*flags, *_volume_flags(brain)])


def _brain_or_none(scan: Volume) -> Volume | None:
    """The classical mask as a second opinion; None where that method finds no brain."""
    try:
        return find_brain(scan)
    except InputError:
        return None


def _volume_flags(brain: Volume) -> list[dict[str, str]]:
    volume_ml = float(brain.array.sum()) * brain.voxel_volume_mm3 / 1000
    if PLAUSIBLE_BRAIN_ML[0] <= volume_ml <= PLAUSIBLE_BRAIN_ML[1]:
        return []
    text = f"The brain mask has {volume_ml:.0f} ml, which is unusual; look at the results with care."
    return [{"code": "brain_volume", "message": text}]
