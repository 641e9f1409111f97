"""Simulated scans with known anatomy, to measure the anatomy method on: heads that training did not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from CMBNetLib.volume import Volume, read_labels, read_volume, write_volume
from CMBNetTrainingLib.anatomy_labels import brain_mask, region_map
from CMBNetTrainingLib.head import HeadMap, draw_block, read_head_map, sample_labels
from CMBNetTrainingLib.protocol import draw_protocol
from CMBNetTrainingLib.synthesis import fine_grid, synthesize
from CMBNetTrainingLib.whole_scans import as_volumes, centred_matrix

# Millimetres k, j, i; the head without the neck.
FIELD_OF_VIEW_MM = (168.0, 220.0, 180.0)
FINE_MM = 1.0


@dataclass(frozen=True)
class AnatomyScan:
    """A scan, and on 1 mm voxels of the same field of view the brain mask and the region codes under it."""

    name: str
    scan: Volume
    brain: Volume
    regions: Volume


@dataclass(frozen=True)
class Kind:
    """One sort of scan."""

    name: str
    sequence: str
    slice_spacing_mm: float
    pixel_mm: float


KINDS = (
    Kind("swi_thin", "SWI", 1.5, 0.8),
    Kind("t2star_thin", "T2*", 2.0, 0.9),
    Kind("t2star_thick", "T2*", 5.0, 0.8),
    Kind("swi_thick", "SWI", 3.0, 0.8),
)


def simulate(head: HeadMap, kind: Kind, seed: int) -> AnatomyScan:
    """A scan of a head with a random protocol of this kind; 5 microbleeds and the usual decoys are in it."""
    rng = np.random.default_rng([seed, 55])
    wishes = {"pixel_mm": kind.pixel_mm, "slice_spacing_mm": kind.slice_spacing_mm, "fine_mm": FINE_MM}
    protocol = draw_protocol(rng, sequence=kind.sequence, **wishes)
    shape, spacing, per_slice = fine_grid(FIELD_OF_VIEW_MM, protocol, FINE_MM)
    block = draw_block(rng, shape, spacing, head.brain_center + rng.normal(0, 3, 3), protocol.slice_rotation)
    made = synthesize(rng, head, block, protocol, per_slice, 5)
    extent = np.array(shape) * spacing
    k, j, i = (int(n) for n in np.rint(extent))
    truth_shape = (k, j, i)
    truth_spacing = extent / truth_shape
    truth = sample_labels(head, replace(block, shape=truth_shape, spacing_mm=truth_spacing).sample_points())
    name = f"{head.name[-2:]}_{kind.name}"
    labels = Volume(truth, centred_matrix(truth_shape, truth_spacing[::-1], protocol), name)
    scan = replace(as_volumes(made)[0], name=name)
    return AnatomyScan(name, scan, labels.with_array(brain_mask(labels).astype(np.uint8)), region_map(labels))


def make_scans(maps: Sequence[Path], folder: Path, kinds: Sequence[Kind] = KINDS) -> None:
    """Simulate every kind of scan of every head into ``folder``; what is there is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in maps:
        head = read_head_map(path)
        for number, kind in enumerate(kinds):
            if (folder / f"{head.name[-2:]}_{kind.name}_regions.nii.gz").exists():
                continue
            made = simulate(head, kind, 10 * int(head.name[-2:]) + number)
            write_volume(made.scan, folder / f"{made.name}_scan.nii.gz")
            write_volume(made.brain, folder / f"{made.name}_brain.nii.gz", dtype=np.uint8)
            write_volume(made.regions, folder / f"{made.name}_regions.nii.gz", dtype=np.uint8)


def read_scans(folder: Path) -> list[AnatomyScan]:
    """What `make_scans` wrote."""
    names = sorted(path.name.removesuffix("_regions.nii.gz") for path in folder.glob("*_regions.nii.gz"))
    return [
        AnatomyScan(
            name,
            read_volume(folder / f"{name}_scan.nii.gz"),
            read_labels(folder / f"{name}_brain.nii.gz"),
            read_labels(folder / f"{name}_regions.nii.gz"),
        )
        for name in names
    ]
