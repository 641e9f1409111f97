"""What the self-test of CMBNetEvaluation checks, in Slicer as in the stand-in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from CMBNetLib.volume import Volume, write_volume
from CMBNetSlicer.evaluation_case import EvaluationCase
from CMBNetSlicer.evaluation_record import read_evaluation
from CMBNetSlicer.package_installer import reason_packages_are_missing


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
    case.delayDisplay(f"Passed. {record.summary}")


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
