r"""Train the anatomy network on samples made of label maps, on a GPU or a CPU: a time budget, resume.

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
from CMBNetLib.network_anatomy import SQUARE, AnatomySpec, AnatomyUNet
from CMBNetTrainingLib.anatomy_heads import CodedHead, read_coded_heads
from CMBNetTrainingLib.anatomy_loss import JUDGED, anatomy_loss
from CMBNetTrainingLib.anatomy_samples import UNKNOWN_SIDE, Sample, SampledHead, Shape, draw_sample
from CMBNetTrainingLib.network_widening import widened_anatomy

LAST = "last.safetensors"
EMA_DECAY = 0.998
COLUMNS = ("step", "elapsed_s", "loss", "learning_rate", "brain_dice", "mean_tissue_dice", "side_right")
VALIDATION_SAMPLES = 16
VALIDATION_PATCH = (64, 176, 144)
# Patches (k, j, i) of 2 x 1 x 1 mm from a part of a head to nearly all of one, as scans cover more or less, and how
# many are learned from together on a GPU.
PATCHES: tuple[tuple[Shape, int], ...] = (
    ((64, 176, 144), 4), ((64, 176, 144), 4), ((48, 208, 176), 4), ((88, 144, 112), 4), ((80, 208, 168), 2)
)  # fmt: skip
STEPS_APART = 8
SAVE_EVERY_S = 60.0
# A step that takes longer was held up (the process was stopped): that is no training time.
LONGEST_STEP_S = 20.0
Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class AnatomyTraining:
    """Settings of a run. Minutes are wall time over all calls.

    On a CPU a batch is one patch, and ``bfloat16`` halves the time of a step where the CPU multiplies it in hardware.
    ``init`` is the folder of a run with as many levels and none wider.
    """

    minutes: float = 80.0
    bfloat16: bool = False
    learning_rate: float = 1.5e-3
    filters: tuple[int, ...] = AnatomySpec().filters
    init: str = ""
    weight_decay: float = 1e-4
    warm_up: int = 300
    log_every: int = 50
    validate_every: int = 500
    seed: int = 20_261_124
    device: str = "cpu"

    @property
    def on_gpu(self) -> bool:
        return self.device != "cpu"


class Batches(torch.utils.data.IterableDataset):  # type: ignore[type-arg]
    """Endless batches; the n-th is the same in every run with the same seed on the same kind of device."""

    def __init__(self, heads: Sequence[CodedHead], settings: AnatomyTraining, first: int) -> None:
        self.heads, self.settings, self.first = heads, settings, first

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        heads = [SampledHead.on(self.settings.device, head) for head in self.heads]
        number = self.first
        while True:
            rng = np.random.default_rng([self.settings.seed, number])
            patch, together = PATCHES[int(rng.integers(len(PATCHES)))]
            yield collated([draw_sample(rng, heads, patch) for _ in range(together if self.settings.on_gpu else 1)])
            number += 1


def collated(samples: Sequence[Sample]) -> Batch:
    """Images, tissues and sides of samples of the same shape, (b, k, j, i)."""
    return (
        torch.stack([s.image for s in samples]),
        torch.stack([s.tissue for s in samples]),
        torch.stack([s.side for s in samples]),
    )


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
        self.network.to(settings.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average.to(settings.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=settings.on_gpu,
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

    def learn(self, image: Tensor, tissue: Tensor, side: Tensor) -> Tensor:
        """One step on (b, k, j, i) arrays; the loss, which is asked for its value only where it is told."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        judged = torch.randperm(SQUARE, generator=torch.Generator().manual_seed(self.step))[:JUDGED]
        with torch.autocast(torch.device(self.settings.device).type, torch.bfloat16, enabled=self.settings.bfloat16):
            loss = anatomy_loss(self.network, image[:, None], tissue, side, judged)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 3.0)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        return loss.detach()

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        kept, new = (list(network.state_dict().values()) for network in (self.average, self.network))
        torch._foreach_lerp_(kept, new, 1 - decay)

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
        tensors, about = load_file(checkpoint, self.settings.device), _about(checkpoint)
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
    together = torch.zeros(len(TISSUES), len(TISSUES))
    right = known = 0
    for sample in samples:
        logits = network(sample.image[None, None])[0]
        found = logits[: len(TISSUES)].argmax(0)
        pairs = (sample.tissue.long() * len(TISSUES) + found).flatten()
        together += torch.bincount(pairs, minlength=len(TISSUES) ** 2).cpu().unflatten(0, together.shape)
        told = sample.side != UNKNOWN_SIDE
        right += int((((logits[-1] > 0) == (sample.side == 1)) & told).sum())
        known += int(told.sum())
    inside = [n for n in range(1, len(TISSUES)) if n != OUTER_CSF]
    brain = 2 * together[inside][:, inside].sum() / (together[inside].sum() + together[:, inside].sum())
    dice = 2 * together.diag() / (together.sum(0) + together.sum(1)).clamp_min(1)
    return float(brain), float(dice[1 : OUTER_CSF - 1].mean()), right / max(known, 1)


def train(maps: Sequence[Path], validation: Sequence[Path], folder: Path, settings: AnatomyTraining) -> None:
    """Train until the budget is spent; call it again to go on after a kill."""
    torch.set_num_threads(1)
    run = AnatomyRun(folder, settings)
    held_out = [SampledHead.on(settings.device, head) for head in read_coded_heads(validation, folder / "heads")]
    draws = (np.random.default_rng([settings.seed, 1, n]) for n in range(VALIDATION_SAMPLES))
    judged = [draw_sample(rng, held_out, VALIDATION_PATCH) for rng in draws]
    run.label_maps = len(maps)
    losses: list[Tensor] = []
    before = saved = time.monotonic()
    for batch in _batches(read_coded_heads(maps, folder / "heads"), settings, run.steps_before + run.step):
        losses.append(run.learn(*batch))
        run.elapsed_s += min(time.monotonic() - before, LONGEST_STEP_S)
        before = time.monotonic()
        last = run.done >= 1
        if run.step % settings.log_every == 0 or last:
            scores = validate(run.average, judged) if run.step % settings.validate_every == 0 or last else ()
            run.log(float(torch.stack(losses).mean()), scores)
            losses = []
        if last or before - saved > SAVE_EVERY_S:
            run.save()
            saved = before
        if last:
            return


def _batches(heads: Sequence[CodedHead], settings: AnatomyTraining, first: int) -> Iterable[Batch]:
    """Batches made in this process on a GPU, which works ahead; on a CPU by a helper beside it."""
    batches = Batches(heads, settings, first)
    if settings.on_gpu:
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")  # of the samples; the network has its own precision
        return _seen_twice(batches)
    return _seen_twice(torch.utils.data.DataLoader(batches, None, num_workers=1, prefetch_factor=4))


def _seen_twice(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Each batch, and some steps later its mirror image: making one takes as long as learning from it."""
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
    parser.add_argument("--bfloat16", action="store_true", help="faster on a GPU or a CPU with AMX or AVX512-BF16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--learning-rate", type=float, default=AnatomyTraining.learning_rate)
    parser.add_argument("--filters", type=int, nargs="+", default=AnatomySpec().filters, help="channels by level")
    parser.add_argument("--init", default="", help="folder of a run whose weights go on")
    parser.add_argument("--bundle", type=Path, help="write the bundle here when training is over, with its figures")
    parser.add_argument("--license", type=Path, default=Path("LICENSE"), help="licence of the weights")
    parser.add_argument("--docs", type=Path, help="folder for log, settings and curve")
    args = parser.parse_args()
    settings = AnatomyTraining(
        args.minutes, args.bfloat16, args.learning_rate, tuple(args.filters), args.init, device=args.device
    )
    if settings.on_gpu and not torch.cuda.is_available():
        parser.error(f"No GPU was found for --device {args.device}; leave it out, or say cpu.")
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
