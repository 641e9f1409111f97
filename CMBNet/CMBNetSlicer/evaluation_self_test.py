"""What the self-test of CMBNetEvaluation checks, in Slicer as in the stand-in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from CMBNetLib.reading_events import Event
from CMBNetLib.readings import ReadingHeader, ReadingStore, readings_path
from CMBNetLib.volume import Volume, write_volume
from CMBNetSlicer.evaluation_case import EvaluationCase
from CMBNetSlicer.evaluation_record import read_evaluation
from CMBNetSlicer.package_installer import reason_packages_are_missing
from CMBNetSlicer.study_case import StudyCase
from CMBNetSlicer.study_record import read_study_record


def run_self_test(logic: Any, case: Any) -> None:
    """Evaluate a small scan with one hit, one miss and one false positive; open the miss.

    Parameters
    ----------
    logic
        A CMBNetEvaluationLogic.
    case
        The unittest case, for its messages.
    """
    if reason := reason_packages_are_missing("matplotlib", "jinja2"):
        case.skipTest(reason)
    with tempfile.TemporaryDirectory(prefix="CMBNet-") as name:
        folder = Path(name)
        write_example(folder)
        case.delayDisplay("Evaluating a generated scan")
        folders = ["--predictions", folder / "predictions", "--references", folder / "references"]
        assert logic.evaluate([*folders, "--images", folder / "images", "-o", folder / "out", "--json-events"]) == 0
        record = read_evaluation(folder / "out" / "evaluation.json")
        nodes = logic.show(str(record.path))
        assert nodes.calls.GetNumberOfRows() == 3
        pooled = record.document["metrics"]["detection"]["pooled"]
        assert (pooled["sensitivity"]["value"], pooled["precision"]["value"]) == (0.5, 0.5)
        case.delayDisplay("Opening the missed microbleed")
        shown = EvaluationCase(slicer.mrmlScene)
        missed = next(call for call in record.calls if call.outcome == "FN")
        shown.open(record, missed.scan_id, missed.position_ras)
        assert set(shown.nodes) == {"image", "reference", "prediction"}
        shown.close()
        case.delayDisplay("Comparing two readers of the same scan")
        check_study(logic, folder)
    case.delayDisplay(f"Passed. {record.summary}")


def check_study(logic: Any, folder: Path) -> None:
    """A study of two readers: one finds both microbleeds, the other one of them."""
    write_readings(folder)
    folders = ["--readings", folder / "readings", "--references", folder / "references", "--images", folder / "images"]
    assert logic.evaluate([*folders, "-o", folder / "study", "--json-events"]) == 0
    nodes = logic.show_study(str(folder / "study" / "reader_study.json"))
    assert (nodes["readings"].GetNumberOfRows(), nodes["votes"].GetNumberOfRows()) == (2, 2)
    assert nodes["raters"].GetNumberOfPlotSeriesNodes() == 1
    record = read_study_record(folder / "study" / "reader_study.json")
    open_place = next(row for row in record.tables["votes"] if row["agreed"] == "0")
    shown = StudyCase(slicer.mrmlScene)
    shown.open(record, open_place["case_id"], [float(open_place[axis]) for axis in "xyz"])
    assert set(shown.nodes) == {"image", "anna", "ben", "reference"}
    shown.close()


def write_readings(folder: Path) -> None:
    """Readings of the scan of `write_example`: anna marks both microbleeds, ben the first."""
    first, second = (10.0, 10.0, 10.0), (30.0, 30.0, 28.0)
    for reader, places in (("anna", (first, second)), ("ben", (first,))):
        path = readings_path(folder / "readings" / "example", reader)
        with ReadingStore(path, ReadingHeader("example", reader), mode="blinded") as store:
            for place in places:
                store.append(Event("add", point_ras=place, verdict="microbleed", seconds=12.0))
            store.append(Event("finish"))


def write_example(folder: Path) -> None:
    """A scan with two microbleeds of which one is found, and one false positive; three files in three folders."""
    shape = (20, 40, 40)
    reference, prediction = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    reference[4:7, 9:12, 9:12], prediction[4:7, 9:12, 10:13] = 1, 1
    reference[13:16, 29:32, 29:32], prediction[5:8, 29:32, 9:12] = 2, 2
    image = np.where(reference > 0, 20.0, 100.0) + np.arange(shape[2]) % 3
    parts = {"references": (reference, "mask"), "predictions": (prediction, "microbleeds"),
             "images": (image.astype(np.float32), "")}  # fmt: skip
    for name, (array, role) in parts.items():
        path = folder / name / f"example{'_' if role else ''}{role}.nii.gz"
        write_volume(Volume(array, np.diag([1.0, 1.0, 2.0, 1.0])), path)
