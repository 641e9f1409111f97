"""Whole synthetic scans of heads that training does not see: to validate a model, and to show something."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from CMBNetLib.files import atomic_output
from CMBNetLib.volume import Volume, write_volume
from CMBNetTrainingLib.head import HeadMap, draw_block, read_head_map
from CMBNetTrainingLib.protocol import Protocol, draw_protocol
from CMBNetTrainingLib.synthesis import SyntheticScan, fine_grid, synthesize

FIELD_OF_VIEW_MM = (162.0, 216.0, 176.0)  # k, j, i
# The brain's mean in the files: enough steps for int16 without a scale factor.
STORED_LEVEL = 400.0


@dataclass(frozen=True)
class Plan:
    """What one scan shall be: name, protocol wishes and number of microbleeds drawn (some stay invisible)."""

    name: str
    sequence: str
    slice_spacing_mm: float
    pixel_mm: float
    n_microbleeds: int
    seed: int
    snr: float | None = None


def validation_plans(number: int) -> list[Plan]:
    """Thin SWI, thin T2*, thick T2* and a scan without microbleeds of the head with this number."""
    counts = (4, 9, 16, 24)
    thick = (3.0, 4.0, 5.0, 6.0)[number % 4]
    made = [
        Plan(f"map{number:02d}_swi_thin", "SWI", (1.0, 1.5, 2.0, 1.2)[number % 4], 0.6, counts[number % 4], 1),
        Plan(f"map{number:02d}_t2star_thin", "T2*", (2.0, 1.0, 1.5, 1.0)[number % 4], 0.5, counts[(number + 1) % 4], 2),
        Plan(f"map{number:02d}_t2star_thick", "T2*", thick, 0.5, counts[(number + 2) % 4], 3),
        Plan(f"map{number:02d}_negative", "SWI" if number % 2 else "T2*", (2.0, 5.0, 1.0, 4.0)[number % 4], 0.6, 0, 4),
    ]
    return [replace(plan, seed=100 * number + plan.seed) for plan in made]


SAMPLE = Plan("CMBNetSample", "SWI", 2.0, 0.75, 12, 2026, snr=35.0)


def synthesize_scan(plan: Plan, head: HeadMap) -> SyntheticScan:
    """The scan of a plan; the same plan and head give the same scan."""
    rng = np.random.default_rng([plan.seed, 77])
    protocol = _protocol(rng, plan)
    shape, spacing, per_slice = fine_grid(FIELD_OF_VIEW_MM, protocol)
    block = draw_block(rng, shape, spacing, head.brain_center + rng.normal(0, 2, 3), protocol.slice_rotation)
    return synthesize(rng, head, block, protocol, per_slice, plan.n_microbleeds)


def _protocol(rng: np.random.Generator, plan: Plan) -> Protocol:
    protocol = draw_protocol(
        rng, pixel_mm=plan.pixel_mm, slice_spacing_mm=plan.slice_spacing_mm, sequence=plan.sequence
    )
    return replace(protocol, snr=plan.snr or protocol.snr)


def as_volumes(scan: SyntheticScan) -> tuple[Volume, Volume]:
    """Image (int16) and visible microbleeds (uint16, one value each), round the scanner's origin, slices tilted."""
    matrix = centred_matrix(scan.image.shape, scan.spacing_mm, scan.protocol)
    image = np.clip(np.rint(scan.image * STORED_LEVEL), 0, 32767).astype(np.int16)
    return Volume(image, matrix, "scan"), Volume(scan.instances, matrix, "truth")


def centred_matrix(shape: Sequence[int], spacing_mm: Sequence[float], protocol: Protocol) -> np.ndarray:
    """ijk_to_ras of a grid round the origin, tilted as slices are: ``shape`` (k, j, i), ``spacing_mm`` (i, j, k)."""
    matrix = np.eye(4)
    # From array axes (k, j, i) = (S, A, R) to (i, j, k) and RAS: both orders reversed.
    matrix[:3, :3] = protocol.slice_rotation[::-1, ::-1] * np.asarray(spacing_mm)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return matrix


def save_scan(scan: SyntheticScan, name: str, folder: Path) -> None:
    """Write ``<name>_scan.nii.gz``, ``<name>_truth.nii.gz`` and ``<name>.json`` (protocol, every lesion in RAS mm)."""
    image, truth = as_volumes(scan)
    write_volume(image, folder / f"{name}_scan.nii.gz")
    write_volume(truth, folder / f"{name}_truth.nii.gz")
    lesions = []
    for lesion in scan.lesions:
        ras = image.ras_from_ijk(np.array(lesion.center_kji[::-1])[None])[0]
        lesions.append({**asdict(lesion), "center_ras": [round(float(v), 2) for v in ras]})
    with atomic_output(folder / f"{name}.json") as path:
        path.write_text(json.dumps({"protocol": asdict(scan.protocol), "lesions": lesions}, indent=1))


def make_scans(label_maps: Sequence[Path], folder: Path) -> None:
    """The validation scans of all ``label_maps``, whose names end in their number; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in label_maps:
        head = read_head_map(path)
        for plan in validation_plans(int(head.name.rsplit("_", 1)[-1])):
            if not (folder / f"{plan.name}.json").exists():
                save_scan(synthesize_scan(plan, head), plan.name, folder)
                print(plan.name, flush=True)


def make_sample(label_map: Path, folder: Path) -> None:
    """The sample scan of the extension: ``CMBNetSample_swi.nii.gz`` and ``CMBNetSample_truth.nii.gz``."""
    image, truth = as_volumes(synthesize_scan(SAMPLE, read_head_map(label_map)))
    write_volume(image, folder / f"{SAMPLE.name}_swi.nii.gz")
    write_volume(truth, folder / f"{SAMPLE.name}_truth.nii.gz")


def main() -> None:
    """Command line: `python -m CMBNetTrainingLib.whole_scans LABEL_MAP... -o FOLDER [--sample]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_maps", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--sample", action="store_true", help="only the sample scan, of the first label map")
    args = parser.parse_args()
    if args.sample:
        make_sample(args.label_maps[0], args.output)
    else:
        make_scans(args.label_maps, args.output)


if __name__ == "__main__":
    main()
