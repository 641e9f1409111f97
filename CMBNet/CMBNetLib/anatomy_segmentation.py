"""Run the anatomy network on a scan: its probabilities on voxels of 2 mm; brain mask, tissue and side on 1 mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from .anatomy_contrast import Contrast, contrast_of
from .anatomy_input import anatomy_intensities
from .anatomy_tissues import OUTER_CSF
from .grid import Grid
from .volume import Volume, nearest_to_ras, resample_to

if TYPE_CHECKING:
    from .network_anatomy import AnatomyUNet


# Voxels of the network's grid become so many along each axis: borders run between the middles of its voxels, and drawn
# with whole ones a perfect segmentation has a mean Dice of .90, with these .95.
FINER = 2
# A single voxel among others of another tissue is noise; this much is believed of it all the same.
LEAST_SUPPORT = 1e-3
# Nowhere is a tissue that the network gives no more than this.
UNLIKELY = 1e-3


@dataclass(frozen=True)
class Segmentation:
    """What the network sees in a scan, on a grid along the scan's own axes in the order and sense nearest to R, A, S.

    All edges of the grid are even.

    Attributes
    ----------
    brain : Volume
        uint8 mask: one piece without holes.
    tissue : Volume
        uint8 index into `anatomy_tissues.TISSUES` in the brain, 0 elsewhere: by network and intensities.
    plain_tissue : Volume
        The same by the network alone: borders are blurred, but no dark spot or vein has moved them.
    right : ndarray of bool, [k, j, i]
        Right rather than left, by the network alone; alike within its own voxels.
    in_one_piece : float
        Share of all voxels taken for brain that the mask kept.
    certainty : float
        Mean probability of the tissue that was chosen in the brain; 0 where there is none.
    """

    brain: Volume
    tissue: Volume
    plain_tissue: Volume
    right: np.ndarray
    in_one_piece: float
    certainty: float


def segment(scan: Volume, network: AnatomyUNet) -> Segmentation:
    """Brain, tissue and side of a magnitude scan of any orientation, voxel size and coverage."""
    coarse = coarse_head(scan, network.spec.voxel_mm)
    probability, right = _probabilities(anatomy_intensities(coarse.array), network)
    inside = probability[1:OUTER_CSF].sum(0)
    kept = _one_piece(inside > 0.5)
    count = int((inside > 0.5).sum())
    like = _finer_grid(coarse)
    brain, plain, tissue = (np.zeros(like.array.shape, np.uint8) for _ in range(3))
    if kept.any():
        box = _box_of(kept)
        fine, whole = tuple(slice(FINER * s.start, FINER * s.stop) for s in box), (slice(None), *box)
        contrast = contrast_of(coarse.array[box], probability[whole], kept[box])
        image = resample_to(_block_means(nearest_to_ras(scan), like.spacing_mm[0]), like.grid).array[fine]
        brain[fine] = _finer_brain(inside[box], kept[box])
        pieces = _finer_pieces(probability[whole])
        plain[fine] = np.where(brain[fine], _likeliest(pieces, image.shape), 0)
        tissue[fine] = np.where(brain[fine], _likeliest(_sharpened(pieces, contrast, image), image.shape), 0)
    return Segmentation(
        brain=like.with_array(brain, name="brain"),
        tissue=like.with_array(tissue, name="tissue"),
        plain_tissue=like.with_array(plain, name="tissue"),
        right=repeated(right),
        in_one_piece=float((kept & (inside > 0.5)).sum()) / count if count else 0.0,
        certainty=float(probability[1:OUTER_CSF].max(0)[kept].mean()) if kept.any() else 0.0,
    )


def repeated(coarse: np.ndarray) -> np.ndarray:
    """Each voxel `FINER` times along each axis."""
    for axis in range(3):
        coarse = np.repeat(coarse, FINER, axis)
    return coarse


def _finer_grid(coarse: Volume) -> Volume:
    """An empty volume of the same extent with finer voxels."""
    matrix = coarse.ijk_to_ras.copy()
    matrix[:3, :3] /= FINER
    matrix[:3, 3] = coarse.ras_from_ijk(np.full((1, 3), (1 / FINER - 1) / 2))[0]
    return Volume(np.zeros([FINER * n for n in coarse.array.shape], np.uint8), matrix, coarse.name)


def _box_of(mask: np.ndarray) -> tuple[slice, slice, slice]:
    """The box of a mask and two voxels round it."""
    found = zip(ndimage.find_objects(mask.view(np.uint8))[0], mask.shape, strict=True)
    k, j, i = (slice(max(0, s.start - 2), min(s.stop + 2, size)) for s, size in found)
    return k, j, i


def _finer_brain(inside: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Where the interpolated probability is above a half, in and next to what was kept."""
    near = repeated(ndimage.binary_dilation(kept))
    return _without_holes((_interpolated(inside) > 0.5) & near)


class Piece(NamedTuple):
    """How likely a tissue is, in the box outside of which it is not."""

    tissue: int
    box: tuple[slice, slice, slice]
    share: np.ndarray


def _finer_pieces(probability: np.ndarray) -> list[Piece]:
    """The tissues of the brain on finer voxels, by probabilities (tissues, k, j, i)."""
    pieces = []
    for tissue in range(1, OUTER_CSF):
        if (likely := probability[tissue] > UNLIKELY).any():
            box = _box_of(likely)
            k, j, i = (slice(FINER * s.start, FINER * s.stop) for s in box)
            pieces.append(Piece(tissue, (k, j, i), _interpolated(probability[tissue][box])))
    return pieces


def _sharpened(pieces: Sequence[Piece], contrast: Contrast, image: np.ndarray) -> list[Piece]:
    """What is believed of the tissues, given what was before, the intensities and the neighbours."""
    belief = [p._replace(share=p.share * contrast.likelihood(p.tissue, image, p.box)) for p in pieces]
    total = np.full(image.shape, 1e-12, np.float32)
    for piece in belief:
        total[piece.box] += piece.share
    return [p._replace(share=_supported(p.share / total[p.box])) for p in belief]


def _supported(share: np.ndarray) -> np.ndarray:
    return np.asarray(share * (ndimage.uniform_filter(share, 3) + LEAST_SUPPORT))


def _likeliest(pieces: Sequence[Piece], shape: tuple[int, ...]) -> np.ndarray:
    """Index of the tissue with the largest share."""
    chosen, best = np.ones(shape, np.uint8), np.zeros(shape, np.float32)
    for tissue, box, share in pieces:
        chosen[box][share > best[box]] = tissue
        np.maximum(best[box], share, out=best[box])
    return chosen


def _interpolated(values: np.ndarray) -> np.ndarray:
    import torch
    import torch.nn.functional as F

    tensor = torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None]
    return F.interpolate(tensor, scale_factor=FINER, mode="trilinear")[0, 0].numpy()


def coarse_head(scan: Volume, voxel_mm: float) -> Volume:
    """The scan on cubic voxels along its own axes, ordered near R, A, S; thin slices and pixels are averaged."""
    volume = _block_means(nearest_to_ras(scan), voxel_mm)
    spacing = np.asarray(volume.spacing_mm)
    extent = np.asarray(volume.shape_ijk) * spacing
    shape = np.maximum(2 * np.ceil(extent / voxel_mm / 2).astype(int), 2)
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, :3] *= voxel_mm / spacing
    matrix[:3, 3] = volume.ras_from_ijk(((voxel_mm / spacing - 1) / 2)[None])[0]
    return resample_to(volume, Grid((int(shape[0]), int(shape[1]), int(shape[2])), matrix))


def _block_means(volume: Volume, voxel_mm: float) -> Volume:
    """Means of as many whole voxels as fit into a coarse one."""
    counts = [max(1, int(voxel_mm / edge + 0.05)) for edge in volume.spacing_mm]
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


def _probabilities(image: np.ndarray, network: AnatomyUNet) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (tissues, k, j, i) and right (bool), from the image and its mirror image together."""
    import torch

    with torch.inference_mode():
        straight = network(torch.from_numpy(image)[None, None])[0]
        mirrored = network(torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1]))[None, None])[0].flip(-1)
        probability = (straight[:-1].softmax(0) + mirrored[:-1].softmax(0)) / 2
        return probability.numpy(), ((straight[-1] - mirrored[-1]) > 0).numpy()


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
