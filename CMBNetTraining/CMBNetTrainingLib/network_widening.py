"""A narrower network's weights in a wider one that computes the same: training goes on instead of beginning anew.

New channels are copies of old ones, and what a layer took from one channel it takes from all of its copies together
(Net2WiderNet, Chen et al. 2016). The shares of the copies are random: alike ones would learn alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from CMBNetLib.errors import InputError

_CONV = re.compile(r"(down|up)\.(\d+)\.layers\.([03])\.weight")
_LAYER = re.compile(r"(down|up)\.(\d+)\.layers\.\d+\.")
_ANATOMY_LAYER = re.compile(r"(down|up|widen)\.(\d+)\.(?:(\d+)\.)?(?:weight|bias)")
# A copy's share of what the original gave; the original keeps the rest.
_SHARE = (0.3, 0.7)


def filters_of(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Channels by level of an `AnisotropicUNet` with these weights; empty where they are of something else."""
    levels = sorted(name for name in weights if re.fullmatch(r"down\.\d+\.layers\.0\.weight", name))
    return tuple(weights[name].shape[0] for name in levels)


def can_widen(weights: Mapping[str, Tensor], filters: Sequence[int]) -> bool:
    """Whether ``filters`` has the levels of these weights, none narrower and one wider."""
    own = filters_of(weights)
    return len(own) == len(filters) and own != tuple(filters) and all(a <= b for a, b in zip(own, filters, strict=True))


def widened(weights: Mapping[str, Tensor], filters: Sequence[int], seed: int = 0) -> dict[str, Tensor]:
    """Weights of an `AnisotropicUNet` with ``filters`` channels that gives what the narrower one gives."""
    generator = torch.Generator().manual_seed(seed)
    sources = _sources(filters_of(weights), filters, generator)
    out = {}
    for name, tensor in weights.items():
        if tensor.is_floating_point():
            tensor = tensor.float()  # shares of half precision would not add up
        layer, conv = _LAYER.match(name), _CONV.fullmatch(name)
        if layer and tensor.ndim:
            tensor = tensor[sources[int(layer[2])]]
        if conv:
            tensor = _with_inputs(tensor, _inputs_of(conv, sources), generator)
        elif name == "head.weight":
            tensor = _with_inputs(tensor, [sources[0]], generator)
        out[name] = tensor.contiguous()
    return out


def widened_anatomy(weights: Mapping[str, Tensor], filters: Sequence[int], seed: int = 0) -> dict[str, Tensor]:
    """Weights of an `AnatomyUNet` with ``filters`` channels that gives what the narrower one gives.

    Raises
    ------
    InputError
        That network has other levels, or one that is wider.
    """
    generator = torch.Generator().manual_seed(seed)
    own = [tensor.shape[0] for name, tensor in weights.items() if re.fullmatch(r"down\.\d+\.0\.weight", name)]
    if len(own) != len(filters) or any(old > new for old, new in zip(own, filters, strict=True)):
        told = " and ".join(", ".join(map(str, counts)) for counts in (own, filters))
        raise InputError(f"A network goes on in one with as many levels, none narrower; channels by level are {told}.")
    sources = _sources(own, filters, generator)
    out = {}
    for name, tensor in weights.items():
        tensor = tensor.float()
        if layer := _ANATOMY_LAYER.fullmatch(name):
            tensor = tensor[sources[int(layer[2])]]
            if tensor.ndim > 1:
                tensor = _with_inputs(tensor, _anatomy_inputs_of(layer, sources), generator)
        elif name == "head.weight":  # it sees the image too, after the channels of the first level
            known = _with_inputs(tensor[:, : own[0]], [sources[0]], generator)
            tensor = torch.cat([known, tensor[:, own[0] :]], 1)
        out[name] = tensor.contiguous()
    return out


def _anatomy_inputs_of(layer: re.Match[str], sources: Sequence[Tensor]) -> list[Tensor]:
    level, block = int(layer[2]), layer[1]
    if block == "widen":
        return [sources[level + 1]]
    if block == "down" and layer[3] == "0":
        return [sources[level - 1]] if level else []
    return [sources[level]]


def _sources(own: Sequence[int], filters: Sequence[int], generator: torch.Generator) -> list[Tensor]:
    """By level: which old channel each new one is a copy of."""
    return [
        torch.cat([torch.arange(old), torch.randint(old, (new - old,), generator=generator)])
        for old, new in zip(own, filters, strict=True)
    ]


def _inputs_of(conv: re.Match[str], sources: Sequence[Tensor]) -> list[Tensor]:
    """Where the inputs of a convolution come from, block by block; nothing for the image."""
    level = int(conv[2])
    if conv[3] == "3":
        return [sources[level]]
    if conv[1] == "up":
        return [sources[level], sources[level + 1]]
    return [sources[level - 1]] if level else []


def _with_inputs(weight: Tensor, blocks: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    parts, first = [], 0
    for source in blocks:
        old = int(source.max()) + 1
        shares = _shares(source, old, generator).to(weight.dtype)
        parts.append(weight[:, first : first + old][:, source] * shares[:, None, None, None])
        first += old
    return torch.cat(parts, 1) if parts else weight


def _shares(source: Tensor, old: int, generator: torch.Generator) -> Tensor:
    """What each channel gives of its original, so that the copies of one add up to it."""
    low, high = _SHARE
    shares = torch.ones(len(source), dtype=torch.float64)
    for copy in range(old, len(source)):
        given = low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64)
        shares[copy] = shares[source[copy]] * given
        shares[source[copy]] *= 1 - given
    return shares
