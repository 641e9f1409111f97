"""Editing outlines: growth from a click, layers, brush in mm, split and merge, on oblique anisotropic scans."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from CMBNetLib.errors import InputError
from CMBNetLib.reading_mask import ReadingMask
from CMBNetLib.reading_state import Finding
from CMBNetLib.review_candidates import check_same_grid, masks_from_labels
from CMBNetLib.review_edit import center_of, grow_outline, merge, nearest, paint, resize, split
from CMBNetLib.review_outlines import CURRENT, MICROBLEED, UNDECIDED, OutlineMap
from CMBNetLib.volume import Volume
from review_cases import CENTERS, a_scan, ball

SCAN = a_scan(CENTERS)


def ras(ijk: tuple[float, float, float]) -> tuple[float, float, float]:
    return tuple(SCAN.ras_from_ijk(np.array([ijk], dtype=float))[0].tolist())


def full(mask: ReadingMask) -> np.ndarray:
    labels = np.zeros(SCAN.array.shape, np.uint8)
    mask.paste(labels, 1)
    return labels.astype(bool)


def test_a_click_grows_the_lesion_and_the_wheel_changes_it_at_once() -> None:
    grown = grow_outline(SCAN, ras((13, 12, 6)))
    assert grown.quality == "good"
    assert np.linalg.norm(np.subtract(center_of(grown.mask, SCAN), ras(CENTERS[0]))) < 0.5
    began = time.perf_counter()
    larger = grown.turned(2)
    smaller = grown.turned(-2)
    assert time.perf_counter() - began < 0.1
    assert smaller.mask.n_voxels < grown.mask.n_voxels < larger.mask.n_voxels
    assert larger.mask.settings["tolerance"] > grown.tolerance
    assert np.all(full(grown.mask) <= full(larger.mask))
    with pytest.raises(InputError, match="outside the scan"):
        grow_outline(SCAN, (500.0, 0.0, 0.0))


def test_growing_adds_one_layer_in_mm_and_shrinking_takes_it_away() -> None:
    mask = ball((30, 30, 12), 3)
    larger = resize(mask, SCAN, 1)
    added = full(larger) & ~full(mask)
    k = np.nonzero(added)[0]
    assert set(k) <= {9 + n for n in range(7)}  # 1 mm slices: a layer of 0.8 mm does not reach the next slice
    assert larger.n_voxels > mask.n_voxels
    assert np.all(full(mask) <= full(larger))
    assert resize(larger, SCAN, -1).n_voxels < larger.n_voxels
    single = ReadingMask.from_array(np.ones((1, 1, 1), bool), "brush", offset_ijk=(0, 0, 0))
    with pytest.raises(InputError, match="cannot shrink"):
        resize(single, SCAN, -1)
    resize(single, SCAN, 1)  # at the corner of the scan


@settings(max_examples=12, deadline=None)
@given(
    center=st.tuples(st.floats(0, 63), st.floats(0, 59), st.floats(0, 23)),
    radius=st.floats(0.3, 6.0),
    erase=st.booleans(),
)
def test_a_dab_changes_exactly_the_voxels_within_its_radius(center, radius: float, erase: bool) -> None:
    point = ras(center)
    before = ball((32, 30, 12), 5)
    after = paint(before, SCAN, point, radius, erase=erase)
    k, j, i = np.indices(SCAN.array.shape)
    centers = SCAN.ras_from_ijk(np.stack([i, j, k], axis=-1).reshape(-1, 3)).reshape(*SCAN.array.shape, 3)
    distance = np.linalg.norm(centers - np.asarray(point), axis=-1)
    dab = distance <= radius
    dab.flat[distance.argmin()] = True
    expected = full(before) & ~dab if erase else full(before) | dab
    np.testing.assert_array_equal(full(after) if after is not None else np.zeros_like(dab), expected)


def test_a_disc_stays_in_its_slice() -> None:
    disc = paint(None, SCAN, ras((30, 30, 12)), 3.05, normal_ras=(0.0, 0.0, 1.0))
    k, _, i = np.nonzero(full(disc))
    assert set(k) == {12}
    assert (i.min(), i.max()) == (27, 33)
    sagittal = paint(None, SCAN, ras((30, 30, 12)), 3.0, normal_ras=tuple(SCAN.direction[:, 0]))
    assert set(np.nonzero(full(sagittal))[2]) == {30}


def test_the_brush_refuses_what_it_cannot_do() -> None:
    with pytest.raises(InputError, match="outside the scan"):
        paint(None, SCAN, (500.0, 0.0, 0.0), 1.0)
    with pytest.raises(InputError, match=r"0\.2 to 20 mm"):
        paint(None, SCAN, ras((30, 30, 12)), 0.0)
    assert paint(ball((30, 30, 12), 1), SCAN, ras((30, 30, 12)), 4.0, erase=True) is None


def test_an_outline_in_pieces_splits_into_them_and_one_piece_across() -> None:
    pieces = merge([ball((20, 20, 12), 3), ball((40, 20, 12), 2)])
    stays, (part,) = split(pieces, SCAN)
    np.testing.assert_array_equal(full(stays), full(ball((20, 20, 12), 3)))
    assert part.point_ras == pytest.approx(ras((40, 20, 12)), abs=1e-3)
    joined = merge([ball((20, 20, 12), 3), ball((25, 20, 12), 3)])
    stays, (part,) = split(joined, SCAN)
    assert not (full(stays) & full(part.mask)).any()
    np.testing.assert_array_equal(full(stays) | full(part.mask), full(joined))
    assert abs(stays.n_voxels - part.mask.n_voxels) < 0.4 * joined.n_voxels
    with pytest.raises(InputError, match="single voxel"):
        split(ReadingMask.from_array(np.ones((1, 1, 1), bool), "brush"), SCAN)


def test_merging_needs_an_outline_and_a_neighbour() -> None:
    with pytest.raises(InputError, match="Neither finding has an outline"):
        merge([])
    assert nearest((0.0, 0.0, 0.0), {"a": (5.0, 0.0, 0.0), "b": (0.0, 3.0, 0.0)}) == "b"
    with pytest.raises(InputError, match="nothing to merge with"):
        nearest((0.0, 0.0, 0.0), {"a": (15.0, 0.0, 0.0)})


def test_a_mask_on_another_grid_is_refused_not_resampled() -> None:
    labels = SCAN.with_array(np.zeros(SCAN.array.shape, np.uint8))
    labels.array[3:5, 3:5, 3:5] = 2
    assert masks_from_labels(labels, SCAN, "The mask")[2].n_voxels == 8
    shifted = SCAN.ijk_to_ras.copy()
    shifted[0, 3] += 0.4
    with pytest.raises(InputError, match=r"The mask lies up to 0\.40 mm off .* not resampled"):
        check_same_grid(Volume(labels.array, shifted), SCAN, "The mask")
    with pytest.raises(InputError, match="130 x 124 x 23 voxels and the scan 130 x 124 x 24"):
        check_same_grid(Volume(labels.array[:-1], SCAN.ijk_to_ras), SCAN, "The mask")


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_label_map_equals_one_painted_anew(data) -> None:
    """Whatever happens to outlines, verdicts and the one on show, small updates give what a full repaint gives."""
    outlines = OutlineMap(np.zeros((12, 14, 16), np.uint8))
    findings: dict[str, Finding] = {}
    for _ in range(data.draw(st.integers(1, 8))):
        key = data.draw(st.sampled_from(["a", "b", "c"]))
        center = data.draw(st.tuples(st.integers(3, 12), st.integers(3, 10), st.integers(3, 8)))
        mask = data.draw(st.sampled_from([None, ball(center, 1), ball(center, 2)]))
        findings[key] = Finding(key, verdict=data.draw(st.sampled_from([None, "microbleed"])), mask=mask)
        current = data.draw(st.sampled_from(["a", "b", "none"]))
        outlines.update(findings, current)
        shown = outlines.labels
        if current in findings and findings[current].mask is not None:
            inside = np.zeros(shown.shape, np.uint8)
            findings[current].mask.paste(inside, 1)
            assert np.all(shown[inside > 0] == CURRENT)
        union = np.zeros(shown.shape, np.uint8)
        for found in findings.values():
            if found.mask is not None:
                found.mask.paste(union, 1)
        np.testing.assert_array_equal(shown > 0, union > 0)


def test_outline_values_tell_the_verdict_and_outlines_of_another_scan_are_refused() -> None:
    outlines = OutlineMap(np.zeros((12, 14, 16), np.uint8))
    findings = {
        "a": Finding("a", verdict="microbleed", mask=ball((4, 4, 4), 1)),
        "b": Finding("b", mask=ball((9, 9, 8), 1)),
    }
    assert outlines.update(findings, "b")
    assert not outlines.update(findings, "b")
    assert set(np.unique(outlines.labels)) == {0, MICROBLEED, CURRENT}
    outlines.update(findings, "a")
    assert set(np.unique(outlines.labels)) == {0, UNDECIDED, CURRENT}
    with pytest.raises(InputError, match="of another scan"):
        outlines.update({"z": Finding("z", mask=ball((20, 4, 4), 1))}, None)
