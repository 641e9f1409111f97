"""Observing MRML and VTK objects from Python widgets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import slicer
import vtk


def event_number(source: Any, name: str) -> int:
    """The number of a MRML event by name, looked up on the object, then on the scene class, then in VTK."""
    for place in (source, slicer.vtkMRMLScene):
        if hasattr(place, name):
            return int(getattr(place, name))
    return int(getattr(vtk.vtkCommand, name))


def observe(source: Any, events: Iterable[str], receiver: Callable[..., None]) -> list[int]:
    """Call the receiver at each of the events; returns what :func:`unobserve` needs."""
    return [source.AddObserver(event_number(source, name), receiver) for name in events]


def unobserve(source: Any, tags: list[int], *_: Any) -> None:
    """Undo :func:`observe`."""
    for tag in tags:
        source.RemoveObserver(tag)
    tags.clear()
