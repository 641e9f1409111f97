"""Weights of a model on disk: small, checked when they are read, of one network or of two.

The kernels of convolutions are kept in 8 bits, in steps of their own for each output channel: half of the space of 16
bits, and detections stay the same but for rounding. A model may hold a second network of the same kind for thick
slices; the names of its tensors begin with `THICK`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import BundleError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "models/model.safetensors"
THICK = "thick."
# Beside the whole numbers of a kernel: what one of them is worth, for each output channel.
STEP = ".step"
_MOST = 127


def stored(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as a bundle stores them: kernels as int8 with float16 steps, other fractions as float16."""
    import torch

    out = {}
    for name, tensor in weights.items():
        if not tensor.is_floating_point():
            out[name] = tensor.contiguous()
        elif tensor.ndim < 2:
            out[name] = tensor.to(torch.float16).contiguous()
        else:
            steps = (tensor.float().flatten(1).abs().amax(1) / _MOST).to(torch.float16)
            divisor = torch.where(steps > 0, steps.float(), 1.0)  # a channel of zeros has no step
            whole = tensor.float() / _along(divisor, tensor)
            out[name] = whole.round().clamp(-_MOST, _MOST).to(torch.int8).contiguous()
            out[name + STEP] = steps.contiguous()
    return out


def restored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of stored tensors, fractions as float32."""
    out = {}
    for name, tensor in tensors.items():
        if name.endswith(STEP) and name.removesuffix(STEP) in tensors:
            continue
        steps = tensors.get(name + STEP)
        if steps is not None and steps.shape == tensor.shape[:1]:
            tensor = tensor.float() * _along(steps, tensor).float()
        out[name] = tensor.float() if tensor.is_floating_point() else tensor
    return out


def for_slices(weights: Mapping[str, Tensor], thick: bool) -> dict[str, Tensor]:
    """Weights of the network for thick slices, or of the other one."""
    if thick:
        return {name.removeprefix(THICK): tensor for name, tensor in weights.items() if name.startswith(THICK)}
    return {name: tensor for name, tensor in weights.items() if not name.startswith(THICK)}


def with_thick(weights: Mapping[str, Tensor], thick: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `for_slices`: both networks together."""
    return {**weights, **{THICK + name: tensor for name, tensor in thick.items()}}


def load_weights(model: str, path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a safetensors file that fit the ``expected`` state of a network.

    Raises
    ------
    BundleError
        A tensor is missing, too many, of another shape or not finite.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = restored(load_file(path))
    except (SafetensorError, OSError) as error:
        raise BundleError(f"Model {model}: {WEIGHTS} is no safetensors file ({error}).") from error
    _check_tensors(model, {k: tuple(v.shape) for k, v in weights.items()}, expected)
    if not all(bool(torch.isfinite(v).all()) for v in weights.values()):
        raise BundleError(f"Model {model}: {WEIGHTS} holds values that are not finite.")
    return weights


def _along(steps: Tensor, kernels: Tensor) -> Tensor:
    """One step for each output channel, of a shape that multiplies kernels."""
    return steps.view(-1, *(1,) * (kernels.ndim - 1))


def _check_tensors(model: str, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, Tensor]) -> None:
    if missing := sorted(expected.keys() - found.keys()):
        raise BundleError(f"Model {model}: {WEIGHTS} lacks {len(missing)} tensors, the first is '{missing[0]}'.")
    if surplus := sorted(found.keys() - expected.keys()):
        raise BundleError(f"Model {model}: {WEIGHTS} has {len(surplus)} unknown tensors, the first is '{surplus[0]}'.")
    for key, tensor in expected.items():
        if found[key] != tuple(tensor.shape):
            wanted = tuple(tensor.shape)
            raise BundleError(f"Model {model}: tensor '{key}' is {found[key]}, the network needs {wanted}.")
