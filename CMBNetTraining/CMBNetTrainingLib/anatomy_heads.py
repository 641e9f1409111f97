"""Heads as the anatomy training needs them: one byte a voxel that stands for label, tissue and side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy import ndimage

from CMBNetLib.anatomy_tissues import TISSUES
from CMBNetLib.files import atomic_output
from CMBNetLib.volume import Volume
from CMBNetTrainingLib.anatomy_labels import CSF_LABEL, brain_mask
from CMBNetTrainingLib.head import OUTER_AIR, read_head_map
from CMBNetTrainingLib.tissue import FIRST_EXTRACEREBRAL_LABEL

LEFT, RIGHT = 1, 2
# Left labels and their right counterparts.
PAIRS = {
    2: 41, 3: 42, 4: 43, 5: 44, 7: 46, 8: 47, 10: 49, 11: 50, 12: 51, 13: 52, 17: 53, 18: 54, 25: 57, 26: 58, 28: 60,
    30: 62, 136: 163, 137: 164,
}  # fmt: skip
TISSUE_OF = {
    3: "cortex", 2: "white_matter", 25: "white_matter", 11: "caudate", 26: "caudate", 12: "putamen", 13: "pallidum",
    10: "thalamus", 28: "ventral_dc", 17: "hippocampus_amygdala", 18: "hippocampus_amygdala", 16: "brainstem",
    7: "cerebellum", 8: "cerebellum", 4: "ventricle", 5: "ventricle", 14: "ventricle", 15: "ventricle",
    72: "ventricle", 136: "ventricle", 137: "ventricle", 30: "sulcal_csf", CSF_LABEL: "sulcal_csf", 85: "outer_csf",
}  # fmt: skip
# CSF outside of the brain mask: a code of its own.
OUTER_CSF_CODE = 900
# The head is cut this far from the brain: farther down the neck no patch reaches.
MARGIN_MM = 45
# The side of a midline structure is told beyond this distance from the plane between the hemispheres.
CERTAIN_SIDE_MM = 2.0
ENLARGED_MM = 5.0


@dataclass(frozen=True)
class CodedHead:
    """A head on 1 mm voxels, [k, j, i] = (S, A, R).

    Attributes
    ----------
    codes : ndarray of uint8
        Index into the tables.
    label, tissue, side : ndarray
        By code: FreeSurfer label (right ones named by their left counterpart), index into `TISSUES`, 0/LEFT/RIGHT.
    near_ventricle : ndarray of int
        Flat positions of white matter by distance from the lateral ventricles, up to 5 mm, nearest first.
    ventricle_codes : tuple of int
        Codes of the left and right lateral ventricle.
    center : ndarray
        Middle of the brain's box.
    """

    name: str
    codes: np.ndarray
    label: np.ndarray
    tissue: np.ndarray
    side: np.ndarray
    near_ventricle: np.ndarray
    ventricle_codes: tuple[int, int]
    center: np.ndarray


def tissue_index(label: int) -> int:
    """Index into `TISSUES` of a (left) FreeSurfer label; background beyond the skull, CSF for what has no name."""
    if label == OUTER_CSF_CODE:
        return TISSUES.index("outer_csf")
    if label == 0 or label >= FIRST_EXTRACEREBRAL_LABEL:
        return 0
    return TISSUES.index(TISSUE_OF.get(label, "sulcal_csf"))


def read_coded_head(path: Path) -> CodedHead:
    """Read a label map and derive all that samples are made of (about 10 s)."""
    labels = _near_brain(read_head_map(path).labels.astype(np.int16))
    brain = _brain(labels)
    labels[(labels == CSF_LABEL) & ~brain] = OUTER_CSF_CODE
    sides = _sides(labels)
    for left, right in PAIRS.items():
        labels[labels == right] = left
    mixed = labels.astype(np.int32) * 4 + sides
    keys = np.flatnonzero(np.bincount(mixed.ravel()))
    codes = np.searchsorted(keys, np.arange(keys[-1] + 1)).astype(np.uint8)[mixed]
    label, side = keys // 4, (keys % 4).astype(np.uint8)
    tissue = np.array([tissue_index(int(v)) for v in label], np.uint8)
    where = np.argwhere(brain)
    ventricles = tuple(int(np.flatnonzero((label == 4) & (side == s))[0]) for s in (LEFT, RIGHT))
    return CodedHead(
        path.name.split(".")[0], codes, label, tissue, side, _near_ventricle(labels), (ventricles[0], ventricles[1]),
        (where.min(0) + where.max(0)) / 2.0,
    )  # fmt: skip


def _near_brain(labels: np.ndarray) -> np.ndarray:
    inside = (labels > 0) & (labels < FIRST_EXTRACEREBRAL_LABEL)
    return np.ascontiguousarray(labels[_box(inside, MARGIN_MM)])


def _brain(labels: np.ndarray) -> np.ndarray:
    """Brain mask, worked out in the box that holds it."""
    inside = (labels > 0) & (labels < FIRST_EXTRACEREBRAL_LABEL) & (labels != CSF_LABEL)
    box = _box(inside, 8)
    brain = np.zeros(labels.shape, bool)
    brain[box] = brain_mask(Volume(labels[box], np.eye(4), "labels"))
    return brain


def _box(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    found = ndimage.find_objects(mask.view(np.uint8))[0]
    return tuple(slice(max(0, s.start - margin), s.stop + margin) for s in found)


def _sides(labels: np.ndarray) -> np.ndarray:
    """Side of every voxel inside the skull: by its label, or by the plane between the hemispheres."""
    sides = np.zeros(labels.shape, np.uint8)
    left, right = np.argwhere(np.isin(labels, (2, 3))), np.argwhere(np.isin(labels, (41, 42)))
    axis = right.mean(0) - left.mean(0)
    axis /= np.linalg.norm(axis)
    single = (labels > 0) & ((labels < FIRST_EXTRACEREBRAL_LABEL) | (labels == OUTER_CSF_CODE))
    where = np.argwhere(single)
    offset = (where - (left.mean(0) + right.mean(0)) / 2) @ axis
    told = np.where(offset > CERTAIN_SIDE_MM, RIGHT, np.where(offset < -CERTAIN_SIDE_MM, LEFT, 0))
    sides[tuple(where.T)] = told
    for one, other in PAIRS.items():
        sides[labels == one], sides[labels == other] = LEFT, RIGHT
    return sides


def _near_ventricle(labels: np.ndarray) -> np.ndarray:
    box = _box(labels == 4, int(ENLARGED_MM) + 1)
    part = labels[box]
    distance = ndimage.distance_transform_edt(part != 4)
    where = np.argwhere((part == 2) & (distance <= ENLARGED_MM))
    order = np.argsort(distance[tuple(where.T)], kind="stable")
    placed = where[order] + [s.start for s in box]
    return np.ravel_multi_index(tuple(placed.T), labels.shape)


def outer_air(label: np.ndarray) -> np.ndarray:
    """Codes that stand for air outside or inside of the head."""
    return (label == 0) | (label == OUTER_AIR)


def read_coded_heads(paths: Sequence[Path], cache: Path) -> list[CodedHead]:
    """Coded heads of label maps; what was derived once is kept in the folder ``cache``."""
    cache.mkdir(parents=True, exist_ok=True)
    return [_cached(path, cache / f"{path.name.split('.')[0]}.npz") for path in paths]


def _cached(path: Path, kept: Path) -> CodedHead:
    names = [field.name for field in fields(CodedHead)]
    if kept.exists():
        with np.load(kept) as data:
            values = {name: data[name] for name in names}
        pair = tuple(int(v) for v in values.pop("ventricle_codes"))
        return CodedHead(name=str(values.pop("name")), ventricle_codes=(pair[0], pair[1]), **values)
    head = read_coded_head(path)
    with atomic_output(kept) as target, target.open("wb") as stream:
        np.savez_compressed(stream, **{name: getattr(head, name) for name in names})
    return head
