"""Windows, agreement with one pass over the whole volume, memory, cancellation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from CMBNetLib import inference
from CMBNetLib.errors import Cancelled, EnvironmentProblem
from CMBNetLib.inference import AS_IT_IS, infer
from CMBNetLib.network import AnisotropicUNet, NetworkSpec, folded
from CMBNetLib.network_windows import windows_of
from CMBNetLib.places import PLACES
from CMBNetLib.preparation import Prepared
from CMBNetLib.progress import Progress
from CMBNetLib.volume import Volume


@pytest.fixture
def network() -> AnisotropicUNet:
    torch.manual_seed(0)
    network = AnisotropicUNet(NetworkSpec(filters=(4, 8, 8, 8), places=len(PLACES) - 1)).train()
    for _ in range(3):  # batch norms get statistics, so that folding them is put to the test
        network(torch.randn(2, 1, 8, 32, 32), 1.0, torch.randint(0, len(PLACES), (2, 8, 32, 32)))
    return network.eval()


@pytest.fixture
def prepared() -> Prepared:
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (40, 96, 110)).astype(np.float32)
    kji = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij"), -1)
    brain = np.linalg.norm(kji, axis=-1) < 0.85
    places = rng.integers(0, len(PLACES), image.shape).astype(np.uint8)
    return Prepared(Volume(image, np.diag([0.5, 0.5, 1.0, 1.0])), brain, places)


@pytest.mark.parametrize("most", [20_000, 60_000, 10_000_000])
def test_windows_keep_every_brain_voxel_once(prepared: Prepared, most: int) -> None:
    times = np.zeros(prepared.brain.shape, int)
    for window in windows_of(prepared.brain, most, (2, 2, 2)):
        times[window.keep] += 1
        assert [r.start % n for r, n in zip(window.read, (2, 2, 2), strict=True)] == [0, 0, 0]
        assert all(r.start <= k.start and k.stop <= r.stop for r, k in zip(window.read, window.keep, strict=True))
    assert times.max() == 1
    assert times[prepared.brain].min() == 1


def test_windows_without_brain_are_left_out() -> None:
    brain = np.zeros((4, 200, 200), bool)
    brain[:, :10, :10] = brain[:, -10:, -10:] = True
    windows = windows_of(brain, 100_000)
    read = sum(np.prod([s.stop - s.start for s in w.read]) for w in windows)
    assert len(windows) == 2
    assert read < 0.01 * brain.size


def test_windowed_result_is_that_of_one_pass(network: AnisotropicUNet, prepared: Prepared, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    with torch.inference_mode():
        edges = [(0, -n % step) for n, step in zip(prepared.image.array.shape, network.raster(1.0), strict=True)]
        image = torch.from_numpy(np.pad(prepared.image.array, edges, mode="edge"))[None, None]
        places = torch.from_numpy(np.pad(prepared.places, edges, mode="edge"))[None]
        whole = network(image, 1.0, places).softmax(1)[0, 1:, :40, :96, :110].numpy()
    one, execution = infer(network, prepared, "cpu", Progress(), views=AS_IT_IS)
    assert one.shape == whole.shape
    # bfloat16, which a CPU that multiplies it takes, keeps 8 bits.
    tolerance = 1e-4 if execution.precision == "float32" else 1e-2
    assert np.abs(one - whole)[:, prepared.brain].max() < tolerance
    monkeypatch.setitem(inference.MOST_VOXELS, "cpu", 150_000)
    many, execution = infer(network, prepared, "cpu", Progress(), views=AS_IT_IS)
    assert execution.n_windows > 4
    assert np.abs(many - whole)[:, prepared.brain].max() < tolerance


def test_a_scan_and_its_mirror_image_are_answered_alike(network: AnisotropicUNet, prepared: Prepared) -> None:
    def cut(array: np.ndarray) -> np.ndarray:
        return array[..., :96]  # no edge is padded, whichever end it is at

    def made(change: Callable[[np.ndarray], np.ndarray]) -> Prepared:
        assert prepared.places is not None
        arrays = (prepared.image.array, prepared.brain, prepared.places)
        image, brain, places = (change(cut(array)).copy() for array in arrays)
        return Prepared(Volume(image, prepared.image.ijk_to_ras), brain, places)

    own, mirrored = made(lambda array: array), made(lambda array: array[..., ::-1])
    assert own.brain.shape[2] % network.raster(1.0)[2] == 0
    one, other = (infer(network, each, "cpu", Progress())[0] for each in (own, mirrored))
    assert np.abs(one - other[..., ::-1])[:, own.brain].max() < 1e-3
    alone, turned = (infer(network, each, "cpu", Progress(), views=AS_IT_IS)[0] for each in (own, mirrored))
    both, _ = infer(network, own, "cpu", Progress(), views=((), (2,)))
    seen = np.stack([alone, turned[..., ::-1]])
    background, mean = 1 - seen.sum(1), np.sqrt(seen.prod(0))
    assert np.abs(both - mean / (mean.sum(0) + np.sqrt(background.prod(0))))[:, own.brain].max() < 1e-3
    assert one.sum(0).max() <= 1 + 1e-5


@pytest.mark.parametrize("slice_mm", [1.0, 2.0, 6.0])
def test_folding_changes_nothing(network: AnisotropicUNet, slice_mm: float) -> None:
    x = torch.randn(1, 1, 8, 32, 48)
    with torch.inference_mode():
        before = network(x, slice_mm)
        after = folded(network)(x, slice_mm)
    assert torch.allclose(before, after, atol=1e-4)


def test_too_little_memory_makes_windows_smaller(network: AnisotropicUNet, prepared: Prepared, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    finest, sizes = network.finest, []

    def limited(x: torch.Tensor, slice_mm: float, places: torch.Tensor) -> torch.Tensor:
        sizes.append(x.numel())
        if x.numel() > 100_000:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            )
        return finest(x, slice_mm, places)

    monkeypatch.setattr(network, "finest", limited)
    monkeypatch.setattr(inference, "SMALLEST_WINDOW_VOXELS", 1_000)
    probability, _ = infer(network, prepared, "cpu", Progress())
    assert probability[:, prepared.brain].min() > 0
    assert sizes[0] > 100_000 >= sizes[-1]


def test_no_memory_at_all_is_told(network: AnisotropicUNet, prepared: Prepared, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def never(*_: object) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(network, "finest", never)
    with pytest.raises(EnvironmentProblem, match="too little memory"):
        infer(network, prepared, "cpu", Progress())


def test_other_errors_are_not_swallowed(network: AnisotropicUNet, prepared: Prepared, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(network, "finest", broken)
    with pytest.raises(RuntimeError, match="size mismatch"):
        infer(network, prepared, "cpu", Progress())


def test_cancel_stops_between_windows(network: AnisotropicUNet, prepared: Prepared, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setitem(inference.MOST_VOXELS, "cpu", 60_000)
    progress, seen = Progress(), []

    def on_fraction(fraction: float) -> None:
        seen.append(fraction)
        progress.cancel()

    with pytest.raises(Cancelled):
        infer(network, prepared, "cpu", progress, on_fraction)
    assert len(seen) == 1
    assert seen[0] < 1


def test_a_gpu_that_is_not_there_is_an_environment_problem(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EnvironmentProblem, match="--device cpu"):
        inference.choose_device("cuda")
    assert inference.choose_device("auto") == "cpu"
