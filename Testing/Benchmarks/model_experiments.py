"""What each part of the recipe is worth: small networks, trained alike but for one thing, on the same validation scans.

    python Testing/Benchmarks/model_experiments.py COLLECTION -o RUNS [--steps 3000] [--only NAME ...] [--write]
        [--loss LOSS] [--seed N]

COLLECTION is what `cmbnet train default --label-maps ...` simulates (RUN/synthetic). A run that is there is not trained
again. `--precision bfloat16` halves the time of a step on CPUs that multiply it in hardware. `--write` puts the table
into Docs/model_experiments.md. Needs the extra `training`.
"""

from __future__ import annotations

import argparse
import copy
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from benchmark_document import DOCUMENT, write_section
from torch import Tensor

from CMBNetEvaluationLib.estimates import Estimate, SubjectBootstrap
from CMBNetEvaluationLib.froc import froc_metrics
from CMBNetEvaluationLib.scan_result import ScanResult
from CMBNetLib import inference
from CMBNetLib.inference import ALL_TURNS, AS_IT_IS, Views, infer
from CMBNetLib.network import CUBE, FLAT, STACK, AnisotropicUNet, ConvPair, NetworkSpec, stack_pixels
from CMBNetLib.progress import Progress
from CMBNetLib.ventricles import less_likely
from CMBNetLib.volume import read_labels, read_volume, write_volume
from CMBNetTrainingLib import training_model
from CMBNetTrainingLib.collection_splits import TRAIN, VALIDATION
from CMBNetTrainingLib.source_scan import NEGATIVE, SYNTHETIC
from CMBNetTrainingLib.trainer import train
from CMBNetTrainingLib.training_checkpoint import LAST, checkpoint_path, read_checkpoint
from CMBNetTrainingLib.training_config import LOSSES, PRECISIONS, NetworkConfig, TrainingConfig
from CMBNetTrainingLib.training_manifest import ScanEntry, read_manifests
from CMBNetTrainingLib.training_model import network_spec
from CMBNetTrainingLib.training_presets import PRESETS
from CMBNetTrainingLib.training_scans import ScanCache, TrainingScan
from CMBNetTrainingLib.training_validation import FLOOR, candidates_in, compare_scan

SMALL = NetworkConfig(filters=(8, 16, 32, 48), first_probability=0.01)
SEED = PRESETS["seed"]
# Few steps need large ones.
LEARNING_RATE = 5e-3
DOTS_A_BLOCK, DOT_SIGMA_MM, DOT_DEPTH = 9, (0.5, 1.6), (0.3, 1.0)
RATES = ("1", "4")
SOFTER = 5.0
MINIMUM_REACH_MM, SYMMETRY_RADII_MM = 4.0, (1.0, 1.5, 2.0, 3.0)


class WithChannel(AnisotropicUNet):
    """The network with another channel beside the image, of the same size."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.down[0] = ConvPair(2 * STACK**2 + 1 + spec.places, spec.filters[0], (CUBE, FLAT))

    def finest(self, x: Tensor, slice_mm: float, places: Tensor | None = None) -> Tensor:
        stacked = stack_pixels(x)
        spacing = torch.full_like(stacked[:, :1], slice_mm / 5.0)
        seen = [stacked, stack_pixels(self.channel(x, slice_mm)), spacing, *self._told(stacked, places)]
        return self.down[0](torch.cat(seen, dim=1))

    def channel(self, x: Tensor, slice_mm: float) -> Tensor:
        raise NotImplementedError


class WithMinimum(WithChannel):
    """Sees the minimum over the slices within 4 mm: veins are lines there, microbleeds stay dots."""

    def channel(self, x: Tensor, slice_mm: float) -> Tensor:
        reach = max(1, round(MINIMUM_REACH_MM / slice_mm))
        return -F.max_pool3d(-x, (2 * reach + 1, 1, 1), 1, (reach, 0, 0))


class WithSymmetry(WithChannel):
    """Sees a radial symmetry transform in the plane for dark spots (after Loy and Zelinsky 2003)."""

    def channel(self, x: Tensor, slice_mm: float) -> Tensor:
        along_j, along_i = torch.gradient(x.float(), dim=(3, 4))
        size = torch.sqrt(along_j**2 + along_i**2)
        votes = torch.zeros_like(size)
        at_j, at_i = torch.meshgrid(*(torch.arange(n, device=x.device) for n in x.shape[3:]), indexing="ij")
        for radius in SYMMETRY_RADII_MM:
            step = radius / self.spec.pixel_mm / size.clamp_min(1e-6)
            # Intensity rises away from a dark spot, so its middle lies against the gradient.
            j = (at_j - step * along_j).round().long().clamp(0, x.shape[3] - 1)
            i = (at_i - step * along_i).round().long().clamp(0, x.shape[4] - 1)
            places = (j * x.shape[4] + i).flatten(3)
            votes += torch.zeros_like(size).flatten(3).scatter_add_(3, places, size.flatten(3)).view_as(size)
        return F.avg_pool3d(votes, (1, 3, 3), 1, (0, 1, 1)).to(x.dtype)


class Cubic(AnisotropicUNet):
    """Pools across slices as often as in the plane, however far apart they are."""

    def plan(self, slice_mm: float) -> list[tuple[int, int, int]]:
        return [(2, 2, 2)] * (len(self.spec.filters) - 1)


@dataclass(frozen=True)
class Experiment:
    """One row: what changed against the first, and how.

    Attributes
    ----------
    dots
        Gaussian dots in the place of physics.
    by_sequence
        A network for SWI and one for T2*.
    share
        Of the steps of the others.
    weights_of
        Another row, whose network is used.
    views
        That detection takes the mean of.
    network
        Its class.
    """

    name: str
    changed: str
    change: Callable[[TrainingConfig], TrainingConfig] = lambda config: config
    dots: bool = False
    by_sequence: bool = False
    share: float = 1.0
    weights_of: str = ""
    views: Views = AS_IT_IS
    network: type[AnisotropicUNet] = AnisotropicUNet


EXPERIMENTS = (
    Experiment("baseline", "recipe of the shipped model, a sixth of its weights"),
    Experiment("flips", "the same network, mean over four flips in detection", weights_of="baseline", views=ALL_TURNS),
    Experiment("dots", "Gaussian dots painted into lesion-free blocks instead of simulated physics", dots=True),
    Experiment(
        "no-mimics", "no class for mimics: calcifications, cavernomas and the like are background",
        lambda c: replace(c, network=replace(c.network, classes=2)),
    ),
    Experiment(
        "no-places", "the network is not told the kind of tissue of each voxel",
        lambda c: replace(c, network=replace(c.network, places=False)),
    ),
    Experiment(
        "no-fresh", "no freshly simulated microbleeds in patches without one",
        lambda c: replace(c, sampling=replace(c.sampling, fresh_lesions=0.0)),
    ),
    Experiment(
        "no-mining", "no patches round the model's own false positives",
        lambda c: replace(c, validation=replace(c.validation, hard_negatives=False)),
    ),
    Experiment(
        "seed",
        "loss, patches, augmentation and classes of MicrobleedNet; no fresh microbleeds, no mining; an eighth of the "
        "steps, on patches twelve times as large",
        lambda c: replace(
            c, loss=SEED.loss, augmentation=SEED.augmentation, sampling=SEED.sampling,
            network=replace(c.network, classes=SEED.network.classes),
            validation=replace(c.validation, hard_negatives=False),
        ),
        share=0.125,
    ),
    Experiment(
        "coarse", "pixels of 1 mm instead of 0.5", lambda c: replace(c, network=replace(c.network, pixel_mm=1.0))
    ),
    Experiment("cubic", "pooled across slices as often as in the plane, however far apart they are", network=Cubic),
    Experiment("by-sequence", "one network for SWI and one for T2*, each with half the steps", by_sequence=True),
    Experiment("minimum", "the minimum over the slices within 4 mm as another channel", network=WithMinimum),
    Experiment("symmetry", "a radial symmetry transform as another channel", network=WithSymmetry),
    Experiment("full", "the size of the shipped network", lambda c: replace(c, network=PRESETS["default"].network)),
)  # fmt: skip


def dotted(entry: ScanEntry, folder: Path, seed: int) -> ScanEntry:
    """A lesion-free block with Gaussian dots, and their labels."""
    image_path, label_path = (folder / name / f"{entry.scan_id}.nii.gz" for name in ("images", "labels"))
    made = replace(entry, image=image_path, label=label_path, role=SYNTHETIC)
    if label_path.exists():
        return made
    rng = np.random.default_rng(seed)
    scan = read_volume(entry.image, whole=False)
    assert entry.brain is not None
    step = np.asarray(scan.spacing_mm)[::-1]
    places = np.argwhere(read_labels(entry.brain).array > 0)
    image, labels = scan.array.copy(), np.zeros(scan.array.shape, np.uint16)
    grid = np.ogrid[tuple(slice(0, n) for n in image.shape)]
    for number in range(1, DOTS_A_BLOCK + 1 if len(places) else 1):
        center, sigma = places[rng.integers(len(places))], rng.uniform(*DOT_SIGMA_MM)
        square = sum(((g - c) * s) ** 2 for g, c, s in zip(grid, center, step, strict=True))
        dot = np.exp(-square / (2 * sigma**2))
        image *= 1 - rng.uniform(*DOT_DEPTH) * dot
        labels[dot >= 0.5] = number
    write_volume(scan.with_array(np.rint(image).astype(np.int16)), image_path)
    write_volume(scan.with_array(labels), label_path)
    return made


def scans_of(experiment: Experiment, entries: Sequence[ScanEntry], folder: Path) -> list[ScanEntry]:
    """As many blocks for each experiment: those without a lesion get dots, or as many with simulated ones are taken."""
    held_out = [entry for entry in entries if entry.split == VALIDATION]
    blocks = [entry for entry in entries if entry.split == TRAIN]
    empty = [entry for entry in blocks if entry.role == NEGATIVE]
    if experiment.dots:
        return [dotted(entry, folder / "dots", n) for n, entry in enumerate(empty)] + held_out
    full = [entry for entry in blocks if entry.role == SYNTHETIC]
    return full[:: max(1, len(full) // len(empty))][: len(empty)] + held_out


@dataclass(frozen=True)
class Effort:
    """What all rows have in common: steps, precision, validation scans (0: all), number of the seed, loss."""

    steps: int
    precision: str
    scans: int
    seed: int
    loss: str

    def held_out(self, entries: Sequence[ScanEntry]) -> list[ScanEntry]:
        """Validation scans, spread evenly over all there are."""
        every = [entry for entry in entries if entry.split == VALIDATION]
        return every[:: max(1, len(every) // self.scans)] if self.scans else every


def config_of(experiment: Experiment, run: Path, effort: Effort) -> TrainingConfig:
    """The preset with a small network and few steps, and what the experiment changes."""
    preset = PRESETS["default"]
    config = replace(
        preset,
        run=str(run),
        seed=preset.seed + effort.seed - 1,
        network=SMALL,
        loss=effort.loss,
        precision=effort.precision,
        phases=(replace(preset.phases[0], steps=effort.steps, learning_rate=LEARNING_RATE),),
        validation=replace(preset.validation, every=effort.steps // 2, most_scans=1, mined_scans=40, gallery=0),
    )
    return experiment.change(config)


def cache_of(config: TrainingConfig, folder: Path) -> ScanCache:
    """Prepared scans, shared by the runs of one grid."""
    network = config.network
    path = folder / f"cache_{network.pixel_mm:g}mm"
    path.mkdir(parents=True, exist_ok=True)
    return ScanCache(path, network.pixel_mm, network.thinnest_slice_mm)


def trained(
    experiment: Experiment, scans: Sequence[ScanEntry], run: Path, folder: Path, effort: Effort
) -> AnisotropicUNet:
    """The network of a run, trained where that is not done yet."""
    config = config_of(experiment, run, effort)
    run.mkdir(parents=True, exist_ok=True)
    if not (run / "cache").exists():
        (run / "cache").symlink_to(cache_of(config, folder).folder.resolve())
    with mock.patch.object(training_model, "AnisotropicUNet", experiment.network):
        train(config, scans, Progress())
    tensors, _ = read_checkpoint(checkpoint_path(run, LAST))
    network = experiment.network(network_spec(config.network))
    network.load_state_dict({k.removeprefix("average."): v for k, v in tensors.items() if k.startswith("average.")})
    return network.eval()


def detected(network: AnisotropicUNet, scan: TrainingScan, views: Views) -> tuple[ScanResult, float]:
    """The scan compared with its truth, from the mean over views, and the processor seconds of the network.

    Plain cross-entropy drives log-odds beyond 17, where a float32 probability is 1: the order is that of softer ones,
    as it is in an exported model, which is calibrated.
    """
    # In one piece: another channel may look farther than windows overlap.
    with mock.patch.dict(inference.MOST_VOXELS, cpu=2**62):
        started = time.process_time()
        softer, _ = infer(softened(network), scan.prepared(), "cpu", Progress(), views=views)
        seconds = time.process_time() - started
    candidates = candidates_in(as_trained(softer), scan)
    peaks = np.zeros(len(candidates))
    ranked = less_likely(softer[0], np.asarray(scan.ventricles) > 0)
    np.maximum.at(peaks, candidates.owner, ranked.ravel()[candidates.voxels])
    ordered = replace(candidates, scores=np.maximum(peaks, FLOOR))
    return compare_scan(scan, ordered, FLOOR).result, seconds


def softened(network: AnisotropicUNet) -> AnisotropicUNet:
    """The network with its log-odds divided by `SOFTER`."""
    softer = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in softer.head.parameters():
            parameter /= SOFTER
    return softer


def as_trained(softer: np.ndarray) -> np.ndarray:
    """Probability of a microbleed by the network as it was, from all foreground classes of the softened one."""
    softer = softer.astype(np.float64)
    foreground, background = softer**SOFTER, np.maximum(1 - softer.sum(0), 0) ** SOFTER
    return (foreground[0] / (foreground.sum(0) + background)).astype(np.float32)


def run(experiment: Experiment, entries: Sequence[ScanEntry], folder: Path, effort: Effort) -> list[str]:
    """Train where that is not done yet, and measure; the row of the table."""
    named = experiment.weights_of or experiment.name
    sequences = ("SWI", "T2*") if experiment.by_sequence else ("",)
    results: list[ScanResult] = []
    seconds = 0.0
    each = replace(effort, steps=round(effort.steps * experiment.share) // len(sequences))
    for sequence in sequences:
        part = [entry for entry in entries if not sequence or entry.attributes["sequence"] == sequence]
        path = folder / f"{effort.loss}_seed_{effort.seed}" / f"{named}{sequence.strip('*')}"
        scans = scans_of(experiment, part, folder)
        network = trained(experiment, scans, path, folder, each)
        judged = [entry for entry in effort.held_out(entries) if entry in part]
        held_out = cache_of(config_of(experiment, path, effort), folder).fill(judged, Progress())
        for scan in held_out:
            result, taken = detected(network, scan, experiment.views)
            results.append(result)
            seconds += taken
    measured = froc_metrics(results, SubjectBootstrap([result.subject_id for result in results]))
    assert measured is not None
    cells = [measured["mean_sensitivity"], *(measured["sensitivity_at"][rate] for rate in RATES)]
    loss = config_of(experiment, folder, effort).loss
    return [experiment.changed, loss, str(effort.seed), *map(_cell, cells), f"{seconds / len(results):.0f}"]


def _cell(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None:
        return "not defined" if estimate.value is None else f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f}-{estimate.high:.2f})"


def table(rows: Sequence[Sequence[str]], entries: Sequence[ScanEntry], effort: Effort) -> str:
    """Markdown of all rows."""
    rates = [f"at {rate} false positives a scan" for rate in RATES]
    head = ["changed", "loss", "seed", "mean sensitivity (1/8 to 8)", *rates, "core s"]
    lines = [
        "## Parts of the recipe",
        "",
        f"`python Testing/Benchmarks/model_experiments.py`: {effort.steps} steps from random weights each "
        f"({effort.precision}), "
        f"{sum(e.role == NEGATIVE for e in entries if e.split == TRAIN)} blocks, measured on "
        f"{len(effort.held_out(entries))} whole simulated scans of other heads (all figures synthetic; 95 % "
        "bootstrap over scans, which says nothing of how far seeds lie apart). The last column is what the network "
        "takes, core seconds a scan.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def main() -> None:
    """Train, measure, print; write when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--seed", type=int, default=1, help="number of the seed: 1, 2, ... (default: 1)")
    # The loss of the preset learns slowly at first, and after few steps its seeds lie far apart.
    parser.add_argument("--loss", choices=LOSSES, default="dice-ce")
    parser.add_argument("--scans", type=int, default=0, help="validation scans to measure on (default: all)")
    parser.add_argument("--only", nargs="+", choices=[each.name for each in EXPERIMENTS], help="these alone")
    parser.add_argument("--write", action="store_true", help="write the table into Docs/model_experiments.md")
    args = parser.parse_args()
    entries = read_manifests([args.collection / "manifest.csv"])
    effort = Effort(args.steps, args.precision, args.scans, args.seed, args.loss)
    args.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for experiment in EXPERIMENTS:
        if not args.only or experiment.name in args.only:
            rows.append(run(experiment, entries, args.output, effort))
            with (args.output / "rows.csv").open("w", newline="") as stream:
                csv.writer(stream).writerows(rows)
            print(*rows[-1], sep=" | ", flush=True)
    text = table(rows, entries, effort)
    print(text)
    if args.write:
        write_section("recipe", text, DOCUMENT.with_name("model_experiments.md"))


if __name__ == "__main__":
    main()
