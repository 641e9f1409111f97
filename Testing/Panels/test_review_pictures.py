"""What a reader sees: three views with outline and cross-hair, beside the panel; for the tutorial with `--pictures`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
from PIL import Image
from review_driver import REPOSITORY, VIEWS, ReviewDriver

from CMBNetEvaluationLib.review_sources import read_candidates
from CMBNetLib.worklist import Case, Worklist
from CMBNetSlicer.event_loop import wait_until

SCREENSHOTS = REPOSITORY / "Resources" / "Screenshots"
SAMPLE = REPOSITORY / "Resources" / "SampleData"
GAP, PAPER, SIZE = 6, (70, 70, 76), 365
COLOURS, MOST_BYTES = 96, 300_000
GREEN, BLUE = (77, 255, 115), (89, 217, 255)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReviewDriver]:
    """The sample scan with its true microbleeds as candidates, and a second case."""
    scan, truth = SAMPLE / "CMBNetSample_swi.nii.gz", SAMPLE / "CMBNetSample_truth.nii.gz"
    names = ("sub-01_swi", "sub-02_swi")
    cases = [Case(name, scan, tmp_path / name, stem=name, candidates=truth, second=scan) for name in names]
    driver = ReviewDriver(read_candidates)
    open_located(driver, Worklist(tuple(cases), tmp_path))
    yield driver
    driver.close()


def open_located(room: ReviewDriver, worklist: Worklist, **setup: str) -> None:
    """Open a worklist and wait for the anatomy of its first case, so that regions are filled in."""
    room.open(worklist, anatomy=True, **setup)
    assert wait_until(lambda: not room.desk.room.loader.busy, 120.0)


def picture(name: str, size: int = SIZE) -> np.ndarray:
    """One view, RGB."""
    view = slicer.app.layoutManager().sliceWidget(name).sliceView().picture
    view.resize(size)
    return view.pixels()


def near(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Which pixels have a colour."""
    return np.abs(pixels.astype(int) - colour).max(axis=-1) < 40


def distance_from_middle(where: np.ndarray) -> np.ndarray:
    """Pixels from the middle of the picture."""
    rows, columns = np.nonzero(where)
    return np.hypot(rows - where.shape[0] / 2, columns - where.shape[1] / 2)


def write(room: ReviewDriver, name: str, wanted: bool) -> None:
    """Panel and views side by side as a PNG, if it was asked for."""
    if not wanted:
        return
    room.ui.worklistCollapsibleButton.collapsed = True
    room.ui.readerEdit.text = room.desk.room.setup.reader
    room.window.resize(440, 2 * SIZE + GAP)
    qt.QApplication.processEvents()
    path = Path(slicer.app.temporaryPath) / "panel.png"
    room.window.grab().save(str(path))
    panel = Image.open(path).convert("RGB")
    whole = Image.new("RGB", (panel.width + GAP + 3 * SIZE + 2 * GAP, 2 * SIZE + GAP), PAPER)
    whole.paste(panel, (0, 0))
    left = panel.width + GAP
    for view, size, place in (
        ("Red", 2 * SIZE + GAP, (left, 0)),
        ("Yellow", SIZE, (left + 2 * (SIZE + GAP), 0)),
        ("Green", SIZE, (left + 2 * (SIZE + GAP), SIZE + GAP)),
    ):
        whole.paste(Image.fromarray(picture(view, size)), place)
    target = SCREENSHOTS / f"{name}.png"
    whole.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, optimize=True)
    assert target.stat().st_size < MOST_BYTES


def test_the_loop_shows_the_lesion_outlined_in_the_gap_of_the_cross_hair(
    room: ReviewDriver, request: pytest.FixtureRequest
) -> None:
    for key in ("M", "F", "Alt+1", "F"):
        room.key(key)
    mm = SIZE / room.desk.views.field_of_view_mm
    for view in VIEWS:
        pixels = picture(view)
        outline, cross = near(pixels, GREEN), near(pixels, BLUE)
        assert outline.any(), f"no outline in {view}"
        assert distance_from_middle(outline).max() < 8 * mm, "the outline is not around the middle"
        assert cross.sum() > SIZE, f"no cross-hair in {view}"
        # The gap is 4 mm; the lesion's centre may lie anywhere in the middle pixel.
        assert distance_from_middle(cross).min() >= 4 * mm - 1, "the cross-hair covers the lesion"
        assert distance_from_middle(cross).min() > distance_from_middle(outline).min()
    write(room, "CMBNet_review", request.config.getoption("--pictures"))
    room.key("O")
    room.key("X")
    for view in VIEWS:
        pixels = picture(view)
        assert not near(pixels, GREEN).any()
        assert not near(pixels, BLUE).any()


def test_a_click_grows_an_outline_that_the_wheel_widens_in_the_views(
    room: ReviewDriver, request: pytest.FixtureRequest
) -> None:
    room.panel.close_worklist()
    cases = [Case("sub-03_swi", SAMPLE / "CMBNetSample_swi.nii.gz", Path(slicer.app.temporaryPath) / "c3", stem="c3")]
    spot = np.array(_first_lesion())
    open_located(room, Worklist(tuple(cases), Path(slicer.app.temporaryPath)), mode="blinded", reader="bea")
    room.desk.views.jump(spot)
    assert not near(picture("Red"), GREEN).any()
    room.key("A")
    room.click(spot)
    shown = near(picture("Red"), GREEN).sum()
    assert shown > 0
    for _ in range(5):
        room.mouse("MouseWheelForwardEvent", spot)
    assert near(picture("Red"), GREEN).sum() > shown
    for _ in range(5):
        room.mouse("MouseWheelBackwardEvent", spot)
    write(room, "CMBNet_review_add", request.config.getoption("--pictures"))


def test_the_projection_is_darker_and_second_volume_covers_the_scan(room: ReviewDriver) -> None:
    room.key("O")
    room.key("X")
    plain = picture("Red").astype(int)
    room.key("B")
    projected = picture("Red").astype(int)
    # Slabs are sampled between slices, so that single pixels at an edge may differ.
    assert np.mean(projected <= plain + 20) > 0.97, "a minimum cannot be brighter"
    assert projected.mean() < plain.mean() - 5
    room.key("B")
    room.key("S")
    assert room.background()[1:] == ("sub-01_swi second", 1.0)
    assert np.abs(picture("Red").astype(int) - plain).mean() < 1.0, "the second volume is the same scan here"


def _first_lesion() -> tuple[float, float, float]:
    from CMBNetLib.volume import read_volume

    scan = read_volume(SAMPLE / "CMBNetSample_swi.nii.gz")
    case = Case("x", SAMPLE / "CMBNetSample_swi.nii.gz", Path(), candidates=SAMPLE / "CMBNetSample_truth.nii.gz")
    return read_candidates(case, scan).candidates[0].point_ras
