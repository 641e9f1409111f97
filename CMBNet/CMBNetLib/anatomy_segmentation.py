"""Run the anatomy network on a scan: brain mask, tissue and side on voxels of 1 mm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from .anatomy_tissues import OUTER_CSF
from .grid import Grid
from .inference import precision_of
from .volume import Volume, nearest_to_ras, resample_to

if TYPE_CHECKING:
    from .network_anatomy import AnatomyUNet


# The network's voxels are 2 mm along k and half of that in the plane; what is found is told on voxels of 1 mm, and what
# takes its time on cubes of so many of them along each axis.
FINER = 2
# Nowhere is a tissue that the network gives no more than this.
UNLIKELY = 1e-3
# Darker than this share of what is bright is air, and so is a plane with less than this share of the brightest plane's
# bright voxels; so many voxels round the head are kept.
AIR_SHARE, MARGIN = 0.1, 6
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Segmentation:
    """What the network sees in a scan, on a grid along the scan's own axes in the order and sense nearest to R, A, S.

    All edges of the grid are even.

    Attributes
    ----------
    brain : Volume
        uint8 mask: one piece without holes.
    tissue : Volume
        uint8 index into `anatomy_tissues.TISSUES` in the brain, 0 elsewhere.
    right : ndarray of bool, [k, j, i]
        Right rather than left.
    in_one_piece : float
        Share of all that was taken for brain that the mask kept.
    certainty : float
        Mean probability of the tissue that was chosen in the brain; 0 where there is none.
    """

    brain: Volume
    tissue: Volume
    right: np.ndarray
    in_one_piece: float
    certainty: float


def segment(scan: Volume, network: AnatomyUNet) -> Segmentation:
    """Brain, tissue and side of a magnitude scan of any orientation, voxel size and coverage."""
    seen = without_air(head_of(scan, network.spec.voxel_mm))
    probability, right = _probabilities(seen.array, network)
    inside = probability[1:OUTER_CSF].sum(0)
    likely = _in_cubes(inside) > 0.5
    kept = _one_piece(likely)
    like = _cubic_grid(seen)
    brain, tissue = (np.zeros(like.array.shape, np.uint8) for _ in range(2))
    certainty = 0.0
    if kept.any():
        cubes = _box_of(kept)
        own, fine = _in_plane(cubes), _finer(cubes)
        brain[fine] = _brain_in(inside[own], kept[cubes])
        tissue[fine], best = _likeliest(probability[:, own[0], own[1], own[2]])
        tissue[fine] *= brain[fine]
        certainty = float(best[brain[fine] > 0].mean())
    return Segmentation(
        brain=like.with_array(brain, name="brain"),
        tissue=like.with_array(tissue, name="tissue"),
        right=np.repeat(right, FINER, 0),
        in_one_piece=float((kept & likely).sum()) / max(int(likely.sum()), 1),
        certainty=certainty,
    )


def repeated(cubes: np.ndarray) -> np.ndarray:
    """Each voxel `FINER` times along each axis."""
    for axis in range(3):
        cubes = np.repeat(cubes, FINER, axis)
    return cubes


def _in_cubes(values: np.ndarray) -> np.ndarray:
    """Means over cubes of 2 mm of what is known on the network's voxels."""
    k, j, i = values.shape
    return values.reshape(k, j // FINER, FINER, i // FINER, FINER).mean((2, 4))


def _in_plane(cubes: Box) -> Box:
    """The box of cubes on the network's voxels."""
    return cubes[0], *_finer(cubes)[1:]


def _finer(cubes: Box) -> Box:
    k, j, i = (slice(FINER * s.start, FINER * s.stop) for s in cubes)
    return k, j, i


def _cubic_grid(seen: Volume) -> Volume:
    """An empty volume of the same extent with voxels of half a slice."""
    matrix = seen.ijk_to_ras.copy()
    matrix[:3, 2] /= FINER
    matrix[:3, 3] = seen.ras_from_ijk(np.array([[0, 0, (1 / FINER - 1) / 2]]))[0]
    k, j, i = seen.array.shape
    return Volume(np.zeros((FINER * k, j, i), np.uint8), matrix, seen.name)


def _box_of(mask: np.ndarray) -> Box:
    """The box of a mask and two voxels round it."""
    found = zip(ndimage.find_objects(mask.view(np.uint8))[0], mask.shape, strict=True)
    k, j, i = (slice(max(0, s.start - 2), min(s.stop + 2, size)) for s, size in found)
    return k, j, i


def _brain_in(inside: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Where the probability is above a half, in and next to what was kept."""
    near = repeated(ndimage.binary_dilation(kept))
    return _without_holes((_between_slices(inside) > 0.5) & near)


def _likeliest(probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the likeliest tissue of the brain, and its probability, on finer slices."""
    shape = (FINER * probability.shape[1], *probability.shape[2:])
    chosen, best = np.ones(shape, np.uint8), np.zeros(shape, np.float32)
    for tissue in range(1, OUTER_CSF):
        if not (likely := probability[tissue] > UNLIKELY).any():
            continue
        box = _box_of(likely)
        fine = (_finer(box)[0], *box[1:])
        share = _between_slices(probability[tissue][box])
        chosen[fine][share > best[fine]] = tissue
        np.maximum(best[fine], share, out=best[fine])
    return chosen, best


def _between_slices(values: np.ndarray) -> np.ndarray:
    """Twice as many slices, by linear interpolation; the outermost are repeated."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    fine = np.empty((FINER * len(values), *values.shape[1:]), np.float32)
    fine[::2] = 0.75 * values + 0.25 * padded[:-2]
    fine[1::2] = 0.75 * values + 0.25 * padded[2:]
    return fine


def head_of(scan: Volume, voxel_mm: tuple[float, float, float]) -> Volume:
    """The scan on voxels of so many mm (i, j, k) along its own axes, ordered near R, A, S; thin ones are averaged."""
    edges = np.asarray(voxel_mm)
    volume = _block_means(nearest_to_ras(scan), edges)
    spacing = np.asarray(volume.spacing_mm)
    extent = np.asarray(volume.shape_ijk) * spacing
    shape = np.maximum(2 * np.ceil(extent / edges / 2).astype(int), 2)
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, :3] *= edges / spacing
    matrix[:3, 3] = volume.ras_from_ijk(((edges / spacing - 1) / 2)[None])[0]
    return resample_to(volume, Grid((int(shape[0]), int(shape[1]), int(shape[2])), matrix))


def without_air(head: Volume) -> Volume:
    """The part of a volume that holds the head: planes with next to nothing bright at the outside are left out."""
    values = head.array
    bright = values > AIR_SHARE * np.percentile(values[::4, ::4, ::4], 99)
    box = []
    for axis, size in enumerate(values.shape):
        share = bright.mean(tuple(other for other in range(3) if other != axis))
        inside = np.flatnonzero(share > AIR_SHARE * share.max())
        low, high = (inside[0], inside[-1] + 1) if len(inside) else (0, size)
        box.append(slice(max(0, low - MARGIN) // 2 * 2, min(size, (high + MARGIN + 1) // 2 * 2)))
    k, j, i = box
    matrix = head.ijk_to_ras.copy()
    matrix[:3, 3] = head.ras_from_ijk(np.array([[i.start, j.start, k.start]]))[0]
    return Volume(np.ascontiguousarray(values[k, j, i]), matrix, head.name)


def _block_means(volume: Volume, edges_mm: np.ndarray) -> Volume:
    """Means of as many whole voxels as fit into one of those edges."""
    counts = [max(1, int(edge / own + 0.05)) for edge, own in zip(edges_mm, volume.spacing_mm, strict=True)]
    k, j, i = (n // c * c for n, c in zip(volume.array.shape, counts[::-1], strict=True))
    array = volume.array[:k, :j, :i]
    for axis, count in enumerate(counts[::-1]):
        parts = [array[tuple(slice(n if a == axis else 0, None, count if a == axis else 1) for a in range(3))]
                 for n in range(count)]  # fmt: skip
        array = sum(part.astype(np.float32) for part in parts) / np.float32(count)
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.ras_from_ijk((np.asarray(counts) / 2 - 0.5)[None])[0]
    matrix[:3, :3] *= counts
    return Volume(np.ascontiguousarray(array), matrix, volume.name)


def _probabilities(head: np.ndarray, network: AnatomyUNet) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (tissues, k, j, i) and right (bool), by the mean of the logits of the head and its mirror image.

    The mirror image is moved by a voxel along each axis, so that the voxels which the network joins are others.
    """
    import torch
    import torch.nn.functional as F

    from .network_anatomy import anatomy_intensities

    _, autocast = precision_of("cpu")
    with torch.inference_mode(), autocast:
        image = anatomy_intensities(torch.from_numpy(head))[None, None]
        mirrored = F.pad(image, (1,) * 6, mode="replicate").flip(-1)
        logits = network(image)[0].float()
        other = network(mirrored)[0, :, 1:-1, 1:-1, 1:-1].flip(-1)
        right = logits[-1] > other[-1]
        return logits[:-1].add_(other[:-1]).div_(2).softmax(0).numpy(), right.numpy()


def _one_piece(inside: np.ndarray) -> np.ndarray:
    """The largest piece without fringes and holes."""
    # What is thinner than 8 mm at the surface is muscle or dura: gyri lie side by side and are no such fringe.
    inside = ndimage.binary_opening(np.pad(inside, 2, mode="edge"), iterations=2)[2:-2, 2:-2, 2:-2]
    labels, count = ndimage.label(inside)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        inside = labels == sizes.argmax()
    return _without_holes(inside)


def _without_holes(mask: np.ndarray) -> np.ndarray:
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])
