"""The panel of the module CMBNetEvaluation: folders and rule, the run, and the calls or places to click through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from CMBNetLib.errors import CMBNetError
from CMBNetSlicer.evaluation_command import EvaluationRun, evaluate_command
from CMBNetSlicer.evaluation_job import EvaluationJob
from CMBNetSlicer.evaluation_results import EvaluationResults
from CMBNetSlicer.evaluation_rows import ResultRows
from CMBNetSlicer.job_command import JobCommand
from CMBNetSlicer.job_events import remaining_text
from CMBNetSlicer.job_outcome import JobOutcome
from CMBNetSlicer.package_installer import reason_packages_are_missing
from CMBNetSlicer.path_lines import follow_path, remember_path
from CMBNetSlicer.study_results import StudyResults

_STEPS = 1000  # of the progress bar
_PATHS = ("predictionsPath", "referencesPath", "comparePath", "readingsPath", "imagesPath", "outputPath")
_MODES = ("Predictions against references", "Reader study")
_STUDY = 1  # of these
# Rows that only one of the two has.
_ONLY_IN = {"comparePath": 0, "readingsPath": _STUDY}


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
        self.results: EvaluationResults | StudyResults | None = None
        self._job: EvaluationJob | None = None
        self._stage = ""
        self._presets = PRESETS
        self._rows, self._agreement = ResultRows(ui.callTable, self._open_row), ResultRows(ui.agreementTable)
        ui.ruleBox.addItems(list(PRESETS))
        ui.modeBox.addItems([_(name) for name in _MODES])
        self._connect()
        self._rule_chosen()
        self._mode_chosen()
        self._update()

    @property
    def running(self) -> bool:
        """Whether an evaluation goes on."""
        return self._job is not None and self._job.running

    def close(self) -> None:
        """Stop a run and let go of the scene; the panel is not used after it."""
        if self._job is not None:
            self._job.abandon()
        self._leave_results()

    def run_settings(self) -> EvaluationRun:
        """What the widgets say."""
        paths = {name: str(getattr(self.ui, name).currentPath) for name in _PATHS}
        study = self._mode() == _STUDY
        return EvaluationRun(
            paths["predictionsPath"], paths["referencesPath"], paths["outputPath"], paths["imagesPath"],
            str(self.ui.ruleBox.currentText), "" if study else paths["comparePath"],
            paths["readingsPath"] if study else None,
        )  # fmt: skip

    def evaluate(self) -> None:
        """Start an evaluation with the present choices."""
        run = self.run_settings()
        for name in _PATHS:
            remember_path(getattr(self.ui, name))
        self.ui.logText.plainText = ""
        self._stage = _("Starting")
        self._job = EvaluationJob(self)
        try:
            self._job.start(lambda _folder: self.make_command(run))
        except CMBNetError as problem:
            self._say(str(problem))
        self._update()

    def show(self, path: str | Path) -> None:
        """Show the result of an evaluation or of a reader study; `InputError` if it cannot be read."""
        kind = StudyResults if Path(path).name == "reader_study.json" else EvaluationResults
        results = kind(slicer.mrmlScene, path)
        self._leave_results()
        self.results = results
        self.ui.summaryLabel.text = results.summary
        self.ui.filterBox.clear()
        self.ui.filterBox.addItems(results.filters)
        self._fill_rows()
        self._agreement.fill(*results.agreement())
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
            follow_path(line, self._path_changed)
        ui.evaluateButton.clicked.connect(self._clicked)
        ui.ruleBox.currentIndexChanged.connect(self._rule_chosen)
        ui.filterBox.currentIndexChanged.connect(self._filter_chosen)
        ui.reportButton.clicked.connect(self._open_report)
        ui.plotButton.clicked.connect(self._show_plot)
        ui.modeBox.currentIndexChanged.connect(self._mode_chosen)

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

    def _mode(self) -> int:
        return max(int(self.ui.modeBox.currentIndex), 0)

    def _mode_chosen(self, _index: int = 0) -> None:
        for name, mode in _ONLY_IN.items():
            for widget in (getattr(self.ui, name), getattr(self.ui, f"{name}Label")):
                widget.visible = mode == self._mode()
        self._update()

    def _fill_rows(self) -> None:
        if self.results is not None:
            self._rows.fill(self.results.titles, self.results.rows(max(int(self.ui.filterBox.currentIndex), 0)))

    def _open_row(self, number: int) -> None:
        if self.results is None:
            return
        try:
            self.results.open(number)
        except (CMBNetError, RuntimeError) as problem:
            self._say(str(problem))

    def _leave_results(self) -> None:
        if self.results is not None:
            self.results.close()
            self.results = None

    def _open_report(self, _checked: bool = False) -> None:
        if self.results is not None and self.results.report is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.results.report)))

    def _show_plot(self, _checked: bool = False) -> None:
        if self.results is None or self.results.chart is None:
            return
        if not slicer.mrmlScene.IsNodePresent(self.results.chart):
            self._say(_("The plot went with the scene; choose the evaluation again."))
        else:
            slicer.modules.plots.logic().ShowChartInLayout(self.results.chart)

    def _say(self, text: str) -> None:
        self.ui.stageLabel.text = text
        if text:
            self.ui.logText.appendPlainText(text)

    def _update(self) -> None:
        ui, results = self.ui, self.results
        missing = reason_packages_are_missing("matplotlib", "jinja2")
        reason = "" if self.running else missing or self.run_settings().reason_not_to_run()
        ui.evaluateButton.text = _("Cancel") if self.running else _("Evaluate")
        ui.evaluateButton.enabled = not reason
        ui.evaluateButton.toolTip = reason or _("Compare what was chosen.")
        ui.progressBar.visible = self.running
        ui.reportButton.enabled = results is not None and results.report is not None
        ui.plotButton.enabled = results is not None and results.chart is not None
        ui.agreementTable.visible = isinstance(results, StudyResults)
