"""A piece of a head on a fine grid: an anatomical label map, randomly turned, scaled and bent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from CMBNetLib.errors import InputError
from CMBNetLib.volume import Volume, nearest_to_ras, read_labels
from CMBNetTrainingLib.anatomy_labels import region_map
from CMBNetTrainingLib.rotation import rotation_kji
from CMBNetTrainingLib.tissue import EXTRACEREBRAL_CODES, FIRST_EXTRACEREBRAL_LABEL, TISSUES, brain_of

# Air that opens to the outside is treated as water: the field is computed with periodic borders, and only the
# enclosed cavities (sinuses, ears) disturb the brain from near by.
OUTER_AIR = 1000
SMALLEST_PIECE_VOXELS = 1000  # 1 ml


@dataclass(frozen=True)
class HeadMap:
    """An anatomical label map in RAS orientation, 1 mm, [k, j, i] = (S, A, R)."""

    labels: np.ndarray
    name: str

    @cached_property
    def regions(self) -> np.ndarray:
        """Region codes (`CMBNetLib.location.region_code`) of every second label, uint8 [k, j, i]."""
        return region_map(Volume(self.labels[::2, ::2, ::2], np.diag([2.0, 2.0, 2.0, 1.0]), self.name)).array

    def region_at(self, voxel: np.ndarray) -> int:
        """Region code of a voxel (k, j, i); 0 beyond the map."""
        index = np.rint(voxel / 2).astype(int)
        inside = np.all(index >= 0) and np.all(index < self.regions.shape)
        return int(self.regions[tuple(index)]) if inside else 0

    @property
    def brain_center(self) -> np.ndarray:
        """Centre of the brain's box in voxels (k, j, i)."""
        return (self.brain_box[0] + self.brain_box[1]) / 2

    @property
    def brain_box(self) -> tuple[np.ndarray, np.ndarray]:
        where = np.argwhere(brain_of(self.labels[::2, ::2, ::2])) * 2
        return where.min(0).astype(float), where.max(0).astype(float)


def read_head_map(path: Path) -> HeadMap:
    """Read a label map (FreeSurfer codes, 1 mm), turn it to RAS and mark the air outside the head.

    Raises
    ------
    InputError
        The file is no label map, has values that are no code, or no code of the brain.
    """
    labels = nearest_to_ras(read_labels(path)).array
    _check_codes(np.unique(labels), path.name)
    labels = _without_specks(np.ascontiguousarray(labels, np.int16))
    head = np.stack([ndimage.binary_fill_holes(s) for s in ndimage.binary_closing(labels > 0, iterations=3)])
    return HeadMap(np.where((labels == 0) & ~head, OUTER_AIR, labels).copy(), path.name.split(".")[0])


def _check_codes(codes: np.ndarray, name: str) -> None:
    unknown = [int(code) for code in codes if code not in TISSUES and code not in EXTRACEREBRAL_CODES]
    if unknown:
        first = ", ".join(str(code) for code in unknown[:4])
        raise InputError(
            f"{name} has {len(unknown)} values that are no codes of tissue ({first}{' ...' if unknown[4:] else ''}). "
            "Give a label map with FreeSurfer codes, not a scan; join parts of white matter (2/41) and cortex (3/42)."
        )
    if not brain_of(codes.astype(np.int16)).any():
        raise InputError(f"{name} has no label of the brain. Give a label map with FreeSurfer codes.")


def _without_specks(labels: np.ndarray) -> np.ndarray:
    """Small pieces of air, bone and other labels outside the brain take the label beside them.

    They are noise of the label maps, hundreds in a head, and darken the scan like microbleeds that no truth knows of.
    """
    specks = np.zeros(labels.shape, bool)
    for code in np.unique(labels):
        if code == 0 or code >= FIRST_EXTRACEREBRAL_LABEL:
            pieces, count = ndimage.label(labels == code, np.ones((3, 3, 3)))
            small = np.bincount(pieces.ravel(), minlength=count + 1) < SMALLEST_PIECE_VOXELS
            small[0] = False
            specks |= small[pieces]
    # Inside the skull nothing is air at all, however large the gap between the labels.
    inside = ndimage.binary_closing(brain_of(labels), iterations=4)
    specks |= (labels == 0) & inside
    nearest = ndimage.distance_transform_edt(specks, return_distances=False, return_indices=True)
    return labels[tuple(nearest)]


@dataclass(frozen=True)
class Block:
    """Where a synthetic field of view lies in a head.

    Attributes
    ----------
    shape : tuple of int
        Fine voxels (k, j, i).
    spacing_mm : ndarray
        Fine spacing (k, j, i).
    center : ndarray
        Middle of the block in voxels (k, j, i) of the label map.
    rotation : ndarray
        3x3, block axes to label map axes.
    scale : ndarray
        Size of the head against the label map, along k, j, i.
    displacement_mm : ndarray
        Coarse (3, a, b, c) offsets, interpolated over the block.
    """

    shape: tuple[int, int, int]
    spacing_mm: np.ndarray
    center: np.ndarray
    rotation: np.ndarray
    scale: np.ndarray
    displacement_mm: np.ndarray

    def sample_points(self, device: str = "cpu") -> Tensor:
        """Voxel coordinates (k, j, i) in the label map of every fine voxel: (3, K, J, I)."""
        bend = torch.tensor(self.displacement_mm, dtype=torch.float32, device=device)[None]
        points = F.interpolate(bend, size=self.shape, mode="trilinear", align_corners=True)[0]
        matrix = self.rotation / self.scale[:, None] * self.spacing_mm
        for axis, count in enumerate(self.shape):
            steps = torch.arange(count, dtype=torch.float32, device=device) - (count - 1) / 2
            along = steps.reshape([-1 if n == axis else 1 for n in range(3)])
            for target in range(3):
                points[target] += float(matrix[target, axis]) * along
        return points.add_(torch.tensor(self.center, dtype=torch.float32, device=device)[:, None, None, None])


def draw_block(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    spacing_mm: np.ndarray,
    center: np.ndarray,
    slice_rotation: np.ndarray,
    *,
    head_tilt_deg: float = 6.0,
) -> Block:
    """A block of ``shape`` fine voxels round ``center`` with random pose, size and bending of the head.

    Parameters
    ----------
    slice_rotation
        3x3, block axes to scanner axes; the head is tilted in the scanner by about ``head_tilt_deg``.
    """
    rotation = rotation_kji(rng.normal(0, head_tilt_deg, 3)) @ slice_rotation
    coarse = [max(3, round(n * s / 25)) for n, s in zip(shape, spacing_mm, strict=True)]
    return Block(shape, spacing_mm, center, rotation, rng.uniform(0.92, 1.1, 3), rng.normal(0, 1.5, (3, *coarse)))


def sample_labels(head: HeadMap, points: Tensor) -> np.ndarray:
    """Labels (int16) at ``points`` by nearest neighbour; outside the map is outer air."""
    index = points.round().long()
    inside = torch.ones(index.shape[1:], dtype=torch.bool, device=points.device)
    for axis, size in enumerate(head.labels.shape):
        inside &= (index[axis] >= 0) & (index[axis] < size)
        index[axis].clamp_(0, size - 1)
    size = head.labels.shape
    labels = torch.from_numpy(head.labels.astype(np.int16)).to(points.device).reshape(-1)
    values = labels[(index[0] * size[1] + index[1]) * size[2] + index[2]]
    return torch.where(inside, values, torch.tensor(OUTER_AIR, dtype=torch.int16, device=points.device)).cpu().numpy()


def sample_properties(head: HeadMap, points: Tensor, tables: list[np.ndarray]) -> list[Tensor]:
    """Each table of properties by label, interpolated linearly at ``points``: partial volume at tissue borders."""
    flat = points.reshape(3, -1)
    low = flat.min(1).values.floor().long().clamp_min(0).cpu()
    high = torch.minimum(flat.max(1).values.ceil().long().cpu() + 1, torch.tensor(head.labels.shape))
    high = torch.maximum(high, low + 2)
    part = head.labels[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
    unit = [(points[n] - float(low[n])) * (2 / (part.shape[n] - 1)) - 1 for n in (2, 1, 0)]
    stack = torch.from_numpy(np.stack([table[part] for table in tables]).astype(np.float32)).to(points.device)
    grid = torch.stack(unit, dim=-1)[None]
    sampled = F.grid_sample(stack[None], grid, mode="bilinear", padding_mode="border", align_corners=True)[0]
    return list(sampled)
