"""The module CMBNetTraining: curate a data set from the panel, look at its microbleeds, write corrections."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from panel_driver import REPOSITORY, process_exists

import host
from CMBNetSlicer.event_loop import wait_until
from CMBNetSlicer.job_command import JobCommand
from curation_sources import mask, save, scan
from head_phantom import SPOTS_RAS

MODULE = REPOSITORY / "CMBNetTraining" / "CMBNetTraining.py"


@pytest.fixture
def panel() -> Any:
    return host.load_module(MODULE).widget().panel


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One subject with three microbleeds, in the layout of VALDO."""
    folder = tmp_path_factory.mktemp("valdo")
    volume = scan(101)
    save(volume, folder / "sub-101" / "sub-101_space-T2S_desc-masked_T2S.nii.gz")
    save(mask(volume), folder / "sub-101" / "sub-101_space-T2S_CMB.nii.gz")
    return folder


def choose(panel: Any, source: Path, collection: Path) -> Any:
    panel.ui.sourcePath.currentPath = str(source)
    panel.ui.collectionPath.currentPath = str(collection)
    panel.ui.workersSpin.value = 1
    return panel.ui


def column(ui: Any, number: int) -> list[str]:
    return [ui.microbleedTable.item(row, number).text() for row in range(ui.microbleedTable.rowCount)]


def test_the_button_says_what_is_missing(panel: Any, tmp_path: Path) -> None:
    ui = panel.ui
    assert not ui.curateButton.enabled
    assert ui.curateButton.toolTip == "Choose the folder of a data set."
    ui.sourcePath.currentPath = str(tmp_path)
    assert ui.curateButton.toolTip == "Choose a folder for the collection."
    ui.collectionPath.currentPath = str(tmp_path / "collection")
    assert ui.curateButton.enabled


def test_a_run_lists_the_microbleeds_and_corrections_are_kept(panel: Any, source: Path, tmp_path: Path) -> None:
    ui = choose(panel, source, tmp_path / "collection")
    ui.curateButton.click()
    assert ui.curateButton.text == "Cancel"
    assert not ui.sourcePath.enabled
    assert wait_until(lambda: not panel.running, 120.0)
    assert f"1 scan with {len(SPOTS_RAS)} microbleeds" in ui.stageLabel.text, ui.logText.plainText
    ui.doubtfulBox.checked = False
    assert column(ui, 1) == [str(number) for number in range(1, len(SPOTS_RAS) + 1)]
    ui.microbleedTable.selectRow(1)
    assert not ui.pictureLabel.pixmap.isNull()
    remove = ui.actionBox.findData("remove")
    ui.actionBox.currentIndex = remove
    ui.noteLine.text = "a vein"
    ui.addFixButton.click()
    assert column(ui, 6)[1] == "remove"
    assert "a vein" in (tmp_path / "collection" / "corrections.csv").read_text()
    panel.review.open(str(tmp_path / "collection"))
    assert column(ui, 6)[1] == "remove", "it comes back from the file"
    ui.microbleedTable.selectRow(1)
    ui.removeFixButton.click()
    assert set(column(ui, 6)) == {""}


def test_a_folder_of_something_else_is_told(panel: Any, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    ui = choose(panel, tmp_path / "nothing", tmp_path / "collection")
    ui.curateButton.click()
    assert wait_until(lambda: not panel.running, 60.0)
    assert "valdo" in ui.stageLabel.text.lower(), ui.stageLabel.text
    assert ui.curateButton.text == "Curate"
    assert ui.curateButton.enabled


def wait_command(folder: Path) -> JobCommand:
    """A process that says its id and then waits for its end."""
    program = (
        "import json, os, time; print(json.dumps({'event': 'stage', 'message': str(os.getpid())}), flush=True); "
        "time.sleep(600)"
    )
    return JobCommand(sys.executable, ("-c", program), str(folder))


@pytest.mark.parametrize("how", ["button", "quit"])
def test_a_run_can_be_stopped(panel: Any, tmp_path: Path, how: str) -> None:
    ui = choose(panel, tmp_path, tmp_path / "collection")
    panel.make_command = lambda run, fixes: wait_command(tmp_path)
    ui.curateButton.click()
    assert wait_until(lambda: ui.stageLabel.text.isdigit()), ui.logText.plainText
    pid = int(ui.stageLabel.text)
    assert process_exists(pid)
    if how == "button":
        ui.curateButton.click()
        assert wait_until(lambda: not panel.running)
        assert ui.stageLabel.text.startswith("The curation was cancelled")
        assert ui.curateButton.enabled
    else:
        host.unload_modules()
    assert wait_until(lambda: not process_exists(pid))


def test_the_choices_reach_the_command_line(tmp_path: Path) -> None:
    from CMBNetSlicer.curation_command import CurationRun, curate_command

    run = CurationRun(str(tmp_path / "source"), str(tmp_path / "out"), "valdo", "nothing", 3, retry=True)
    fixes = tmp_path / "corrections.csv"
    fixes.write_text("scan_id,x,y,z,action,diameter_mm,note\n")
    line = curate_command(run, fixes).line
    text = " ".join(line[4:])
    assert text.startswith(f"curate {tmp_path / 'source'} -o {tmp_path / 'out'} --dataset valdo --refine nothing")
    assert "--workers 3 --retry failed" in text
    assert text.endswith(f"--fixes {fixes} --json-events")
