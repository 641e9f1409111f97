"""Samples and training of the anatomy network on a small made-up head."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from CMBNetLib.anatomy_tissues import OUTER_CSF, TISSUES
from CMBNetLib.errors import InputError
from CMBNetLib.network_anatomy import AnatomySpec, AnatomyUNet
from CMBNetTrainingLib.anatomy_contrasts import draw_contrast
from CMBNetTrainingLib.anatomy_export import read_log
from CMBNetTrainingLib.anatomy_heads import LEFT, RIGHT, CodedHead, tissue_index
from CMBNetTrainingLib.anatomy_loss import CLASSES, tissue_loss
from CMBNetTrainingLib.anatomy_samples import UNKNOWN_SIDE, SampledHead, draw_sample
from CMBNetTrainingLib.anatomy_scanner import _noise, scanned, smoothed
from CMBNetTrainingLib.anatomy_slices import Slicing, draw_slicing, slice_matrix
from CMBNetTrainingLib.anatomy_training import (
    AnatomyRun,
    AnatomyTraining,
    _seen_twice,
    collated,
    main,
    read_run,
    train,
    validate,
)

PATCH = (16, 48, 40)


@lru_cache(maxsize=1)
def small_head() -> SampledHead:
    """Shells of cortex and white matter round a pair of ventricles, in CSF, bone and scalp; 1 mm, 90 mm wide."""
    k, j, i = np.indices((90, 100, 90)) - np.array([45, 50, 45])[:, None, None, None]
    radius = np.sqrt((k / 40) ** 2 + (j / 46) ** 2 + (i / 40) ** 2)
    label = np.array([1000, 516, 515, 900, 3, 3, 2, 2, 4, 4, 24])
    side = np.array([0, 0, 0, 0, LEFT, RIGHT, LEFT, RIGHT, LEFT, RIGHT, 0], np.uint8)
    codes = np.digitize(radius, [0.3, 0.7, 0.78, 0.8, 0.85, 0.92, 1.0])
    codes = np.array([8, 6, 4, 10, 3, 2, 1, 0])[codes]
    codes = np.where((codes >= 4) & (codes < 10) & (i > 0), codes + 1, codes).astype(np.uint8)
    near = np.flatnonzero((codes == 6) | (codes == 7))[:500]
    tissue = np.array([tissue_index(v) for v in label], np.uint8)
    head = CodedHead("small", codes, label, tissue, side, near, (8, 9), np.array([45.0, 50.0, 45.0]))
    return SampledHead.on("cpu", head)


def test_a_sample_is_the_same_for_the_same_seed_and_finite() -> None:
    one, other = (draw_sample(np.random.default_rng(4), [small_head()], PATCH) for _ in range(2))
    assert torch.equal(one.image, other.image)
    assert one.image.shape == one.tissue.shape == one.side.shape == PATCH
    for seed in range(12):
        sample = draw_sample(np.random.default_rng(seed), [small_head()], PATCH)
        assert torch.isfinite(sample.image).all()
        assert sample.image.min() >= -1
        assert set(sample.side.unique().tolist()) <= {0, 1, UNKNOWN_SIDE}
        assert (sample.side[sample.tissue == 0] == UNKNOWN_SIDE).all()


def test_the_right_side_lies_at_larger_i_in_mirrored_heads_too() -> None:
    for seed in range(20):
        sample = draw_sample(np.random.default_rng(seed), [small_head()], (24, 64, 64))
        i = torch.arange(64).expand(sample.side.shape).float()
        if (sample.side == 0).sum() > 500 and (sample.side == 1).sum() > 500:
            assert i[sample.side == 1].mean() > i[sample.side == 0].mean()


def test_slices_keep_the_level_and_blur_across_only() -> None:
    matrix = slice_matrix(40, 5.0, 4.0, 1.0)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-5)
    spike = np.zeros(40)
    spike[20] = 1
    assert (matrix @ spike).max() < 0.6
    np.testing.assert_allclose(slice_matrix(40, 1.0, 1e-6, 0.0), np.eye(40), atol=1e-5)


def test_contrasts_are_dark_in_air_and_mostly_make_a_phase() -> None:
    label = small_head().coded.label
    drawn = [draw_contrast(np.random.default_rng(n), label) for n in range(60)]
    for contrast in drawn:
        assert contrast.magnitude[0] == contrast.chi_ppm[0] == 0  # the air round the head
        assert np.isfinite(contrast.magnitude).all()
        assert contrast.radians_per_ppm > 0 or not contrast.swi
    assert 0.8 < np.mean([c.radians_per_ppm > 0 for c in drawn]) < 1
    assert 0.2 < np.mean([c.swi for c in drawn]) < 0.6


def thin(shape: tuple[int, int, int]) -> Slicing:
    return Slicing(0, np.eye(shape[0], dtype=np.float32), shape)


def test_smoothing_keeps_the_level_and_spreads_along_its_axes_only() -> None:
    spike = torch.zeros(9, 21, 21, dtype=torch.complex64)
    spike[4, 10, 10] = 1j
    found = smoothed(spike, 1.5, (1, 2))
    assert complex(found.sum()) == pytest.approx(1j, abs=1e-4)
    assert float(found[4].abs().max()) < 0.1
    assert not found[[0, 1, 2, 3, 5, 6, 7, 8]].any()
    assert torch.allclose(smoothed(torch.ones(3, 8, 8), 2.0, (0, 1, 2)), torch.ones(3, 8, 8), atol=1e-5)


@pytest.mark.parametrize("matrix", [np.eye(40, dtype=np.float32), slice_matrix(40, 5.0, 4.0, 1.0)])
def test_noise_has_its_size_whatever_the_slices(matrix: np.ndarray) -> None:
    noise = _noise(torch.Generator().manual_seed(1), torch.zeros(40, 48, 48), Slicing(0, matrix, ()), 0.5, (1, 2))
    assert float(noise.real.std()) == pytest.approx(1, abs=0.1)


def test_the_phase_mask_darkens_what_is_paramagnetic() -> None:
    phase = torch.zeros(24, 48, 48)
    phase[10:14, 20:23, 20:23], phase[10:14, 34:37, 34:37] = 1.5, -1.5
    signal, tissue = torch.polar(torch.ones_like(phase), phase), torch.ones_like(phase, dtype=torch.uint8)
    images = []
    for swi in (False, True):
        rng, generator = np.random.default_rng(5), torch.Generator().manual_seed(5)
        images.append(scanned(rng, generator, signal, tissue, thin(phase.shape), swi))
    change = images[1] / images[0]
    assert float(change[11:13, 21, 21].mean()) < 0.6
    assert float(change[11:13, 35, 35].mean()) > 0.95


def test_the_field_of_view_is_cut_across_the_slices() -> None:
    cut = [draw_slicing(np.random.default_rng(n), (20, 30, 40)) for n in range(40)]
    views = [s.in_view(np.random.default_rng(n)) for n, s in enumerate(cut)]
    assert 0.1 < np.mean([not view.all() for view in views]) < 0.7
    for slicing, view in zip(cut, views, strict=True):
        assert view.shape[slicing.axis] == (20, 30, 40)[slicing.axis]
        assert view.size == view.shape[slicing.axis]


def test_the_mirror_image_follows_with_its_sides_changed() -> None:
    batches = [(torch.full((1, 2, 2, 3), float(n)), torch.zeros(1, 2, 2, 3), torch.zeros(1, 2, 2, 3)) for n in range(9)]
    batches[0][0][..., 0] = -1
    batches[0][2][..., 0] = UNKNOWN_SIDE
    *_, (image, _, side) = _seen_twice(iter(batches))
    assert image[0, 0, 0].tolist() == [0, 0, -1]
    assert side[0, 0, 0].tolist() == [1, 1, UNKNOWN_SIDE]


def test_the_loss_is_least_for_the_truth_and_feels_the_brain_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("CMBNetTrainingLib.anatomy_loss.WEIGHTS", dict.fromkeys(TISSUES, 1.0))
    truth = torch.randint(0, CLASSES, (1, 3, 4, 4, 4), generator=torch.Generator().manual_seed(0))
    sure = 12 * torch.nn.functional.one_hot(truth, CLASSES).movedim(-1, 1).float()
    right = tissue_loss(sure, truth)
    assert right < 0.05
    wrong_tissue = tissue_loss(sure, torch.where(truth == 1, 2, truth))
    outside = tissue_loss(sure, torch.where(truth == 1, 0, truth))
    assert right < wrong_tissue < outside
    assert tissue_loss(sure, torch.where(truth == OUTER_CSF, 0, truth)) < outside


@pytest.fixture
def batches() -> list[tuple[torch.Tensor, ...]]:
    return [collated([draw_sample(np.random.default_rng(n), [small_head()], PATCH)]) for n in range(4)]


def test_a_resumed_run_goes_on_where_it_stopped(tmp_path: Path, batches: list[tuple[torch.Tensor, ...]]) -> None:
    torch.set_num_threads(1)
    whole = AnatomyRun(tmp_path / "whole", AnatomyTraining(minutes=1))
    parts = AnatomyRun(tmp_path / "parts", AnatomyTraining(minutes=1))
    for batch in batches[:2]:
        whole.learn(*batch)
        parts.learn(*batch)
    parts.elapsed_s = whole.elapsed_s = 3.0
    parts.save()
    parts = AnatomyRun(tmp_path / "parts", AnatomyTraining(minutes=1))
    assert (parts.step, parts.elapsed_s) == (2, 3.0)
    losses = [(float(whole.learn(*batch)), float(parts.learn(*batch))) for batch in batches[2:]]
    for one, other in losses:
        assert one == pytest.approx(other, rel=1e-5)
    for key, tensor in whole.average.state_dict().items():
        assert torch.allclose(tensor, parts.average.state_dict()[key], atol=1e-6), key


def test_learning_lowers_the_loss_and_settles_its_batch_norms(
    tmp_path: Path, batches: list[tuple[torch.Tensor, ...]]
) -> None:
    run = AnatomyRun(tmp_path / "run", AnatomyTraining(minutes=1, warm_up=1, learning_rate=5e-3))
    losses = [float(run.learn(*batches[0])) for _ in range(25)]
    assert np.mean(losses[-4:]) < 0.75 * np.mean(losses[:4])
    run.elapsed_s = 50.0
    run.learn(*batches[0])
    before = {k: v.clone() for k, v in run.network.state_dict().items() if "running" in k}
    run.learn(*batches[1])
    assert all(torch.equal(run.network.state_dict()[k], v) for k, v in before.items())
    sample = draw_sample(np.random.default_rng(1), [small_head()], PATCH)
    assert all(0 <= figure <= 1 for figure in validate(run.average, [sample]))
    assert len(TISSUES) == CLASSES


def test_a_run_goes_on_with_a_narrower_ones_weights(tmp_path: Path, batches: list[tuple[torch.Tensor, ...]]) -> None:
    narrow = AnatomyRun(tmp_path / "narrow", AnatomyTraining(minutes=1, filters=(8, 8, 8, 8)))
    narrow.learn(*batches[0])
    narrow.save()
    settings = AnatomyTraining(minutes=1, filters=(12, 8, 10, 20), init=str(tmp_path / "narrow"))
    wide = AnatomyRun(tmp_path / "wide", settings)
    image = torch.randn(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before, after = narrow.average(image), wide.average(image)
    assert float((before - after).abs().max()) < 1e-3 * float(before.abs().max())
    copies = wide.network.up[0][0].weight[8:].clone()
    wide.learn(*batches[1])
    wide.save()
    assert not torch.equal(copies, wide.network.up[0][0].weight[8:])
    # Begun once, it goes on from its own weights, and knows how many steps there were before.
    again = AnatomyRun(tmp_path / "wide", settings)
    assert (again.step, again.steps_before, read_run(tmp_path / "wide")[1]) == (1, 1, 2)


def test_a_run_makes_its_own_samples_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("CMBNetTrainingLib.anatomy_training.PATCHES", ((PATCH, 2),))
    monkeypatch.setattr("CMBNetTrainingLib.anatomy_training.VALIDATION_PATCH", PATCH)
    monkeypatch.setattr("CMBNetTrainingLib.anatomy_training.VALIDATION_SAMPLES", 2)
    (tmp_path / "heads").mkdir()
    coded = small_head().coded
    np.savez(tmp_path / "heads" / "small.npz", **{field.name: getattr(coded, field.name) for field in fields(coded)})
    maps = [tmp_path / "small.nii.gz"]
    for minutes in (0.02, 0.04):
        settings = AnatomyTraining(minutes=minutes, filters=(4, 4, 4), log_every=1, validate_every=2)
        train(maps, maps, tmp_path, settings)
    rows = read_log(tmp_path)
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1))
    assert float(rows[-1]["elapsed_s"]) >= 0.04 * 60 > float(rows[0]["elapsed_s"])
    assert all(0 <= float(row["brain_dice"]) <= 1 for row in rows if int(row["step"]) % 2 == 0)
    assert len(read_run(tmp_path)[0]) == len(AnatomyUNet(AnatomySpec((4, 4, 4))).state_dict())


def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["x", "m.nii.gz", "-o", "run", "--validation", "m.nii.gz", "--device", "cuda"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        main()
    assert "No GPU was found for --device cuda" in capsys.readouterr().err


def test_a_folder_without_a_run_is_no_beginning(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        AnatomyRun(tmp_path / "run", AnatomyTraining(init=str(tmp_path)))


@pytest.mark.parametrize("filters", [(8, 8, 8), (8, 8, 8, 4)])
def test_a_wider_run_is_refused(tmp_path: Path, filters: tuple[int, ...]) -> None:
    AnatomyRun(tmp_path / "one", AnatomyTraining(filters=(8, 8, 8, 8))).save()
    with pytest.raises(InputError, match="8, 8, 8, 8 and " + ", ".join(map(str, filters))):
        AnatomyRun(tmp_path / "other", AnatomyTraining(filters=filters, init=str(tmp_path / "one")))
