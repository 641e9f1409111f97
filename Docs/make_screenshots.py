"""Takes the pictures of the panels that the documentation shows, from a real detection in the sample scan.

The panels run in the stand-in for the application (`Testing/host`): real widgets, real slice views, no screen.
Run it with `.venv/bin/python Docs/make_screenshots.py`; it takes about half a minute.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = REPOSITORY / "Resources" / "Screenshots"
FOLDERS = [REPOSITORY / name for name in ("CMBNet", "CMBNetEvaluation", "CMBNetTraining")]
sys.path[:0] = [str(folder) for folder in (REPOSITORY / "Testing", REPOSITORY / "Testing" / "Library", *FOLDERS)]

import host  # noqa: E402
from host import slice_views  # noqa: E402

application = host.start([*FOLDERS, Path(__file__).resolve().parent])

import numpy as np  # noqa: E402
import slicer  # noqa: E402
from PIL import Image  # noqa: E402

from CMBNetSlicer.event_loop import wait_until  # noqa: E402
from CMBNetSlicer.sample_scan import sample_scan_path  # noqa: E402

PANEL_WIDTH, VIEW = 440, 330  # pixels
GAP, PAPER = 6, (70, 70, 76)
COLOURS = 256  # of a stored picture: enough for widgets, grey slices and the outlines
MOST_BYTES = 300_000


def picture_of(module: Any, height: int) -> Image.Image:
    """The panel of a module as a user sees it, ``height`` pixels high."""
    widget = module.widgetRepresentation()
    widget.resize(PANEL_WIDTH, height)
    widget.show()
    for _ in range(3):  # a panel that grows lays its parts out again
        application.processEvents()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "panel.png"
        widget.grab().save(str(path))
        return Image.open(path).convert("RGB")


def picture_of_views() -> Image.Image:
    """The three slice views, the axial one twice as large."""
    images = []
    for name, size in (("Red", 2 * VIEW + GAP), ("Yellow", VIEW), ("Green", VIEW)):
        view = slicer.app.layoutManager().sliceWidget(name).sliceView()
        view.picture.resize(size)
        images.append(Image.fromarray(view.picture.pixels()))
    whole = Image.new("RGB", (3 * VIEW + 2 * GAP, 2 * VIEW + GAP), PAPER)
    places = ((0, 0), (2 * VIEW + 2 * GAP, 0), (2 * VIEW + 2 * GAP, VIEW + GAP))
    for image, place in zip(images, places, strict=True):
        whole.paste(image, place)
    return whole


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    height = max(left.height, right.height)
    whole = Image.new("RGB", (left.width + GAP + right.width, height), PAPER)
    whole.paste(left, (0, 0))
    whole.paste(right, (left.width + GAP, 0))
    return whole


def save(image: Image.Image, name: str) -> None:
    path = TARGET / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(REPOSITORY)}: {image.width} x {image.height}, {size / 1000:.0f} kB")
    if size > MOST_BYTES:
        raise SystemExit(f"{path.name} is larger than {MOST_BYTES / 1000:.0f} kB")


def detection() -> None:
    """The panel after a run, and the same beside the slice views at a microbleed."""
    module = host.load_module(REPOSITORY / "CMBNet" / "CMBNet.py")
    scan = slicer.util.loadVolume(str(sample_scan_path()))
    panel = module.widget().panel
    panel.ui.scanSelector.setCurrentNode(scan)
    panel.ui.detectButton.click()
    if not wait_until(lambda: not panel.run.running, 300.0) or panel.results.detection is None:
        raise SystemExit(f"no detection: {panel.ui.logText.plainText}")
    display = scan.GetDisplayNode()
    display.AutoWindowLevelOff()
    low, high = np.percentile(slicer.util.arrayFromVolume(scan), (2.0, 99.7))
    display.SetWindowLevelMinMax(float(low), float(high))
    panel.ui.candidateTable.selectRow(0)
    save(picture_of(module, 900), "CMBNet_panel")
    save(side_by_side(picture_of(module, 820), picture_of_views()), "CMBNet_overview")


def evaluation() -> None:
    """The panel of the evaluation with its small example."""
    from CMBNetSlicer.evaluation_self_test import write_example

    module = host.load_module(REPOSITORY / "CMBNetEvaluation" / "CMBNetEvaluation.py")
    panel = module.widget().panel
    with tempfile.TemporaryDirectory() as folder:
        write_example(Path(folder))
        for name in ("predictions", "references", "images"):
            getattr(panel.ui, f"{name}Path").currentPath = str(Path(folder) / name)
        panel.ui.outputPath.currentPath = str(Path(folder) / "evaluation")
        panel.ui.evaluateButton.click()
        wait_until(lambda: not panel.running, 120.0)
        panel.ui.filterBox.currentIndex = panel.ui.filterBox.count - 1
        panel.ui.callTable.selectRow(0)
        save(picture_of(module, 900), "CMBNetEvaluation_panel")


def study() -> None:
    """The same panel with a study of two readers of the example."""
    from CMBNetSlicer.evaluation_self_test import write_example, write_readings

    module = host.load_module(REPOSITORY / "CMBNetEvaluation" / "CMBNetEvaluation.py")
    panel = module.widget().panel
    panel.ui.modeBox.currentIndex = 1
    with tempfile.TemporaryDirectory() as folder:
        write_example(Path(folder))
        write_readings(Path(folder))
        for name in ("readings", "predictions", "references", "images"):
            getattr(panel.ui, f"{name}Path").currentPath = str(Path(folder) / name)
        panel.ui.outputPath.currentPath = str(Path(folder) / "study")
        panel.ui.evaluateButton.click()
        wait_until(lambda: not panel.running, 120.0)
        panel.ui.callTable.selectRow(0)
        save(picture_of(module, 900), "CMBNetEvaluation_study")


def curation() -> None:
    """The panel of the training data with a collection of one generated scan."""
    from curation_sources import mask, scan
    from curation_sources import save as save_volume

    module = host.load_module(REPOSITORY / "CMBNetTraining" / "CMBNetTraining.py")
    panel = module.widget().panel
    with tempfile.TemporaryDirectory() as folder:
        volume = scan(101)
        subject = Path(folder) / "valdo" / "sub-101"
        save_volume(volume, subject / "sub-101_space-T2S_desc-masked_T2S.nii.gz")
        save_volume(mask(volume), subject / "sub-101_space-T2S_CMB.nii.gz")
        panel.ui.sourcePath.currentPath = str(subject.parent)
        panel.ui.collectionPath.currentPath = str(Path(folder) / "collection")
        panel.ui.curateButton.click()
        wait_until(lambda: not panel.running, 120.0)
        panel.ui.doubtfulBox.checked = False
        panel.ui.microbleedTable.selectRow(1)
        save(picture_of(module, 1060), "CMBNetTraining_panel")


if __name__ == "__main__":
    slice_views.install()
    for take in (detection, evaluation, study, curation):
        take()
        host.unload_modules()
        slicer.mrmlScene.Clear(False)
