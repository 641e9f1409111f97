"""The pictures show what they should, where they should: checked by colours and places."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from CMBNetLib.detection import DetectionResult
from CMBNetLib.overview import MAX_CROPS, ZONE_COLOURS, Overview, shown_candidates
from CMBNetLib.radiological_view import radiological_view
from CMBNetLib.scan_pictures import CROP_MM, Picture, ScanPictures
from CMBNetLib.volume import Volume
from detection_example import LESION, STRAIGHT, example_result, head_grid, spread_centres

TURN = np.deg2rad(20)
OBLIQUE = STRAIGHT @ np.array([[1, 0, 0], [0, np.cos(TURN), -np.sin(TURN)], [0, np.sin(TURN), np.cos(TURN)]])
SAGITTAL = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
FLIPPED = np.diag([1.0, -1.0, -1.0])
DIRECTIONS = {"straight": STRAIGHT, "oblique": OBLIQUE, "sagittal": SAGITTAL, "flipped": FLIPPED}


def coloured(image: np.ndarray, colour: str, tolerance: float = 0.12) -> np.ndarray:
    """Pixels of about this colour."""
    return np.abs(image[..., :3] - to_rgb(colour)).max(axis=-1) < tolerance


def pixels_of(png: bytes) -> np.ndarray:
    return imread(io.BytesIO(png), format="png")


def written(result: DetectionResult, folder: Path) -> np.ndarray:
    path = folder / "overview.png"
    Overview(result).write(path)
    return imread(path)


def dark_centre_mm(picture: Picture) -> np.ndarray:
    """Middle (x, y) of the lesion's voxels in a crop."""
    rows, columns = np.nonzero(picture.pixels == LESION)
    left, right, bottom, top = picture.extent_mm
    width = (right - left) / picture.pixels.shape[1]
    height = (bottom - top) / picture.pixels.shape[0]
    return np.array([left + (columns.mean() + 0.5) * width, top + (rows.mean() + 0.5) * height])


@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_view_runs_from_right_to_left_front_to_back_and_upwards(name: str) -> None:
    direction = DIRECTIONS[name]
    rng = np.random.default_rng(3)
    grid = head_grid((2.0, 3.0, 4.0), direction)
    volume = grid.with_array(rng.random(grid.array.shape, np.float32))
    view = radiological_view(volume)
    assert (np.diag(view.direction) * [-1, -1, 1] > 0.9).all()
    points = rng.integers(0, view.shape_ijk, (50, 3))
    original = np.rint(volume.ijk_from_ras(view.ras_from_ijk(points))).astype(int)
    assert np.array_equal(view.array[tuple(points.T[::-1])], volume.array[tuple(original.T[::-1])])


@pytest.mark.parametrize("name", DIRECTIONS)
def test_crops_and_rings_lie_on_the_lesion_whatever_the_orientation(name: str) -> None:
    result = example_result(grid=head_grid((1.5, 1.5, 3.0), DIRECTIONS[name]))
    pictures = ScanPictures(result)
    for candidate in result.candidates[:2]:
        crop = pictures.crop(candidate)
        assert np.abs(dark_centre_mm(crop)).max() < 1.6
        assert np.abs(crop.outline.reshape(-1, 2).mean(axis=0)).max() < 1.6
        x, y = pictures.on_projection(candidate)
        left, right, bottom, top = pictures.projection.extent_mm
        column = int((x - left) / (right - left) * pictures.projection.pixels.shape[1])
        row = int((y - top) / (bottom - top) * pictures.projection.pixels.shape[0])
        assert pictures.projection.pixels[row, column] < 100


def test_the_patients_right_is_on_the_left() -> None:
    result = example_result(np.array([[45.0, 20.0, 10.0], [-45.0, -30.0, 10.0]]))
    pictures = ScanPictures(result)
    right, left = (pictures.on_projection(candidate) for candidate in result.candidates)
    assert left[0] - right[0] == pytest.approx(90.0, abs=1.0)
    assert left[1] - right[1] == pytest.approx(50.0, abs=1.0)


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 5.0), (2.0, 1.0, 3.0)])
def test_the_outline_has_the_size_of_the_lesion_in_mm(spacing: tuple[float, float, float]) -> None:
    grid = head_grid(spacing)
    on_a_voxel = grid.ras_from_ijk(np.rint(grid.ijk_from_ras(np.array([[20.0, 10.0, 10.0]]))))
    result = example_result(on_a_voxel, grid=grid, diameter_mm=8.0)
    outline = ScanPictures(result).crop(result.candidates[0]).outline.reshape(-1, 2)
    size = np.ptp(outline, axis=0)
    assert np.abs(size - 8.0).max() < 1.01 * max(spacing[:2])


def test_crops_cover_their_field_of_view_and_stop_at_the_edge() -> None:
    result = example_result(np.array([[0.0, 0.0, 0.0], [62.0, 0.0, 0.0]]))
    middle, edge = (ScanPictures(result).crop(candidate) for candidate in result.candidates)
    left, right, bottom, top = middle.extent_mm
    assert min(-left, right, bottom, -top) >= CROP_MM / 2
    assert max(-left, right, bottom, -top) < CROP_MM / 2 + 3.0
    assert edge.extent_mm[0] > -CROP_MM / 2


def test_a_candidate_without_voxels_or_out_of_the_scan_still_gives_a_picture() -> None:
    result = example_result(np.array([[0.0, 0.0, 0.0], [0.0, 300.0, 400.0]]))
    inside, outside = (ScanPictures(result).crop(candidate) for candidate in result.candidates)
    assert len(inside.outline) > 3
    assert outside.outline.shape == (0, 2, 2)
    assert outside.pixels.size >= 1


def test_the_window_is_that_of_the_brain() -> None:
    result = example_result()
    bright_air = result.scan.array.copy()
    bright_air[0, 0] = 1e6
    result.scan = result.scan.with_array(bright_air)
    low, high = ScanPictures(result).window
    assert low < 60
    assert 300 < high < 400


def test_superficial_microbleeds_are_not_peeled_off_the_projection() -> None:
    result = example_result(np.array([[63.0, 0.0, 0.0]]), diameter_mm=3.0)
    assert (ScanPictures(result).projection.pixels == LESION).any()
    result.labels = result.labels.with_array(np.zeros_like(result.labels.array))
    assert not (ScanPictures(result).projection.pixels == LESION).any()


def test_the_overview_rings_each_zone_in_its_colour(tmp_path: Path) -> None:
    image = written(example_result(), tmp_path)
    left = image[:, : image.shape[1] * 5 // 8]
    for zone in ("lobar", "deep", "infratentorial"):
        assert coloured(left, ZONE_COLOURS[zone]).sum() > 150, zone
    assert not coloured(left, ZONE_COLOURS["outside"]).any()
    right_half = coloured(left[100:-80], ZONE_COLOURS["lobar"]).nonzero()[1]
    assert right_half.max() < left.shape[1] / 2, "the lobar microbleed is on the patient's right"


@pytest.mark.parametrize("number", [1, 5, 60])
def test_every_microbleed_has_an_outlined_crop(number: int, tmp_path: Path) -> None:
    result = example_result(spread_centres(number))
    image = written(result, tmp_path)
    assert image.shape[1] == 1240
    assert image.shape[0] == (2077 if number == 60 else 925)
    crops = np.zeros(image.shape[:2], bool)
    crops[95:-60, 775:] = True
    crops[863:-60] = number == 60
    drawn = sum(coloured(image, colour) for colour in ZONE_COLOURS.values()) > 0
    assert (drawn & crops).sum() > 60 * number


def test_zero_microbleeds_show_the_best_candidate_with_a_dashed_ring(tmp_path: Path) -> None:
    below = example_result(np.array([[30.0, 20.0, 10.0], [-30.0, 20.0, 10.0]]), [0.3, 0.1])
    above = example_result(np.array([[30.0, 20.0, 10.0], [-30.0, 20.0, 10.0]]), [0.9, 0.1])
    dashed, full = (
        coloured(written(result, tmp_path)[100:860, :770], ZONE_COLOURS["lobar"]).sum() for result in (below, above)
    )
    assert 0.3 * full < dashed < 0.85 * full


def test_no_candidate_at_all_gives_a_picture_without_colour(tmp_path: Path) -> None:
    image = written(example_result(np.zeros((0, 3)), []), tmp_path)
    assert not any(coloured(image, colour).any() for colour in ZONE_COLOURS.values())
    assert image[100:860, :770, :3].mean() > 0.3


def test_a_scan_without_anatomy_is_drawn(tmp_path: Path) -> None:
    image = written(example_result(with_anatomy=False), tmp_path)
    assert image[100:860, :770, :3].mean() > 0.3
    assert not coloured(image, ZONE_COLOURS["lobar"]).any()


def test_shown_are_the_microbleeds_or_the_best_candidate() -> None:
    candidates = example_result().candidates
    assert [candidate.id for candidate in shown_candidates(candidates, 0.5)] == [1, 2, 3]
    assert [candidate.id for candidate in shown_candidates(candidates, 0.99)] == [1]
    assert shown_candidates([], 0.5) == []
    assert len(shown_candidates([candidates[0]] * 100, 0.5)) == MAX_CROPS


def test_the_parts_for_the_report(tmp_path: Path) -> None:
    overview = Overview(example_result())
    assert [candidate.id for candidate in overview.shown] == [1, 2, 3]
    assert coloured(pixels_of(overview.projection_png()), ZONE_COLOURS["deep"]).sum() > 60
    crop = pixels_of(overview.crop_png(overview.shown[1]))
    plain, outlined = crop[:, : crop.shape[1] // 2], crop[:, crop.shape[1] // 2 :]
    assert not coloured(plain, ZONE_COLOURS["deep"]).any()
    assert coloured(outlined, ZONE_COLOURS["deep"]).sum() > 15


def test_a_scan_name_in_any_script_is_no_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    result = example_result(np.zeros((0, 3)), [])
    result.scan = Volume(result.scan.array, result.scan.ijk_to_ras, "患者 $x_1$", result.scan.metadata)
    written(result, tmp_path)
    assert [str(warning.message) for warning in recwarn] == []
