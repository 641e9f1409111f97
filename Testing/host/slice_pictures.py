"""Pictures of slice views: the real displayable managers of the wheel, rendered off screen.

Slicer's slice widget draws the volume layers itself (CTK's light box); here a vtkImageMapper does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

_MANAGERS = (
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
)


class SlicePicture:
    """One slice view drawn into memory.

    Parameters
    ----------
    name
        Layout name of an existing view: Red, Yellow, Green.
    size
        Pixels of its sides.
    """

    def __init__(self, name: str, size: int = 400) -> None:
        logic = slicer.app.layoutManager().sliceWidget(name).sliceLogic()
        logic.ResizeSliceNode(size, size)
        self.logic, self.node = logic, logic.GetSliceNode()
        self._renderer = vtk.vtkRenderer()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetMultiSamples(0)
        self._window.SetSize(size, size)
        self._window.AddRenderer(self._renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self._window)
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(actor)
        self._group = self._add_managers()

    def draw(self) -> None:
        """Draw the view."""
        self.logic.UpdatePipeline()
        connection = self.logic.GetImageDataConnection()
        if connection is not None:
            self._mapper.SetInputConnection(connection)
        self._window.Render()

    def pixels(self) -> np.ndarray:
        """The picture as uint8 RGB, (height, width, 3), first row on top."""
        self.draw()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        flat = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        return flat.reshape(height, width, 3)[::-1].copy()

    def resize(self, size: int) -> None:
        """Give the view sides of ``size`` pixels; its field of view stays."""
        field = min(self.node.GetFieldOfView()[:2])
        self.logic.ResizeSliceNode(size, size)
        self.node.SetFieldOfView(field, field, self.node.GetFieldOfView()[2])
        self._window.SetSize(size, size)

    def close(self) -> None:
        """Let go of the window."""
        self._group.SetMRMLDisplayableNode(None)
        self._window.Finalize()

    def _add_managers(self) -> Any:
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        for name in _MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        group = factory.InstantiateDisplayableManagers(self._renderer)
        group.SetMRMLDisplayableNode(self.node)
        return group


def write_png(path: Any, pixels: np.ndarray) -> None:
    """Write an RGB array, first row on top."""
    image = vtk.vtkImageData()
    height, width, _ = pixels.shape
    image.SetDimensions(width, height, 1)
    flat = np.ascontiguousarray(pixels[::-1]).reshape(-1, 3)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(flat, deep=True, array_type=vtk.VTK_UNSIGNED_CHAR))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    writer.Write()
