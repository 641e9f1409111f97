"""Checkpoints: one safetensors file with the tensors and, as JSON in its header, how far the run is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from CMBNetLib.errors import InputError
from CMBNetLib.files import atomic_output

LAST = "last"
_HEADER = "cmbnet"


@dataclass
class TrainingState:
    """How far a run is.

    Attributes
    ----------
    phase, phase_step, step : int
        Number of the phase, steps done in it and in all.
    to_validate : bool
        The steps before a validation are done, the validation is not.
    seconds : float
        Spent on learning so far.
    best : dict
        Criterion -> ``{"value", "step"}``.
    without_gain : int
        Validations of this phase since its watched figure was best.
    phase_best : float or None
        That best.
    hard : dict
        Scan -> voxels ``[k, j, i]`` of false positives to learn from.
    scaler : dict
        Of float16.
    """

    phase: int = 0
    phase_step: int = 0
    step: int = 0
    to_validate: bool = False
    seconds: float = 0.0
    best: dict[str, dict[str, float]] = field(default_factory=dict)
    without_gain: int = 0
    phase_best: float | None = None
    hard: dict[str, list[list[int]]] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)


def checkpoint_path(run: Path, name: str) -> Path:
    """File of the checkpoint ``last``, or of the best one by a criterion."""
    return run / "checkpoints" / f"{name if name == LAST else f'best_{name}'}.safetensors"


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and header; the file is complete or, as on a full disk, the one before stays.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    content = save(dict(tensors), {_HEADER: json.dumps(header)})
    with atomic_output(path) as temporary:
        temporary.write_bytes(content)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header.

    Raises
    ------
    InputError
        There is no such file, or it is damaged.
    """
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
        return load_file(path), header
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"The checkpoint {path} is damaged ({error}); remove it to start again.") from error


def state_as_header(state: TrainingState) -> dict[str, Any]:
    """The state for the header of `last`."""
    return asdict(state)


def state_of_header(header: Mapping[str, Any], path: Path) -> TrainingState:
    """The state in the header of `last`."""
    try:
        return TrainingState(**header)
    except TypeError as error:
        raise InputError(f"The checkpoint {path} was written by another version ({error}).") from error
