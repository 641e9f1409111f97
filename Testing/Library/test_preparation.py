"""Working grid and intensities."""

from __future__ import annotations

import numpy as np
import pytest

from CMBNetLib.errors import InputError
from CMBNetLib.preparation import normalise, prepare, slice_axis, slices_first
from CMBNetLib.volume import Volume
from head_phantom import SPOTS_RAS, brain_of, head


def prepared_of(scan: Volume):  # type: ignore[no-untyped-def]
    return prepare(scan, scan.with_array(brain_of(scan).astype(np.uint8)))


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [((0.8, 0.8, 5.0), 5.0), ((1.0, 1.0, 2.0), 2.0), ((1.2, 1.2, 0.6), 1.0), ((3.0, 1.0, 1.0), 3.0)],
)
def test_thick_slices_stay_thick_and_thin_ones_become_one_mm(
    spacing: tuple[float, float, float], expected: float
) -> None:
    prepared = prepared_of(head(spacing))
    assert prepared.image.spacing_mm == pytest.approx((0.5, 0.5, expected))
    assert prepared.slice_mm == pytest.approx(expected)


@pytest.mark.parametrize("turn", [0.0, 20.0])
def test_spots_stay_where_they_are(turn: float) -> None:
    prepared = prepared_of(head((0.7, 0.7, 2.0), turn_deg=turn, noise=0.0))
    for spot in SPOTS_RAS:
        i, j, k = np.rint(prepared.image.ijk_from_ras(np.array([spot]))[0]).astype(int)
        assert prepared.image.array[k, j, i] < -1.2
        assert prepared.image.array[k, j + 12, i] > -0.2  # 6 mm away


def test_kept_slices_are_not_interpolated() -> None:
    scan = head((0.5, 0.5, 5.0), size_mm=(160.0, 190.0, 140.0))
    prepared = prepared_of(scan)
    k = scan.ijk_from_ras(prepared.image.ras_from_ijk(np.array([[10.0, 10.0, 0.0]])))[0, 2]
    assert k == pytest.approx(round(k), abs=1e-6)


def test_grid_holds_the_brain_and_even_edges() -> None:
    scan = head()
    prepared = prepared_of(scan)
    assert prepared.brain.sum() * prepared.image.voxel_volume_mm3 == pytest.approx(
        brain_of(scan).sum() * scan.voxel_volume_mm3, rel=0.01
    )
    assert [n % 2 for n in prepared.image.array.shape[1:]] == [0, 0]


def test_sagittal_slices_are_put_first() -> None:
    scan = head((4.0, 1.0, 1.0))
    turned = slices_first(scan)
    assert turned.spacing_mm == pytest.approx((1.0, 1.0, 4.0))
    point = np.array([[7.0, 30.0, 40.0]])
    ijk = turned.ijk_from_ras(scan.ras_from_ijk(point))[0].round().astype(int)
    assert turned.array[ijk[2], ijk[1], ijk[0]] == scan.array[40, 30, 7]


def test_cubic_voxels_are_cut_axially() -> None:
    volume = Volume(
        np.zeros((10, 11, 12), np.float32), np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    )
    assert slice_axis(volume) == 1  # the j axis of this matrix points to superior


def test_normalised_values_do_not_depend_on_the_scale() -> None:
    rng = np.random.default_rng(1)
    image, brain = rng.uniform(10, 200, (4, 5, 6)), np.ones((4, 5, 6), bool)
    assert np.allclose(normalise(image, brain), normalise(image * 1e4, brain), atol=1e-5)
    assert np.median(normalise(image, brain)) == pytest.approx(0, abs=1e-6)
    assert normalise(np.array([[[0.0, 1.0, 1.0]]]), np.ones((1, 1, 3), bool)).min() == -2


def test_phase_images_are_refused() -> None:
    values = np.random.default_rng(2).uniform(-3.1, 3.1, (4, 4, 4)) - 0.5
    with pytest.raises(InputError, match="phase image"):
        normalise(values, np.ones(values.shape, bool))
