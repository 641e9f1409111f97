"""Build the zone atlas from label maps of real heads, and measure how well it names their regions.

python -m CMBNetTrainingLib.build_atlas LABEL_MAP... -o Resources/Atlas [--held-out LABEL_MAP...] [--leave-one-out]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from CMBNetLib.atlas import Atlas, fit_affine
from CMBNetLib.errors import InputError
from CMBNetLib.files import atomic_output
from CMBNetLib.location import ANATOMY, decode_region, region_code
from CMBNetLib.taxonomy import SIDES, load_taxonomy
from CMBNetLib.volume import Volume, read_labels, write_volume

from .anatomy_labels import FIRST_EXTRACEREBRAL_LABEL, brain_mask, region_map

STEP_MM = 2.5
# Half extents of the atlas in RAS mm around the mean centre of brains: the largest head plus a margin.
HALF_SIZE_MM = (85.0, 105.0, 85.0)
ROUNDS = 3
MARGIN_VOXELS = 20
MIRRORED = np.diag([-1.0, 1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Head:
    """One head of the atlas: its region codes and brain mask on its own grid."""

    name: str
    regions: Volume
    brain: Volume


def load_head(path: Path) -> Head:
    """Read a label map and derive its regions and brain mask."""
    labels = _cropped(read_labels(path))
    brain = labels.with_array(brain_mask(labels).astype(np.uint8), name="brain")
    return Head(path.name, region_map(labels), brain)


def _cropped(labels: Volume) -> Volume:
    """Cut the label map to the brain and 2 cm around it: distance maps cost seconds otherwise."""
    inside = (labels.array > 0) & (labels.array < FIRST_EXTRACEREBRAL_LABEL)
    box = ndimage.find_objects(inside.view(np.uint8))[0]
    crop = tuple(slice(max(0, side.start - MARGIN_VOXELS), side.stop + MARGIN_VOXELS) for side in box)
    affine = labels.ijk_to_ras.copy()
    start = np.array([crop[2].start, crop[1].start, crop[0].start], float)
    affine[:3, 3] = labels.ras_from_ijk(start[None])[0]
    return Volume(np.ascontiguousarray(labels.array[crop]), affine, labels.name, {})


def load_heads(sources: Sequence[Path]) -> list[Head]:
    """Read label maps, given as files or folders of `*.nii.gz`; :class:`InputError` if there is none."""
    paths = sorted(path for source in sources for path in (source.glob("*.nii.gz") if source.is_dir() else [source]))
    if not paths:
        raise InputError(f"There is no *.nii.gz label map in {', '.join(map(str, sources))}.")
    return [load_head(path) for path in paths]


def build(heads: Sequence[Head]) -> Atlas:
    """Average heads into the most probable region per voxel, left and right made symmetric.

    The first template is the mean of the brains after their boxes are aligned; then every brain is fitted
    to the template by the same affine fit that a scan is fitted with, so the blur of the atlas is the error
    of that fit.
    """
    grid = _empty_grid()
    affines = [_box_affine(head.brain) for head in heads]
    for _ in range(ROUNDS):
        template = _mean_brain(heads, affines, grid)
        affines = [fit_affine(head.brain, template) for head in heads]
        affines = _without_drift(affines)
    template = _mean_brain(heads, affines, grid)
    votes = _vote(heads, affines, grid)
    return Atlas(grid.with_array(_winner(votes), name="regions"), template)


def _empty_grid() -> Volume:
    shape = [2 * round(half / STEP_MM) + 1 for half in HALF_SIZE_MM]
    affine = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    affine[:3, 3] = [-(count - 1) / 2 * STEP_MM for count in shape]
    return Volume(np.zeros(shape[::-1], np.uint8), affine, "atlas", {})


def _box_affine(brain: Volume) -> np.ndarray:
    """Shift of the centre of a brain's box (1st to 99th percentile) to the origin."""
    inside = np.argwhere(brain.array > 0)[:, ::-1]
    points = brain.ras_from_ijk(inside[:: max(1, len(inside) // 20000)].astype(float))
    low, high = np.percentile(points, [1, 99], axis=0)
    affine = np.eye(4)
    affine[:3, 3] = -(low + high) / 2
    return affine




def _without_drift(affines: list[np.ndarray]) -> list[np.ndarray]:
    """Take the mean affine out, so that the template keeps the mean size and pose of the heads."""
    mean = np.mean([affine[:3, :3] for affine in affines], axis=0)
    back = np.eye(4)
    back[:3, :3] = np.linalg.inv(mean)
    return [back @ affine for affine in affines]


def _samples(head: Head, affine: np.ndarray, grid: Volume, mirrored: bool) -> np.ndarray:
    """Voxel coordinates (3, N) of the head, k j i, at every voxel of the atlas grid."""
    flip = MIRRORED if mirrored else np.eye(4)
    to_head = np.linalg.inv(head.brain.ijk_to_ras) @ np.linalg.inv(affine) @ flip @ grid.ijk_to_ras
    k, j, i = np.indices(grid.array.shape).reshape(3, -1)
    return (to_head[:3, :3] @ np.stack([i, j, k]) + to_head[:3, 3:])[::-1]


def _mean_brain(heads: Sequence[Head], affines: Sequence[np.ndarray], grid: Volume) -> Volume:
    total = np.zeros(grid.array.size, np.float32)
    for head, affine in zip(heads, affines, strict=True):
        for mirrored in (False, True):
            kji = _samples(head, affine, grid, mirrored)
            total += ndimage.map_coordinates(head.brain.array.astype(np.float32), kji, order=1)
    return grid.with_array((total / (2 * len(heads))).reshape(grid.array.shape), name="brain")


def _mirror_codes() -> np.ndarray:
    """Table that swaps left and right in region codes."""
    table = np.arange(256, dtype=np.uint8)
    for structure in ANATOMY[1:]:
        left, right = region_code(structure, "left"), region_code(structure, "right")
        table[[left, right]] = right, left
    return table


def _vote(heads: Sequence[Head], affines: Sequence[np.ndarray], grid: Volume) -> np.ndarray:
    """How often each code is seen at each voxel: uint16 [code, voxel]."""
    votes = np.zeros((256, grid.array.size), np.uint16)
    columns = np.arange(grid.array.size)
    table = _mirror_codes()
    for head, affine in zip(heads, affines, strict=True):
        for mirrored in (False, True):
            kji = _samples(head, affine, grid, mirrored)
            codes = ndimage.map_coordinates(head.regions.array, kji, order=0, output=np.uint8)
            votes[table[codes] if mirrored else codes, columns] += 1
    return votes


def _winner(votes: np.ndarray) -> np.ndarray:
    """Most probable code: first the zone, then the region of BOMBS in it, then structure and side.

    Outside and CSF lose to any tissue within reach: a scan's own brain mask decides where brain is.
    """
    zones, regions = _groups()
    present: list[int] = np.flatnonzero(votes.any(axis=1)).tolist()
    smooth = {code: _blurred(votes[code]) for code in present}
    tissue = [code for code in present if zones[code] != "outside"]
    best = _best(smooth, tissue, zones)
    code = np.zeros(votes.shape[1], np.uint8)
    ventricle = sum(smooth[c] for c in present if decode_region(c)[0] == "ventricle")
    total = sum(smooth[c] for c in tissue)
    for zone in set(best):
        inside = best == zone
        members = [c for c in tissue if zones[c] == zone]
        code[inside] = _best_code(smooth, members, regions, inside)
    wet = ventricle > total
    fluid = [c for c in present if decode_region(c)[0] == "ventricle"]
    code[wet] = np.array(fluid, np.uint8)[np.argmax([smooth[c][wet] for c in fluid], axis=0)]
    return code.reshape(_empty_grid().array.shape)


def _groups() -> tuple[dict[int, str], dict[int, str]]:
    bombs = load_taxonomy("bombs")
    zones, regions = {0: "outside"}, {0: "outside"}
    for structure in ANATOMY[1:]:
        site = bombs.site_of(structure)
        for side in SIDES:
            code = region_code(structure, side)
            zones[code], regions[code] = (site.zone, site.id) if site else ("outside", structure)
    return zones, regions


def _blurred(count: np.ndarray) -> np.ndarray:
    """Counts with a trace of their wide surroundings, which decides where no head has tissue."""
    field = count.reshape(_empty_grid().array.shape).astype(np.float32)
    return (field + 1e-2 * ndimage.gaussian_filter(field, 2.0) + 1e-5 * _far(field)).ravel()


def _far(field: np.ndarray) -> np.ndarray:
    if not field.any():
        return np.zeros_like(field)
    distance = ndimage.distance_transform_edt(field == 0)
    return np.exp(-distance / 4.0).astype(np.float32)


def _best(smooth: dict[int, np.ndarray], codes: Sequence[int], group: dict[int, str]) -> np.ndarray:
    names = sorted({group[code] for code in codes})
    sums = [np.sum([smooth[code] for code in codes if group[code] == name], axis=0) for name in names]
    return np.array(names)[np.argmax(sums, axis=0)]


def _best_code(
    smooth: dict[int, np.ndarray], codes: Sequence[int], regions: dict[int, str], inside: np.ndarray
) -> np.ndarray:
    here = {code: smooth[code][inside] for code in codes}
    chosen = _best(here, codes, regions)
    score = np.array([np.where(chosen == regions[code], here[code], -1.0) for code in codes])
    return np.array(codes, np.uint8)[np.argmax(score, axis=0)]


def write(atlas: Atlas, folder: Path, heads: Iterable[str]) -> None:
    """Write `regions.nii.gz`, `brain.nii.gz` (0..255) and `regions.json` with codes and provenance."""
    folder.mkdir(parents=True, exist_ok=True)
    write_volume(atlas.regions, folder / "regions.nii.gz", dtype=np.uint8)
    scaled = atlas.brain.with_array(np.rint(atlas.brain.array * 255).astype(np.uint8))
    write_volume(scaled, folder / "brain.nii.gz", dtype=np.uint8)
    used = sorted({int(code) for code in np.unique(atlas.regions.array)} - {0})
    entries = {str(c): dict(zip(("structure", "side"), decode_region(c), strict=True)) for c in used}
    content = {
        "schema": "cmbnet-atlas",
        "schema_version": "1.0",
        "description": "Most probable region per voxel of heads fitted by the outline of their brains, mirrored.",
        "coordinates": "RAS mm, origin at the mean centre of the brains",
        "encoding": "code = structure index + 64 * (1 left, 2 right, 3 midline); 0 is outside",
        "codes": entries,
        "sources": {"origin": "GitHub BBillot/SynthSeg, data/training_label_maps", "licence": "Apache-2.0"},
        "heads": sorted(heads),
        "built_with": "python -m CMBNetTrainingLib.build_atlas",
    }
    # Last: a folder with this file is complete.
    with atomic_output(folder / "regions.json") as path:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None, say: Callable[[str], None] = print) -> int:
    """Command line: build and write the atlas, and with `--held-out` or `--leave-one-out` measure it."""
    parser = argparse.ArgumentParser(description="Build the zone atlas from FreeSurfer-style label maps.")
    parser.add_argument("label_maps", type=Path, nargs="+", help="label maps, or folders of *.nii.gz")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the atlas")
    parser.add_argument("--held-out", type=Path, nargs="+", default=[], help="label maps to measure the atlas on")
    parser.add_argument("--leave-one-out", action="store_true", help="measure on each head in turn (minutes)")
    arguments = parser.parse_args(argv)
    heads = load_heads(arguments.label_maps)
    atlas = build(heads)
    write(atlas, arguments.output, [head.name for head in heads])
    say(f"Atlas of {len(heads)} heads written to {arguments.output}")
    if arguments.held_out or arguments.leave_one_out:
        from .atlas_accuracy import held_out, leave_one_out

        if arguments.held_out:
            for line in held_out(load_heads(arguments.held_out), atlas):
                say(line)
        if arguments.leave_one_out:
            for line in leave_one_out(heads):
                say(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
