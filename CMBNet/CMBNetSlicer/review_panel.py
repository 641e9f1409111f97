"""The review panel: its sections, its keys, the mouse in the slice views, and the clock that knows who looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from CMBNetLib.errors import CMBNetError, InputError
from CMBNetLib.review_keys import LABELS
from CMBNetLib.review_loading import CaseLoader, read_case
from CMBNetLib.review_room import ReadingSetup, ReviewRoom
from CMBNetLib.worklist import OUTPUT_FOLDER, Worklist, read_worklist, worklist_of_paths, write_csv_worklist
from CMBNetSlicer.review_desk import ReviewDesk
from CMBNetSlicer.review_editor_section import EditorSection
from CMBNetSlicer.review_jobs_section import JobsSection
from CMBNetSlicer.review_keys_section import KeysSection
from CMBNetSlicer.review_mouse import SliceMouse
from CMBNetSlicer.review_reading_section import ReadingSection
from CMBNetSlicer.review_shortcuts import FocusFilter, ReviewShortcuts
from CMBNetSlicer.review_worklist_section import WorklistSection
from CMBNetSlicer.scene_nodes import nodes_of_class

# Button of the panel -> action of the key table.
BUTTONS = {
    "previousCaseButton": "previous_case", "nextCaseButton": "next_case", "revealButton": "reveal",
    "previousCandidateButton": "previous_candidate", "nextCandidateButton": "next_candidate",
    "nextUndecidedButton": "next_undecided", "microbleedButton": "microbleed", "notButton": "not",
    "unsureButton": "unsure", "undoButton": "undo", "redoButton": "redo", "finishButton": "finish_case",
    "addButton": "add", "moveButton": "move", "brushButton": "brush", "eraseButton": "erase", "growButton": "grow",
    "shrinkButton": "shrink", "regrowButton": "regrow", "splitButton": "split", "mergeButton": "merge",
    "deleteButton": "delete", "outlineButton": "toggle_outline", "crosshairButton": "toggle_crosshair",
    "editorButton": "segment_editor", "secondButton": "toggle_second", "minipButton": "toggle_minip",
    "besideButton": "toggle_beside",
}  # fmt: skip
_TOOL_BUTTONS = {"addButton": "add", "moveButton": "move", "brushButton": "brush", "eraseButton": "erase"}
# After the wheel rested so long, the outline is stored.
_WHEEL_REST_MS = 400
# Python threads get the interpreter only while the main thread lets go of it; Qt's event loop does not.
_YIELD_EVERY_MS, _YIELD_S = 15, 0.003


class ReviewPanel(VTKObservationMixin):
    """The review tab of the module.

    Parameters
    ----------
    ui
        The named widgets of ``Resources/UI/CMBNetReview.ui``.
    window
        Where the keys are alive and whose focus the clock follows; by default Slicer's main window.
    settings
        A QSettings; by default the application's.
    make_loader
        Makes what reads the cases; tests pass their own.
    """

    def __init__(
        self,
        ui: Any,
        window: Any = None,
        settings: Any = None,
        make_loader: Callable[[], CaseLoader] | None = None,
    ) -> None:
        VTKObservationMixin.__init__(self)
        self.ui = ui
        self.desk: ReviewDesk | None = None
        self._window = window if window is not None else slicer.util.mainWindow()
        self._make_loader = make_loader or _loader_of_any_candidates
        self._entered = self._letters_given = False
        self._views_wait = _timer(self._views_came, 0)
        self._keys_wait = _timer(self._install_keys, 0)
        self.keys = KeysSection(ui, settings if settings is not None else slicer.app.settings(), self._keys_changed)
        self.worklist = WorklistSection(ui, self._open_case, self._filter)
        self.reading = ReadingSection(ui)
        self.editor = EditorSection(ui)
        self.jobs = JobsSection(ui, self._detected, self._open_path)
        self.shortcuts = ReviewShortcuts(self.run)
        self._mouse = SliceMouse(self)
        self._focus = FocusFilter(self._focus_changed)
        self._wheel_rest = _timer(self._wheel_rested, _WHEEL_REST_MS)
        self._yield = _timer(self._let_threads_run, _YIELD_EVERY_MS)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._scene_closes)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, self._node_added)
        self._connect()
        self._label_buttons()
        self._show()

    # ---- coming and going ----

    def enter(self) -> None:
        """The user opened the module: keys, mouse and clock are alive from here on."""
        if self._entered:
            return
        self._entered = True
        self._install_keys()
        self._focus.watch(self._window)
        self._attach_mouse()
        if self.desk is not None:
            self.desk.room.clock.resume()
            self.desk.in_view = True
            self.desk.settle()

    def exit(self) -> None:
        """The user left the module: nothing of the room reacts any more, and the time stands still."""
        self._entered = False
        self.shortcuts.remove()
        self._focus.watch(None)
        self._mouse.detach()
        if self.desk is not None:
            self.desk.in_view = False  # what somebody else shows now stays
            self.desk.settle()
            self.desk.room.clock.pause()

    def close(self) -> None:
        """Close the case and give the scene back; the panel is not used after it."""
        self.exit()
        self.close_worklist()
        self.editor.close()
        self.removeObservers()
        self._yield.stop()
        for timer in (self._wheel_rest, self._views_wait, self._keys_wait):
            timer.stop()

    def close_worklist(self) -> None:
        """Close the worklist."""
        if self.desk is not None:
            self.desk.close()
        self.desk = None
        self.reading.use(None)
        self.editor.use(None)
        self.jobs.use(None)
        self.worklist.show([], None)

    # ---- doing ----

    def open_worklist(self, worklist: Worklist | None = None, setup: ReadingSetup | None = None) -> None:
        """Open a worklist, by default the one that the widgets name, where the reader stopped."""
        try:
            setup = setup or self.worklist.setup()
            worklist = worklist or self.worklist.worklist()
            self.close_worklist()
            room = ReviewRoom(worklist, setup, self._make_loader())
        except CMBNetError as error:
            self.worklist.say(str(error))
            return
        if self._entered:
            room.clock.resume()
        self.worklist.say(" ".join(worklist.problems))
        self.keys.show_terms(setup.terms)
        self.desk = ReviewDesk(slicer.mrmlScene, room, self.keys.bindings, self._show)
        self.reading.use(self.desk)
        self.editor.use(self.desk)
        self.jobs.use(self.desk)
        self.desk.resume()
        self.worklist.show_filter(room.filter, room.search)
        self._yield.start()
        self._mouse.detach()
        self._attach_mouse()

    def open_scene(self) -> None:
        """Make a worklist of the volumes of the scene that came from files."""
        try:
            setup, paths = self.worklist.setup(), scene_files(slicer.mrmlScene)
            worklist = kept_worklist(paths)
        except CMBNetError as error:
            self.worklist.say(str(error))
            return
        self.open_worklist(worklist, setup)

    def run(self, action_id: str) -> None:
        """Carry out the action of a key or button."""
        if self.desk is None:
            self.ui.readingMessage.text = _("Open a worklist first.")
        elif action_id == "comment":
            self.reading.focus_comment()
        else:
            self.desk.act(action_id)
            if self.desk.tools is not None and self.desk.tools.growing:
                self._wheel_rest.start()

    def press(self, point_ras: Any, normal_ras: Any, projected: bool = False) -> bool:
        """A click in a slice view; ``projected`` where it shows the minimum of a slab."""
        used = self.desk is not None and self.desk.press(point_ras, normal_ras, projected)
        if used:
            self._wheel_rest.start()
        return used

    def drag(self, point_ras: Any, normal_ras: Any) -> bool:
        """A stroke in a slice view."""
        return self.desk is not None and self.desk.drag(point_ras, normal_ras)

    def release(self) -> bool:
        """The end of a stroke."""
        return self.desk is not None and self.desk.release()

    def wheel(self, clicks: float) -> bool:
        """The wheel over a slice view."""
        used = self.desk is not None and self.desk.wheel(clicks)
        if used:
            self._wheel_rest.start()
        return used

    # ---- inside ----

    def _connect(self) -> None:
        ui = self.ui
        for button, action in BUTTONS.items():
            getattr(ui, button).clicked.connect(lambda _checked=False, action=action: self.run(action))
        ui.openWorklistButton.clicked.connect(lambda _checked=False: self.open_worklist())
        ui.sceneWorklistButton.clicked.connect(lambda _checked=False: self.open_scene())
        ui.elsewhereButton.clicked.connect(lambda _checked=False: self._save_elsewhere())
        ui.radiusSlider.valueChanged.connect(self._radius_changed)

    def _label_buttons(self) -> None:
        for button, action in BUTTONS.items():
            getattr(self.ui, button).text = f"{_(LABELS[action])} ({self.keys.bindings.key(action)})"

    def _keys_changed(self) -> None:
        self._label_buttons()
        self._install_keys()

    def _install_keys(self) -> None:
        self._keys_wait.stop()
        if self._entered:
            self._letters_given = self.desk is not None and self.desk.lesion is not None
            self.shortcuts.install(self.keys.bindings, self._window, with_modifier_only=self._letters_given)

    def _views_came(self) -> None:
        """A layout chosen meanwhile brought new views: show the case in them too."""
        self._views_wait.stop()
        if self.desk is not None and self.desk.case_scene is not None:
            self._attach_mouse()
            self.desk.views.refresh()
            self.desk.show()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_added(self, _scene: Any, _event: Any, node: Any) -> None:
        if self.desk is not None and node is not None and node.IsA("vtkMRMLSliceCompositeNode"):
            self._views_wait.start()  # the view is not complete yet

    def _show(self) -> None:
        """Show what the desk has become."""
        desk = self.desk
        tool = desk.tools.tool if desk is not None and desk.tools is not None else "none"
        for button, name in _TOOL_BUTTONS.items():
            getattr(self.ui, button).checked = tool == name
        if desk is not None:
            desk.room.refresh()
            loaded = desk.room.loaded
            self.worklist.show(desk.room.rows(), loaded.case.case_id if loaded is not None else None)
            self.ui.outlineButton.checked = desk.outline_visible
            self.ui.crosshairButton.checked = desk.crosshair_visible
            self.ui.secondButton.checked = desk.views.shown > 0
            self.ui.minipButton.checked = desk.views.projects
            self.ui.besideButton.checked = desk.views.beside
        self.reading.show()
        self.editor.show()
        if self._letters_given != (desk is not None and desk.lesion is not None):
            self._keys_wait.start()  # not now: this may be the doing of one of the keys
        self.ui.readingMessage.text = desk.message if desk is not None else ""
        unsaved = desk is not None and desk.review is not None and not desk.review.store.writable
        self.ui.elsewherePath.visible = self.ui.elsewhereButton.visible = unsaved

    def _detected(self, case_id: str) -> None:
        if self.desk is not None:
            self.desk.detected(case_id)

    def _open_path(self, path: str) -> None:
        self.ui.worklistPath.currentPath = path
        self.open_worklist()

    def _open_case(self, case_id: str) -> None:
        if self.desk is not None:
            self.desk.open(case_id)

    def _filter(self, name: str, search: str) -> None:
        if self.desk is not None:
            self.desk.room.filter, self.desk.room.search = name, search
            self._show()

    def _radius_changed(self, radius_mm: float) -> None:
        if self.desk is not None and self.desk.tools is not None:
            self.desk.tools.set_radius(radius_mm)

    def _wheel_rested(self) -> None:
        self._wheel_rest.stop()
        if self.desk is not None:
            self.desk.edit(lambda tools: tools.commit())

    def _let_threads_run(self) -> None:
        if self.desk is not None and self.desk.room.loader.busy:
            time.sleep(_YIELD_S)

    def _scene_closes(self, _scene: Any, _event: Any) -> None:
        if self.desk is not None:
            self.close_worklist()
            self.worklist.say(_("The scene was closed. Open the worklist again: it goes on where you stopped."))

    def _focus_changed(self, in_front: bool) -> None:
        if self.desk is not None:
            clock = self.desk.room.clock
            (clock.resume if in_front else clock.pause)()

    def _attach_mouse(self) -> None:
        manager = slicer.app.layoutManager()
        if manager is None or self.desk is None or not self._entered:
            return
        for name in manager.sliceViewNames():
            widget = manager.sliceWidget(name)
            self._mouse.attach(widget.sliceView().interactor(), widget.mrmlSliceNode())

    def _save_elsewhere(self) -> None:
        if self.desk is None or self.desk.review is None:
            return
        try:
            path = Path(str(self.ui.elsewherePath.currentPath))
            self.desk.review.store.save_elsewhere(path)
            self.desk.review.trouble = None
            self.desk.message = _("The readings are kept in {path} from now on.").format(path=path)
        except CMBNetError as error:
            self.desk.message = str(error)
        self._show()


def _loader_of_any_candidates() -> CaseLoader:
    from CMBNetEvaluationLib.review_sources import read_candidates

    return CaseLoader(lambda case: read_case(case, read_candidates))


def kept_worklist(paths: list[Path]) -> Worklist:
    """Make a worklist of files and write it beside their readings, for processes in the background."""
    folder = paths[0].parent / OUTPUT_FOLDER if paths else Path()
    worklist = worklist_of_paths(paths, folder)
    try:
        return read_worklist(write_csv_worklist(folder / "worklist.csv", worklist.cases), folder)
    except InputError:  # a folder that cannot be written: reading goes on in memory, and says so
        return worklist


def scene_files(scene: Any) -> list[Path]:
    """Return the files that the scalar volumes of a scene were loaded from."""
    files = []
    for node in nodes_of_class(scene, "vtkMRMLScalarVolumeNode"):
        storage = node.GetStorageNode()
        path = storage.GetFileName() if storage is not None else None
        if path and Path(path).exists() and not node.IsA("vtkMRMLLabelMapVolumeNode"):
            files.append(Path(path))
    return files


def _timer(act: Callable[[], None], milliseconds: int) -> Any:
    timer = qt.QTimer()
    timer.interval = milliseconds
    timer.timeout.connect(act)
    return timer
