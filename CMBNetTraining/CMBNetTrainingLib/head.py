"""A piece of a head on a fine grid: an anatomical label map, randomly turned, scaled and bent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from scipy import ndimage

from CMBNetTrainingLib.tissue import FIRST_EXTRACEREBRAL_LABEL, brain_of

# Air that opens to the outside is treated as water: the field is computed with periodic borders, and only the
# enclosed cavities (sinuses, ears) disturb the brain from near by.
OUTER_AIR = 1000
SMALLEST_CAVITY_VOXELS = 1000  # 1 ml


@dataclass(frozen=True)
class HeadMap:
    """An anatomical label map in RAS orientation, 1 mm, [k, j, i] = (S, A, R)."""

    labels: np.ndarray
    name: str

    @property
    def brain_center(self) -> np.ndarray:
        """Centre of the brain's box in voxels (k, j, i)."""
        return (self.brain_box[0] + self.brain_box[1]) / 2

    @property
    def brain_box(self) -> tuple[np.ndarray, np.ndarray]:
        where = np.argwhere(brain_of(self.labels[::2, ::2, ::2])) * 2
        return where.min(0).astype(float), where.max(0).astype(float)


def read_head_map(path: Path) -> HeadMap:
    """Read a label map (FreeSurfer codes, 1 mm), turn it to RAS and mark the air outside the head."""
    image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "RAS")
    labels = np.rint(sitk.GetArrayFromImage(image)).astype(np.int16)
    # DICOMOrient's "RAS" in SimpleITK's LPS convention points from R to L etc.; flip to index order (S, A, R).
    direction = np.array(image.GetDirection()).reshape(3, 3)
    for axis in range(3):
        to_ras = direction[axis, axis] * (-1 if axis < 2 else 1)
        if to_ras < 0:
            labels = np.flip(labels, 2 - axis)
    labels = _without_bubbles(labels)
    head = np.stack([ndimage.binary_fill_holes(s) for s in ndimage.binary_closing(labels > 0, iterations=3)])
    return HeadMap(np.where((labels == 0) & ~head, OUTER_AIR, labels).copy(), path.name.split(".")[0])


def _without_bubbles(labels: np.ndarray) -> np.ndarray:
    """Unlabelled specks take the label beside them; as air they would ruin the field like a hundred microbleeds."""
    pieces, count = ndimage.label(labels == 0)
    small = np.bincount(pieces.ravel(), minlength=count + 1) < SMALLEST_CAVITY_VOXELS
    small[0] = False
    specks = small[pieces]
    # Inside the skull nothing is air at all, however large the gap between the labels.
    inside = ndimage.binary_closing(brain_of(labels), iterations=4)
    specks |= (labels == 0) & inside
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return np.where(specks, labels[tuple(nearest)], labels)


@dataclass(frozen=True)
class Block:
    """Where a synthetic field of view lies: fine shape (k, j, i), fine spacing (mm), centre in the map, rotation."""

    shape: tuple[int, int, int]
    spacing_mm: np.ndarray
    center: np.ndarray
    rotation: np.ndarray
    scale: np.ndarray
    displacement_mm: np.ndarray  # coarse (3, a, b, c) offsets, interpolated over the block

    def sample_points(self) -> torch.Tensor:
        """Voxel coordinates (k, j, i) in the label map of every fine voxel: (3, K, J, I)."""
        axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in self.shape]
        grid = (
            torch.stack(torch.meshgrid(*axes, indexing="ij"))
            * torch.tensor(self.spacing_mm, dtype=torch.float32)[:, None, None, None]
        )
        matrix = torch.tensor(self.rotation / self.scale[:, None], dtype=torch.float32)
        points = torch.einsum("ab,bkji->akji", matrix, grid)
        bend = F.interpolate(
            torch.tensor(self.displacement_mm, dtype=torch.float32)[None],
            size=self.shape,
            mode="trilinear",
            align_corners=True,
        )[0]
        return points + bend + torch.tensor(self.center, dtype=torch.float32)[:, None, None, None]


def draw_block(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    spacing_mm: np.ndarray,
    center: np.ndarray,
    *,
    max_tilt_deg: float = 12.0,
) -> Block:
    """A block of `shape` fine voxels round `center` with random tilt, head size and bending."""
    angles = np.deg2rad(rng.normal(0, max_tilt_deg / 2, 3))
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [(1, 2), (0, 2), (0, 1)][axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    coarse = [max(3, round(n * s / 25)) for n, s in zip(shape, spacing_mm, strict=True)]
    return Block(shape, spacing_mm, center, rotation, rng.uniform(0.92, 1.1, 3), rng.normal(0, 1.5, (3, *coarse)))


def sample_labels(head: HeadMap, points: torch.Tensor) -> np.ndarray:
    """Labels at `points` by nearest neighbour; outside the map is outer air."""
    index = points.round().long()
    inside = torch.ones(index.shape[1:], dtype=torch.bool)
    for axis, size in enumerate(head.labels.shape):
        inside &= (index[axis] >= 0) & (index[axis] < size)
        index[axis].clamp_(0, size - 1)
    labels = head.labels[tuple(index.numpy())]
    return np.where(inside.numpy(), labels, OUTER_AIR).astype(np.int16)


def sample_properties(head: HeadMap, points: torch.Tensor, tables: list[np.ndarray]) -> list[np.ndarray]:
    """Each table of properties by label, interpolated linearly at `points`: partial volume at tissue borders."""
    flat = points.reshape(3, -1)
    low = flat.min(1).values.floor().long().clamp_min(0)
    high = torch.minimum(flat.max(1).values.ceil().long() + 1, torch.tensor(head.labels.shape))
    high = torch.maximum(high, low + 2)
    part = head.labels[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
    size = torch.tensor(part.shape, dtype=torch.float32)[:, None, None, None]
    unit = (points - low[:, None, None, None]) / (size - 1) * 2 - 1
    grid = unit.flip(0).permute(1, 2, 3, 0)[None]
    stack = torch.from_numpy(np.stack([table[part] for table in tables]).astype(np.float32))[None]
    sampled = F.grid_sample(stack, grid, mode="bilinear", padding_mode="border", align_corners=True)[0]
    return [volume.numpy() for volume in sampled]


def is_extracerebral(labels: np.ndarray) -> np.ndarray:
    """Voxels outside the skull's inner table (scalp, bone, air)."""
    return (labels >= FIRST_EXTRACEREBRAL_LABEL) | (labels == 0)
