"""A pool of synthetic blocks on disk, made once and read many times while a network trains."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from CMBNetLib.files import atomic_output
from CMBNetTrainingLib.head import HeadMap, draw_block, read_head_map
from CMBNetTrainingLib.protocol import draw_protocol
from CMBNetTrainingLib.synthesis import SyntheticScan, fine_grid, synthesize

BLOCK_MM = (80.0, 80.0, 80.0)
MICROBLEEDS_PER_BLOCK = 9


def synthesize_block(seed: int, head: HeadMap) -> SyntheticScan:
    """Block number `seed`: a random place, protocol and set of lesions in one head."""
    rng = np.random.default_rng([seed, 20_261_123])
    protocol = draw_protocol(rng)
    shape, spacing, per_slice = fine_grid(BLOCK_MM, protocol)
    low, high = head.brain_box
    center = rng.uniform(low + 12, high - 12)
    block = draw_block(rng, shape, spacing, center, protocol.slice_rotation)
    return synthesize(rng, head, block, protocol, per_slice, int(rng.poisson(MICROBLEEDS_PER_BLOCK)))


def save_block(scan: SyntheticScan, path: Path) -> None:
    """Write image (float16), class map and brain (uint8) and the protocol (JSON text) to one .npz file."""
    with atomic_output(path) as temporary:
        np.savez_compressed(
            temporary,
            image=scan.image.astype(np.float16),
            classes=scan.classes,
            brain=scan.brain.astype(np.uint8),
            spacing_mm=np.array(scan.spacing_mm),
            protocol=json.dumps(asdict(scan.protocol)),
        )


# Reading a map costs more than a block; a worker comes back to each map many times.
_head = lru_cache(maxsize=16)(read_head_map)


def _make(job: tuple[int, str, str]) -> str:
    seed, label_map, target = job
    if not Path(target).exists():
        save_block(synthesize_block(seed, _head(Path(label_map))), Path(target))
    return target


def make_pool(label_maps: Sequence[Path], folder: Path, count: int, workers: int = 2) -> None:
    """Fill `folder` with blocks 0..count-1; those that are there are kept, so a broken run goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(n, str(label_maps[n % len(label_maps)]), str(folder / f"block_{n:05d}.npz")) for n in range(count)]
    with ProcessPoolExecutor(workers) as pool:
        for done, path in enumerate(pool.map(_make, jobs), 1):
            print(f"{done}/{count} {path}", flush=True)


def main() -> None:
    """Command line: `python -m CMBNetTrainingLib.pool LABEL_MAP... -o FOLDER --count N`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_maps", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=320)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    make_pool(args.label_maps, args.output, args.count, args.workers)


if __name__ == "__main__":
    main()
