"""Parts of the anatomy network: stacking, axes near RAS, its grid, midplane, regions, doubts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from CMBNetLib.anatomy_checks import doubts_about, doubts_about_tissues
from CMBNetLib.anatomy_regions import distance_from_midplane, region_map
from CMBNetLib.anatomy_segmentation import FINER, Segmentation, head_of, repeated, segment, without_air
from CMBNetLib.anatomy_tissues import TISSUES
from CMBNetLib.location import decode_region
from CMBNetLib.network_anatomy import (
    AnatomySpec,
    AnatomyUNet,
    OwnNorm,
    anatomy_intensities,
    stack_squares,
    unstack_squares,
)
from CMBNetLib.volume import Volume, nearest_to_ras

SMALL = AnatomySpec(filters=(4, 4, 4, 4))
SHAPE = (60, 80, 70)
OWN = (slice(None, None, FINER),) * 3  # the first voxel of each cube of 2 mm


def test_stacking_and_unstacking_are_inverse() -> None:
    x = torch.arange(2 * 3 * 4 * 6 * 8, dtype=torch.float32).reshape(2, 3, 4, 6, 8)
    assert stack_squares(x).shape == (2, 12, 4, 3, 4)
    assert torch.equal(unstack_squares(stack_squares(x)), x)
    assert stack_squares(x)[0, 3, 0, 0, 0] == x[0, 0, 0, 0, 1]  # the next voxel along i


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last_3d])
def test_norms_are_those_of_each_volume_whatever_the_order_in_memory(order: torch.memory_format) -> None:
    norm = OwnNorm(5, affine=True)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(3, 5, 6, 7, 8).to(memory_format=order)
    expected = torch.nn.functional.instance_norm(x, weight=norm.weight, bias=norm.bias)
    for found in (norm(x), torch.cat([norm(one[None]) for one in x])):
        assert torch.allclose(found, expected, atol=1e-5)
    assert norm(x).is_contiguous(memory_format=order)


@pytest.mark.parametrize("shape", [(16, 32, 24), (9, 22, 34)])
def test_the_network_answers_on_the_grid_it_is_asked_on(shape: tuple[int, int, int]) -> None:
    logits = AnatomyUNet(SMALL).eval()(torch.randn(1, 1, *shape))
    assert logits.shape == (1, len(TISSUES) + 1, *shape)


def test_intensities_do_not_depend_on_the_scanners_scale() -> None:
    image = (100 + 30 * torch.randn(20, 20, 20, generator=torch.Generator().manual_seed(0))).abs()
    image[:5] = 0
    assert torch.allclose(anatomy_intensities(image), anatomy_intensities(image * 1e-3), atol=1e-5)
    assert float(anatomy_intensities(image)[5:].mean()) == pytest.approx(0, abs=0.01)
    assert anatomy_intensities(image).min() == -1
    assert (anatomy_intensities(torch.zeros(4, 4, 4)) == -1).all()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (-1, -1, -1)])
def test_axes_are_brought_near_ras_without_moving_anything(
    order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(1)
    matrix = np.eye(4)
    turn = np.deg2rad(20)
    tilted = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    matrix[:3, :3] = (tilted * [0.7, 0.8, 3.0] * signs)[:, list(order)]
    matrix[:3, 3] = 12, -30, 7
    volume = Volume(rng.normal(size=(5, 6, 7)).astype(np.float32), matrix, "v")
    turned = nearest_to_ras(volume)
    assert (np.diag(turned.direction) > 0.9).all()
    for ijk in ([0, 0, 0], [3, 2, 1], [6, 5, 4]):
        there = np.rint(turned.ijk_from_ras(volume.ras_from_ijk(np.array([ijk])))[0]).astype(int)
        assert turned.array[tuple(there[::-1])] == volume.array[tuple(ijk[::-1])]


def test_a_voxel_of_the_network_is_the_mean_of_what_lies_in_it() -> None:
    i = np.arange(80)[None, None, :] * np.ones((40, 80, 1))
    volume = Volume(i.astype(np.float32), np.diag([0.5, 0.5, 1.0, 1.0]), "ramp")
    head = head_of(volume, (1.0, 1.0, 2.0))
    assert head.spacing_mm == pytest.approx((1, 1, 2))
    x = head.ras_from_ijk(np.array([[5, 3, 3]]))[0, 0]
    assert head.array[3, 3, 5] == pytest.approx(x / 0.5, abs=1e-3)


class Balls(torch.nn.Module):
    """A network that says the same of every scan: white matter in a ball of 20 mm, cortex round it, an island afar."""

    spec = AnatomySpec()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        k, j, i = (torch.arange(n) - (n - 1) / 2 for n in image.shape[2:])
        radius = torch.sqrt((2 * k[:, None, None]) ** 2 + j[:, None] ** 2 + i**2)
        logits = torch.full((1, len(TISSUES) + 1, *image.shape[2:]), -6.0)
        logits[0, 0] = 2.0 * (radius - 40)
        logits[0, 0, :3, :6, :6] = -9.0
        logits[0, TISSUES.index("cortex")] = 0.0
        logits[0, TISSUES.index("white_matter")] = 20 - radius
        logits[0, -1] = i
        return logits


def test_a_segmentation_is_told_on_voxels_of_1_mm() -> None:
    found = segment(Volume(np.ones((49, 98, 96), np.float32), np.diag([1.0, 1.0, 2.0, 1.0]), "scan"), Balls().eval())
    assert found.brain.array.shape == found.right.shape == (100, 98, 96)
    assert found.tissue.spacing_mm == pytest.approx((1, 1, 1))
    ras = found.tissue.ras_from_ijk(np.argwhere(np.ones(found.tissue.array.shape))[:, ::-1])
    middle = found.tissue.ras_from_ijk(np.array([[47.5, 48.5, 49.5]]))
    radius = np.linalg.norm(ras - middle, axis=1).reshape(found.tissue.array.shape)
    brain, sure = found.brain.array > 0, np.abs(radius - 40) > 1.5
    assert np.array_equal(brain[sure], (radius < 40)[sure])
    white = found.tissue.array == TISSUES.index("white_matter")
    sure &= np.abs(radius - 20) > 1
    assert np.array_equal(white[sure], (radius < 20)[sure])
    assert set(np.unique(found.tissue.array[brain])) == {TISSUES.index("cortex"), TISSUES.index("white_matter")}
    assert found.right[:, :, 48:].all()
    assert not found.right[:, :, :48].any()
    assert 0.9 < found.in_one_piece < 1
    assert 0.9 < found.certainty < 1


def seen(tilt: float = 0.0, certainty: float = 0.9, in_one_piece: float = 1.0) -> Segmentation:
    """An ellipsoid of white matter with a cortex; the plane between the sides leans by ``tilt`` voxels a voxel.

    Places below are those of cubes of 2 mm.
    """
    k, j, i = np.indices(SHAPE)
    radius = np.sqrt(((k - 30) / 26) ** 2 + ((j - 40) / 36) ** 2 + ((i - 35) / 30) ** 2)
    tissue = np.where(radius < 0.8, TISSUES.index("white_matter"), TISSUES.index("cortex")) * (radius < 1)
    tissue[radius < 0.15] = TISSUES.index("brainstem")
    tissue = repeated(tissue.astype(np.uint8))
    grid = Volume(tissue, np.eye(4), "seen")
    right = repeated(i - 35 > tilt * (k - 30))
    return Segmentation(grid.with_array((tissue > 0).astype(np.uint8)), grid, right, in_one_piece, certainty)


@pytest.mark.parametrize("tilt", [0.0, 0.2, -0.35])
def test_the_midplane_is_found_however_it_leans(tilt: float) -> None:
    offset = distance_from_midplane(seen(tilt))[OWN]
    k, _, i = np.indices(SHAPE)
    truth = 2 * (i - 35.5 - tilt * (k - 30)) / np.hypot(1, tilt)
    assert np.abs(offset - truth).max() < 2.0


def test_a_few_wrong_sides_do_not_move_the_midplane() -> None:
    right = seen()
    right.right[40:60, 40:120, 100:120] = False
    assert np.abs(distance_from_midplane(right) - distance_from_midplane(seen())).max() < 0.5
    codes = region_map(right).array[OWN]
    assert decode_region(int(codes[25, 40, 55]))[1] == "right"


def test_the_region_map_names_structure_and_side() -> None:
    codes = region_map(seen()).array[OWN]
    assert decode_region(int(codes[30, 40, 35]))[:2] == ("brainstem", "midline")
    assert decode_region(int(codes[30, 40, 8])) == ("cortex", "left")
    assert decode_region(int(codes[30, 40, 62])) == ("cortex", "right")
    assert decode_region(int(codes[30, 60, 36])) == ("corpus_callosum", "midline")
    assert ((codes > 0) == (seen().brain.array[OWN] > 0)).all()


def test_a_good_segmentation_raises_no_doubt() -> None:
    assert doubts_about(seen(), seen().brain) == []
    assert doubts_about(seen(), None) == []


def test_each_fault_is_told() -> None:
    assert doubts_about_tissues(seen(certainty=0.9)) == []
    assert "not certain" in doubts_about_tissues(seen(certainty=0.4))[0]
    assert "apart" in doubts_about(seen(in_one_piece=0.7), None)[0]
    lopsided = seen()
    lopsided.right[:] = True
    assert "one hemisphere has 0 %" in doubts_about(lopsided, None)[0]
    nothing = seen()
    nothing.brain.array[:] = 0
    assert "0 ml" in doubts_about(nothing, None)[0]
    elsewhere = seen().brain.with_array(np.roll(seen().brain.array, 70, axis=1))
    assert "agrees little" in doubts_about(seen(), elsewhere)[0]


def test_air_round_the_head_is_cut_off_and_the_head_stays_where_it_is() -> None:
    values = np.random.default_rng(0).normal(5, 2, (40, 90, 80)).astype(np.float32)
    values[10:30, 30:60, 21:50] += 100
    head = Volume(values, np.diag([1.0, 1.0, 2.0, 1.0]), "head")
    cut = without_air(head)
    assert all(edge % 2 == 0 for edge in cut.array.shape)
    assert cut.array.size < 0.5 * values.size
    (ijk,) = cut.ijk_from_ras(head.ras_from_ijk(np.array([[30, 40, 20]])))
    i, j, k = np.rint(ijk).astype(int)
    assert cut.array[k, j, i] == values[20, 40, 30]
    assert (cut.array > 50).sum() == 20 * 30 * 29
    assert without_air(head.with_array(np.zeros_like(values))).array.shape == values.shape
