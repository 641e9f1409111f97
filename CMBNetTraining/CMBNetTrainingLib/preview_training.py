"""Train the preview network on a pool of synthetic blocks: one process, a time budget, resume after a kill.

The full trainer (phases, lesion-level validation, several devices) is a later part of the project.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from scipy import ndimage

from CMBNetLib.files import atomic_output
from CMBNetLib.network import AnisotropicUNet, NetworkSpec
from CMBNetLib.preparation import normalise
from CMBNetTrainingLib.truth import IGNORE, MICROBLEED, MIMIC

CLASS_WEIGHTS = (1.0, 6.0, 2.0)
EMA_DECAY = 0.995
CROP_PIXELS = 80


@dataclass
class Block:
    """One pool block in memory: normalised image (float16), classes (uint8), lesion and mimic voxels to centre on."""

    image: np.ndarray
    classes: np.ndarray
    slice_mm: float
    centers: dict[str, np.ndarray]


def load_block(path: Path) -> Block | None:
    """Read a pool file; None when it holds too little brain to be of use."""
    with np.load(path) as data:
        image, classes, brain = data["image"].astype(np.float32), data["classes"].copy(), data["brain"] > 0
        slice_mm = float(data["spacing_mm"][2])
    if brain.mean() < 0.03:
        return None
    reach = np.ones((3, 7, 7), bool)
    classes[~ndimage.binary_dilation(brain, reach)] = IGNORE
    centers = {"lesion": np.argwhere(classes == MICROBLEED)}
    for name, mask in (("mimic", classes == MIMIC), ("brain", brain)):
        where = np.argwhere(mask)
        centers[name] = where[:: max(1, len(where) // 4000)]
    return Block(normalise(image, brain).astype(np.float16), classes, slice_mm, centers)


@dataclass
class Pool:
    """The blocks read so far, grouped by pooling plan; rescans its folder, which may still be growing."""

    folder: Path
    network: AnisotropicUNet
    groups: dict[str, list[Block]] = field(default_factory=lambda: defaultdict(list))
    seen: set[str] = field(default_factory=set)

    def refresh(self) -> int:
        for path in sorted(self.folder.glob("block_*.npz")):
            if path.name not in self.seen:
                self.seen.add(path.name)
                block = load_block(path)
                if block is not None:
                    self.groups[str(self.network.plan(block.slice_mm))].append(block)
        return len(self.seen)


def draw_batch(rng: np.random.Generator, pool: Pool, size: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Crops (b, 1, k, j, i) and classes (b, k, j, i) that share a pooling plan, and their mean slice spacing."""
    names = sorted(pool.groups)
    sizes = np.array([len(pool.groups[n]) for n in names], float)
    group = pool.groups[names[rng.choice(len(names), p=sizes / sizes.sum())]]
    blocks = [group[i] for i in rng.integers(0, len(group), size)]
    depth = min(round(28 / blocks[0].slice_mm) if blocks[0].slice_mm < 1.9 else 12, *(b.image.shape[0] for b in blocks))
    crops = [augment(rng, *crop(rng, block, depth)) for block in blocks]
    images = torch.from_numpy(np.stack([c[0] for c in crops]))[:, None]
    classes = torch.from_numpy(np.stack([c[1] for c in crops]).astype(np.int64))
    return images, classes, float(np.mean([b.slice_mm for b in blocks]))


def crop(rng: np.random.Generator, block: Block, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """A window round a lesion (60 %), a mimic (20 %) or any brain voxel, shifted by up to half its size."""
    draw = rng.random()
    kind = "lesion" if draw < 0.6 else "mimic" if draw < 0.8 else "brain"
    points = block.centers[kind] if len(block.centers[kind]) else block.centers["brain"]
    size = np.array([depth, CROP_PIXELS, CROP_PIXELS])
    center = points[rng.integers(len(points))] + rng.uniform(-0.45, 0.45, 3) * size
    start = np.clip(np.rint(center - size / 2).astype(int), 0, np.array(block.image.shape) - size)
    box = tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))
    return block.image[box].astype(np.float32), block.classes[box]


def augment(rng: np.random.Generator, image: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flips, in-plane transposition, gain and gamma of the magnitude, blur and noise now and then."""
    for axis in range(3):
        if rng.random() < 0.5:
            image, classes = np.flip(image, axis), np.flip(classes, axis)
    if rng.random() < 0.5:
        image, classes = image.swapaxes(1, 2), classes.swapaxes(1, 2)
    magnitude = np.maximum(image / 2 + 1, 0)  # undo the normalisation: 1 is the brain's median
    magnitude = rng.uniform(0.85, 1.15) * magnitude ** rng.uniform(0.75, 1.3)
    if rng.random() < 0.15:
        magnitude = ndimage.gaussian_filter(magnitude, (0, *[rng.uniform(0.3, 0.9)] * 2))
    if rng.random() < 0.25:
        magnitude = np.abs(magnitude + rng.normal(0, rng.uniform(0.01, 0.06), image.shape))
    out = np.clip(2 * (magnitude - 1), -2, 3)
    return np.ascontiguousarray(out, dtype=np.float32), np.ascontiguousarray(classes)


def loss_of(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy plus soft Dice of the microbleed class over the batch; ignored voxels count nowhere."""
    entropy = F.cross_entropy(logits, classes, torch.tensor(CLASS_WEIGHTS), ignore_index=IGNORE)
    valid = (classes != IGNORE).float()
    probability = logits.softmax(1)[:, MICROBLEED] * valid
    truth = (classes == MICROBLEED).float()
    dice = (2 * (probability * truth).sum() + 20) / (probability.sum() + truth.sum() + 20)
    return entropy + 1 - dice


class Run:
    """A training run in a folder: weights, their moving average, optimiser state and a log that survive a kill."""

    def __init__(self, folder: Path, spec: NetworkSpec, minutes: float):
        self.folder, self.minutes = folder, minutes
        self.network = AnisotropicUNet(spec)
        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average = AnisotropicUNet(spec)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=2.5e-3, weight_decay=1e-4)
        self.step, self.elapsed_s = 0, 0.0
        self.average.load_state_dict(self.network.state_dict())

    def tensors(self) -> dict[str, torch.Tensor]:
        out = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        out |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            out |= {f"optimiser.{index}.{k}": v for k, v in state.items()}
        return {k: v.contiguous() for k, v in out.items()}

    def save(self) -> None:
        with atomic_output(self.folder / "last.safetensors") as path:
            save_file(self.tensors(), path, metadata={"step": str(self.step), "elapsed_s": str(self.elapsed_s)})
        with atomic_output(self.folder / "progress.json") as path:
            path.write_text(json.dumps({"step": self.step, "elapsed_s": self.elapsed_s}))

    def resume(self) -> None:
        checkpoint = self.folder / "last.safetensors"
        if not checkpoint.exists():
            return
        tensors = load_file(checkpoint)
        for name, module in (("network", self.network), ("average", self.average)):
            module.load_state_dict(
                {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            )
        state: dict[int, dict[str, torch.Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, index, slot = key.split(".")
                state[int(index)][slot] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": dict(state)})
        saved = json.loads((self.folder / "progress.json").read_text())
        self.step, self.elapsed_s = saved["step"], saved["elapsed_s"]

    def learning_rate(self) -> float:
        done = min(self.elapsed_s / (60 * self.minutes), 1.0)
        warm_up = min(1.0, (self.step + 1) / 100)
        return 2.5e-3 * warm_up * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-5

    def learn(self, images: torch.Tensor, classes: torch.Tensor, slice_mm: float) -> float:
        started = time.process_time()
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.network.train()
        loss = loss_of(self.network(images.contiguous(memory_format=torch.channels_last_3d), slice_mm), classes)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self._update_average()
        self.step += 1
        # Processor time over threads: the minutes this takes on a machine that does nothing else.
        self.elapsed_s += (time.process_time() - started) / torch.get_num_threads()
        return float(loss)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def train(pool_folder: Path, run_folder: Path, minutes: float, *, batch: int = 4, threads: int = 2) -> None:
    """Train for `minutes` of learning time in all, over as many calls as it takes."""
    torch.set_num_threads(threads)
    torch.manual_seed(20_261_123)
    run_folder.mkdir(parents=True, exist_ok=True)
    run = Run(run_folder, NetworkSpec(), minutes)
    run.resume()
    pool = Pool(pool_folder, run.network)
    losses: list[float] = []
    while run.elapsed_s < 60 * minutes:
        if run.step % 50 == 0 or not pool.groups:
            pool.refresh()
        rng = np.random.default_rng([run.step, 7])
        losses.append(run.learn(*draw_batch(rng, pool, batch)))
        if run.step % 50 == 0:
            _log(run, float(np.mean(losses)), len(pool.seen))
            losses = []
            run.save()
    run.save()


def _log(run: Run, loss: float, blocks: int) -> None:
    row = [run.step, round(run.elapsed_s, 1), round(loss, 5), f"{run.learning_rate():.2e}", blocks]
    print(*row, flush=True)
    with (run.folder / "log.csv").open("a", newline="") as stream:
        csv.writer(stream).writerow(row)


def main() -> None:
    """Command line: `python -m CMBNetTrainingLib.preview_training POOL RUN --minutes 45`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    train(args.pool, args.run, args.minutes, batch=args.batch)


if __name__ == "__main__":
    main()
