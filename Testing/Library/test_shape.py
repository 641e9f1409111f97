"""Shape of lesions against formulas, SimpleITK and the clock."""

from __future__ import annotations

import time

import numpy as np
import pytest
import SimpleITK as sitk

from CMBNetLib.errors import InputError
from CMBNetLib.shape import measure_shape, measure_shapes
from CMBNetLib.volume import Volume

THIN = (0.45, 0.45, 1.0)
ISOTROPIC = (0.5, 0.5, 0.5)
THICK = (0.45, 0.45, 4.8)


def ellipsoid(radii_mm, spacing_mm, margin_mm=4.0):
    """Bool array [k, j, i] of an ellipsoid with radii (i, j, k) in mm, centred between voxels."""
    half = [int(np.ceil((radius + margin_mm) / step)) for radius, step in zip(radii_mm, spacing_mm, strict=True)]
    axes = [(np.arange(-n, n) + 0.5) * step for n, step in zip(half, spacing_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    inside = (x / radii_mm[0]) ** 2 + (y / radii_mm[1]) ** 2 + (z / radii_mm[2]) ** 2 <= 1
    return inside.T


def cylinder(radius_mm, length_mm, spacing_mm):
    """Bool array [k, j, i] of a cylinder along k."""
    n_k = round(length_mm / spacing_mm[2])
    half = int(np.ceil((radius_mm + 2) / spacing_mm[0]))
    x = (np.arange(-half, half) + 0.5) * spacing_mm[0]
    disk = x[:, None] ** 2 + x[None, :] ** 2 <= radius_mm**2
    return np.pad(np.repeat(disk[None], n_k, axis=0), ((4, 4), (0, 0), (0, 0)))


def volume_of(array, spacing):
    return Volume(array, np.diag([*spacing, 1.0]), "x", {})


@pytest.mark.parametrize("spacing", [ISOTROPIC, (0.45, 0.45, 0.9)])
@pytest.mark.parametrize("diameter", [4.0, 6.0, 9.0])
def test_sphere_is_measured_as_a_sphere(spacing, diameter):
    shape = measure_shape(ellipsoid((diameter / 2,) * 3, spacing), spacing)
    assert shape.volume_mm3 == pytest.approx(np.pi / 6 * diameter**3, rel=0.06)
    assert shape.equivalent_diameter_mm == pytest.approx(diameter, rel=0.02)
    assert shape.max_diameter_mm == pytest.approx(diameter, abs=max(spacing))
    assert shape.elongation > 0.95
    assert shape.flatness > 0.95
    assert shape.sphericity > 0.95


def test_ellipsoid_axes_follow_the_formula():
    shape = measure_shape(ellipsoid((6.0, 4.0, 2.5), ISOTROPIC), ISOTROPIC)
    assert shape.elongation == pytest.approx(4.0 / 6.0, abs=0.02)
    assert shape.flatness == pytest.approx(2.5 / 6.0, abs=0.03)
    assert shape.max_diameter_mm == pytest.approx(12.0, abs=0.5)
    # Knud Thomsen's surface of an ellipsoid, within 1.1 %.
    p = 1.6075
    terms = [(6 * 4) ** p, (6 * 2.5) ** p, (4 * 2.5) ** p]
    surface = 4 * np.pi * (sum(terms) / 3) ** (1 / p)
    volume = 4 / 3 * np.pi * 6 * 4 * 2.5
    expected = (36 * np.pi * volume**2) ** (1 / 3) / surface
    assert shape.sphericity == pytest.approx(expected, abs=0.04)


def test_cylinder_is_told_from_a_sphere():
    mask = cylinder(1.0, 12.0, ISOTROPIC)
    shape = measure_shape(mask, ISOTROPIC)
    assert shape.elongation == pytest.approx(np.sqrt((1.0**2 / 4) / (12.0**2 / 12)), abs=0.02)
    surface = 2 * np.pi * 1.0 * (1.0 + 12.0)
    assert shape.sphericity == pytest.approx((36 * np.pi * (12 * np.pi) ** 2) ** (1 / 3) / surface, abs=0.06)
    assert shape.max_diameter_mm == pytest.approx(np.hypot(12.0, 2.0), abs=0.6)


def test_thick_slices_keep_millimetres():
    mask = np.zeros((3, 20, 20), bool)
    mask[1, 8:15, 8:15] = True
    shape = measure_shape(mask, THICK)
    assert shape.volume_mm3 == pytest.approx(49 * 0.45 * 0.45 * 4.8)
    # The farthest faces are those above and below opposite corner voxels.
    assert shape.max_diameter_mm == pytest.approx(np.sqrt(2 * (6 * 0.45) ** 2 + 4.8**2))
    # A box of 3.15 x 3.15 x 4.8 mm: the moments of a box are the squares of its edges over 12.
    assert shape.elongation == pytest.approx(3.15 / 4.8, abs=1e-6)


@pytest.mark.parametrize("spacing", [ISOTROPIC, THIN, THICK, (7.0, 0.2, 0.2)])
def test_single_voxel_gives_finite_values(spacing):
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 2, 2] = True
    shape = measure_shape(mask, spacing, np.full(mask.shape, 100.0))
    numbers = [shape.volume_mm3, shape.max_diameter_mm, shape.elongation, shape.flatness, shape.sphericity]
    assert np.all(np.isfinite(numbers))
    assert 0 < shape.flatness <= shape.elongation <= 1
    assert 0 < shape.sphericity <= 1
    assert shape.max_diameter_mm == pytest.approx(max(spacing))


def test_contrast_is_depth_in_standard_deviations_of_the_surround():
    rng = np.random.default_rng(1)
    mask = ellipsoid((2.0, 2.0, 2.0), ISOTROPIC)
    image = rng.normal(100.0, 5.0, mask.shape)
    image[mask] = 60.0
    assert measure_shape(mask, ISOTROPIC, image).contrast == pytest.approx(8.0, rel=0.1)
    image[mask] = 140.0
    assert measure_shape(mask, ISOTROPIC, image).contrast == pytest.approx(-8.0, rel=0.1)
    assert measure_shape(mask, ISOTROPIC).contrast is None


def test_contrast_ignores_a_neighbouring_lesion():
    labels = np.zeros((24, 24, 40), np.uint16)
    labels[8:16, 8:16, 8:14] = 1
    labels[8:16, 8:16, 17:23] = 2
    rng = np.random.default_rng(2)
    image = rng.normal(100.0, 5.0, labels.shape)
    image[labels == 1] = 60.0
    image[labels == 2] = 0.0
    both = measure_shapes(volume_of(labels, ISOTROPIC), volume_of(image, ISOTROPIC))
    assert both[1].contrast == pytest.approx(8.0, rel=0.15)
    assert both[2].contrast == pytest.approx(20.0, rel=0.15)


def test_flat_surround_is_finite():
    mask = ellipsoid((2.0, 2.0, 2.0), ISOTROPIC)
    image = np.where(mask, 0.0, 100.0)
    assert np.isfinite(measure_shape(mask, ISOTROPIC, image).contrast)


def test_moments_and_size_agree_with_simpleitk():
    labels = np.zeros((40, 60, 60), np.uint16)
    for label, (radii, start) in enumerate([((4, 2.5, 1.5), 2), ((5, 3, 2), 32)], start=1):
        mask = ellipsoid(radii, THIN, margin_mm=0.5)
        k, j, i = mask.shape
        labels[2 : 2 + k, start : start + j, start : start + i][mask] = label
    measured = measure_shapes(volume_of(labels, THIN))
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(THIN)
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputeFeretDiameterOn()
    statistics.Execute(image)
    assert sorted(measured) == list(statistics.GetLabels())
    for label, shape in measured.items():
        # SimpleITK takes voxels for points; ours are boxes, with edge^2 / 12 more along their axes (j, k here).
        least, middle, largest = statistics.GetPrincipalMoments(label)
        boxes = np.sort([largest + THIN[0] ** 2 / 12, middle + THIN[1] ** 2 / 12, least + THIN[2] ** 2 / 12])
        assert shape.volume_mm3 == pytest.approx(statistics.GetPhysicalSize(label), rel=1e-6)
        assert shape.equivalent_diameter_mm == pytest.approx(
            2 * statistics.GetEquivalentSphericalRadius(label), rel=1e-6
        )
        assert shape.elongation == pytest.approx(np.sqrt(boxes[1] / boxes[2]), rel=1e-4)
        assert shape.flatness == pytest.approx(np.sqrt(boxes[0] / boxes[2]), rel=1e-4)
        # Feret runs between voxel centres and here between faces: at most one voxel diagonal more.
        assert 0 <= shape.max_diameter_mm - statistics.GetFeretDiameter(label) <= np.linalg.norm(THIN)


def test_labels_are_kept_and_gaps_allowed():
    labels = np.zeros((10, 10, 10), np.uint16)
    labels[2, 2, 2] = 3
    labels[7:9, 7:9, 7:9] = 900
    measured = measure_shapes(volume_of(labels, ISOTROPIC))
    assert list(measured) == [3, 900]
    assert measured[900].volume_mm3 == pytest.approx(1.0)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="empty"):
        measure_shape(np.zeros((3, 3, 3), bool), ISOTROPIC)
    with pytest.raises(InputError, match="must be equal"):
        measure_shape(np.ones((3, 3, 3), bool), ISOTROPIC, np.ones((2, 3, 3)))
    with pytest.raises(InputError, match="three dimensions"):
        measure_shape(np.ones((3, 3), bool), ISOTROPIC)
    with pytest.raises(InputError, match="Resample"):
        measure_shapes(volume_of(np.ones((3, 3, 3), np.uint8), THIN), volume_of(np.ones((4, 3, 3)), THIN))


def test_300_lesions_of_a_large_scan_take_under_a_second():
    rng = np.random.default_rng(3)
    labels = np.zeros((150, 512, 512), np.uint16)
    blob = ellipsoid((1.5, 1.5, 1.5), THIN, margin_mm=0.1)
    k, j, i = blob.shape
    for label in range(1, 301):
        at = [int(rng.integers(8, size - 16)) for size in labels.shape]
        labels[at[0] : at[0] + k, at[1] : at[1] + j, at[2] : at[2] + i][blob] = label
    scan = volume_of(rng.standard_normal(labels.shape, np.float32), THIN)
    measure_shape(blob, THIN)  # loads scikit-image
    started = time.process_time()
    shapes = measure_shapes(volume_of(labels, THIN), scan)
    elapsed = time.process_time() - started
    assert len(shapes) >= 290
    # Measured 0.5 s; twice the target leaves room for a loaded machine.
    assert elapsed < 2.0
    print(f"{len(shapes)} lesions in {elapsed:.2f} s")
