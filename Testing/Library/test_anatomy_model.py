"""The shipped anatomy model on the sample scan (simulated) and the real scan, however they are stored or cut."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from scipy import ndimage

from CMBNetLib.anatomy import BY_NETWORK, CLASSICAL, MASK_BY_NETWORK, Anatomy, find_anatomy
from CMBNetLib.anatomy_bundle import load_anatomy_bundle
from CMBNetLib.location import FLUID, decode_region, locate
from CMBNetLib.network_anatomy import AnatomySpec, AnatomyUNet
from CMBNetLib.resources import resource_path
from CMBNetLib.volume import Volume, read_volume, resample_to
from head_phantom import head
from test_detection import flipped, transposed


@lru_cache(maxsize=1)
def network() -> AnatomyUNet:
    return load_anatomy_bundle().load_network()


@lru_cache(maxsize=1)
def sample() -> Volume:
    return read_volume(resource_path("SampleData") / "CMBNetSample_swi.nii.gz")


@lru_cache(maxsize=1)
def of_sample() -> Anatomy:
    return find_anatomy(sample(), network())


def is_believed(anatomy: Anatomy) -> bool:
    """The mask is the network's; the regions may be those of the atlas, which is told."""
    codes = [flag["code"] for flag in anatomy.flags]
    return (anatomy.method, codes) in ((BY_NETWORK, []), (MASK_BY_NETWORK, ["anatomy_regions"]))


def dice(one: Volume, other: Volume) -> float:
    there = resample_to(other, one.grid, interpolation="nearest").array > 0
    return 2 * float(((one.array > 0) & there).sum()) / float((one.array > 0).sum() + there.sum())


def tissue_points(anatomy: Anatomy, count: int = 400) -> np.ndarray:
    """RAS points in brain tissue 4 mm and more below the surface of the mask."""
    deep = ndimage.binary_erosion(anatomy.brain.array > 0, iterations=2)
    codes = anatomy.regions.array
    fluid = [c for c in np.unique(codes) if c and decode_region(int(c))[0] in FLUID]
    kji = np.argwhere(deep & (codes > 0) & ~np.isin(codes, fluid))
    kji = kji[np.random.default_rng(0).choice(len(kji), count, replace=False)]
    return anatomy.regions.ras_from_ijk(kji[:, ::-1].astype(float))


def agreement(one: Anatomy, other: Anatomy, what: str) -> float:
    points = tissue_points(one)
    pairs = zip(locate(points, one), locate(points, other), strict=True)
    return float(np.mean([getattr(a, what) == getattr(b, what) for a, b in pairs]))


def sides_right(anatomy: Anatomy, middle_mm: float = 0.0) -> float:
    """Share of points more than 10 mm from the sagittal plane at ``middle_mm`` whose side is that of their R."""
    points = tissue_points(anatomy)
    points = points[np.abs(points[:, 0] - middle_mm) > 10]
    found = locate(points, anatomy)
    expected = ["right" if x > middle_mm else "left" for x in points[:, 0]]
    return float(np.mean([place.side == side for place, side in zip(found, expected, strict=True)]))


def turned(volume: Volume, degrees: float) -> Volume:
    """The same voxels in a scanner that is turned about the left-right axis."""
    a = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    return Volume(volume.array, turn @ volume.ijk_to_ras, volume.name, dict(volume.metadata))


def cut(volume: Volume, first: int, last: int) -> Volume:
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.ras_from_ijk(np.array([[0, 0, first]]))[0]
    return Volume(volume.array[first:last], matrix, volume.name, dict(volume.metadata))


def with_thick_slices(volume: Volume, count: int) -> Volume:
    """Means of ``count`` neighbouring slices."""
    used = volume.array.shape[0] // count * count
    array = volume.array[:used].reshape(-1, count, *volume.array.shape[1:]).mean(1)
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.ras_from_ijk(np.array([[0, 0, (count - 1) / 2]]))[0]
    matrix[:3, 2] *= count
    return Volume(array.astype(np.float32), matrix, volume.name, dict(volume.metadata))


def test_the_network_is_used_and_sides_are_right() -> None:
    anatomy = of_sample()
    assert is_believed(anatomy)
    assert sides_right(anatomy) > 0.97
    structures = {decode_region(int(c))[0] for c in np.unique(anatomy.regions.array)}
    assert {"cortex", "thalamus", "putamen", "internal_capsule", "external_capsule", "cerebellum"} <= structures


@pytest.mark.parametrize("other", [flipped, transposed], ids=["stored from the other end", "other order of axes"])
def test_how_the_scan_is_stored_changes_nothing(other) -> None:  # type: ignore[no-untyped-def]
    anatomy = find_anatomy(other(sample()), network())
    assert is_believed(anatomy)
    assert dice(of_sample().brain, anatomy.brain) > 0.99
    assert agreement(of_sample(), anatomy, "region") > 0.97
    assert sides_right(anatomy) > 0.97


@pytest.mark.parametrize("degrees", [15.0, -25.0])
def test_an_oblique_scan_has_the_same_anatomy(degrees: float) -> None:
    anatomy = find_anatomy(turned(sample(), degrees), network())
    assert int(anatomy.brain.array.sum()) == pytest.approx(int(of_sample().brain.array.sum()), rel=0.01)
    assert sides_right(anatomy) > 0.97


def test_thick_slices_keep_brain_zone_and_side() -> None:
    anatomy = find_anatomy(with_thick_slices(sample(), 3), network())
    assert is_believed(anatomy)
    assert dice(of_sample().brain, anatomy.brain) > 0.94
    assert agreement(of_sample(), anatomy, "zone") > 0.92
    assert sides_right(anatomy) > 0.97


def test_a_field_of_view_that_cuts_the_brain_is_no_problem() -> None:
    whole = sample()
    n = whole.array.shape[0]
    part = cut(whole, n // 4, n - n // 5)
    anatomy = find_anatomy(part, network())
    assert is_believed(anatomy)
    inside = resample_to(of_sample().brain, part.grid, interpolation="nearest")
    assert dice(inside, anatomy.brain) > 0.94
    assert agreement(anatomy, of_sample(), "zone") > 0.92


def test_a_skull_stripped_scan_keeps_its_brain() -> None:
    mask = resample_to(of_sample().brain, sample().grid, interpolation="nearest").array > 0
    anatomy = find_anatomy(sample().with_array(np.where(mask, sample().array, 0)), network())
    assert is_believed(anatomy)
    assert dice(of_sample().brain, anatomy.brain) > 0.94
    assert sides_right(anatomy) > 0.97


def test_a_network_that_learned_nothing_is_not_believed() -> None:
    torch.manual_seed(0)
    anatomy = find_anatomy(head((1.0, 1.0, 3.0)), AnatomyUNet(AnatomySpec()).eval())
    assert anatomy.method == CLASSICAL
    assert [flag["code"] for flag in anatomy.flags] == ["anatomy_fallback"]
    assert "anatomy network was not used" in anatomy.flags[0]["message"]


def test_uncertain_tissues_are_replaced_by_the_atlas_within_the_networks_mask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("CMBNetLib.anatomy_checks.SMALLEST_CERTAINTY", 1.01)
    anatomy = find_anatomy(sample(), network())
    assert anatomy.method == MASK_BY_NETWORK
    assert [flag["code"] for flag in anatomy.flags] == ["anatomy_regions"]
    assert dice(of_sample().brain, anatomy.brain) == 1
    assert agreement(of_sample(), anatomy, "zone") > 0.9


def test_the_real_scan_has_volumes_of_an_adult(shared_data) -> None:  # type: ignore[no-untyped-def]
    scan = read_volume(shared_data / "t2star_1p5T" / "t2starw.nii.gz")
    anatomy = find_anatomy(scan, network())
    assert is_believed(anatomy)
    ml = anatomy.brain.voxel_volume_mm3 / 1000
    assert 1100 < anatomy.brain.array.sum() * ml < 1900
    sides = [float((anatomy.regions.array // 64 == side).sum()) * ml for side in (1, 2)]
    assert min(sides) / max(sides) > 0.9
    cerebellum = np.isin(anatomy.regions.array, [64 * s + 14 for s in (1, 2)])
    assert 90 < cerebellum.sum() * ml < 200
