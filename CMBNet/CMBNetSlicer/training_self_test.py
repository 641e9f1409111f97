"""What the self-test of the module CMBNetTraining checks about training, in Slicer as in the stand-in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import slicer

_LOG = "step,phase,phase_step,loss,learning_rate\n10,train,10,1.5,0.001\n20,train,20,0.8,0.001\n"
_VALIDATION = "step,phase,loss,froc,best_f1,sensitivity_at_2\n20,train,0.9,0.4,0.5,0.6\n"


def run_self_test(case: Any) -> None:
    """Choose a run in the tab Training and look at its curves; ``case`` shows the messages."""
    case.delayDisplay("Following a run")
    panel = slicer.modules.cmbnettraining.widgetRepresentation().self().training
    assert panel.ui.presetBox.count >= 4
    assert not panel.ui.trainButton.enabled
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "log.csv").write_text(_LOG)
        (Path(folder) / "validation.csv").write_text(_VALIDATION)
        panel.curves.follow(Path(folder))
        panel.curves.show("Loss")
    table = panel.curves.tables["log.csv"]
    assert table.GetNumberOfRows() == 2
    assert table.GetTable().GetColumnByName("loss").GetValue(1) == 0.8
    assert panel.curves.charts["Loss"].GetNumberOfPlotSeriesNodes() == 2
    case.delayDisplay("Passed.")
