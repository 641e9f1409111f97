"""Path lines of the panels: emptied, and remembered from one session to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import qt
import slicer
from panel_driver import REPOSITORY, PanelDriver, add_scan
from review_driver import ReviewDriver

import host
from CMBNetSlicer.job_command import JobCommand
from review_cases import dots_of


def panel_of(name: str) -> Any:
    return host.load_module(REPOSITORY / name / f"{name}.py").widget().panel


def test_a_folder_for_result_files_can_be_taken_back(panel: PanelDriver, tmp_path: Path) -> None:
    panel.ui.outputPath.currentPath = str(tmp_path)
    assert panel.parameters.outputFolder == str(tmp_path)
    panel.ui.outputPath.currentPath = ""
    assert panel.parameters.outputFolder == ""
    panel.choose_scan(add_scan())
    assert panel.ui.outputPath.currentPath == "", "an update of the panel does not bring it back"


def test_without_its_folder_a_curation_cannot_start(tmp_path: Path) -> None:
    ui = panel_of("CMBNetTraining").ui
    ui.sourcePath.currentPath, ui.collectionPath.currentPath = str(tmp_path), str(tmp_path / "out")
    assert ui.curateButton.enabled
    ui.collectionPath.currentPath = ""
    assert not ui.curateButton.enabled
    assert ui.curateButton.toolTip == "Choose a folder for the collection."


def test_the_paths_of_an_evaluation_are_there_again_in_the_next_session(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("predictions", "references", "output")}
    panel = panel_of("CMBNetEvaluation")
    for name, folder in folders.items():
        folder.mkdir()
        getattr(panel.ui, f"{name}Path").currentPath = str(folder)
    panel.make_command = lambda run: JobCommand("/nowhere/python", (), str(tmp_path))
    panel.evaluate()
    host.unload_modules()
    assert not slicer.app.settings().contains("CMBNetEvaluation/imagesPath")
    ui = panel_of("CMBNetEvaluation").ui
    assert {name: getattr(ui, f"{name}Path").currentPath for name in folders} == {
        name: str(folder) for name, folder in folders.items()
    }
    assert ui.evaluateButton.enabled


def test_the_folder_of_a_worklist_is_chosen_by_a_button_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = ReviewDriver(dots_of)
    chosen = [str(tmp_path), ""]
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_arguments: chosen.pop(0))
    for _time in range(2):  # an empty answer, Cancel, keeps what is there
        room.ui.folderButton.click()
        assert room.ui.worklistPath.currentPath == str(tmp_path)
    room.close()
