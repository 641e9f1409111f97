"""Run the network on the device and in the precision that suit it, with what to do when memory is short."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .errors import EnvironmentProblem, InputError
from .progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from .network import AnisotropicUNet
    from .preparation import Prepared

DEVICES = ("auto", "cpu", "cuda")
# Voxels that a window reads at most: large ones waste little on their rims, small ones fit the brain and the memory.
MOST_VOXELS = {"cpu": 2_000_000, "cuda": 16_000_000}
SMALLEST_WINDOW_VOXELS = 100_000
SMALLEST = 1e-30  # no probability is divided by less
# Axes of (k, j, i) along which each view of a scan is turned round. What the network says of all of them together hangs
# less on noise and on how the pixels fall (Docs/model_experiments.md); each takes as long as the first.
Views = Sequence[tuple[int, ...]]
AS_IT_IS: Views = ((),)
ALL_TURNS: Views = ((), (1,), (2,), (1, 2))


@dataclass(frozen=True)
class Execution:
    """How a network was run: device, precision, windows; for the record."""

    device: str
    precision: str
    n_windows: int


def choose_device(wanted: str) -> str:
    """``cpu`` or ``cuda`` for one of `DEVICES`.

    Raises
    ------
    EnvironmentProblem
        A GPU is asked for and there is none that torch can use.
    """
    import torch

    if wanted not in DEVICES:
        raise InputError(f"Unknown device '{wanted}'; choose one of {', '.join(DEVICES)}.")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EnvironmentProblem("No GPU that torch can use was found. Take --device cpu, or see: cmbnet system")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def infer(
    network: AnisotropicUNet,
    prepared: Prepared,
    device: str,
    progress: Progress,
    on_fraction: Callable[[float], None] = lambda _: None,
    views: Views = ALL_TURNS,
) -> tuple[np.ndarray, Execution]:
    """Class probabilities of every brain voxel, from all views together.

    Parameters
    ----------
    network
        float32; it is not changed.
    device
        One of `DEVICES`. A GPU that runs out of memory gets smaller windows, then the CPU takes over, with a warning.
    on_fraction
        Called with 0..1 as the run goes on.
    views
        Their mean is that of the logits (the geometric one of the probabilities): scores near 1 still differ.

    Returns
    -------
    probability : ndarray of float32, (classes - 1, k, j, i)
        Without the background; 0 away from the brain.
    execution : Execution

    Raises
    ------
    EnvironmentProblem
        Neither device has enough memory.
    """
    from .network import folded

    chosen = choose_device(device)
    network = folded(network)
    limit = MOST_VOXELS[chosen]
    while True:
        try:
            return _run(network, prepared, chosen, limit, progress, on_fraction, views)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            limit //= 4
            if chosen == "cuda":
                _release(network)
            if limit < SMALLEST_WINDOW_VOXELS:
                if chosen == "cpu":
                    text = "There is too little memory to run the model; close other programs."
                    raise EnvironmentProblem(text) from error
                progress.warning("gpu_memory", "The GPU has too little memory; the CPU takes over.")
                chosen, limit = "cpu", MOST_VOXELS["cpu"]


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; elsewhere bfloat16 is emulated and slower than float32."""
    import torch

    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool((probe and probe()) or (amx and amx()))


def precision_of(device: str) -> tuple[str, AbstractContextManager[object]]:
    """Name of the precision that suits a device, and the context in which torch computes in it."""
    import torch

    if device == "cuda":
        # float16 is fast on every GPU with tensor cores; bfloat16 only on newer ones.
        return "float16", torch.autocast("cuda", dtype=torch.float16)
    if cpu_has_bfloat16():
        return "bfloat16", torch.autocast("cpu", dtype=torch.bfloat16)
    return "float32", nullcontext()


def threads() -> int:
    """Threads for the CPU: OMP_NUM_THREADS where it is set, else the cores this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(
    network: AnisotropicUNet,
    prepared: Prepared,
    device: str,
    most_voxels: int,
    progress: Progress,
    on_fraction: Callable[[float], None],
    views: Views,
) -> tuple[np.ndarray, Execution]:
    import torch

    from .network_windows import Evaluation

    def seen(number: int, axes: tuple[int, ...]) -> tuple[np.ndarray, int]:
        def on_part(done: float) -> None:
            on_fraction((number + done) / len(views))

        turned = _turned_round(prepared, axes)
        found, count = Evaluation(network, turned, device, most_voxels, progress, on_part).result()
        return np.ascontiguousarray(np.flip(found, tuple(axis + 1 for axis in axes))), count

    if device == "cpu":
        torch.set_num_threads(threads())
    precision, autocast = precision_of(device)
    network.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    with torch.inference_mode(), autocast:
        product, n_windows = seen(0, views[0])
        background = 1 - product.sum(0)
        for number, axes in enumerate(views[1:], 1):
            found, count = seen(number, axes)
            background *= 1 - found.sum(0)
            product *= found
            n_windows += count
    _turn_into_mean(torch.from_numpy(product), torch.from_numpy(background), 1 / len(views))
    return product, Execution(device, precision, n_windows)


def _turn_into_mean(product: Tensor, background: Tensor, share: float) -> None:
    """Products of probabilities (classes - 1, k, j, i) become geometric means that add up to 1 with the background."""
    total = background.clamp_min_(0).pow_(share).add_(product.pow_(share).sum(0))
    product.div_(total.clamp_min_(SMALLEST))


def _turned_round(prepared: Prepared, axes: tuple[int, ...]) -> Prepared:
    """A scan turned round along axes of its arrays; where it lies in space is not changed with it."""
    if not axes:
        return prepared

    def turned(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.flip(array, axes))

    places = None if prepared.places is None else turned(prepared.places)
    return replace(
        prepared,
        image=prepared.image.with_array(turned(prepared.image.array)),
        brain=turned(prepared.brain),
        places=places,
    )


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def _release(network: AnisotropicUNet) -> None:
    import torch

    network.to("cpu")
    torch.cuda.empty_cache()
