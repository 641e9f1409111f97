"""A collection of simulated scans with their truth: images, labels, class maps, brains, tables, manifest."""

from __future__ import annotations

import json
import math
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from CMBNetLib.errors import InputError
from CMBNetLib.progress import Progress
from CMBNetLib.volume import Volume, write_volume
from CMBNetLib.wording import number_of

from .collection import BRAINS, IMAGES, LABELS, PLACE_MAPS, write_json, write_text
from .collection_splits import TRAIN, VALIDATION
from .collection_tables import MANIFEST, csv_text
from .head import HeadMap, draw_block, read_head_map
from .protocol import Protocol, draw_protocol
from .source_scan import NEGATIVE, SYNTHETIC
from .sources import MICROBLEED_KIND
from .synthesis import SyntheticScan, fine_grid, synthesize
from .tissue import places_in
from .training_config import SynthesisConfig, plain
from .training_manifest import CLASS_MAPS, DECOYS, TRUTH
from .whole_scans import FIELD_OF_VIEW_MM, as_volumes

# Share of the scans that do not cover the whole head, and the height of their stack of slices.
PARTIAL_SHARE, PARTIAL_HEIGHT_MM = 0.15, (85.0, 130.0)
# The middle of a block lies this deep in the box that holds the brain, so that it has brain enough.
BLOCK_MARGIN_MM = 12.0
# The field is computed with periodic borders, so what lies at one end of the grid reaches into the other: so much is
# simulated beyond what is kept, in a whole head along the slices only (air is all round it).
BORDER_MM = 6.0
DECOY_COLUMNS = ("id", "mimic", "x", "y", "z")
TRUTH_COLUMNS = ("scan_id", "id", "kind", "x", "y", "z", "diameter_mm", "loss", "visible", "zone", "region")


# Reading a map costs more than simulating a block of it.
_head = lru_cache(maxsize=2)(read_head_map)


@dataclass(frozen=True)
class Task:
    """One scan to simulate, as it is sent to a worker."""

    scan_id: str
    label_map: str
    split: str
    slice_mm: float
    microbleeds: int
    seed: tuple[int, int, int]
    fine_mm: float
    pixel_mm: float
    block_mm: float


def make_collection(
    folder: Path, plan: SynthesisConfig, seed: int, progress: Progress, workers: int = 0, device: str = "cpu"
) -> list[dict[str, Any]]:
    """Simulate what is not there yet of a plan; returns the rows of the manifest.

    Raises
    ------
    InputError
        A label map is missing or cannot be read, or the folder holds another collection.
    """
    tasks = tasks_of(plan, seed)
    _check_same(folder / "plan.json", {**plain(plan), "seed": seed})
    todo = [task for task in tasks if not _truth_path(folder, task.scan_id).is_file()]
    for done, scan_id in enumerate(_made(folder, todo, workers, device), 1):
        progress.check_cancelled()
        progress.stage("synthesize", f"Simulated {scan_id} ({done} of {len(todo)})")
        progress.advance(0.0 if not todo else 0.1 * done / len(todo))
    rows = [_manifest_row(task, json.loads(_truth_path(folder, task.scan_id).read_text())) for task in tasks]
    write_text(folder / "manifest.csv", csv_text(MANIFEST, rows))
    return rows


def tasks_of(plan: SynthesisConfig, seed: int) -> list[Task]:
    """The scans of a plan; the same plan and seed give the same ones."""
    maps = plan.label_maps
    lost = [path for path in maps if not Path(path).is_file()]
    if lost:
        raise InputError(
            f"{number_of(len(lost), 'label map')} cannot be found: {', '.join(lost[:3])}. Check the paths."
        )
    if not 0 <= plan.validation_maps <= len(maps):
        given = number_of(len(maps), "label map")
        raise InputError(
            f"{given} cannot give {plan.validation_maps} for validation: give more maps, or ask for fewer."
        )
    tasks: list[Task] = []
    for number, path in enumerate(maps):
        held_out = number >= len(maps) - plan.validation_maps
        count = (plan.validation_scans_per_map if held_out else 0) or plan.scans_per_map
        tasks += [_task(plan, seed, path, len(tasks) + scan, scan, held_out) for scan in range(count)]
    return tasks


def _task(plan: SynthesisConfig, seed: int, path: str, index: int, scan: int, held_out: bool) -> Task:
    rng = np.random.default_rng([seed, index])
    return Task(
        scan_id=f"{Path(path).name.split('.')[0]}_{scan:02d}",
        label_map=path,
        split=VALIDATION if held_out else TRAIN,
        slice_mm=plan.slice_mm[index % len(plan.slice_mm)],
        microbleeds=0 if index % 5 == 4 else max(1, int(rng.poisson(plan.microbleeds))),
        seed=(seed, index, 7),
        fine_mm=plan.fine_mm,
        pixel_mm=plan.pixel_mm,
        block_mm=0.0 if held_out else plan.block_mm,
    )


def simulate(task: Task, device: str = "cpu") -> SyntheticScan:
    """The scan of a task; the same on the same device."""
    rng = np.random.default_rng(task.seed)
    head = _head(Path(task.label_map))
    protocol = _protocol(rng, task)
    extent_mm, center = _part_of(rng, head, task.block_mm)
    slices = math.ceil(BORDER_MM / protocol.slice_spacing_mm)
    pixels = math.ceil(BORDER_MM / protocol.pixel_mm) if task.block_mm else 0
    height, depth, width = extent_mm
    height += 2 * slices * protocol.slice_spacing_mm
    depth, width = (size + 2 * pixels * protocol.pixel_mm for size in (depth, width))
    shape, spacing, per_slice = fine_grid((height, depth, width), protocol, task.fine_mm)
    block = draw_block(rng, shape, spacing, center, protocol.slice_rotation)
    made = synthesize(rng, head, block, protocol, per_slice, task.microbleeds, device=device)
    return made.without_border((slices, pixels, pixels))


def _part_of(rng: np.random.Generator, head: HeadMap, block_mm: float) -> tuple[tuple[float, float, float], np.ndarray]:
    """What of a head is scanned: extent and centre in mm, (k, j, i)."""
    if block_mm:
        low, high = head.brain_box
        return (block_mm, block_mm, block_mm), rng.uniform(low + BLOCK_MARGIN_MM, high - BLOCK_MARGIN_MM)
    height_mm, shift_mm = _coverage(rng)
    return (height_mm, *FIELD_OF_VIEW_MM[1:]), head.brain_center + rng.normal(0, 2, 3) + [shift_mm, 0, 0]


def _coverage(rng: np.random.Generator) -> tuple[float, float]:
    """Height of the stack of slices and shift of its middle (mm); some do not hold the whole brain."""
    if rng.random() >= PARTIAL_SHARE:
        return FIELD_OF_VIEW_MM[0], 0.0
    height = float(rng.uniform(*PARTIAL_HEIGHT_MM))
    free = (FIELD_OF_VIEW_MM[0] - height) / 2
    return height, float(rng.uniform(-free, free))


def write_scan(folder: Path, scan_id: str, scan: SyntheticScan, *, with_brain: bool = True) -> None:
    """Write one scan; its truth last, which says that the scan is complete."""
    image, labels = as_volumes(scan)
    write_volume(image, folder / IMAGES / f"{scan_id}.nii.gz")
    write_volume(labels, folder / LABELS / f"{scan_id}.nii.gz")
    maps = {CLASS_MAPS: scan.classes, DECOYS: scan.decoy_instances}
    if with_brain:
        maps[BRAINS], maps[PLACE_MAPS] = scan.brain.astype(np.uint8), places_in(scan.labels)
    for name, array in maps.items():
        write_volume(image.with_array(array), folder / name / f"{scan_id}.nii.gz")
    rows = truth_rows(scan_id, scan, image)
    write_text(folder / TRUTH / f"{scan_id}.csv", csv_text(TRUTH_COLUMNS, rows))
    decoys = [{**row, "mimic": row["kind"]} for row in rows if row["kind"] != MICROBLEED_KIND and row["visible"]]
    write_text(folder / DECOYS / f"{scan_id}.csv", csv_text(DECOY_COLUMNS, decoys))
    write_json(_truth_path(folder, scan_id), {"protocol": asdict(scan.protocol), "objects": rows})


def truth_rows(scan_id: str, scan: SyntheticScan, image: Volume) -> list[dict[str, Any]]:
    """One row for each microbleed and decoy: place in RAS mm, visible diameter, peak loss, zone and region."""
    rows = []
    for lesion in (*scan.lesions, *scan.decoys):
        x, y, z = image.ras_from_ijk(np.array(lesion.center_kji[::-1])[None])[0]
        place = {"x": round(float(x), 2), "y": round(float(y), 2), "z": round(float(z), 2)}
        size = {"diameter_mm": round(lesion.diameter_mm, 2), "loss": round(lesion.loss, 3)}
        known = {"scan_id": scan_id, "id": lesion.id, "kind": lesion.kind, "zone": lesion.zone, "region": lesion.region}
        rows.append({**known, **place, **size, "visible": int(lesion.visible)})
    return rows


def _protocol(rng: np.random.Generator, task: Task) -> Protocol:
    return draw_protocol(rng, pixel_mm=task.pixel_mm, slice_spacing_mm=task.slice_mm, fine_mm=task.fine_mm)


def _make(job: tuple[Path, Task, str]) -> str:
    folder, task, device = job
    # A validation scan comes without its brain mask: it is prepared as a user's scan is, by what finds the brain there.
    write_scan(folder, task.scan_id, simulate(task, device), with_brain=task.split == TRAIN)
    return task.scan_id


def _made(folder: Path, tasks: Sequence[Task], workers: int, device: str) -> Iterator[str]:
    jobs = [(folder, task, device) for task in tasks]
    if workers < 2:
        yield from map(_make, jobs)
        return
    # A forked child of a process that has used torch may hang.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_make, jobs)


def _truth_path(folder: Path, scan_id: str) -> Path:
    return folder / TRUTH / f"{scan_id}.json"


def _check_same(path: Path, own: Mapping[str, Any]) -> None:
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != own:
        raise InputError(f"{path.parent} holds a collection of another plan; choose another folder.")
    write_json(path, own)


def _manifest_row(task: Task, truth: Mapping[str, Any]) -> dict[str, Any]:
    protocol = truth["protocol"]
    return {
        "scan_id": task.scan_id,
        "subject_id": Path(task.label_map).name.split(".")[0],
        "image": f"{IMAGES}/{task.scan_id}.nii.gz",
        "label": f"{LABELS}/{task.scan_id}.nii.gz",
        "dataset": "synthetic",
        "sequence": protocol["sequence"],
        "field_strength_t": protocol["field_t"],
        "echo_time_ms": round(protocol["echo_time_ms"], 2),
        "role": SYNTHETIC if task.microbleeds else NEGATIVE,
        "split": task.split,
        "n_microbleeds": sum(entry["kind"] == "microbleed" and entry["visible"] for entry in truth["objects"]),
    }
