"""Every key of the review room, pressed in a window; the scene and the readings file are what is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from review_driver import ReviewDriver
from review_view_checks import (
    toggle_beside,
    toggle_crosshair,
    toggle_minip,
    toggle_outline,
    toggle_second,
    zoom,
)

from CMBNetLib.review_keys import ACTIONS
from CMBNetLib.review_outlines import CURRENT, MICROBLEED, NOT, UNDECIDED, UNSURE
from CMBNetLib.volume import read_volume, write_volume
from CMBNetLib.worklist import Worklist
from review_cases import CENTERS, a_source, a_worklist, dots_of


def five_candidates(case, scan):
    return a_source(scan, CENTERS) if case.case_id == "case-05" else dots_of(case, scan)


@pytest.fixture(scope="module")
def worklist(tmp_path_factory: pytest.TempPathFactory) -> Worklist:
    """Three cases of 4, 5 and 1 candidates; the middle one has a second volume and a prior."""
    folder = tmp_path_factory.mktemp("keys")
    made = a_worklist(folder, 6)
    scan = read_volume(made.cases[4].image)
    brighter = scan.with_array(scan.array + 50.0)
    second, prior = (write_volume(brighter, folder / name) for name in ("t2.nii.gz", "old.nii.gz"))
    middle = replace(made.cases[4], second=second, prior=prior)
    return Worklist((made.cases[3], middle, made.cases[5]), made.output_folder)


@pytest.fixture
def room(worklist: Worklist, tmp_path: Path) -> Iterator[ReviewDriver]:
    """The middle case is open, with empty readings."""
    cases = tuple(replace(case, folder=tmp_path / case.case_id) for case in worklist.cases)
    driver = ReviewDriver(five_candidates)
    driver.open(Worklist(cases, tmp_path))
    driver.desk.open("case-05")
    yield driver
    driver.close()


def next_candidate(room: ReviewDriver) -> None:
    room.press("next_candidate")
    assert room.review.current == "c2"
    assert np.allclose(room.centers(), room.review.finding("c2").position_ras, atol=1e-3)
    assert (room.label_at("c1"), room.label_at("c2")) == (UNDECIDED, CURRENT)


def previous_candidate(room: ReviewDriver) -> None:
    room.press("next_candidate")
    room.press("previous_candidate")
    assert room.review.current == "c1"
    room.press("previous_candidate")
    assert "PgUp" in room.ui.readingMessage.text


def next_undecided(room: ReviewDriver) -> None:
    room.desk.review.go("c3")
    room.press("microbleed")
    room.press("next_undecided")
    assert room.review.current == "c4"
    room.press("unsure")
    room.press("previous_candidate")
    room.press("next_undecided")
    assert room.review.current == "c5"


def next_case(room: ReviewDriver) -> None:
    room.press("next_case")
    assert room.background()[0] == "case-06"
    room.press("next_case")
    assert "last case" in room.ui.readingMessage.text


def previous_case(room: ReviewDriver) -> None:
    room.press("previous_case")
    assert room.background()[0] == "case-04"
    assert room.ui.caseTable.currentRow() == 0


def finish_case(room: ReviewDriver) -> None:
    file = room.review.store.path
    room.press("finish_case")
    assert "5 findings have no verdict yet" in room.ui.readingMessage.text
    assert '"kind":"finish"' not in file.read_text()
    room.press("finish_case")
    assert '"kind":"finish"' in file.read_text()
    assert room.background()[0] == "case-06"
    assert room.ui.caseTable.item(1, 1).text() == "finished"


def reveal(room: ReviewDriver) -> None:
    room.open(room.desk.room.worklist, mode="second reader", reader="sue")
    room.desk.open("case-05")
    assert room.review.listed() == []
    room.press("reveal")
    assert room.state().revealed
    assert room.review.listed() == [f"c{n}" for n in range(1, 6)]
    assert room.label_at("c2") == UNDECIDED


def microbleed(room: ReviewDriver) -> None:
    room.press("microbleed")
    found = room.found()
    assert (found.verdict, found.certainty, found.region) == ("microbleed", "certain", "thalamus")
    assert found.mode == "concurrent"
    room.press("next_candidate")
    assert room.label_at("c1") == MICROBLEED


def not_a_microbleed(room: ReviewDriver) -> None:
    room.press("not")
    assert room.state().findings == {}, "a rejection without a mimic was written"
    assert "What is it?" in room.ui.readingMessage.text
    room.press("not")
    assert (room.found().verdict, room.found().mimic) == ("not", room.desk.room.setup.terms.mimics[0].id)
    room.press("next_candidate")
    assert room.label_at("c1") == NOT


def unsure(room: ReviewDriver) -> None:
    room.press("unsure")
    assert room.found().verdict == "unsure"
    room.press("next_candidate")
    assert room.label_at("c1") == UNSURE


def certainty(number: int) -> Callable[[ReviewDriver], None]:
    def check(room: ReviewDriver) -> None:
        room.press(f"certainty_{number}")
        term = room.desk.room.setup.terms.taxonomy.certainty[number - 1].id
        assert (room.found().verdict, room.found().certainty) == ("microbleed", term)

    return check


def mimic(number: int) -> Callable[[ReviewDriver], None]:
    def check(room: ReviewDriver) -> None:
        room.press(f"mimic_{number}")
        wanted = room.desk.room.setup.terms.mimics[number - 1].id
        assert (room.found().verdict, room.found().mimic) == ("not", wanted)
        room.press("not")
        room.press("not")
        assert room.found().mimic == wanted, "pressed twice, 'not' takes the last mimic"

    return check


def region(by: int) -> Callable[[ReviewDriver], None]:
    def check(room: ReviewDriver) -> None:
        sites = [site.id for site in room.desk.room.setup.terms.taxonomy.sites]
        room.press("next_region" if by > 0 else "previous_region")
        assert room.found().region == sites[sites.index("thalamus") + by]
        assert room.ui.regionBox.currentIndex == 1 + sites.index("thalamus") + by

    return check


def comment(room: ReviewDriver) -> None:
    room.press("comment")
    room.type("near MN of the vein")  # M and N are keys of the room, but not while somebody writes
    assert room.found().comment == "near MN of the vein"
    assert room.found().verdict is None
    room.press("microbleed")
    assert room.found().verdict == "microbleed", "the keys are alive again"


def undo(room: ReviewDriver) -> None:
    room.press("microbleed")
    room.press("next_candidate")
    room.press("undo")
    assert room.review.current == "c1"
    assert room.found().verdict is None
    room.press("undo")
    assert "Nothing to undo" in room.ui.readingMessage.text


def redo(room: ReviewDriver) -> None:
    room.press("unsure")
    room.press("undo")
    room.press("redo")
    assert room.found().verdict == "unsure"


def add(room: ReviewDriver) -> None:
    room.press("add")
    spot = np.array(room.review.finding("c3").position_ras)
    room.desk.review.go("c3")
    room.desk.show()
    room.click(spot)
    key = room.review.current
    found = room.found()
    assert key.startswith("p")
    assert found.verdict == "microbleed"
    assert np.linalg.norm(np.subtract(found.position_ras, spot)) < 1.0
    assert found.mask.method == "region growing"
    assert room.label_at(key) == CURRENT


def test_a_click_on_a_projection_finds_the_depth_of_the_lesion(room: ReviewDriver) -> None:
    spot = np.array(room.review.finding("c1").position_ras)
    above = np.add(spot, (0.0, 0.0, 3.0))
    room.desk.views.jump(above)
    room.panel.run("toggle_minip")
    room.panel.run("add")
    room.click(above)
    assert np.linalg.norm(np.subtract(room.found().position_ras, spot)) < 1.0
    room.panel.run("no_tool")


def move(room: ReviewDriver) -> None:
    source = np.array(room.review.finding("c1").position_ras)
    room.press("move")
    room.click(np.add(source, (3.0, 4.0, 0.0)))
    found = room.found()
    assert np.allclose(found.source_ras, source, atol=1e-3)
    assert found.shift_mm == pytest.approx(5.0, abs=0.2)
    assert np.allclose(room.centers(), found.moved_to_ras, atol=1e-3)
    assert room.desk.tools.tool == "none"


def brush(room: ReviewDriver) -> None:
    before = room.review.finding("c1").mask.n_voxels
    spot = np.array(room.review.finding("c1").position_ras)
    room.press("brush")
    assert room.ui.brushButton.checked
    room.click(np.add(spot, (3.0, 0.0, 0.0)), release=False)
    room.mouse("MouseMoveEvent", np.add(spot, (5.0, 0.0, 0.0)))
    assert room.found().mask is None, "a stroke is stored when it ends"
    room.mouse("LeftButtonReleaseEvent", np.add(spot, (5.0, 0.0, 0.0)))
    assert room.found().mask.n_voxels > before
    assert room.found().mask.method == "brush"


def erase(room: ReviewDriver) -> None:
    room.press("erase")
    room.click(np.array(room.review.finding("c1").position_ras))
    assert 0 < room.found().mask.n_voxels < room.review.source.by_id[1].mask.n_voxels
    assert room.label_at("c1") == 0


def regrow(room: ReviewDriver) -> None:
    room.press("regrow")
    assert room.found().mask is None, "while the wheel may still change it, nothing is stored"
    before = room.desk.tools.preview.n_voxels
    for _ in range(6):
        room.mouse("MouseWheelForwardEvent", room.review.finding("c1").position_ras)
    preview = room.desk.tools.preview
    assert preview.n_voxels > before
    room.press("next_candidate")
    assert room.state().finding("c1").mask == preview
    assert preview.settings["how"] == "wheel"


def grow(room: ReviewDriver) -> None:
    room.press("grow")
    assert room.found().mask.n_voxels > room.review.source.by_id[1].mask.n_voxels


def shrink(room: ReviewDriver) -> None:
    room.press("shrink")
    assert room.found().mask.n_voxels < room.review.source.by_id[1].mask.n_voxels


def split(room: ReviewDriver) -> None:
    whole = room.review.source.by_id[1].mask.n_voxels
    room.press("split")
    parts = [found for found in room.state().findings.values() if found.mask is not None]
    assert len(parts) == 2
    assert sum(found.mask.n_voxels for found in parts) == whole
    assert {room.label_at(found.key) for found in parts} == {CURRENT, UNDECIDED}


def merge(room: ReviewDriver) -> None:
    room.press("merge")
    assert "nothing to merge" in room.ui.readingMessage.text
    whole = room.review.source.by_id[1].mask.n_voxels
    room.press("split")
    room.press("merge")
    left = [found for found in room.state().findings.values() if found.present]
    assert [found.mask.n_voxels for found in left] == [whole]


def delete(room: ReviewDriver) -> None:
    room.press("delete")
    assert "rejected as a mimic" in room.ui.readingMessage.text
    room.press("add")
    room.click(np.add(room.review.finding("c1").position_ras, (8.0, 8.0, 0.0)))
    key = room.review.current
    room.press("delete")
    assert room.state().finding(key).deleted
    assert key not in room.review.listed()


def segment_editor(room: ReviewDriver) -> None:
    before = room.review.finding("c1").mask
    room.press("segment_editor")
    lesion = room.desk.lesion
    assert lesion.node.GetSegmentation().GetNumberOfSegments() == 1
    assert lesion.masks()[0].same_voxels(before)
    assert room.label_at("c1") == 0, "the editor shows the outline now"
    room.press("segment_editor")
    assert room.desk.lesion is None
    assert room.found().mask is None, "nothing was changed, so nothing is written"
    assert room.label_at("c1") == CURRENT


def no_tool(room: ReviewDriver) -> None:
    room.press("erase")
    room.press("no_tool")
    assert room.desk.tools.tool == "none"
    room.click(np.array(room.review.finding("c1").position_ras))
    assert room.found().mask is None


CHECKS: dict[str, Callable[[ReviewDriver], None]] = {
    **{f.__name__: f for f in (
        next_candidate, previous_candidate, next_undecided, next_case, previous_case, finish_case, reveal, microbleed,
        unsure, comment, undo, redo, toggle_outline, toggle_crosshair, toggle_second, toggle_minip, toggle_beside, add,
        move, brush, erase, regrow, grow, shrink, split, merge, delete, segment_editor, no_tool,
    )},
    "not": not_a_microbleed, "next_region": region(1), "previous_region": region(-1),
    "zoom_in": zoom("zoom_in", 0.8), "zoom_out": zoom("zoom_out", 1.25),
    **{f"certainty_{n}": certainty(n) for n in (1, 2)}, **{f"mimic_{n}": mimic(n) for n in range(1, 10)},
}  # fmt: skip


@pytest.mark.parametrize("action_id", [action.id for action in ACTIONS])
def test_the_key_does_what_its_title_says(action_id: str, room: ReviewDriver) -> None:
    CHECKS[action_id](room)
