"""The panel of the module CMBNet: its four sections, its parameters, and what happens around it in the scene."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin
from vtk import vtkCommand

from CMBNetLib.errors import CMBNetError
from CMBNetLib.wording import number_of
from CMBNetSlicer.detection_node import show_only
from CMBNetSlicer.detection_parameters import DetectionParameters, run_settings
from CMBNetSlicer.inputs_section import InputsSection
from CMBNetSlicer.job_command import CUSTOM, JobCommand, detect_command
from CMBNetSlicer.job_input import JobInput, write_job_input
from CMBNetSlicer.package_installer import PackageInstaller
from CMBNetSlicer.packages_section import PackagesSection
from CMBNetSlicer.results_section import ResultsSection
from CMBNetSlicer.review_volumes import owned_nodes, scan_on_show
from CMBNetSlicer.run_section import RunSection
from CMBNetSlicer.scan_detection import MakeCommand, add_detection
from CMBNetSlicer.slice_jump import show_scan


class DetectionPanel(VTKObservationMixin):
    """Joins the sections with the parameter node.

    Parameters
    ----------
    ui
        The named widgets of ``Resources/UI/CMBNet.ui``.
    logic
        The module's logic, for its parameter node.
    installer, make_command
        What looks for packages and makes the command line; tests pass their own.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        installer: PackageInstaller | None = None,
        make_command: MakeCommand = detect_command,
    ) -> None:
        VTKObservationMixin.__init__(self)
        self.ui, self.logic, self.make_command = ui, logic, make_command
        self.parameters: DetectionParameters | None = None
        self._job_input: JobInput | None = None
        self._kept: Path | None = None
        self._scan_id = ""
        self.inputs = InputsSection(ui, self._operating_point_chosen)
        self.results = ResultsSection(ui, self._detection_chosen, self._threshold_chosen)
        self.packages = PackagesSection(ui, installer or PackageInstaller(), self._update)
        self.run = RunSection(ui, self.detect, self._finish, self._update)
        self._observe_scene()
        self.open()

    def open(self) -> None:
        """Take the parameter node of the scene, and show it."""
        self._observe_parameters(DetectionParameters(self.logic.getParameterNode()))
        self.packages.refresh()
        self._choose_a_scan()
        self._show()

    def close(self) -> None:
        """Stop a run and let go of the scene; the panel is not used after it."""
        self.run.abandon()
        self.removeObservers()
        self.parameters = None

    def detect(self) -> None:
        """Start a run with the present parameters."""
        scan = self.parameters.inputVolume
        self._scan_id = scan.GetID()
        try:
            self.run.start(self._command)
        except CMBNetError as problem:
            self.run.say(str(problem))
            self._update()

    def _command(self, folder: Path) -> JobCommand:
        self._job_input = write_job_input(self.parameters.inputVolume, folder)
        self._kept = Path(self.parameters.outputFolder) if self.parameters.outputFolder else None
        return self.make_command(self._job_input.path, self._kept or folder / "results", run_settings(self.parameters))

    def _finish(self, path: str) -> str:
        """Add the result of a run to the scene; returns what to tell the user."""
        scan = slicer.mrmlScene.GetNodeByID(self._scan_id)
        if scan is None or self.parameters is None:
            return _("The scan was removed before the detection ended.")
        try:
            detection = add_detection(path, scan, self._job_input)
        except CMBNetError as problem:
            return str(problem)
        if self._kept is not None:
            detection.remember_files(Path(path))
        self.parameters.detection = detection.node
        self._take_threshold(detection.threshold)
        if not owned_nodes(slicer.mrmlScene):  # else somebody reads another scan in the review room
            show_scan(slicer.mrmlScene, scan)
        done = _("Done: {found}.").format(found=number_of(detection.n_microbleeds, "microbleed"))
        files = "" if self._kept is None else _(" The files are in {folder}.").format(folder=self._kept)
        return done + files

    def _operating_point_chosen(self, name: str) -> None:
        """Called by the inputs, which hold the same parameters."""
        threshold = self._named_thresholds().get(name)
        self.parameters.operatingPoint = name
        if threshold is not None:
            self.parameters.threshold = threshold
            self.results.set_threshold(threshold)

    def _threshold_chosen(self, threshold: float) -> None:
        self._take_threshold(threshold)

    def _detection_chosen(self, node: Any) -> None:
        if self.parameters is None:  # the selector empties itself while the scene closes
            return
        self.parameters.detection = node
        if self.results.detection is not None:
            show_only(self.results.detection)
            self._take_threshold(self.results.detection.threshold)

    def _take_threshold(self, threshold: float) -> None:
        """Keep a threshold with the name it has in the model, if it has one; of two names the one that was chosen."""
        named = self._named_thresholds().items()
        fits = [name for name, value in named if math.isclose(value, threshold, abs_tol=5e-4)]
        chosen = self.parameters.operatingPoint
        modifying = self.parameters.StartModify()
        self.parameters.threshold = threshold
        self.parameters.operatingPoint = chosen if chosen in fits else next(iter(fits), CUSTOM)
        self.parameters.EndModify(modifying)

    def _named_thresholds(self) -> dict[str, float]:
        """Of the detection shown; of the model chosen where there is none."""
        if self.results.detection is not None:
            return self.results.detection.record.operating_points
        model = self.inputs.model
        return {} if model is None else {name: point.threshold for name, point in model.operating_points.items()}

    def _show(self, *_event: Any) -> None:
        """Show the parameters as they are now."""
        if self.parameters is None:
            return
        self.inputs.show(self.parameters)
        self.results.show(self.parameters.detection)
        self._update()

    def _update(self) -> None:
        """Allow what can be done now."""
        self.inputs.set_enabled(not self.run.running)
        self.run.allow(self._reason_not_to_run())

    def _reason_not_to_run(self) -> str:
        if not self.packages.ready:
            return _("Install the packages first (section Packages).")
        if self.inputs.model is None:
            return " ".join(self.inputs.problems) or _("There is no model.")
        if self.parameters is None or self.parameters.inputVolume is None:
            return _("Choose a scan first.")
        return ""

    def _choose_a_scan(self) -> None:
        """The scan that the slice views show, or the first one, while none is chosen."""
        if self.parameters.inputVolume is None:
            self.parameters.inputVolume = scan_on_show(slicer.mrmlScene)

    def _observe_scene(self) -> None:
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._scene_closes)
        self.addObserver(scene, scene.EndCloseEvent, self._scene_changed)
        self.addObserver(scene, scene.EndImportEvent, self._scene_changed)
        self.addObserver(scene, scene.NodeRemovedEvent, self._node_removed)

    def _observe_parameters(self, parameters: DetectionParameters | None) -> None:
        self.inputs.show(parameters)
        if self.parameters is not None:
            self.removeObserver(self.parameters.parameterNode, vtkCommand.ModifiedEvent, self._show)
        self.parameters = parameters
        if parameters is not None:
            self.addObserver(parameters.parameterNode, vtkCommand.ModifiedEvent, self._show)

    def _scene_closes(self, *_event: Any) -> None:
        self.run.cancel(_("The detection was cancelled because the scene was closed."))
        self._observe_parameters(None)

    def _scene_changed(self, *_event: Any) -> None:
        self.open()

    def _node_removed(self, *_event: Any) -> None:
        scene = slicer.mrmlScene
        if self.parameters is None or scene.IsClosing() or scene.IsBatchProcessing():
            return
        if self.run.running and scene.GetNodeByID(self._scan_id) is None:
            self.run.cancel(_("The detection was cancelled because the scan was removed."))
        self._show()
