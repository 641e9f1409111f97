"""The training tab of CMBNetTraining: scans, patches, a run that is paused and goes on, curves, gallery, export."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import panel_driver
import pytest
import slicer
from panel_driver import process_exists
from test_curation_panel import wait_command

import host
from CMBNetLib import __version__
from CMBNetLib.bundle import load_bundle
from CMBNetSlicer.event_loop import wait_until
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.training_command import TrainingRun, model_id
from CMBNetSlicer.training_job import TrainingJob
from CMBNetTrainingLib.command_synthesize import add_arguments
from CMBNetTrainingLib.training_config import THICK_FROM_MM, PhaseConfig, ValidationConfig, plain
from training_phantoms import small_config, write_collection

MODULES = panel_driver.REPOSITORY
LONG = 300.0


@pytest.fixture
def panel() -> Any:
    return host.load_module(MODULES / "CMBNetTraining" / "CMBNetTraining.py").widget().training


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("collection"), spots=8)


def choose(panel: Any, manifest: Path, folder: Path, steps: int = 60) -> Any:
    """Choose scans, a small configuration and a folder, as a person types them."""
    config = plain(
        small_config(
            Path(),
            phases=(PhaseConfig(steps=steps, learning_rate=2e-2, warm_up=5),),
            validation=ValidationConfig(every=20, gallery=4, mined_scans=1),
        )
    )
    del config["run"]
    path = folder / "small.json"
    path.write_text(json.dumps(config))
    panel.ui.manifestPath.currentPath = str(manifest)
    panel.ui.configPath.currentPath = str(path)
    panel.ui.runPath.currentPath = str(folder / "run")
    panel.ui.patchWorkersSpin.value = 0
    return panel.ui


def rows(panel: Any, log: str) -> int:
    return int(panel.curves.tables[log].GetNumberOfRows()) if panel.curves.tables else 0


def titles(box: Any) -> list[str]:
    return [str(box.itemText(index)) for index in range(box.count)]


def test_the_buttons_say_what_is_missing(panel: Any, manifest: Path, tmp_path: Path) -> None:
    ui = panel.ui
    assert not ui.trainButton.enabled
    assert ui.trainButton.toolTip == "Choose a folder for the run."
    ui.runPath.currentPath = str(tmp_path / "run")
    assert ui.trainButton.toolTip == "Choose the manifest of a collection."
    ui.manifestPath.currentPath = str(tmp_path / "none.csv")
    assert ui.trainButton.toolTip == "The manifest does not exist."
    ui.manifestPath.currentPath = str(manifest)
    assert ui.trainButton.enabled
    assert ui.trainButton.text == "Start"
    assert not ui.exportButton.enabled
    assert ui.exportButton.toolTip == "The run has no checkpoint yet."


def test_the_scans_are_listed_and_shown(panel: Any, manifest: Path) -> None:
    ui = panel.ui
    ui.manifestPath.currentPath = str(manifest)
    assert ui.scansLabel.text == "3 synthetic for train, 2 synthetic for validation"
    assert ui.scanTable.rowCount == 5
    assert [ui.scanTable.item(4, column).text() for column in (0, 2, 3)] == ["scan4", "validation", "8"]
    assert not ui.showScanButton.enabled
    ui.scanTable.selectRow(3)
    ui.showScanButton.click()
    image, labels = panel.views.nodes
    assert image.GetName() == "scan3"
    composite = slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == image.GetID()
    assert composite.GetLabelVolumeID() == labels.GetID()
    ui.manifestPath.currentPath = str(manifest.parent / "records" / "scan0.json")
    assert "lacks the columns" in ui.scansLabel.text


def test_patches_are_previewed_in_the_views(panel: Any, manifest: Path, tmp_path: Path) -> None:
    ui = choose(panel, manifest, tmp_path)
    ui.previewButton.click()
    assert ui.stopButton.enabled
    assert wait_until(lambda: not panel.running, LONG)
    assert ui.pictureBox.currentText == "patches", ui.trainLogText.plainText
    assert ui.trainPictureLabel.pixmap.width() > 300
    assert ui.patchBox.count == 6 * 5
    plain_patch = slicer.util.arrayFromVolume(panel.views.nodes[0]).copy()
    ui.patchBox.currentIndex = 3
    assert panel.views.nodes[0].GetName().startswith("1 seed 1")
    assert plain_patch.shape == slicer.util.arrayFromVolume(panel.views.nodes[0]).shape
    assert not (tmp_path / "run" / "checkpoints").exists(), "nothing was trained"


def test_a_training_is_paused_goes_on_and_becomes_a_model(
    panel: Any, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    detection = host.load_module(MODULES / "CMBNet" / "CMBNet.py").widget().panel
    before = titles(detection.ui.modelBox)
    ui = choose(panel, manifest, tmp_path)

    ui.trainButton.click()
    assert ui.trainButton.text == "Pause"
    assert not ui.runPath.enabled
    assert wait_until(lambda: rows(panel, "validation.csv") >= 1, LONG), ui.trainLogText.plainText
    ui.trainButton.click()
    assert not ui.trainButton.enabled
    assert wait_until(lambda: not panel.running, LONG)
    assert ui.trainStageLabel.text.startswith("Stopped at step"), ui.trainLogText.plainText
    paused = rows(panel, "log.csv")
    assert 2 <= paused < 6

    assert ui.trainButton.text == "Resume"
    assert not ui.configPath.enabled
    ui.trainButton.click()
    assert wait_until(lambda: not panel.running, LONG)
    assert "60 steps" in ui.trainStageLabel.text, ui.trainLogText.plainText
    assert [rows(panel, log) for log in ("log.csv", "validation.csv")] == [6, 3]

    ui.curvesBox.currentIndex = 1
    chart = panel.curves.charts["Microbleeds found"]
    selection = slicer.app.applicationLogic().GetSelectionNode()
    assert selection.GetActivePlotChartID() == chart.GetID()
    assert chart.GetNumberOfPlotSeriesNodes() == 3
    assert titles(ui.pictureBox)[0] == "curves"
    # After 60 steps next to nothing is wrong any more.
    assert any(title.startswith("step_000020 scan") for title in titles(ui.pictureBox))

    ui.modelNameLine.text = "Small spots"
    ui.thickRunPath.currentPath = ui.runPath.currentPath
    ui.exportButton.click()
    assert wait_until(lambda: not panel.running, LONG)
    assert ui.exportLabel.text == "The module CMBNet now lists the model Small spots.", ui.trainLogText.plainText
    added = set(titles(detection.ui.modelBox)) - set(before)
    assert added == {f"Small spots {__version__} (preview)"}
    model = load_bundle(tmp_path / "data" / "CMBNet" / "Models" / "small-spots")
    assert model.thick_slices_mm == THICK_FROM_MM
    assert model.model_card.startswith("# Small spots")


def test_scans_are_simulated_from_label_maps(panel: Any, manifest: Path, tmp_path: Path) -> None:
    ui, asked = panel.ui, []

    def simulation(arguments: Sequence[str]) -> JobCommand:
        asked.append(tuple(arguments))
        result = {"event": "result", "collection": str(manifest.parent), "n_scans": 5, "n_microbleeds": 40}
        return JobCommand(sys.executable, ("-c", f"import json; print(json.dumps({result!r}))"), str(tmp_path))

    panel.make_command = simulation
    assert not ui.simulateButton.enabled
    maps = [tmp_path / f"map_{number}.nii.gz" for number in (1, 2)]
    maps[0].touch()
    ui.labelMapsPath.currentPath = str(tmp_path)
    ui.simulateButton.click()
    assert ui.trainStageLabel.text.startswith("Two label maps at least")
    maps[1].touch()
    ui.simulateButton.click()
    assert ui.trainStageLabel.text.startswith("Choose a folder for the run first")
    ui.runPath.currentPath = str(tmp_path / "run")
    ui.presetBox.currentIndex = ui.presetBox.findData("tiny")
    ui.simulateButton.click()
    assert wait_until(lambda: not panel.running, 60.0)
    assert ui.trainStageLabel.text == "5 simulated scans with 40 microbleeds."
    assert ui.manifestPath.currentPath == str(manifest)
    (words,) = asked
    assert words[:5] == ("synthesize", *map(str, maps), "-o", str(tmp_path / "run" / "synthetic"))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(words[1:])
    assert (args.pixel_mm, args.slice_mm, args.validation_maps) == (1.0, [2.0], 1)


@pytest.mark.parametrize("how", ["button", "quit"])
def test_a_training_can_be_stopped(panel: Any, manifest: Path, tmp_path: Path, how: str) -> None:
    ui = choose(panel, manifest, tmp_path)
    panel.make_command = lambda arguments: wait_command(tmp_path)
    ui.trainButton.click()
    assert wait_until(lambda: ui.trainStageLabel.text.isdigit()), ui.trainLogText.plainText
    pid = int(ui.trainStageLabel.text)
    if how == "button":
        ui.stopButton.click()
        assert wait_until(lambda: not panel.running)
        assert ui.trainStageLabel.text.startswith("The training was stopped")
        assert ui.trainButton.enabled
    else:
        host.unload_modules()
    assert wait_until(lambda: not process_exists(pid))


_SAVES_WHEN_ASKED = """
import json, signal, sys, time
def save(*_):
    time.sleep(0.5)
    print(json.dumps({"event": "result", "step": 5}), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print(json.dumps({"event": "stage", "stage": "train", "message": "at work"}), flush=True)
time.sleep(60)
"""


def test_a_pause_reaches_the_program_behind_the_launcher_of_slicer(tmp_path: Path) -> None:
    launcher = tmp_path / "PythonSlicer"  # starts Python, passes no signal on, ends with its exit code
    launcher.write_text(
        f"#!{sys.executable}\nimport subprocess, sys\nsys.exit(subprocess.call([{sys.executable!r}, *sys.argv[1:]]))\n"
    )
    launcher.chmod(0o755)
    events: list[Any] = []
    ends: list[Any] = []
    job = TrainingJob(events.append, lambda *end: ends.append(end))
    job.start(JobCommand(str(launcher), ("-c", _SAVES_WHEN_ASKED), str(tmp_path)))
    assert wait_until(lambda: bool(events), LONG)
    job.pause()
    assert wait_until(lambda: bool(ends), LONG)
    assert ends == [({"event": "result", "step": 5}, "")]


def test_a_mistake_in_the_configuration_is_told(panel: Any, manifest: Path, tmp_path: Path) -> None:
    ui = choose(panel, manifest, tmp_path)
    (tmp_path / "small.json").write_text('{"bath": 2}')
    ui.trainButton.click()
    assert wait_until(lambda: not panel.running, LONG)
    assert "unknown key 'bath'. Did you mean 'batch'?" in ui.trainStageLabel.text
    assert ui.trainButton.text == "Start"


def test_a_collection_of_the_first_tab_is_the_one_to_train_on(manifest: Path) -> None:
    tabs = host.load_module(MODULES / "CMBNetTraining" / "CMBNetTraining.py").widget().tabs
    tabs.curation.ui.collectionPath.currentPath = str(manifest.parent)
    tabs.widget.currentIndex = 1
    assert tabs.training.ui.manifestPath.currentPath == str(manifest)


def test_the_choices_reach_the_command_line(tmp_path: Path) -> None:
    run = TrainingRun(str(tmp_path / "run"), "m.csv", "seed", device="cpu", workers=3)
    machine = ("--device", "cpu", "--workers", "3")
    assert run.train_arguments() == ("train", "seed", "--manifest", "m.csv", "-o", run.run, *machine)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    begun: Sequence[str] = run.train_arguments()
    assert begun == ("train", str(tmp_path / "run" / "config.json"), "-o", run.run, *machine)
    export = ("export", run.run, "-o", "model", "--name", "a", "--checkpoint", "best")
    assert run.export_arguments(Path("model"), "a", "best") == export
    assert run.export_arguments(Path("model"), "a", "best", "thick_run") == (*export, "--thick", "thick_run")
    assert model_id("Mein Modell, 2. Versuch") == "mein-modell-2-versuch"
    assert model_id("…") == ""
