"""End-to-end time and memory of `cmbnet detect`, and its network stage beside MONAI's sliding window.

    python Testing/Benchmarks/detect_speed.py [--write]

The scan is the sample scan put on 512 x 512 x 150 voxels of 0.45 x 0.45 x 1 mm. The peer runs the same weights by
`monai.inferers.sliding_window_inference` (96-cubed windows, overlap 0.25, its defaults, float32) over the whole scan on
the working grid; candidates come from the same code. Both use two threads. `--write` puts the figures into
Docs/benchmarks.md. Needs the extra `training`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from benchmark_document import print_or_write
from monai.inferers import sliding_window_inference

from CMBNetLib.anatomy import Anatomy, find_anatomy
from CMBNetLib.anatomy_bundle import anatomy_network
from CMBNetLib.bundle import Bundle, find_bundle
from CMBNetLib.candidates import find_candidates
from CMBNetLib.evidence import fluid_of, regraded
from CMBNetLib.grid import Grid
from CMBNetLib.inference import AS_IT_IS, infer
from CMBNetLib.places import places_of, prepare_with
from CMBNetLib.preparation import Prepared, normalise, slices_first, working_grid
from CMBNetLib.progress import Progress
from CMBNetLib.resources import resource_path
from CMBNetLib.volume import Volume, read_volume, resample_to, write_volume

SHAPE, SPACING = (512, 512, 150), (0.45, 0.45, 1.0)
THREADS = 2
WINDOW, OVERLAP = (96, 96, 96), 0.25
MATCH_MM = 1.0


def large_scan() -> Volume:
    """The sample scan on the grid of the bar, with fresh noise, because interpolation smooths the old one."""
    sample = read_volume(resource_path("SampleData") / "CMBNetSample_swi.nii.gz")
    matrix = np.diag([*SPACING, 1.0])
    middle = sample.ras_from_ijk((np.asarray(sample.shape_ijk) - 1)[None] / 2)[0]
    matrix[:3, 3] = middle - np.asarray(SPACING) * (np.asarray(SHAPE) - 1) / 2
    placed = resample_to(sample, Grid(SHAPE, matrix))
    noise = np.random.default_rng(0).normal(0, 8, placed.array.shape)
    return placed.with_array(np.clip(placed.array + noise, 0, 32767).astype(np.int16), name="large")


def run_program(scan: Path, output: Path) -> tuple[float, float, dict]:
    """Seconds, peak resident GB and detection document of the program in a process of its own."""
    command = [sys.executable, "-m", "CMBNetLib", "detect", str(scan), "-o", str(output), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "PYTHONPATH": os.pathsep.join(sys.path)}
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"cmbnet detect ended with {os.waitstatus_to_exitcode(status)}")
    (document,) = output.glob("*_detection.json")
    return seconds, usage.ru_maxrss * 1024 / 1e9, json.loads(document.read_text())


def run_ours(bundle: Bundle, prepared: Prepared) -> tuple[float, np.ndarray, str]:
    """Seconds, probability of microbleed by our windows, and the precision that suits the CPU."""
    network = bundle.load_network(prepared.slice_mm)
    started = time.monotonic()
    classes, execution = infer(network, prepared, "cpu", Progress(), views=AS_IT_IS)
    return time.monotonic() - started, classes[0], execution.precision


def both(prepared: Prepared) -> torch.Tensor:
    """Image and places as two channels."""
    return torch.from_numpy(np.stack([prepared.image.array, prepared.places.astype(np.float32)]))[None]


def run_undivided(bundle: Bundle, prepared: Prepared) -> np.ndarray:
    """Probability of microbleed by the network over all of the brain at once: what windows should give as well."""
    with torch.inference_mode():
        seen = both(prepared)
        network = bundle.load_network(prepared.slice_mm)
        return network(seen[:, :1], prepared.slice_mm, seen[:, 1]).softmax(1)[0, 1].numpy()


def run_peer(bundle: Bundle, whole: Prepared) -> tuple[float, np.ndarray]:
    """Seconds and probability of microbleed by the sliding window over everything."""
    network = bundle.load_network(whole.slice_mm)
    started = time.monotonic()
    with torch.inference_mode():
        logits = sliding_window_inference(
            both(whole), WINDOW, 1, lambda seen: network(seen[:, :1], whole.slice_mm, seen[:, 1]), overlap=OVERLAP
        )
        probability = logits.softmax(1)[0, 1].numpy()
    return time.monotonic() - started, probability


def whole_scan(scan: Volume, anatomy: Anatomy, bundle: Bundle) -> Prepared:
    """Everything in the field of view on the working grid, with the intensities that the brain gives."""
    turned = slices_first(scan)
    everything = turned.with_array(np.ones(turned.array.shape, np.uint8))
    image = resample_to(turned, working_grid(turned, everything, bundle.pixel_mm, bundle.thinnest_slice_mm))
    mask = resample_to(anatomy.brain, image.grid, interpolation="nearest").array > 0
    return Prepared(image.with_array(normalise(image.array, mask)), mask, places_of(anatomy.tissue, image.grid))


def microbleeds(prepared: Prepared, probability: np.ndarray, bundle: Bundle, fluid: Volume) -> np.ndarray:
    """(n, 3) RAS centres at `balanced`."""
    floor = bundle.floor_threshold
    found = find_candidates(prepared.image.with_array(probability), prepared.brain, floor)
    found = regraded(found, prepared.image, fluid, bundle.evidence, floor)
    centers = []
    for number, score in enumerate(found.scores, 1):
        if score >= bundle.threshold("balanced"):
            where = np.argwhere(found.labels.array == number).mean(0)[::-1]
            centers.append(found.labels.ras_from_ijk(where[None])[0])
    return np.array(centers).reshape(-1, 3)


def agreement(a: np.ndarray, b: np.ndarray) -> int:
    """How many of ``a`` have one of ``b`` within `MATCH_MM`."""
    return int(sum(len(b) > 0 and np.linalg.norm(b - x, axis=1).min() <= MATCH_MM for x in a))


def measure() -> str:
    """Run everything once and describe it."""
    torch.set_num_threads(THREADS)
    bundle, scan = find_bundle(), large_scan()
    with tempfile.TemporaryDirectory() as folder:
        path = write_volume(scan, Path(folder) / "large.nii.gz")
        end_to_end, memory, document = run_program(path, Path(folder) / "out")
    anatomy = find_anatomy(scan, anatomy_network())
    fluid = fluid_of(anatomy)
    part = prepare_with(scan, anatomy, pixel_mm=bundle.pixel_mm, thinnest_slice_mm=bundle.thinnest_slice_mm)
    ours_s, ours, precision = run_ours(bundle, part)
    whole = whole_scan(scan, anatomy, bundle)
    peer_s, peer = run_peer(bundle, whole)
    a, b = microbleeds(part, ours, bundle, fluid), microbleeds(whole, peer, bundle, fluid)
    undivided = microbleeds(part, run_undivided(bundle, part), bundle, fluid)
    stages = ", ".join(f"{name} {seconds:.0f}" for name, seconds in document["timings_s"].items())
    return "\n".join(
        [
            "## Detection: time and memory",
            "",
            "`python Testing/Benchmarks/detect_speed.py` on the simulated sample scan put on 512 x 512 x 150 voxels of "
            f"0.45 x 0.45 x 1 mm; {THREADS} threads, no GPU.",
            "",
            "| | |",
            "|---|---|",
            f"| `cmbnet detect`, whole process | {end_to_end:.0f} s (stages: {stages}), {memory:.1f} GB resident |",
            f"| network, ours, one of the four views that detection takes | {ours_s:.1f} s |",
            f"| network, MONAI `sliding_window_inference`, float32, whole volume | {peer_s:.1f} s |",
            f"| **ratio** | **{peer_s / ours_s:.1f}** |",
            f"| microbleeds of ours that the peer finds too (within {MATCH_MM:g} mm) | {agreement(a, b)} of {len(a)} |",
            f"| microbleeds of the peer that ours finds too | {agreement(b, a)} of {len(b)} |",
            f"| of {len(undivided)} microbleeds of the network over the whole brain at once (no windows), ours finds | "
            f"{agreement(undivided, a)} |",
            f"| and the peer finds | {agreement(undivided, b)} |",
            "",
            f"Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}. "
            f"Ours ran in {precision}, the peer in float32.",
        ]
    )


if __name__ == "__main__":
    print_or_write("detection", measure, __doc__)
