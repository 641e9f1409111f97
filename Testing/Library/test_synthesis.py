"""Simulated scans: physics against known answers, determinism, truth that fits the picture."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from CMBNetLib.errors import InputError
from CMBNetLib.taxonomy import load_taxonomy
from CMBNetLib.volume import Volume, write_volume
from CMBNetTrainingLib.acquisition import acquire, field_of, in_band, render, signal_of, spoil
from CMBNetTrainingLib.decoys import FALX, HABITS, draw_decoys
from CMBNetTrainingLib.head import OUTER_AIR, Block, HeadMap, draw_block, read_head_map
from CMBNetTrainingLib.painting import paint
from CMBNetTrainingLib.protocol import Protocol, draw_protocol
from CMBNetTrainingLib.sources import Source, draw_microbleeds, paint_sources, source_points
from CMBNetTrainingLib.synthesis import SyntheticScan, fine_grid, synthesize
from CMBNetTrainingLib.synthetic_collection import BORDER_MM
from CMBNetTrainingLib.tissue import TISSUES
from CMBNetTrainingLib.truth import (
    IGNORE,
    MICROBLEED,
    MIMIC,
    VISIBLE_LOSS,
    Seen,
    contrast_to_noise,
    is_microbleed_seen,
    is_set_off,
    tissue_round,
    visible_region,
)
from CMBNetTrainingLib.veins import vein_fraction

PLAIN = Protocol("T2*", 3, 3.0, 20.0, 0.5, 0.5, 1.0, 1.0, 1000.0, 1, 0.0, 0.0, (0.0, 0.0, 0.0))


def small_head() -> HeadMap:
    """A head of nested balls, 1 mm: cortex, white matter, ventricles with plexus, thalamus, brain-stem; skull, air."""
    shape = (96, 96, 96)
    k, j, i = np.indices(shape) - 48
    radius = np.sqrt(k**2 + j**2 + i**2)
    labels = np.full(shape, 0, np.int16)
    for limit, left, right in ((44, 515, 515), (40, 24, 24), (37, 3, 42), (31, 2, 41), (10, 4, 43)):
        labels[radius <= limit] = left
        labels[(radius <= limit) & (i > 0)] = right
    labels[np.sqrt(k**2 + j**2 + (np.abs(i) - 16) ** 2) <= 5] = 10
    labels[(radius <= 37) & (k < -26)] = 16
    labels[(np.abs(k) <= 2) & (np.abs(j) <= 2) & (np.abs(i) == 5)] = 136
    return HeadMap(np.where(radius > 44, 1000, labels).astype(np.int16), "balls_01")


def make(seed: int = 1, n: int = 12, **changes: object) -> SyntheticScan:
    """A small scan of the head of balls."""
    head, protocol = small_head(), replace(PLAIN, snr=60.0, **changes)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    shape, spacing, per_slice = fine_grid((48.0, 64.0, 64.0), protocol, 1.0 if protocol.pixel_mm >= 1 else 0.5)
    block = draw_block(rng, shape, spacing, np.array([48.0, 48.0, 48.0]), protocol.slice_rotation)
    return synthesize(rng, head, block, protocol, per_slice, n)


def test_the_field_of_a_ball_is_that_of_the_textbook() -> None:
    """Outside: chi/3 (a/r)^3 (3 cos^2 - 1), inside zero after the Lorentz sphere; Schenck (1996)."""
    size, a, chi = 96, 8.0, 1.0
    grid = np.stack(np.meshgrid(*[np.arange(size) - size / 2] * 3, indexing="ij"))
    r = np.sqrt((grid**2).sum(0))
    field = field_of(torch.from_numpy((chi * (r <= a)).astype(np.float32)), np.ones(3), (1.0, 0.0, 0.0)).numpy()
    outside = (r > 12) & (r < 24)
    cosine = grid[0][outside] / r[outside]
    expected = chi / 3 * (a / r[outside]) ** 3 * (3 * cosine**2 - 1)
    assert np.corrcoef(field[outside], expected)[0, 1] > 0.995
    assert np.abs(field[outside] - expected).max() < 0.02
    assert np.abs(field[r < 5]).max() < 0.03


def test_the_field_turns_with_the_direction_of_b0() -> None:
    chi = torch.zeros(32, 32, 32)
    chi[14:18, 14:18, 14:18] = 1.0
    along_k, along_i = (field_of(chi, np.ones(3), b0) for b0 in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    assert torch.allclose(along_k, along_i.transpose(0, 2), atol=1e-5)


@pytest.mark.parametrize(("have", "count"), [(64, 40), (64, 100), (60, 60)])
def test_in_band_keeps_slow_waves_and_the_field_of_view(have: int, count: int) -> None:
    wave = [torch.sin(2 * math.pi * 3 * (torch.arange(n) + 0.5) / n) for n in (have, count)]
    out = in_band(wave[0].to(torch.complex64), -1, count, 0.9)
    assert torch.allclose(out.real, wave[1], atol=1e-4)
    assert out.imag.abs().max() < 1e-4


def test_in_band_drops_what_is_faster() -> None:
    fast = torch.sin(2 * math.pi * 20 * torch.arange(64) / 64).to(torch.complex64)
    assert in_band(fast, -1, 64, 0.5).abs().max() < 1e-3


def test_signal_falls_with_r2star_and_turns_with_the_field() -> None:
    one = torch.ones(1)
    signal = signal_of(one, 50 * one, 0.1 * one, PLAIN)
    assert signal.abs().item() == pytest.approx(math.exp(-1), rel=1e-5)
    turns = 42.577 * 3.0 * 0.020 * 0.1
    assert signal.angle().item() == pytest.approx(2 * math.pi * turns - 2 * math.pi * round(turns), abs=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_swi_darkens_blood_and_not_calcium_whatever_the_sign_of_the_phase(sign: int) -> None:
    protocol = replace(PLAIN, sequence="SWI", phase_sign=sign, pixel_mm=1.0, resolution_mm=1.0)
    dark = []
    for chi in (0.4, -0.4):
        fine = torch.zeros(32, 32, 32)
        fine[:, 15:17, 15:17] = chi  # a vein along the field: its inside has a field, its outside none
        field = field_of(fine, np.ones(3), (1.0, 0.0, 0.0))
        image = render(signal_of(torch.ones(32, 32, 32), torch.zeros(32, 32, 32), field, protocol), protocol)
        dark.append(float(image[16, 15, 15]))
    assert dark[0] < 0.6
    assert dark[1] > 0.95


def test_thick_slices_average_and_gaps_leave_out() -> None:
    fine = torch.arange(8.0).reshape(8, 1, 1).expand(8, 16, 16).to(torch.complex64)
    protocol = replace(PLAIN, dimensions=2, slice_spacing_mm=2.0, slice_fill=0.5)
    image = acquire(fine, np.full(3, 0.5), 4, protocol).abs()
    assert image.shape == (2, 16, 16)
    assert image[:, 8, 8].tolist() == pytest.approx([1.5, 5.5], abs=0.02)


def test_noise_has_the_wanted_size_and_the_magnitude_is_rician() -> None:
    generator = torch.Generator().manual_seed(1)
    protocol = replace(PLAIN, snr=20.0)
    background = render(spoil(generator, torch.zeros(8, 64, 64, dtype=torch.complex64), 1.0, protocol), protocol)
    assert background.mean().item() == pytest.approx(0.05 * math.sqrt(math.pi / 2), rel=0.05)


def test_motion_leaves_a_ghost_along_j_only() -> None:
    image = torch.zeros(1, 64, 64, dtype=torch.complex64)
    image[0, 30:34, 30:34] = 1.0
    protocol = replace(PLAIN, ghost=0.2, motion_mm=0.0, snr=1e6)
    out = spoil(torch.Generator().manual_seed(3), image, 1.0, protocol).abs()[0]
    assert out[:, 30:34].sum() - out[28:36, 30:34].sum() > 1.0
    assert out[30:34, :20].max() < 0.05


def test_painted_volume_and_susceptibility_are_those_of_the_source() -> None:
    rng = np.random.default_rng(0)
    for form in ("ellipsoid", "cluster", "slit", "shell"):
        source = Source("microbleed", (10.0, 10.0, 10.0), 2.0, 1.5, form)
        points, weights = source_points(rng, source, 0.125)
        assert weights.sum() == pytest.approx(4 / 3 * np.pi * 8)
        assert np.linalg.norm(points.mean(0) - 10.0) < 1.6
        painted = paint_sources(rng, [source], (40, 40, 40), np.full(3, 0.5))
        assert painted.chi_ppm.max() <= 1.5 + 1e-6
    assert paint(np.zeros((5, 3)), np.full(5, 0.01), (4, 4, 4), np.full(3, 0.5))[0, 0, 0] == pytest.approx(0.4)


def test_veins_lie_in_the_brain_and_follow_the_seed() -> None:
    labels = small_head().labels
    veins = vein_fraction(np.random.default_rng(4), labels, np.ones(3))
    assert veins.max() > 0.2
    assert (veins[labels == 1000] > 0).mean() < 0.001
    assert np.array_equal(veins, vein_fraction(np.random.default_rng(4), labels, np.ones(3)))


def test_decoys_are_named_as_the_taxonomy_names_mimics_and_lie_where_they_belong() -> None:
    import json

    from CMBNetLib.resources import resource_path

    known = {m["id"] for m in json.loads(resource_path("Taxonomies/mimics.json").read_text())["mimics"]}
    assert {habit.kind for habit in HABITS} <= known
    labels = small_head().labels
    for seed in range(30):
        for decoy in draw_decoys(np.random.default_rng(seed), labels, np.ones(3)):
            assert decoy.kind in known
            assert 0 < labels[tuple(np.rint(decoy.center_mm).astype(int))] < 500


def test_microbleeds_keep_their_distance() -> None:
    sources = draw_microbleeds(np.random.default_rng(2), small_head().labels, 40, np.ones(3))
    centers = np.array([s.center_mm for s in sources])
    gaps = np.linalg.norm(centers[:, None] - centers[None], axis=-1) + 100 * np.eye(len(centers))
    assert len(sources) > 10
    assert gaps.min() > 5.0


def test_a_scan_is_a_function_of_its_seed() -> None:
    first, again, other = make(1), make(1), make(2)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.classes, again.classes)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("sequence", ["T2*", "SWI"])
@pytest.mark.parametrize("slice_mm", [1.0, 4.0])
def test_what_the_truth_calls_a_microbleed_is_dark(sequence: str, slice_mm: float) -> None:
    scan = make(3, 20, sequence=sequence, slice_spacing_mm=slice_mm, dimensions=2 if slice_mm > 2 else 3)
    visible = [lesion for lesion in scan.lesions if lesion.visible]
    assert len(visible) >= 3
    assert set(np.unique(scan.instances)) - {0} <= {lesion.id for lesion in visible}
    for lesion in visible:
        mask = scan.instances == lesion.id
        assert lesion.loss >= VISIBLE_LOSS
        if mask.sum() >= 4:
            assert scan.image[mask].mean() < 0.9
    tissue = scan.brain & (scan.classes == 0)
    assert scan.image[scan.classes == MICROBLEED].mean() < 0.7 * scan.image[tissue].mean()
    assert set(np.unique(scan.classes)) <= {0, MICROBLEED, MIMIC, IGNORE}


def test_places_have_the_zone_of_their_tissue() -> None:
    zones = {zone for site in load_taxonomy("bombs").sites for zone in [site.zone]} | {"outside"}
    lesions = [lesion for seed in (5, 6) for lesion in make(seed, 25).lesions]
    assert {lesion.zone for lesion in lesions} <= zones
    assert {"lobar", "infratentorial"} <= {lesion.zone for lesion in lesions}


def test_truth_of_an_off_grid_pixel_lies_on_the_picture() -> None:
    """Pixels that are no multiple of the fine grid: centre of the mask and of the source agree."""
    scan = make(9, 15, pixel_mm=0.75, resolution_mm=0.75)
    offsets = []
    for lesion in scan.lesions:
        where = np.argwhere(scan.instances == lesion.id)
        if lesion.visible and len(where) > 8:
            offsets.append((where.mean(0) - lesion.center_kji) * [1.0, 0.75, 0.75])
    assert len(offsets) >= 3
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.5


def test_a_source_too_faint_is_not_to_be_judged() -> None:
    loss = np.zeros((9, 9, 9), np.float32)
    loss[4, 4, 4] = 0.2
    seen = visible_region(loss, np.array([4.0, 4.0, 4.0]), 0.5, np.ones(3), 3.0)
    assert seen is not None
    assert seen[2] == pytest.approx(0.2)
    assert seen[0].sum() == 1
    assert visible_region(loss, np.array([40.0, 4.0, 4.0]), 0.5, np.ones(3), 3.0) is None


def test_what_merges_with_something_dark_is_not_to_be_judged() -> None:
    k, j, i = np.indices((9, 31, 31)) - np.array([4, 15, 15])[:, None, None, None]
    step, mask = np.array([1.0, 0.5, 0.5]), np.hypot(k, 0.5 * np.hypot(j, i)) <= 2
    loss = np.where(mask, 0.8, 0.0)
    tissue = np.ones(mask.shape)
    beside_bone, in_bone = np.where(i > 4, 0.1, tissue), np.where(j > -9, 0.15, tissue)
    assert is_set_off(tissue - loss, mask, loss, step)
    assert is_set_off(beside_bone * (1 - loss), mask, loss, step)
    assert not is_set_off(np.where(mask, 0.2, in_bone), mask, loss, step)
    brain = np.ones(mask.shape, bool)
    seen = Seen(tissue - loss, 0.1, tissue - loss, loss, brain, step)
    assert is_microbleed_seen(seen, mask)
    faint, nothing = 1 - 0.2 * loss, np.zeros(mask.shape)
    assert not is_microbleed_seen(Seen(faint, 0.01, faint, 0.2 * loss, brain, step), mask)
    assert not is_microbleed_seen(Seen(tissue, 0.1, tissue, nothing, brain, step), nothing > 0)
    speck = mask & (np.abs(k) + np.abs(j) + np.abs(i) <= 1)
    dot = np.where(speck, 0.2, tissue)
    assert not is_microbleed_seen(Seen(dot, 0.1, dot, np.where(speck, 0.8, 0.0), brain, step), speck)
    # The contrast is 0.8: five times a noise of 0.16.
    assert is_microbleed_seen(replace(seen, noise_sd=0.15), mask)
    assert not is_microbleed_seen(replace(seen, noise_sd=0.17), mask)


def test_half_of_what_surrounds_a_microbleed_is_tissue() -> None:
    k, j, i = np.indices((9, 31, 31)) - np.array([4, 15, 15])[:, None, None, None]
    step, mask = np.array([1.0, 0.5, 0.5]), np.hypot(k, 0.5 * np.hypot(j, i)) <= 2
    loss = np.where(mask, 0.8, 0.0)
    assert tissue_round(j >= 0, mask, step) == pytest.approx(0.5, abs=0.05)
    seen = Seen(1 - loss, 0.1, 1 - loss, loss, j >= -1, step)
    assert is_microbleed_seen(seen, mask)
    assert not is_microbleed_seen(replace(seen, tissue=j >= 2), mask)
    assert tissue_round(np.ones(mask.shape, bool), np.zeros(mask.shape, bool), step) == 0


def test_contrast_is_taken_in_the_finished_scan() -> None:
    k, j, i = np.indices((5, 41, 41)) - np.array([2, 20, 20])[:, None, None, None]
    step, mask = np.array([2.0, 0.5, 0.5]), np.hypot(2 * k, 0.5 * np.hypot(j, i)) <= 2
    image = np.random.default_rng(0).normal(100.0, 4.0, mask.shape) - 40.0 * mask
    assert contrast_to_noise(image, mask, step, 4.0) == pytest.approx(10.0, abs=0.6)


def test_a_border_that_is_cut_off_takes_most_of_the_field_of_the_other_end_with_it() -> None:
    """The upper half of a skull: periodic borders join its open end to its closed one."""
    labels = small_head().labels
    bone = np.where(labels == 515, TISSUES[515].chi_ppm, 0.0).astype(np.float32)
    low, high, border = 48, 88, math.ceil(BORDER_MM)

    def field(chi: np.ndarray) -> np.ndarray:
        return field_of(torch.from_numpy(chi), np.ones(3), (1.0, 0.0, 0.0)).numpy()

    in_brain = labels[[low, high - 1]] < 500
    whole = field(np.pad(bone, 40))[40:-40, 40:-40, 40:-40][[low, high - 1]]
    alone, cut = field(bone[low:high])[[0, -1]], field(bone[low - border : high + border])[[border, -border - 1]]
    for end in range(2):
        wrong, left = (np.quantile(np.abs(each - whole)[end][in_brain[end]], 0.99) for each in (alone, cut))
        assert wrong > 0.25
        assert left < 0.35 * wrong


def test_a_border_that_is_cut_off_leaves_image_and_truth_in_register() -> None:
    made = make(n=30)
    kept = made.without_border((4, 8, 8))
    assert kept.image.shape == tuple(np.subtract(made.image.shape, (8, 16, 16)))
    np.testing.assert_array_equal(kept.image, made.image[4:-4, 8:-8, 8:-8])
    for lesion in kept.lesions:
        before = next(each for each in made.lesions if each.id == lesion.id)
        assert lesion.center_kji == pytest.approx(np.subtract(before.center_kji, (4, 8, 8)))
        assert all(-0.5 <= x < n - 0.5 for x, n in zip(lesion.center_kji, kept.image.shape, strict=True))
    assert 0 < len(kept.lesions) < len(made.lesions)
    assert set(np.unique(kept.instances)) - {0} <= {lesion.id for lesion in kept.lesions if lesion.visible}
    assert not np.any((kept.classes == MICROBLEED) & (kept.instances == 0))


def test_calcifications_of_the_falx_lie_between_the_hemispheres() -> None:
    labels = np.full((20, 80, 80), 24, np.int16)
    labels[:, 10:70, 10:39], labels[:, 10:70, 41:70] = 3, 42
    places = [
        decoy.center_mm
        for seed in range(60)
        for decoy in draw_decoys(np.random.default_rng(seed), labels, np.array([2.0, 1.0, 1.0]) * 2)
        if decoy.kind == "calcification" and decoy.radius_mm <= FALX.radius_mm[1]
    ]
    assert len(places) > 3
    assert all(76 < i < 82 for _, _, i in places)


def test_protocols_cover_the_range_of_the_clinic() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_protocol(rng, pixel_mm=float(rng.uniform(0.4, 1.0))) for _ in range(400)]
    assert {p.field_t for p in drawn} == {1.5, 3.0, 7.0}
    assert {p.sequence for p in drawn} == {"T2*", "SWI"}
    assert {p.dimensions for p in drawn} == {2, 3}
    spacings = [p.slice_spacing_mm for p in drawn]
    assert min(spacings) <= 0.8
    assert max(spacings) > 6.0
    assert all(8 <= p.echo_time_ms <= 45 and p.resolution_mm >= 0.5 for p in drawn)
    for p in drawn[:20]:
        assert np.linalg.norm(p.b0_direction) == pytest.approx(1.0)


def test_a_block_samples_its_center_in_the_middle() -> None:
    still = np.zeros((3, 3, 3, 3))
    block = Block((3, 3, 3), np.full(3, 0.5), np.array([10.0, 20.0, 30.0]), np.eye(3), np.ones(3), still)
    points = block.sample_points().numpy()
    assert points[:, 1, 1, 1].tolist() == [10.0, 20.0, 30.0]
    assert points[:, 2, 1, 1].tolist() == [10.5, 20.0, 30.0]
    assert points[:, 1, 1, 0].tolist() == [10.0, 20.0, 29.5]


def test_specks_of_bone_and_vessel_at_the_brain_are_noise_of_the_label_map(tmp_path: Path) -> None:
    labels = small_head().labels.copy()
    labels[labels == OUTER_AIR] = 0
    for place, code in (((48, 48, 86), 515), ((48, 86, 48), 514), ((84, 48, 50), 516)):
        labels[tuple(slice(x - 1, x + 1) for x in place)] = code
    write_volume(Volume(labels, np.eye(4), "balls"), tmp_path / "balls_01.nii.gz")
    read = read_head_map(tmp_path / "balls_01.nii.gz").labels
    assert np.array_equal(read >= 500, small_head().labels >= 500)


def test_what_is_no_label_map_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.nii.gz").write_text("not a map")
    write_volume(Volume(np.full((8, 8, 8), 515, np.int16), np.eye(4), "bone"), tmp_path / "bone.nii.gz")
    with pytest.raises(InputError, match="no NIfTI file"):
        read_head_map(tmp_path / "bad.nii.gz")
    with pytest.raises(InputError, match="no label of the brain"):
        read_head_map(tmp_path / "bone.nii.gz")
    scan = np.arange(8**3, dtype=np.int16).reshape(8, 8, 8)
    write_volume(Volume(scan, np.eye(4), "scan"), tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match=r"no codes of tissue \(1, 6, 9, 19 \.\.\.\)\. Give a label map"):
        read_head_map(tmp_path / "scan.nii.gz")
