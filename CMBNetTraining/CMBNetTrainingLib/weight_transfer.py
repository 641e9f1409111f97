"""Weights of another model as a beginning.

A narrower network is widened, what fits is copied, what has too many channels is sliced, the rest told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from CMBNetLib.bundle import find_bundle
from CMBNetLib.bundle_weights import WEIGHTS, for_slices, restored
from CMBNetLib.errors import InputError
from CMBNetLib.network import STACK
from CMBNetLib.places import PLACES
from CMBNetLib.progress import ConsoleProgress, Progress
from CMBNetTrainingLib.network_widening import can_widen, filters_of, widened

if TYPE_CHECKING:
    from CMBNetTrainingLib.training_model import Learner

COPIED, SLICED, SKIPPED, LEFT = "copied", "sliced", "skipped", "not used"
# What trainers put before the names of a network's tensors; the average is preferred where a file holds both.
_PREFIXES = ("average.", "model.network.", "module.", "network.", "model.", "state_dict.", "")
_STACKED, _PLACES = STACK**2, len(PLACES) - 1


@dataclass(frozen=True)
class Row:
    """What became of one tensor."""

    name: str
    outcome: str
    source: str
    target: str


def transfer_into(learner: Learner, weights: str, progress: Progress) -> list[Row]:
    """Begin with the weights of a bundle (id or folder) or of a safetensors file; the console is shown the table.

    Raises
    ------
    InputError
        There is no such model, or nothing of it fits.
    """
    source, filters = read_weights(weights), learner.network.spec.filters
    if can_widen(source, filters):
        progress.stage("transfer", f"Widening {filters_of(source)} to {filters} channels")
        source = widened(source, filters)
    tensors, rows = transferred(learner.network.state_dict(), source)
    if not any(row.outcome in (COPIED, SLICED) for row in rows):
        raise InputError(f"Nothing of {weights} fits this network: no tensor has the name and shape of one of its own.")
    learner.take_weights(tensors)
    if isinstance(progress, ConsoleProgress):
        print(table(rows))
    counts = {outcome: sum(row.outcome == outcome for row in rows) for outcome in (COPIED, SLICED, SKIPPED, LEFT)}
    progress.stage("transfer", "Weights: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return rows


def read_weights(weights: str) -> dict[str, Tensor]:
    """Tensors by their plain names; of a model with two networks those of the one that is not for thick slices."""
    path = Path(weights)
    if not path.is_file():
        path = find_bundle(weights).folder / WEIGHTS
    if path.suffix != ".safetensors":
        raise InputError(f"{path.name}: weights are read from .safetensors files only; others may run code when read.")
    try:
        tensors = for_slices(restored(load_file(path)), thick=False)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no safetensors file ({error}).") from error
    return _plain_names(tensors)


def transferred(
    target: Mapping[str, Tensor],
    source: Mapping[str, Tensor],
    channels: Sequence[int] = (0,),
    classes: Sequence[int] | None = None,
) -> tuple[dict[str, Tensor], list[Row]]:
    """The target's tensors with those of the source put in, and what became of each.

    Parameters
    ----------
    channels
        Which input channels of the source go to those of the target.
    classes
        Which classes of the source go to those of the target; by default the first ones.
    """
    out, rows = {}, []
    for name, own in target.items():
        given = source.get(name)
        fitted = None if given is None else _fitted(name, given, own, channels, classes)
        out[name] = own.clone() if fitted is None else fitted.to(own.dtype)
        outcome = SKIPPED if fitted is None else COPIED if given is not None and given.shape == own.shape else SLICED
        rows.append(Row(name, outcome, "-" if given is None else _shape(given), _shape(own)))
    rows += [Row(name, LEFT, _shape(tensor), "-") for name, tensor in source.items() if name not in target]
    return out, rows


def table(rows: Sequence[Row]) -> str:
    """The rows as text in columns."""
    heads = Row("tensor", "outcome", "source", "target")
    lines = [(row.name, row.outcome, row.source, row.target) for row in (heads, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _plain_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if found:
            return found
    return dict(tensors)


def _fitted(
    name: str, given: Tensor, own: Tensor, channels: Sequence[int], classes: Sequence[int] | None
) -> Tensor | None:
    """The part of ``given`` that has the shape of ``own``; None where there is none."""
    if given.shape == own.shape:
        return given.clone()
    if given.ndim != own.ndim:
        return None
    if name == "down.0.layers.0.weight" and given.shape[0] == own.shape[0] and given.shape[2:] == own.shape[2:]:
        return _input_part(given, own.shape[1], channels)
    if name in ("head.weight", "head.bias") and given.shape[1:] == own.shape[1:]:
        return _output_part(given, own.shape[0], classes)
    return None


def _input_part(given: Tensor, wanted: int, channels: Sequence[int]) -> Tensor | None:
    """Stacked pixels of the chosen channels, then the channel of the slice spacing, then those of the places.

    A network that was told no places begins with weights of nothing for them: at first it computes what it did.
    """
    told, to_tell = (0 if (count - 1) % _STACKED == 0 else _PLACES for count in (given.shape[1], wanted))
    spacing = given.shape[1] - 1 - told
    rows = [channel * _STACKED + n for channel in channels for n in range(_STACKED)] + [spacing]
    if len(rows) + to_tell != wanted or max(rows) > spacing:
        return None
    if told:
        return given[:, [*rows, *range(spacing + 1, given.shape[1])][:wanted]].clone()
    return torch.cat([given[:, rows], given.new_zeros((given.shape[0], to_tell, *given.shape[2:]))], dim=1)


def _output_part(given: Tensor, wanted: int, classes: Sequence[int] | None) -> Tensor | None:
    """Stacked pixels of the chosen classes."""
    chosen = range(wanted // _STACKED) if classes is None else classes
    rows = [number * _STACKED + n for number in chosen for n in range(_STACKED)]
    if len(rows) != wanted or max(rows) >= given.shape[0]:
        return None
    return torch.index_select(given, 0, torch.tensor(rows)).clone()


def _shape(tensor: Tensor) -> str:
    return " x ".join(str(n) for n in tensor.shape) or "number"
