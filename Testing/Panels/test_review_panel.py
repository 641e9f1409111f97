"""The review room as a reader meets it: worklist, modes, coming and going, time, and input that is no good."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
from review_driver import REPOSITORY, ReviewDriver

import host
from CMBNetLib.readings import ReadingHeader, ReadingStore, read_readings, readings_path
from CMBNetLib.worklist import Worklist, write_csv_worklist
from CMBNetSlicer.review_volumes import owned_nodes
from review_cases import a_worklist, dots_of, worklist_in

N_CASES = 3


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    a_worklist(folder, N_CASES)
    return folder


@pytest.fixture
def worklist(scans: Path, tmp_path: Path) -> Worklist:
    """One, two and three candidates; readings go to a folder of the test."""
    cases = tuple(replace(case, folder=tmp_path / case.case_id) for case in worklist_in(scans, N_CASES).cases)
    return Worklist(cases, tmp_path)


@pytest.fixture
def room() -> Iterator[ReviewDriver]:
    driver = ReviewDriver(dots_of)
    yield driver
    driver.close()


def cells(room: ReviewDriver, column: int) -> list[str]:
    return [room.ui.caseTable.item(row, column).text() for row in range(room.ui.caseTable.rowCount)]


def open_by_hand(room: ReviewDriver, path: Path, reader: str = "ann") -> str:
    """Fill in the form, press the button; what the panel says."""
    room.ui.readerEdit.text = reader
    room.ui.worklistPath.currentPath = str(path)
    room.ui.openWorklistButton.click()
    return str(room.ui.worklistMessage.text)


# ---- the worklist ----


def test_a_worklist_file_opens_by_the_button_and_the_table_tells_how_far_it_is(
    room: ReviewDriver, worklist: Worklist, tmp_path: Path
) -> None:
    path = write_csv_worklist(tmp_path / "list.csv", worklist.cases)
    assert open_by_hand(room, path) == ""
    assert cells(room, 0) == ["case-01", "case-02", "case-03"]
    assert cells(room, 1) == ["new"] * 3
    room.key("M")
    room.key("Ctrl+Return")
    assert cells(room, 1) == ["finished", "new", "new"]
    assert cells(room, 3) == ["1", "0", "0"]
    assert cells(room, 4) == ["ann"] * 3
    room.ui.caseFilterBox.currentIndex = 1
    assert cells(room, 0) == ["case-02", "case-03"]
    room.ui.searchEdit.text = "03"
    assert cells(room, 0) == ["case-03"]
    room.ui.caseTable.cellDoubleClicked.emit(0, 0)
    assert room.background()[0] == "case-03"


def test_a_folder_of_scans_and_the_scans_of_the_scene_are_worklists_too(
    room: ReviewDriver, scans: Path, tmp_path: Path
) -> None:
    assert open_by_hand(room, scans / "scans") == ""
    assert cells(room, 0) == ["case-01", "case-02", "case-03"]
    room.panel.close_worklist()
    copy = tmp_path / "case-02.nii.gz"
    copy.write_bytes((scans / "scans" / "case-02.nii.gz").read_bytes())
    own = slicer.util.loadVolume(str(copy))
    room.ui.sceneWorklistButton.click()
    assert cells(room, 0) == ["case-02"]
    room.panel.close_worklist()
    assert slicer.mrmlScene.GetNodeByID(own.GetID()) is own


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case_id\na\n", "lacks the column image"),
        ("case_id,image\na,a.nii\nA,b.nii\n", "more than once"),
        ("case_id,image\n,a.nii\n", "no case_id or no image in line 2"),
        ("", "lacks the column"),
    ],
)
def test_a_bad_worklist_is_told_and_the_open_one_stays(
    text: str, message: str, room: ReviewDriver, worklist: Worklist, tmp_path: Path
) -> None:
    room.open(worklist)
    path = tmp_path / "bad.csv"
    path.write_text(text)
    assert message in open_by_hand(room, path)
    room.key("M")
    assert room.found().verdict == "microbleed"


def test_a_missing_scan_is_marked_and_stepped_over(room: ReviewDriver, worklist: Worklist, tmp_path: Path) -> None:
    gone = replace(worklist.cases[1], image=tmp_path / "gone.nii.gz")
    room.open(Worklist((worklist.cases[0], gone, worklist.cases[2]), tmp_path))
    assert cells(room, 1)[1] == "missing"
    room.key("PgDown")
    assert room.background()[0] == "case-03"


@pytest.mark.parametrize("reader", ["", "a/b", "Müller?"])
def test_who_reads_must_be_said(reader: str, room: ReviewDriver, scans: Path) -> None:
    assert "name" in open_by_hand(room, scans / "scans", reader)
    assert room.desk is None


# ---- modes ----


def test_a_blinded_reader_marks_first_and_sees_the_detector_after(room: ReviewDriver, worklist: Worklist) -> None:
    room.open(worklist, mode="blinded")
    room.desk.open("case-02")
    spots = [np.array(candidate.point_ras) for candidate in room.review.source.candidates]
    assert room.review.current is None
    assert cells(room, 2)[1] == "", "the number of candidates is not given away"
    labels = room.desk.case_scene.outlines.map.labels
    assert not labels.any()
    room.key("H")
    assert "blinded" in room.ui.readingMessage.text
    room.key("A")
    room.desk.views.jump(spots[0])
    room.click(spots[0])
    room.key("M")
    room.key("Ctrl+Return")
    assert room.background()[0] == "case-02", "the case stays open for the second look"
    room.key("H")
    assert "2 candidates, 1 of them" in room.ui.readingMessage.text
    assert room.review.current == "c2"
    room.key("U")
    findings = room.state().findings
    own = next(found for found in findings.values() if found.candidate is None)
    assert (own.mode, findings["c2"].mode) == ("blinded", "second reader")
    assert findings["c1"].gone_into == own.key


def test_the_mode_is_kept_with_every_decision(room: ReviewDriver, worklist: Worklist) -> None:
    for mode, reader in (("concurrent", "ann"), ("second reader", "bob")):
        room.open(worklist, reader=reader, mode=mode)
        room.key("H")
        room.key("M")
        assert room.found().mode == mode
    assert len(list(worklist.cases[0].folder.glob("readings/*.jsonl"))) == 2


# ---- coming and going ----


def test_keys_and_time_live_only_while_the_room_is_open(room: ReviewDriver, worklist: Worklist) -> None:
    room.open(worklist)
    clock = room.desk.room.clock
    assert clock.running
    room.panel.exit()
    assert not clock.running
    room.key("M")
    assert room.state().findings == {}
    room.panel.enter()
    room.key("M")
    assert room.found().verdict == "microbleed"
    qt.QCoreApplication.sendEvent(room.window, qt.QEvent(qt.QEvent.WindowDeactivate))
    assert not clock.running
    qt.QCoreApplication.sendEvent(room.window, qt.QEvent(qt.QEvent.WindowActivate))
    assert clock.running


def test_the_scene_is_given_back_as_it_was(room: ReviewDriver, worklist: Worklist) -> None:
    mine = slicer.util.addVolumeFromArray(np.zeros((5, 6, 7)), name="mine")
    slicer.util.setSliceViewerLayers(background=mine)
    before = {slicer.mrmlScene.GetNthNode(n).GetID() for n in range(slicer.mrmlScene.GetNumberOfNodes())}
    room.open(worklist)
    for key in ("M", "PgDown", "A", "PgDown", "PgUp", "S", "B", "X"):
        room.key(key)
    assert room.background()[0] == "case-02"
    assert owned_nodes(slicer.mrmlScene)
    room.panel.close_worklist()
    after = {slicer.mrmlScene.GetNthNode(n).GetID() for n in range(slicer.mrmlScene.GetNumberOfNodes())}
    assert after == before
    assert room.background() == ("mine", None, 0.0)


def test_closing_the_scene_closes_the_room_and_loses_nothing(room: ReviewDriver, worklist: Worklist) -> None:
    room.open(worklist)
    room.key("PgDown")
    room.key("M")
    slicer.mrmlScene.Clear(False)
    assert "Open the worklist again" in room.ui.worklistMessage.text
    room.key("M")
    assert "Open a worklist first" in room.ui.readingMessage.text
    room.open(worklist)
    assert room.background()[0] == "case-02"
    assert room.found().verdict == "microbleed"


def test_the_next_session_shows_the_same_view(room: ReviewDriver, worklist: Worklist) -> None:
    room.open(worklist)
    for key in ("PgDown", "F", "Ctrl+Up", "B", "X", "O"):
        room.key(key)
    room.ui.findingFilterBox.currentIndex = 1
    room.panel.close_worklist()
    room.open(worklist)
    assert (room.background()[0], room.review.current, room.review.filter) == ("case-02", "c2", "undecided")
    views = room.desk.views
    assert (views.field_of_view_mm, views.projects) == (pytest.approx(48.0), True)
    assert not room.desk.outline_visible
    assert not room.desk.crosshair_visible
    assert not room.ui.outlineButton.checked


def test_the_second_of_two_fast_clicks_is_a_dab_too(room: ReviewDriver, worklist: Worklist) -> None:
    room.open(worklist)
    spot = np.add(room.review.finding("c1").position_ras, (4.0, 0.0, 0.0))
    seen = []
    interactor = slicer.app.layoutManager().sliceWidget("Red").sliceView().interactor()
    tag = interactor.AddObserver("LeftButtonDoubleClickEvent", lambda *_: seen.append("Slicer"), 0.0)
    room.mouse("LeftButtonDoubleClickEvent", spot)
    assert seen == ["Slicer"], "without a tool a double click is Slicer's"
    room.key("P")
    room.mouse("LeftButtonDoubleClickEvent", spot)
    room.mouse("LeftButtonReleaseEvent", spot)
    interactor.RemoveObserver(tag)
    assert seen == ["Slicer"]
    assert room.found().mask.method == "brush"


def test_a_view_that_a_new_layout_brings_shows_the_case(room: ReviewDriver, worklist: Worklist) -> None:
    room.open(worklist)
    scene = slicer.mrmlScene
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode", "Slice4")
    view.SetLayoutName("Slice4")
    composite = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode", "Slice4")
    composite.SetLayoutName("Slice4")
    qt.QApplication.processEvents()
    assert scene.GetNodeByID(composite.GetBackgroundVolumeID()).GetName() == "case-01"
    center = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())[:3, 3]
    assert np.allclose(center, room.review.finding("c1").position_ras, atol=1e-3)
    room.panel.close_worklist()
    assert composite.GetBackgroundVolumeID() is None


def test_the_panel_leaves_the_width_to_the_views(room: ReviewDriver) -> None:
    assert room.top.minimumSizeHint.width() <= 440


def test_a_key_can_be_changed_and_the_button_shows_it(room: ReviewDriver, worklist: Worklist) -> None:
    room.open(worklist)
    row = [room.ui.keyTable.item(row, 0).text() for row in range(room.ui.keyTable.rowCount)].index("Unsure")
    room.ui.keyTable.selectRow(row)
    room.ui.keyEdit.text = "m"
    room.ui.changeKeyButton.click()
    assert "Microbleed" in room.ui.keyMessage.text
    room.ui.keyEdit.text = "Shift+F5"
    room.ui.changeKeyButton.click()
    assert room.ui.unsureButton.text == "Unsure (Shift+F5)"
    room.key("U")
    assert room.found().verdict is None
    room.key("Shift+F5")
    assert room.found().verdict == "unsure"
    assert json.loads(str(room.settings.value("CMBNet/ReviewKeys"))) == {"unsure": "Shift+F5"}
    room.ui.resetKeysButton.click()
    room.key("U")
    assert room.ui.unsureButton.text == "Unsure (U)"


def test_the_lists_of_the_panel_do_what_the_keys_do(room: ReviewDriver, worklist: Worklist) -> None:
    room.open(worklist)
    room.ui.mimicBox.currentIndex = 2
    assert (room.found().verdict, room.found().mimic) == ("not", room.desk.room.setup.terms.mimics[1].id)
    room.ui.certaintyBox.currentIndex = 1
    assert "no certainty" in room.ui.readingMessage.text
    room.key("M")
    room.ui.certaintyBox.currentIndex = 2
    assert room.found().certainty == "uncertain"
    room.ui.regionBox.currentIndex = 1
    assert room.found().region == room.desk.room.setup.terms.taxonomy.sites[0].id


# ---- input that is no good ----


def test_a_scale_with_missing_codes_is_refused_by_the_site_that_lacks_one(
    room: ReviewDriver, scans: Path, tmp_path: Path
) -> None:
    scale = json.loads((REPOSITORY / "Resources" / "Taxonomies" / "bombs.json").read_text())
    del scale["sites"][1]["code"]
    path = tmp_path / "ours.json"
    path.write_text(json.dumps(scale))
    room.ui.scalePath.currentPath = str(path)
    message = open_by_hand(room, scans / "scans")
    assert "has no code" in message
    assert scale["sites"][1]["id"] in message
    assert room.desk is None


def test_readings_of_another_case_or_a_newer_version_are_refused_and_left_alone(
    room: ReviewDriver, worklist: Worklist
) -> None:
    path = readings_path(worklist.cases[1].folder, "ann")
    ReadingStore(path, ReadingHeader("another", "ann")).close()
    newer = readings_path(worklist.cases[2].folder, "ann")
    ReadingStore(newer, ReadingHeader("case-03", "ann")).close()
    newer.write_text(newer.read_text().replace('"1.0"', '"7.0"'))
    kept = path.read_bytes(), newer.read_bytes()
    room.open(worklist)
    room.desk.open("case-02")
    assert "case another" in room.ui.readingMessage.text
    room.desk.open("case-03")
    assert "newer version" in room.ui.readingMessage.text
    assert room.background()[0] == "case-01"
    room.key("M")
    assert room.found().verdict == "microbleed"
    assert (path.read_bytes(), newer.read_bytes()) == kept


def test_a_full_disk_is_told_the_work_goes_on_and_can_be_saved_elsewhere(
    room: ReviewDriver, worklist: Worklist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.open(worklist)
    room.desk.open("case-02")

    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert not room.ui.elsewhereButton.visible
    room.key("M")
    room.key("F")
    room.key("U")
    assert "No space left on device" in room.ui.readingMessage.text
    assert room.ui.elsewhereButton.visible
    assert room.review.finding("c1").verdict == "microbleed"
    assert room.state().findings == {}
    monkeypatch.undo()
    elsewhere = tmp_path / "stick" / "kept.jsonl"
    elsewhere.parent.mkdir()
    room.ui.elsewherePath.currentPath = str(elsewhere)
    room.ui.elsewhereButton.click()
    assert str(elsewhere) in room.ui.readingMessage.text
    assert not room.ui.elsewhereButton.visible
    verdicts = [found.verdict for found in read_readings(elsewhere).state.findings.values()]
    assert verdicts == ["microbleed", "unsure"]
    room.key("D")
    room.key("N")
    room.key("N")
    assert read_readings(elsewhere).state.finding("c1").verdict == "not"


def test_a_folder_that_cannot_be_written_is_told_at_once(room: ReviewDriver, worklist: Worklist) -> None:
    worklist.cases[0].folder.parent.mkdir(parents=True, exist_ok=True)
    worklist.cases[0].folder.write_text("a file where the folder of the case would be")
    room.open(worklist)
    assert "memory only" in room.ui.readingMessage.text
    room.key("M")
    assert room.review.finding("c1").verdict == "microbleed"
    assert "memory only" in room.ui.readingMessage.text


# ---- in the module ----


def test_the_room_is_a_tab_of_the_module_and_its_keys_die_with_it() -> None:
    module = host.load_module(REPOSITORY / "CMBNet" / "CMBNet.py")
    widget = module.widget()
    assert widget.tabs.review is None, "the room is made when it is first opened"
    panel = widget.tabs.open_review()
    assert panel.shortcuts.active
    widget.tabs.widget.currentIndex = 0
    assert not panel.shortcuts.active
    widget.tabs.widget.currentIndex = 1
    widget.exit()
    assert not panel.shortcuts.active
    widget.enter()
    assert panel.shortcuts.active
    widget.cleanup()
    assert not panel.shortcuts.active
