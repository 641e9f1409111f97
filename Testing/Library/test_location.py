"""Zones, regions and sides of points in a region map that is known to the voxel, and in the shipped atlas."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from CMBNetLib.atlas import fit_regions, load_atlas
from CMBNetLib.errors import InputError
from CMBNetLib.location import ANATOMY, decode_region, locate, region_code
from CMBNetLib.taxonomy import SIDES, ZONES, load_taxonomy
from CMBNetLib.volume import Volume, read_labels
from detection_example import example_anatomy, head_grid, ras_grid, region_map

OBLIQUE = np.array([[0.0, 0.2873, 0.9578], [-1.0, 0.0, 0.0], [0.0, -0.9578, 0.2873]])


def box_map(*parts: tuple[str, str, tuple[slice, slice, slice]]) -> Volume:
    """60 mm cube of 1 mm voxels with its middle at RAS 0; each part fills voxels [k, j, i], later ones on top."""
    matrix = np.eye(4)
    matrix[:3, 3] = -29.5
    codes = np.zeros((60, 60, 60), np.uint8)
    for structure, side, voxels in parts:
        codes[voxels] = region_code(structure, side)
    return Volume(codes, matrix)


ALL = (slice(None),) * 3
LEFT, RIGHT = (slice(None), slice(None), slice(0, 30)), (slice(None), slice(None), slice(30, 60))


def test_codes_and_names_translate_both_ways() -> None:
    for structure in ANATOMY[1:]:
        for side in SIDES:
            assert decode_region(region_code(structure, side)) == (structure, side)
    codes = {region_code(structure, side) for structure in ANATOMY[1:] for side in SIDES}
    assert len(codes) == 3 * (len(ANATOMY) - 1)
    assert max(codes) < 256
    assert decode_region(0) == ("outside", "midline")


@pytest.mark.parametrize("code", [5, 63, 64 + 40])
def test_a_code_that_means_nothing_is_refused(code: int) -> None:
    with pytest.raises(InputError, match="is no region code"):
        decode_region(code)


@pytest.mark.parametrize("direction", [np.diag([-1.0, -1.0, 1.0]), OBLIQUE])
def test_points_deep_in_a_structure_are_certain(direction: np.ndarray) -> None:
    anatomy = example_anatomy(head_grid((2.0, 2.0, 3.0), direction))
    points = np.array([[9.0, 0.0, 0.0], [-9.0, 0.0, 0.0], [40.0, 20.0, 10.0], [-25.0, -35.0, -30.0]])
    found = locate(points, anatomy)
    assert [(place.zone, place.region, place.side) for place in found] == [
        ("deep", "thalamus", "right"),
        ("deep", "thalamus", "left"),
        ("lobar", "cortex", "right"),
        ("infratentorial", "cerebellum", "left"),
    ]
    assert [place.confidence for place in found] == [1.0] * 4


def test_no_points_give_no_places() -> None:
    assert locate(np.zeros((0, 3)), region_map(box_map(("cortex", "left", ALL)))) == []


def test_the_zone_is_decided_before_the_region() -> None:
    """Two lobar regions of 30 % each outvote one deep region of 40 %."""
    regions = box_map(
        ("thalamus", "left", ALL),
        ("cortex", "left", (slice(31, 60), slice(None), slice(None))),
        ("subcortical_white_matter", "left", (slice(0, 29), slice(None), slice(None))),
    )
    (place,) = locate(np.array([[0.0, 0.0, 0.0]]), region_map(regions))
    assert place.zone == "lobar"
    assert 0.4 < place.confidence < 0.8


def test_the_majority_within_three_millimetres_decides() -> None:
    regions = region_map(box_map(("cortex", "left", LEFT), ("thalamus", "right", RIGHT)))
    places = locate(np.array([[-8.0, 0, 0], [-1.0, 0, 0], [1.0, 0, 0], [8.0, 0, 0]]), regions)
    assert [place.zone for place in places] == ["lobar", "lobar", "deep", "deep"]
    assert places[0].confidence == places[3].confidence == 1.0
    assert 0.5 < places[1].confidence < 0.9


def test_the_structure_is_finer_than_the_region() -> None:
    (place,) = locate(np.zeros((1, 3)), region_map(box_map(("putamen", "right", ALL))))
    assert (place.region, place.structure, place.zone) == ("basal_ganglia", "putamen", "deep")


@pytest.mark.parametrize("structure", ["ventricle", "csf"])
def test_a_point_in_fluid_is_outside_the_tissue_and_keeps_its_side(structure: str) -> None:
    (place,) = locate(np.zeros((1, 3)), region_map(box_map((structure, "left", ALL))))
    assert (place.zone, place.region, place.side, place.structure) == ("outside", "outside", "left", structure)


def test_a_little_fluid_beside_tissue_does_not_matter() -> None:
    regions = region_map(box_map(("ventricle", "left", LEFT), ("caudate", "right", RIGHT)))
    (place,) = locate(np.array([[-0.5, 0.0, 0.0]]), regions)
    assert (place.zone, place.structure) == ("deep", "caudate")


def test_a_point_just_outside_of_the_mask_belongs_to_the_nearest_tissue() -> None:
    regions = region_map(box_map(("cortex", "left", LEFT)))
    near, far = locate(np.array([[5.0, 0.0, 0.0], [12.0, 0.0, 0.0]]), regions)
    assert (near.zone, near.side) == ("lobar", "left")
    assert near.confidence < 0.3
    assert (far.zone, far.region, far.side) == ("outside", "outside", "right")


def test_a_point_in_a_sulcus_belongs_to_the_nearest_tissue_and_one_in_a_ventricle_does_not() -> None:
    sulcus = region_map(box_map(("cortex", "left", LEFT), ("csf", "right", RIGHT)))
    ventricle = region_map(box_map(("caudate", "left", LEFT), ("ventricle", "right", RIGHT)))
    point = np.array([[4.5, 0.0, 0.0]])
    assert locate(point, sulcus)[0].zone == "lobar"
    assert locate(point, ventricle)[0].zone == "outside"


def test_points_out_of_the_map_have_a_side() -> None:
    regions = region_map(box_map(("cortex", "left", LEFT), ("cortex", "right", RIGHT)))
    left, right = locate(np.array([[-500.0, 0, 0], [500.0, 0, 0]]), regions)
    assert (left.zone, left.side, right.side) == ("outside", "left", "right")


def test_voxels_thicker_than_the_neighbourhood_still_answer() -> None:
    grid = head_grid((8.0, 8.0, 10.0))
    (place,) = locate(np.array([[30.0, 30.0, 20.0]]), example_anatomy(grid))
    assert (place.zone, place.side) == ("lobar", "right")


def test_the_shipped_atlas_speaks_the_same_codes(repository: Path) -> None:
    listed = json.loads((repository / "Resources" / "Atlas" / "regions.json").read_text())["codes"]
    for code, entry in listed.items():
        assert decode_region(int(code)) == (entry["structure"], entry["side"])
    used = set(np.unique(load_atlas().regions.array).tolist()) - {0}
    assert used <= {int(code) for code in listed}


def test_the_atlas_is_the_right_way_round() -> None:
    """Left is left, the cerebellum is low and behind, the thalamus next to the midline."""
    regions = load_atlas().regions
    ras = ras_grid(regions)
    left, right = (ras[regions.array == region_code("thalamus", side)].mean(axis=0) for side in ("left", "right"))
    assert left[0] < -5 < 5 < right[0]
    assert abs(left[0] + right[0]) < 4
    cerebellum = ras[np.isin(regions.array, [region_code("cerebellum", side) for side in SIDES])].mean(axis=0)
    assert cerebellum[2] < left[2] - 20
    assert cerebellum[1] < left[1] - 15


@pytest.mark.parametrize("turn_deg", [0.0, 12.0])
def test_the_atlas_finds_itself_after_a_move(turn_deg: float) -> None:
    """A brain of the atlas's own shape, moved and tilted, gets its regions back."""
    atlas = load_atlas()
    angle = np.deg2rad(turn_deg)
    move = np.eye(4)
    move[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    move[:3, 3] = [8.0, -20.0, 30.0]
    brain = Volume((atlas.brain.array > 0.5).astype(np.uint8), move @ atlas.brain.ijk_to_ras)
    codes = fit_regions(brain).array
    inside = (brain.array > 0) & (atlas.regions.array > 0)
    structures, truth = codes[inside] % 64, atlas.regions.array[inside] % 64
    assert (structures == truth).mean() > 0.85
    assert (codes[~(brain.array > 0)] == 0).all()


def test_every_zone_of_the_scale_can_be_found_in_the_atlas() -> None:
    atlas, bombs = load_atlas(), load_taxonomy("bombs")
    sites = [bombs.site_of(decode_region(int(code))[0]) for code in np.unique(atlas.regions.array)]
    assert {site.zone for site in sites if site is not None} == set(ZONES)
    assert {site.id for site in sites if site is not None} == {site.id for site in bombs.sites}


# Structures that the limbs of the internal capsule run between.
LIMBS = {"posterior": ("thalamus", "pallidum"), "anterior": ("caudate", "putamen")}
WHITE = ("subcortical_white_matter", "deep_white_matter", "internal_capsule", "external_capsule")
# FreeSurfer codes, left and right.
LABEL_CODES = {
    "thalamus": (10, 49), "caudate": (11, 50), "putamen": (12, 51), "pallidum": (13, 52), "white": (2, 41)
}  # fmt: skip


def capsule_points(regions: Volume, masks: dict[str, np.ndarray], side: str) -> list[tuple[str, np.ndarray]]:
    """Points known by anatomy alone: white matter between two nuclei, and the first beyond the putamen outwards."""
    centre = {name: ras_grid(regions)[mask].mean(axis=0) for name, mask in masks.items() if name != "white"}
    found = []
    for first, second in LIMBS.values():
        line = np.linspace(centre[first], centre[second], 200)
        white = _values_at(regions, masks["white"], line)
        found.append(("internal_capsule", line[white].mean(axis=0)))
    outwards = np.array([-1.0 if side == "left" else 1.0, 0, 0])
    starts = [centre["putamen"] + (0, dy, dz) for dy in range(-12, 13, 3) for dz in range(-9, 10, 3)]
    layers = [_layer_beyond(regions, masks, start + np.linspace(0, 25, 251)[:, None] * outwards) for start in starts]
    # The layer between putamen and insula is thinner than a voxel in some places; where it is widest it must be named.
    found.append(("external_capsule", max(layers, key=len).mean(axis=0)))
    return found


def _layer_beyond(regions: Volume, masks: dict[str, np.ndarray], line: np.ndarray) -> np.ndarray:
    """The white matter right beyond the putamen on a line, before the cortex; empty where the line misses it."""
    putamen = np.flatnonzero(_values_at(regions, masks["putamen"], line))
    if not len(putamen):
        return line[:0]
    beyond = line[putamen.max() + 1 :]
    white = _values_at(regions, masks["white"], beyond)
    end = int(np.argmin(white)) if not white.all() else len(white)
    return beyond[:end] if end <= 60 else line[:0]


def _values_at(volume: Volume, mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    kji = np.rint(volume.ijk_from_ras(points)).astype(int)[:, ::-1]
    inside = np.all((kji >= 0) & (kji < mask.shape), axis=1)
    return inside & mask[tuple(np.where(inside[:, None], kji, 0).T)]


@pytest.mark.parametrize("side", ["left", "right"])
def test_both_capsules_are_named_in_the_shipped_atlas(side: str) -> None:
    regions = load_atlas().regions
    masks = {name: regions.array == region_code(name, side) for name in LABEL_CODES if name != "white"}
    masks["white"] = np.isin(regions.array, [region_code(name, side) for name in WHITE])
    points = capsule_points(regions, masks, side)
    places = locate(np.array([point for _, point in points]), region_map(regions))
    assert [(place.zone, place.region, place.side) for place in places] == [("deep", name, side) for name, _ in points]
    assert {name for name, _ in points} == {"internal_capsule", "external_capsule"}


@pytest.mark.parametrize("number", ["01", "09"])
def test_both_capsules_are_named_in_label_maps_of_people(shared_data: Path, number: str) -> None:
    from CMBNetTrainingLib import anatomy_labels

    labels = deep_part(read_labels(shared_data / "label_maps" / f"training_seg_{number}.nii.gz"))
    anatomy = region_map(anatomy_labels.region_map(labels))
    for index, side in enumerate(("left", "right")):
        masks = {name: labels.array == codes[index] for name, codes in LABEL_CODES.items()}
        points = capsule_points(labels, masks, side)
        places = locate(np.array([point for _, point in points]), anatomy)
        assert [(place.region, place.side) for place in places] == [(name, side) for name, _ in points]


def deep_part(labels: Volume) -> Volume:
    """The label map within 12 mm of the deep nuclei: a whole head takes a minute."""
    nuclei = np.isin(labels.array, [code for name, pair in LABEL_CODES.items() if name != "white" for code in pair])
    kji = np.argwhere(nuclei)
    low, high = kji.min(axis=0) - 12, kji.max(axis=0) + 13
    matrix = labels.ijk_to_ras.copy()
    matrix[:3, 3] = labels.ras_from_ijk(low[None, ::-1].astype(float))[0]
    k, j, i = (slice(a, b) for a, b in zip(low, high, strict=True))
    return Volume(np.ascontiguousarray(labels.array[k, j, i]), matrix)


def test_a_mask_too_small_for_a_brain_is_refused() -> None:
    grid = head_grid((2.0, 2.0, 3.0))
    mask = np.zeros(grid.array.shape, np.uint8)
    mask[10:14, 20:24, 20:24] = 1
    with pytest.raises(InputError, match="less than 50 ml"):
        fit_regions(grid.with_array(mask))
