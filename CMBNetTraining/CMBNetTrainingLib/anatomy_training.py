r"""Train the anatomy network on samples made of label maps: one process and a helper, a time budget, resume.

python -m CMBNetTrainingLib.anatomy_training LABEL_MAP... -o RUN --validation LABEL_MAP... --minutes 80 \
    --bundle Resources/Models/cmbnet-anatomy --license LICENSE --docs Docs

With --init another run's weights go on, made wider where that run's network is narrower: a narrow one learns most of it
in less time.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from CMBNetLib.anatomy_tissues import OUTER_CSF, TISSUES
from CMBNetLib.errors import InputError
from CMBNetLib.files import atomic_output
from CMBNetLib.network_anatomy import AnatomySpec, AnatomyUNet
from CMBNetTrainingLib.anatomy_heads import CodedHead, read_coded_heads
from CMBNetTrainingLib.anatomy_loss import JUDGED, anatomy_loss
from CMBNetTrainingLib.anatomy_samples import UNKNOWN_SIDE, Sample, draw_sample
from CMBNetTrainingLib.network_widening import widened_anatomy

LAST = "last.safetensors"
EMA_DECAY = 0.998
COLUMNS = ("step", "elapsed_s", "loss", "learning_rate", "brain_dice", "mean_tissue_dice", "side_right")
VALIDATION_SAMPLES = 16
STEPS_APART = 8
# A step that takes longer was held up (the process was stopped): that is no training time.
LONGEST_STEP_S = 20.0
Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class AnatomyTraining:
    """Settings of a run. Minutes are wall time over all calls; a batch is one patch.

    ``bfloat16`` halves the time of a step on CPUs that multiply it in hardware. ``init`` is the folder of a run with as
    many levels and none wider.
    """

    minutes: float = 80.0
    bfloat16: bool = False
    learning_rate: float = 1.5e-3
    filters: tuple[int, ...] = AnatomySpec().filters
    init: str = ""
    weight_decay: float = 1e-4
    warm_up: int = 150
    log_every: int = 50
    validate_every: int = 500
    seed: int = 20_261_124


class Samples(torch.utils.data.IterableDataset):  # type: ignore[type-arg]
    """Endless samples; the n-th is the same in every run with the same seed."""

    def __init__(self, heads: Sequence[CodedHead], seed: int, first: int) -> None:
        self.heads, self.seed, self.first = heads, seed, first

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        torch.set_num_threads(1)
        number = self.first
        while True:
            sample = draw_sample(np.random.default_rng([self.seed, number]), self.heads)
            yield sample.image, sample.tissue, sample.side
            number += 1


def read_run(folder: Path) -> tuple[dict[str, Tensor], int]:
    """Averaged weights of a run, and the steps that they took."""
    checkpoint = folder / LAST
    if not checkpoint.is_file():
        raise InputError(f"{folder} holds no run of the anatomy training: there is no {LAST} in it.")
    average = {k.removeprefix("average."): v for k, v in load_file(checkpoint).items() if k.startswith("average.")}
    about = _about(checkpoint)
    return average, int(about["step"]) + int(about.get("steps_before", 0))


def _about(checkpoint: Path) -> dict[str, str]:
    with safe_open(checkpoint, "pt") as stream:
        return dict(stream.metadata())


class AnatomyRun:
    """Weights, their moving average, optimiser and log of a run in a folder; survives a kill."""

    def __init__(self, folder: Path, settings: AnatomyTraining) -> None:
        self.folder, self.settings = folder, settings
        torch.manual_seed(settings.seed)
        self.spec = AnatomySpec(filters=settings.filters)
        self.network, self.average = AnatomyUNet(self.spec), AnatomyUNet(self.spec)
        self.steps_before = 0
        if settings.init and not (folder / LAST).exists():
            weights, self.steps_before = read_run(Path(settings.init))
            self.network.load_state_dict(widened_anatomy(weights, settings.filters, settings.seed))
        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.step, self.elapsed_s, self.label_maps = 0, 0.0, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    @property
    def done(self) -> float:
        """Share of the time budget that is spent."""
        return self.elapsed_s / (60 * self.settings.minutes)

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine down to a hundredth at the end of the budget."""
        warm = min(1.0, (self.step + 1) / self.settings.warm_up)
        return self.settings.learning_rate * warm * max(0.01, 0.5 + 0.5 * math.cos(math.pi * min(self.done, 1.0)))

    def learn(self, image: Tensor, tissue: Tensor, side: Tensor) -> float:
        """One step on (b, k, j, i) arrays."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        judged = torch.randperm(8, generator=torch.Generator().manual_seed(self.step))[:JUDGED]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.bfloat16):
            loss = anatomy_loss(self.network, image[:, None], tissue, side, judged)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 3.0)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            kept.lerp_(new, 1 - decay)

    def save(self) -> None:
        """Write everything that decides how the run goes on."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{k}": v for k, v in state.items()}
        about = {"step": str(self.step), "steps_before": str(self.steps_before), "elapsed_s": f"{self.elapsed_s:.1f}"}
        with atomic_output(self.folder / LAST) as path:
            save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata=about)
        with atomic_output(self.folder / "config.json") as path:
            known = {"steps_before": self.steps_before, "label_maps": self.label_maps}
            config = {**asdict(self.settings), "network": self.spec.to_dict(), **known}
            path.write_text(json.dumps(config, indent=1) + "\n")

    def _resume(self) -> None:
        checkpoint = self.folder / LAST
        if not checkpoint.exists():
            return
        tensors, about = load_file(checkpoint), _about(checkpoint)
        for name, module in (("network.", self.network), ("average.", self.average)):
            module.load_state_dict({k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)})
        state: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, index, slot = key.split(".")
                state[int(index)][slot] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": dict(state)})
        self.step, self.elapsed_s = int(about["step"]), float(about["elapsed_s"])
        self.steps_before = int(about.get("steps_before", 0))

    def log(self, loss: float, scores: Sequence[float]) -> None:
        """Append a line to ``log.csv`` and print it."""
        path = self.folder / "log.csv"
        row = [self.step, round(self.elapsed_s, 1), round(loss, 4), f"{self.learning_rate():.2e}"]
        row += [round(s, 4) for s in scores] or ["", "", ""]
        new = not path.exists()
        with path.open("a", newline="") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(COLUMNS)
            writer.writerow(row)
        print(*row, flush=True)


@torch.no_grad()
def validate(network: AnatomyUNet, samples: Sequence[Sample]) -> tuple[float, float, float]:
    """Dice of the brain, mean Dice of the tissues 1 to 11, share of sides that are right; over all samples together."""
    network.eval()
    counts = np.zeros((len(TISSUES), 3))
    brain = np.zeros(3)
    sides = []
    for sample in samples:
        logits = network(torch.from_numpy(sample.image)[None, None])[0]
        found = logits[: len(TISSUES)].argmax(0).numpy()
        for index in range(len(TISSUES)):
            counts[index] += _overlap(found == index, sample.tissue == index)
        brain += _overlap(_inside(found), _inside(sample.tissue))
        known = sample.side != UNKNOWN_SIDE
        sides.append(((logits[-1].numpy() > 0) == sample.side)[known])
    dice = 2 * counts[1:OUTER_CSF - 1, 0] / np.maximum(counts[1:OUTER_CSF - 1, 1:].sum(1), 1)
    return float(2 * brain[0] / brain[1:].sum()), float(dice.mean()), float(np.concatenate(sides).mean())


def _inside(tissue: np.ndarray) -> np.ndarray:
    return (tissue > 0) & (tissue != OUTER_CSF)


def _overlap(one: np.ndarray, other: np.ndarray) -> tuple[int, int, int]:
    return int((one & other).sum()), int(one.sum()), int(other.sum())


def train(maps: Sequence[Path], validation: Sequence[Path], folder: Path, settings: AnatomyTraining) -> None:
    """Train until the budget is spent; call it again to go on after a kill."""
    torch.set_num_threads(1)
    run = AnatomyRun(folder, settings)
    held_out = read_coded_heads(validation, folder / "heads")
    judged = [draw_sample(np.random.default_rng([settings.seed, 1, n]), held_out) for n in range(VALIDATION_SAMPLES)]
    run.label_maps = len(maps)
    heads = read_coded_heads(maps, folder / "heads")
    first = run.steps_before + run.step
    loader = torch.utils.data.DataLoader(Samples(heads, settings.seed, first), 1, num_workers=1, prefetch_factor=8)
    losses: list[float] = []
    before = time.monotonic()
    for batch in _seen_twice(loader):
        losses.append(run.learn(*batch))
        run.elapsed_s += min(time.monotonic() - before, LONGEST_STEP_S)
        before = time.monotonic()
        last = run.done >= 1
        if run.step % settings.log_every == 0 or last:
            scores = validate(run.average, judged) if run.step % settings.validate_every == 0 or last else ()
            run.log(float(np.mean(losses)), scores)
            losses = []
            run.save()
        if last:
            return


def _seen_twice(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Each batch, and some steps later its mirror image: making a sample takes half as long as learning from it."""
    waiting: deque[Batch] = deque()
    for batch in batches:
        yield batch
        waiting.append(batch)
        if len(waiting) > STEPS_APART:
            image, tissue, side = waiting.popleft()
            other = torch.where(side == UNKNOWN_SIDE, side, 1 - side)
            yield image.flip(-1), tissue.flip(-1), other.flip(-1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("maps", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--validation", nargs="+", type=Path, required=True, help="label maps to validate on")
    parser.add_argument("--minutes", type=float, default=AnatomyTraining.minutes)
    parser.add_argument("--bfloat16", action="store_true", help="faster on a CPU with AMX or AVX512-BF16")
    parser.add_argument("--learning-rate", type=float, default=AnatomyTraining.learning_rate)
    parser.add_argument("--filters", type=int, nargs="+", default=AnatomySpec().filters, help="channels by level")
    parser.add_argument("--init", default="", help="folder of a run whose weights go on")
    parser.add_argument("--bundle", type=Path, help="write the bundle here when training is over, with its figures")
    parser.add_argument("--license", type=Path, default=Path("LICENSE"), help="licence of the weights")
    parser.add_argument("--docs", type=Path, help="folder for log, settings and curve")
    args = parser.parse_args()
    settings = AnatomyTraining(args.minutes, args.bfloat16, args.learning_rate, tuple(args.filters), args.init)
    try:
        train(args.maps, args.validation, args.output, settings)
    except InputError as error:
        parser.error(str(error))
    if args.bundle is not None:
        from CMBNetTrainingLib.anatomy_export import build
        from CMBNetTrainingLib.anatomy_scans import make_scans

        make_scans(args.validation, args.output / "scans")
        build(args.output, args.output / "scans", args.bundle, args.license, args.docs)


if __name__ == "__main__":
    main()
