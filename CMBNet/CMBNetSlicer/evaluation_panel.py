"""The panel of the module CMBNetEvaluation: folders and rule, the run, and the calls to click through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from CMBNetLib.errors import CMBNetError
from CMBNetSlicer.evaluation_case import EvaluationCase
from CMBNetSlicer.evaluation_command import EvaluationRun, evaluate_command
from CMBNetSlicer.evaluation_job import EvaluationJob
from CMBNetSlicer.evaluation_nodes import show_evaluation
from CMBNetSlicer.evaluation_record import EvaluationRecord, read_evaluation
from CMBNetSlicer.evaluation_rows import CallRows
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.job_events import remaining_text
from CMBNetSlicer.job_outcome import JobOutcome
from CMBNetSlicer.package_installer import reason_packages_are_missing

_STEPS = 1000  # of the progress bar
_PATHS = ("predictionsPath", "referencesPath", "imagesPath", "outputPath")
_FILTERS = (("False calls", ("FN", "FP")), ("Missed (FN)", ("FN",)), ("False positives (FP)", ("FP",)),
            ("Found (TP)", ("TP",)), ("All", ("TP", "FP", "FN", "ignored")))  # fmt: skip


class EvaluationPanel:
    """Starts evaluations, shows their results, and opens cases.

    Parameters
    ----------
    ui
        The named widgets of ``Resources/UI/CMBNetEvaluation.ui``.
    make_command
        What makes the command line; tests pass their own.
    """

    def __init__(self, ui: Any, make_command: Callable[[EvaluationRun], JobCommand] = evaluate_command) -> None:
        from CMBNetEvaluationLib.rules import PRESETS

        self.ui, self.make_command = ui, make_command
        self.record: EvaluationRecord | None = None
        self.case = EvaluationCase(slicer.mrmlScene)
        self._job: EvaluationJob | None = None
        self._stage = ""
        self._presets = PRESETS
        self._rows = CallRows(ui.callTable, self._open_call)
        ui.ruleBox.addItems(list(PRESETS))
        ui.filterBox.addItems([_(name) for name, _outcomes in _FILTERS])
        self._connect()
        self._rule_chosen()
        self._update()

    @property
    def running(self) -> bool:
        """Whether an evaluation goes on."""
        return self._job is not None and self._job.running

    def close(self) -> None:
        """Stop a run and let go of the scene; the panel is not used after it."""
        if self._job is not None:
            self._job.abandon()
        self.case.close()

    def run_settings(self) -> EvaluationRun:
        """What the widgets say."""
        paths = {name: str(getattr(self.ui, name).currentPath) for name in _PATHS}
        return EvaluationRun(
            paths["predictionsPath"], paths["referencesPath"], paths["outputPath"], paths["imagesPath"],
            str(self.ui.ruleBox.currentText),
        )  # fmt: skip

    def evaluate(self) -> None:
        """Start an evaluation with the present choices."""
        run = self.run_settings()
        self.ui.logText.plainText = ""
        self._stage = _("Starting")
        self._job = EvaluationJob(self)
        try:
            self._job.start(lambda _folder: self.make_command(run))
        except CMBNetError as problem:
            self._say(str(problem))
        self._update()

    def show(self, path: str | Path) -> None:
        """Show the result of an evaluation; `InputError` if it cannot be read."""
        self.record = read_evaluation(path)
        self.case.close()
        show_evaluation(slicer.mrmlScene, self.record)
        self.ui.summaryLabel.text = self.record.summary
        self._fill_rows()
        self._update()

    def on_event(self, event: Mapping[str, Any]) -> None:
        """See `JobListener`."""
        kind, message = event["event"], str(event.get("message", ""))
        if kind == "progress":
            self.ui.progressBar.value = round(float(event.get("fraction") or 0.0) * _STEPS)
            left = remaining_text(event.get("remaining_s"))
            self.ui.stageLabel.text = f"{self._stage} ({left})" if left else self._stage
        elif kind == "stage":
            self._stage = message
            self._say(message)
        else:
            self.ui.logText.appendPlainText(message)

    def on_outcome(self, outcome: JobOutcome) -> None:
        """See `JobListener`."""
        try:
            if outcome.status == "done":
                self.show(outcome.detection)
                self._say(_("Done."))
            else:
                self._say(outcome.message)
        except CMBNetError as problem:
            self._say(str(problem))
        finally:
            self._update()

    def _connect(self) -> None:
        ui = self.ui
        for name in _PATHS:
            line = getattr(ui, name)
            line.filters = ctk.ctkPathLineEdit.Dirs
            line.currentPathChanged.connect(self._path_changed)
        ui.evaluateButton.clicked.connect(self._clicked)
        ui.ruleBox.currentIndexChanged.connect(self._rule_chosen)
        ui.filterBox.currentIndexChanged.connect(self._filter_chosen)
        ui.reportButton.clicked.connect(self._open_report)

    def _clicked(self, _checked: bool = False) -> None:
        if self.running:
            self._job.cancel(_("The evaluation was cancelled."))
        else:
            self.evaluate()

    def _path_changed(self, _path: str) -> None:
        self._update()

    def _rule_chosen(self, _index: int = 0) -> None:
        rule = self._presets[str(self.ui.ruleBox.currentText)]
        self.ui.ruleLabel.text = rule.sentence()
        self.ui.ruleBox.toolTip = rule.source

    def _filter_chosen(self, _index: int = 0) -> None:
        self._fill_rows()

    def _fill_rows(self) -> None:
        outcomes = _FILTERS[max(int(self.ui.filterBox.currentIndex), 0)][1]
        calls = () if self.record is None else self.record.calls
        self._rows.fill([call for call in calls if call.outcome in outcomes])

    def _open_call(self, number: int) -> None:
        call = self._rows.calls[number]
        if self.record is None:
            return
        try:
            self.case.open(self.record, call.scan_id, call.position_ras)
        except (CMBNetError, RuntimeError) as problem:
            self._say(str(problem))

    def _open_report(self, _checked: bool = False) -> None:
        if self.record is not None and self.record.report is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.record.report)))

    def _say(self, text: str) -> None:
        self.ui.stageLabel.text = text
        if text:
            self.ui.logText.appendPlainText(text)

    def _update(self) -> None:
        missing = reason_packages_are_missing("matplotlib", "jinja2")
        reason = "" if self.running else missing or self.run_settings().reason_not_to_run()
        self.ui.evaluateButton.text = _("Cancel") if self.running else _("Evaluate")
        self.ui.evaluateButton.enabled = not reason
        self.ui.evaluateButton.toolTip = reason or _("Compare the predictions with the references.")
        self.ui.progressBar.visible = self.running
        self.ui.reportButton.enabled = self.record is not None and self.record.report is not None
