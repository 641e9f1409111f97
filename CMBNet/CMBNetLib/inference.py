"""Run the network over the brain in windows, on the device and in the precision that suit it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from .errors import EnvironmentProblem, InputError
from .progress import Progress

if TYPE_CHECKING:
    import torch

    from .network import AnisotropicUNet
    from .preparation import Prepared

DEVICES = ("auto", "cpu", "cuda")
# Half the receptive field that matters, in mm: measured, see Testing/Benchmarks/detect_speed.py (agreement).
HALO_MM = 8.0
# Large windows waste little on halos; the bound keeps a run under 4 GB (a voxel costs about 160 bytes at float32).
MOST_VOXELS = {"cpu": 5_000_000, "cuda": 16_000_000}
SMALLEST_WINDOW_VOXELS = 200_000


@dataclass(frozen=True)
class Window:
    """A box of the working grid: what the network reads, and the part of it whose result is kept; slices k, j, i."""

    read: tuple[slice, slice, slice]
    keep: tuple[slice, slice, slice]


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
) -> tuple[np.ndarray, Execution]:
    """Class probabilities of every brain voxel.

    Parameters
    ----------
    network
        float32; it is not changed.
    device
        One of `DEVICES`. A GPU that runs out of memory gets smaller windows, then the CPU takes over, with a warning.
    on_fraction
        Called with 0..1 as windows are done.

    Returns
    -------
    probability : ndarray of float32, (classes - 1, k, j, i)
        Without the background; 0 outside of the windows.
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
            return _run(network, prepared, chosen, limit, progress, on_fraction)
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


def windows_of(
    brain: np.ndarray, halo: tuple[int, int, int], most_voxels: int, raster: tuple[int, int, int] = (1, 1, 1)
) -> list[Window]:
    """Windows that together keep every voxel of the brain's box once; those without brain are left out.

    Parameters
    ----------
    brain
        bool [k, j, i].
    halo
        Voxels (k, j, i) that are read round what is kept, at least.
    raster
        Reads begin at multiples of this (k, j, i): pooling then joins the same voxels whatever the windows.
    """
    box = _box_of(brain)
    counts = [1, 1, 1]
    while _read_size(box, counts, halo) > most_voxels:
        sizes = [(b - a) / n for (a, b), n in zip(box, counts, strict=True)]
        # Split where a part is longest in units of its halo: that wastes least.
        axis = int(np.argmax([size / max(h, 1) for size, h in zip(sizes, halo, strict=True)]))
        if sizes[axis] <= 2:
            break
        counts[axis] += 1
    parts = [_parts(a, b, n) for (a, b), n in zip(box, counts, strict=True)]
    windows = []
    for keep in product(parts[0], parts[1], parts[2]):
        if brain[keep].any():
            k, j, i = (_grown(s, h, n, r) for s, h, n, r in zip(keep, halo, brain.shape, raster, strict=True))
            windows.append(Window((k, j, i), keep))
    return windows


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; elsewhere bfloat16 is emulated and slower than float32."""
    import torch

    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool((probe and probe()) or (amx and amx()))


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
) -> tuple[np.ndarray, Execution]:
    import torch

    if device == "cpu":
        torch.set_num_threads(threads())
    precision, autocast = _precision(device)
    across, in_plane = (max(1, round(HALO_MM / edge)) for edge in (prepared.slice_mm, network.spec.pixel_mm))
    raster = network.raster(prepared.slice_mm)
    windows = windows_of(prepared.brain, (across, in_plane, in_plane), most_voxels, raster)
    network.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    out = np.zeros((network.spec.classes - 1, *prepared.brain.shape), np.float32)
    done = 0
    with torch.inference_mode(), autocast:
        for batch in _batches(windows, most_voxels):
            progress.check_cancelled()
            logits = network(_stacked(prepared.image.array, batch, device), prepared.slice_mm)
            probability = logits.float().softmax(dim=1)[:, 1:].cpu().numpy()
            for window, values in zip(batch, probability, strict=True):
                for plane, value in zip(out, values, strict=True):
                    plane[window.keep] = value[_inside(window)]
            done += len(batch)
            on_fraction(done / len(windows))
    return out, Execution(device, precision, len(windows))


def _precision(device: str) -> tuple[str, AbstractContextManager[object]]:
    import torch

    if device == "cuda":
        # float16 is fast on every GPU with tensor cores; bfloat16 only on newer ones.
        return "float16", torch.autocast("cuda", dtype=torch.float16)
    if cpu_has_bfloat16():
        return "bfloat16", torch.autocast("cpu", dtype=torch.bfloat16)
    return "float32", nullcontext()


def _batches(windows: list[Window], most_voxels: int) -> Iterator[list[Window]]:
    """Neighbouring windows of the same read shape together, as many as fit into ``most_voxels``."""
    batch: list[Window] = []
    for window in windows:
        shape = _shape(window.read)
        if batch and (_shape(batch[0].read) != shape or (len(batch) + 1) * int(np.prod(shape)) > most_voxels):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _stacked(image: np.ndarray, batch: list[Window], device: str) -> torch.Tensor:
    """(b, 1, k, j, i) of the windows' reads; in-plane edges made even by repeating the last pixel."""
    import torch

    parts = np.stack([image[window.read] for window in batch])[:, None]
    odd = [(0, n % 2) for n in parts.shape[-2:]]
    padded = np.pad(parts, [(0, 0), (0, 0), (0, 0), *odd], mode="edge")
    return torch.from_numpy(padded).to(device).contiguous(memory_format=torch.channels_last_3d)


def _inside(window: Window) -> tuple[slice, slice, slice]:
    k, j, i = (
        slice(keep.start - read.start, keep.stop - read.start)
        for keep, read in zip(window.keep, window.read, strict=True)
    )
    return k, j, i


def _box_of(brain: np.ndarray) -> list[tuple[int, int]]:
    box = []
    for axis in range(3):
        along = np.flatnonzero(brain.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(along):
            raise InputError("The brain mask is empty.")
        box.append((int(along[0]), int(along[-1]) + 1))
    return box


def _read_size(box: list[tuple[int, int]], counts: list[int], halo: tuple[int, int, int]) -> int:
    return int(np.prod([-(-(b - a) // n) + 2 * h for (a, b), n, h in zip(box, counts, halo, strict=True)]))


def _parts(start: int, stop: int, count: int) -> list[slice]:
    edges = np.linspace(start, stop, count + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges) if b > a]


def _grown(part: slice, halo: int, size: int, raster: int) -> slice:
    return slice(max(part.start - halo, 0) // raster * raster, min(part.stop + halo, size))


def _shape(box: tuple[slice, slice, slice]) -> tuple[int, ...]:
    return tuple(s.stop - s.start for s in box)


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def _release(network: AnisotropicUNet) -> None:
    import torch

    network.to("cpu")
    torch.cuda.empty_cache()
