"""What a training run is told: a TOML or JSON file, checked key by key before anything is computed."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Union

from CMBNetLib.bundle import MOST_FILTERS, MOST_LEVELS, PIXEL_RANGE_MM, SLICE_RANGE_MM
from CMBNetLib.errors import InputError
from CMBNetLib.preparation import PIXEL_MM, THINNEST_SLICE_MM

# Scans of any slice spacing, and where that of those begins that may get a network of their own: between the spacings
# of 3 and 4 mm that are simulated.
EVERY_SLICE_MM = (0.0, 100.0)
THICK_FROM_MM = 3.5
LOSSES = ("dice-ce", "dice-soft-ce", "dice-focal", "tversky-ce")
OPTIMISERS = ("adamw", "sgd")
SCHEDULES = ("cosine", "poly", "constant")
AUGMENTATIONS = ("default", "seed", "none")
SAMPLINGS = ("default", "seed")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
# Higher is better for all but `loss`.
CRITERIA = ("froc", "average_precision", "best_f1", "sensitivity_at_1", "sensitivity_at_2", "loss")


@dataclass(frozen=True)
class NetworkConfig:
    """The network. `classes` 3 tells mimics from background; 2 does not. `filters`: one number a level.

    `places`: whether it is told the kind of tissue of every voxel beside the image; see `CMBNetLib.places`.
    `first_probability`: of anything but background, before training; 0: even odds.
    """

    filters: tuple[int, ...] = (24, 48, 80, 112)
    classes: int = 3
    pixel_mm: float = PIXEL_MM
    thinnest_slice_mm: float = THINNEST_SLICE_MM
    deep_supervision: bool = False
    places: bool = True
    first_probability: float = 0.0


@dataclass(frozen=True)
class SamplingConfig:
    """Patches. `preset` gives what is left at 0; see `patches.PRESETS` for the numbers."""

    preset: str = "default"
    per_scan: int = 0
    pixels: int = 0
    slices: int = 0
    hard: float = 0.0  # share of the patches round false positives of the model so far; 0: that of the preset
    fresh_lesions: float = 0.0  # share of the background patches that get a newly simulated microbleed


@dataclass(frozen=True)
class OptimiserConfig:
    """Optimiser and what happens to each step."""

    name: str = "adamw"
    weight_decay: float = 1e-4
    momentum: float = 0.9
    clip_norm: float = 5.0
    average_decay: float = 0.995  # of the moving average of the weights, which is what is validated and exported


@dataclass(frozen=True)
class PhaseConfig:
    """One phase: on which roles it trains, for how long, how fast.

    `mix` gives roles their share of the scans drawn (none: every scan of the roles alike). `patience` validations
    without a better `watch` end the phase early; 0 never. `begin_with`: `last`, or the best checkpoint by a criterion.
    """

    name: str = "train"
    roles: tuple[str, ...] = ("real", "synthetic", "negative")
    mix: Mapping[str, float] = field(default_factory=dict)
    steps: int = 5000
    learning_rate: float = 2.5e-3
    schedule: str = "cosine"
    warm_up: int = 100
    patience: int = 0
    watch: str = "froc"
    begin_with: str = "last"


@dataclass(frozen=True)
class ValidationConfig:
    """Whole scans of the split `validation`, every `every` steps (0: never)."""

    every: int = 500
    most_scans: int = 0  # 0: all
    checkpoints: tuple[str, ...] = ("froc", "best_f1", "loss")
    gallery: int = 24  # pictures of false calls after each validation
    hard_negatives: bool = True  # false positives of the training scans become places to learn from
    mined_scans: int = 4  # training scans searched for them after each validation


@dataclass(frozen=True)
class SynthesisConfig:
    """Scans simulated from anatomical label maps.

    Attributes
    ----------
    label_maps : tuple of str
        Files; the last `validation_maps` are for validation, so that no head is in both splits.
    scans_per_map, validation_scans_per_map : int
        0 for validation: as many as for training.
    block_mm : float
        Edge of the cubes that training scans are, anywhere in the brain: many more protocols in the same time. 0: whole
        heads, as validation scans are.
    microbleeds : float
        Mean number of microbleeds of a scan (of a block: with the border that is cut off); every fifth scan has none.
    fine_mm, pixel_mm : float
        Grid of the simulation, and in-plane pixel of the scans.
    slice_mm : tuple of float
        Slice spacings, in turn.
    """

    label_maps: tuple[str, ...] = ()
    validation_maps: int = 0
    scans_per_map: int = 4
    validation_scans_per_map: int = 0
    block_mm: float = 0.0
    microbleeds: float = 12.0
    fine_mm: float = 0.5
    pixel_mm: float = 0.5
    slice_mm: tuple[float, ...] = (1.0, 1.5, 2.0, 4.0)


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run. Paths are relative to the file they are written in.

    `slices_mm`: scans with slices so far apart are learned from and validated on, from the first number to below the
    second.
    """

    run: str = ""
    manifests: tuple[str, ...] = ()
    init: str = ""
    freeze: tuple[str, ...] = ()
    slices_mm: tuple[float, float] = EVERY_SLICE_MM
    seed: int = 20261123
    batch: int = 4
    loss: str = "dice-ce"
    augmentation: str = "default"
    precision: str = "auto"
    device: str = "auto"
    workers: int = 0
    checkpoint_every: int = 100
    network: NetworkConfig = field(default_factory=NetworkConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    phases: tuple[PhaseConfig, ...] = (PhaseConfig(),)


def read_config(path: Path) -> TrainingConfig:
    """Read and check a configuration.

    Raises
    ------
    InputError
        The file cannot be read, a key is unknown (the nearest known one is named), or a value does not fit.
    """
    config = build(TrainingConfig, _parsed(path), path.name)
    check_config(config)
    return config


def build(kind: type[Any], content: Any, where: str) -> Any:
    """Make the dataclass ``kind`` of plain values; ``where`` names the place in messages."""
    if not isinstance(content, Mapping):
        raise InputError(f"{where}: a table of settings is expected here, not {content!r}.")
    known = {entry.name: entry for entry in fields(kind)}
    for key in content:
        if key not in known:
            raise InputError(f"{where}: unknown key '{key}'.{_nearest(str(key), list(known))}")
    hints = typing.get_type_hints(kind)
    return kind(**{key: _value(hints[key], value, f"{where}: {key}") for key, value in content.items()})


def check_config(config: TrainingConfig) -> None:
    """Raise `InputError` for a value that is outside of what makes sense."""
    one_of("loss", config.loss, LOSSES)
    one_of("augmentation", config.augmentation, AUGMENTATIONS)
    one_of("precision", config.precision, PRECISIONS)
    one_of("sampling.preset", config.sampling.preset, SAMPLINGS)
    one_of("optimiser.name", config.optimiser.name, OPTIMISERS)
    for name in config.validation.checkpoints:
        one_of("validation.checkpoints", name, CRITERIA)
    for phase in config.phases:
        _check_phase(phase)
    _check_network(config.network)
    for key in ("hard", "fresh_lesions"):
        if not 0 <= getattr(config.sampling, key) <= 1:
            raise InputError(f"sampling.{key} is a share from 0 to 1.")
    if len(config.slices_mm) != 2 or not 0 <= config.slices_mm[0] < config.slices_mm[1]:
        raise InputError(f"slices_mm: a smaller and a larger number of mm, not {list(config.slices_mm)}.")
    if not config.phases:
        raise InputError("phases: a run needs one phase at least.")
    names = [phase.name for phase in config.phases]
    if len(set(names)) < len(names):
        raise InputError(f"phases: every phase needs a name of its own, not {', '.join(names)}.")
    for key, value, least in (("batch", config.batch, 1), ("workers", config.workers, 0), ("seed", config.seed, 0),
                              ("checkpoint_every", config.checkpoint_every, 1),
                              ("validation.every", config.validation.every, 0)):  # fmt: skip
        if value < least:
            raise InputError(f"{key} is {least} or more, not {value}.")


def one_of(key: str, value: str, known: tuple[str, ...]) -> None:
    """Raise `InputError` where ``value`` is not one of ``known``."""
    if value not in known:
        choices = ", ".join(known)
        raise InputError(f"{key}: '{value}' is unknown; choose one of {choices}.{_nearest(value, list(known))}")


def plain(value: Any) -> Any:
    """A configuration as lists, dicts, numbers and texts, for JSON."""
    if is_dataclass(value):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, tuple | list):
        return [plain(entry) for entry in value]
    return dict(value) if isinstance(value, Mapping) else value


def differences(first: Any, second: Any, prefix: str = "") -> list[str]:
    """Keys, dotted, at which two plain configurations differ."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        keys = sorted({*first, *second})
        return [d for key in keys for d in differences(first.get(key), second.get(key), f"{prefix}.{key}".strip("."))]
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        pairs = enumerate(zip(first, second, strict=True))
        return [d for number, pair in pairs for d in differences(*pair, f"{prefix}[{number}]")]
    return [] if first == second else [prefix]


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"Cannot read the configuration {path}: {error.strerror or error}.") from error
    try:
        if path.suffix.lower() == ".json":
            return json.loads(text)
        return _toml(text)
    except ValueError as error:
        raise InputError(f"{path.name} is not valid: {error}.") from error


def _toml(text: str) -> Any:
    try:
        import tomllib
    except ImportError as error:  # Python 3.10
        raise InputError("This Python reads no TOML; write the configuration as JSON, or use Python 3.11.") from error
    return tomllib.loads(text)


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return f" Did you mean '{close[0]}'?" if close else ""


def _value(hint: Any, value: Any, where: str) -> Any:
    """``value`` as the annotated type; only int to float and list to tuple are converted."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise InputError(f"{where}: a list is expected, not {value!r}.")
        return tuple(_value(inner[0], entry, f"{where}[{n}]") for n, entry in enumerate(value))
    if origin is not None and origin not in (Union, types.UnionType):
        if not isinstance(value, Mapping):
            raise InputError(f"{where}: a table is expected, not {value!r}.")
        return {str(key): _value(inner[1], entry, f"{where}.{key}") for key, entry in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{where}: {hint.__name__} is expected, not {value!r}.")
    return value


def _check_phase(phase: PhaseConfig) -> None:
    where = f"phase '{phase.name}'"
    one_of(f"{where}: schedule", phase.schedule, SCHEDULES)
    one_of(f"{where}: watch", phase.watch, CRITERIA)
    one_of(f"{where}: begin_with", phase.begin_with, ("last", *CRITERIA))
    for role in (*phase.roles, *phase.mix):
        one_of(f"{where}: roles", role, ("real", "synthetic", "negative"))
    if phase.steps < 1 or phase.learning_rate <= 0 or phase.patience < 0:
        raise InputError(f"{where}: steps and learning_rate are above 0, patience is 0 or more.")
    if set(phase.mix) - set(phase.roles) or any(share < 0 for share in phase.mix.values()):
        raise InputError(f"{where}: mix gives shares of 0 or more to the roles {', '.join(phase.roles)}.")


def _check_network(network: NetworkConfig) -> None:
    if not 2 <= len(network.filters) <= MOST_LEVELS or not all(1 <= f <= MOST_FILTERS for f in network.filters):
        raise InputError(f"network.filters: 2 to {MOST_LEVELS} numbers from 1 to {MOST_FILTERS} are expected.")
    if network.classes not in (2, 3):
        raise InputError("network.classes is 3 (background, microbleed, mimic) or 2 (without mimic).")
    for key, (low, high) in (("pixel_mm", PIXEL_RANGE_MM), ("thinnest_slice_mm", SLICE_RANGE_MM)):
        if not low <= getattr(network, key) <= high:
            raise InputError(f"network.{key} lies between {low} and {high} mm.")
    if not 0 <= network.first_probability < 0.5:
        raise InputError("network.first_probability is 0, or a probability below 0.5.")
