"""What is seen of a source in a scan: the region where it takes signal away."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from CMBNetLib.location import decode_region
from CMBNetLib.taxonomy import load_taxonomy
from CMBNetTrainingLib.head import Block, HeadMap
from CMBNetTrainingLib.sources import MICROBLEED_KIND, Source

BACKGROUND, MICROBLEED, MIMIC, IGNORE = 0, 1, 2, 255
# A radiologist sees a spot when it is clearly darker than what is round it, and set off against it: where more than
# this share of the ring round it is as dark (bone, a larger lesion), nobody can tell it from what it merges with.
VISIBLE_LOSS, MOST_DARK_RING = 0.25, 0.5
RING_MM = 1.5
# Half of what surrounds a microbleed is brain tissue, as Greenberg et al., Lancet Neurol 8 (2009) 165, and the rating
# scales ask for: what lies in a sulcus or at the skull is not called one.
LEAST_TISSUE_RING = 0.5
# Below this contrast, in standard deviations of the noise, a spot is not told from noise with certainty. The number is
# that of Rose, J Opt Soc Am 38 (1948) 196; he counts the area too, here the mean of the region has to reach it alone.
CONTRAST_TO_NOISE = 5.0
# Relative loss at which the outline of a weak source ends; that of a strong one lies at half of its peak.
WEAKEST_OUTLINE = 0.12
# Share of the brain's mean signal below which a place counts as dark before any lesion is there.
WEAKEST_SIGNAL = 0.3
# Visible diameters (mm) of a microbleed by definition; beyond, it counts neither way.
DIAMETERS_MM = (2.0, 10.0)
REACH_MM = {MICROBLEED_KIND: 9.0}
OTHER_REACH_MM = 20.0


@dataclass(frozen=True)
class Lesion:
    """One microbleed or decoy as it is seen.

    Attributes
    ----------
    id : int
        Its value in the map of instances of its kind.
    kind : str
        ``microbleed`` or a mimic of the taxonomy.
    center_kji : tuple of float
        Voxels of the scan.
    diameter_mm : float
        Of the ball with the volume of its visible region.
    loss : float
        Largest relative loss of signal, 0 to 1.
    zone, region : str
        Of the BOMBS taxonomy; ``outside`` in fluid and beyond the brain.
    visible : bool
    """

    id: int
    kind: str
    center_kji: tuple[float, float, float]
    diameter_mm: float
    loss: float
    zone: str
    region: str
    visible: bool


@dataclass
class TruthMaps:
    """Maps of one scan, [k, j, i]: classes (uint8), instances of microbleeds and of decoys (uint16)."""

    classes: np.ndarray
    microbleeds: np.ndarray
    decoys: np.ndarray

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> TruthMaps:
        """Nothing but background."""
        return cls(np.zeros(shape, np.uint8), np.zeros(shape, np.uint16), np.zeros(shape, np.uint16))


def signal_loss(before: np.ndarray, after: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Relative loss of signal; 0 where bone or air took the signal already and nobody can see a microbleed."""
    mean = float(before[brain].mean()) if brain.any() else float(before.mean())
    dark = before < WEAKEST_SIGNAL * mean
    return np.where(dark, 0.0, 1 - after / np.where(dark, 1.0, before)).astype(np.float32)


def visible_region(
    loss: np.ndarray, center: np.ndarray, radius_mm: float, step_mm: np.ndarray, reach_mm: float
) -> tuple[np.ndarray, tuple[slice, ...], float] | None:
    """Where a source takes signal away: mask within a box, the box, and the peak of the loss; None beyond the scan.

    Parameters
    ----------
    loss
        [k, j, i], relative.
    center
        Voxels (k, j, i) of the source; ``step_mm`` is the voxel's size.
    radius_mm
        Of the source: the peak is searched in it and a little beyond.
    reach_mm
        The region ends here.
    """
    low = np.maximum(np.floor(center - reach_mm / step_mm).astype(int), 0)
    high = np.minimum(np.ceil(center + reach_mm / step_mm).astype(int) + 1, loss.shape)
    if np.any(high - low < 1):
        return None
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    part = loss[box]
    distance = np.sqrt(sum(((x - c) * s) ** 2 for x, c, s in zip(np.ogrid[box], center, step_mm, strict=True)))
    near = np.where(distance <= radius_mm + 0.5 * step_mm.max() + 0.75, part, -1.0)
    peak = np.unravel_index(np.argmax(near), near.shape)
    height = float(near[peak])
    pieces, _ = ndimage.label(part >= max(0.5 * height, WEAKEST_OUTLINE))
    return (pieces == pieces[peak]) & (pieces > 0) & (distance < reach_mm), box, height


def ball_diameter(mask: np.ndarray, step_mm: np.ndarray) -> float:
    """Diameter (mm) of the ball with the volume of a mask."""
    return float((6 / np.pi * mask.sum() * np.prod(step_mm)) ** (1 / 3))


@dataclass(frozen=True)
class Seen:
    """What a source is judged by; arrays are [k, j, i].

    Attributes
    ----------
    image : ndarray
        The finished scan, with its noise.
    noise_sd : float
        Standard deviation of the noise in ``image``.
    signal : ndarray
        The scan without noise, as far as that is known.
    loss : ndarray
        Relative loss of signal by the sources.
    tissue : ndarray of bool
        Where microbleeds may be.
    step_mm : ndarray
        Size of a voxel (k, j, i).
    """

    image: np.ndarray
    noise_sd: float
    signal: np.ndarray
    loss: np.ndarray
    tissue: np.ndarray
    step_mm: np.ndarray

    def within(self, box: tuple[slice, ...]) -> Seen:
        """The same of a part of the scan."""
        parts = {name: getattr(self, name)[box] for name in ("image", "signal", "loss", "tissue")}
        return replace(self, **parts)


def is_microbleed_seen(seen: Seen, mask: np.ndarray) -> bool:
    """Whether a reader would call a dark region of a box a microbleed."""
    small, large = DIAMETERS_MM
    step_mm = seen.step_mm
    called = mask.any() and seen.loss[mask].max() >= VISIBLE_LOSS and small <= ball_diameter(mask, step_mm) <= large
    return (
        bool(called)
        and tissue_round(seen.tissue, mask, step_mm) >= LEAST_TISSUE_RING
        and is_set_off(seen.signal, mask, seen.loss, step_mm)
        and contrast_to_noise(seen.image, mask, step_mm, seen.noise_sd) >= CONTRAST_TO_NOISE
    )


def tissue_round(tissue: np.ndarray, mask: np.ndarray, step_mm: np.ndarray) -> float:
    """Share of brain tissue in what surrounds a region in its slices; 0 where nothing does.

    Parameters
    ----------
    tissue, mask
        bool, a box round the region, [k, j, i].
    step_mm
        Size of a voxel (k, j, i).
    """
    ring = np.stack([_ring(inside, step_mm) & inside.any() for inside in mask])
    return float(tissue[ring].mean()) if ring.any() else 0.0


def contrast_to_noise(image: np.ndarray, mask: np.ndarray, step_mm: np.ndarray, noise_sd: float) -> float:
    """How much darker a region is than the ring round it in its largest slice, in standard deviations of the noise.

    Parameters
    ----------
    image, mask
        A box round the region, [k, j, i]: the finished scan, the region.
    step_mm
        Size of a voxel (k, j, i).
    noise_sd
        In the units of ``image``.
    """
    k = int(np.argmax(mask.sum(axis=(1, 2))))
    ring = image[k][_ring(mask[k], step_mm)]
    return float(np.median(ring) - image[k][mask[k]].mean()) / max(noise_sd, 1e-9) if ring.size else 0.0


def _ring(inside: np.ndarray, step_mm: np.ndarray) -> np.ndarray:
    """Round a region of a slice, a pixel off its edge."""
    far = ndimage.distance_transform_edt(~inside, sampling=step_mm[1:])
    return (far > step_mm[1:].max()) & (far <= step_mm[1:].max() + RING_MM)


def is_set_off(image: np.ndarray, mask: np.ndarray, loss: np.ndarray, step_mm: np.ndarray) -> bool:
    """Whether a dark region differs from what is round it in the slice of its peak.

    Parameters
    ----------
    image, mask, loss
        A box round the region, [k, j, i]: signal without noise, the region, relative loss of signal.
    step_mm
        Size of a voxel (k, j, i).
    """
    k, *_ = np.unravel_index(np.argmax(np.where(mask, loss, -1.0)), mask.shape)
    signal, inside = image[k], mask[k]
    ring = signal[_ring(inside, step_mm)]
    darkest = float(signal[inside].min())
    without = float(np.median(signal[inside] / np.clip(1 - loss[k][inside], 1e-3, None)))
    return ring.size > 0 and float((ring < (darkest + without) / 2).mean()) <= MOST_DARK_RING


def mark_source(number: int, source: Source, seen: Seen, maps: TruthMaps, head: HeadMap, block: Block) -> Lesion | None:
    """Write one source into the maps and describe it; None where it lies beyond the scan.

    A microbleed that is too faint, too small or too large to be called, that merges with something dark or drowns in
    noise, is not to be judged; a faint decoy is background.
    """
    step_mm = seen.step_mm
    center = (np.array(source.center_mm) + block.spacing_mm / 2) / step_mm - 0.5
    reach = REACH_MM.get(source.kind, OTHER_REACH_MM)
    region = visible_region(seen.loss, center, source.radius_mm, step_mm, reach)
    if region is None:
        return None
    mask, box, height = region
    diameter = ball_diameter(mask, step_mm)
    is_microbleed = source.kind == MICROBLEED_KIND
    if is_microbleed:
        visible = is_microbleed_seen(seen.within(box), mask)
        maps.classes[box][mask] = MICROBLEED if visible else IGNORE
    elif visible := height >= VISIBLE_LOSS:
        # A microbleed beside a decoy stays one.
        classes = maps.classes[box]
        classes[mask & (classes == BACKGROUND)] = MIMIC
    if visible:
        (maps.microbleeds if is_microbleed else maps.decoys)[box][mask] = number
    zone, place = _place(head, block, source)
    k, j, i = (float(c) for c in center)
    return Lesion(number, source.kind, (k, j, i), diameter, height, zone, place, visible)


def _place(head: HeadMap, block: Block, source: Source) -> tuple[str, str]:
    """Zone and region of the tissue that a source lies in."""
    offset = np.array(source.center_mm) - (np.array(block.shape) - 1) / 2 * block.spacing_mm
    structure, _ = decode_region(head.region_at(block.center + (block.rotation / block.scale[:, None]) @ offset))
    site = load_taxonomy("bombs").site_of(structure)
    return (site.zone, site.id) if site else ("outside", "outside")
