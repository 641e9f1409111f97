"""What the user chose in the panel, saved with the scene."""

from __future__ import annotations

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLTextNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

from CMBNetSlicer.job_command import RunSettings

DEVICES = ("auto", "cpu", "cuda")


@parameterNodeWrapper
class DetectionParameters:
    """Parameters of the module.

    Attributes
    ----------
    inputVolume
        The scan to detect in.
    model
        Id of the bundle; empty for the default one.
    operatingPoint
        Named threshold of the model, or ``custom`` for one that the slider chose.
    threshold
        Score from which a candidate is a microbleed.
    device
        ``auto``, ``cpu`` or ``cuda``.
    outputFolder
        Folder that also gets the result files; empty when they are not wanted.
    detection
        The detection shown in the panel (a text node, see `detection_node`).
    """

    inputVolume: vtkMRMLScalarVolumeNode
    model: str = ""
    operatingPoint: str = "balanced"
    threshold: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    device: Annotated[str, Choice(list(DEVICES))] = "auto"
    outputFolder: str = ""
    detection: vtkMRMLTextNode


def run_settings(parameters: DetectionParameters) -> RunSettings:
    """The part of the parameters that a run needs."""
    return RunSettings(parameters.model, parameters.operatingPoint, parameters.threshold, parameters.device)
