"""The real MRML scene and the module logics of the ``slicer-core`` wheel, started in the order Slicer needs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer
import vtk


@dataclass
class Mrml:
    """The scene with the application logic, the module logics by name and the slice logics by view name."""

    scene: Any
    application_logic: Any
    logics: dict[str, Any] = field(default_factory=dict)
    slice_logics: dict[str, Any] = field(default_factory=dict)


# The factories look the logics up by exactly these names.
_LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Transforms": "vtkSlicerTransformLogic",
}
_home = tempfile.TemporaryDirectory(prefix="host-home-")
_VIEWS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


def boot() -> Mrml:
    """Create scene, logics and the three slice nodes of Slicer's default layout."""
    # VTK reports on stderr instead of opening a window.
    vtk.vtkOutputWindow.GetInstance().SetDisplayModeToAlwaysStdErr()
    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    _add_file_managers(scene)
    application_logic = slicer.vtkSlicerApplicationLogic()
    # Colour files would be read from here; there are none, but without a folder VTK complains.
    (Path(_home.name) / "share" / "ColorFiles").mkdir(parents=True)
    application_logic.SetHomeDirectory(_home.name)
    application_logic.SetShareDirectory("share")
    application_logic.SetMRMLScene(scene)
    application_logic.SetSliceLogics(vtk.vtkCollection())
    application_logic.SetViewLogics(vtk.vtkCollection())
    slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(application_logic)
    mrml = Mrml(scene, application_logic)
    for name, class_name in _LOGICS.items():
        mrml.logics[name] = _make_logic(mrml, name, class_name)
    mrml.logics["Colors"].AddDefaultColorNodes()
    _add_crosshair(scene)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    for name, orientation in _VIEWS.items():
        mrml.slice_logics[name] = _make_slice_logic(mrml, name, orientation)
    return mrml


def _add_file_managers(scene: Any) -> None:
    """Scene bundles are unpacked through these two."""
    cache = slicer.vtkCacheManager()
    cache.SetRemoteCacheDirectory(_home.name)
    scene.SetCacheManager(cache)
    io_manager = slicer.vtkDataIOManager()
    io_manager.SetCacheManager(cache)
    scene.SetDataIOManager(io_manager)


def _make_logic(mrml: Mrml, name: str, class_name: str) -> Any:
    logic = getattr(slicer, class_name)()
    logic.SetMRMLApplicationLogic(mrml.application_logic)
    logic.SetMRMLScene(mrml.scene)
    mrml.application_logic.SetModuleLogic(name, logic)
    return logic


def _add_crosshair(scene: Any) -> None:
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)


def _make_slice_logic(mrml: Mrml, name: str, orientation: str) -> Any:
    """A slice logic with its slice node, 400 x 400 pixels, as a slice widget of that size would have."""
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(mrml.application_logic)
    mrml.application_logic.GetSliceLogics().AddItem(logic)
    logic.SetMRMLScene(mrml.scene)
    node = logic.AddSliceNode(name)
    node.SetOrientation(orientation)
    node.SetMappedInLayout(True)
    logic.ResizeSliceNode(400, 400)
    return logic
