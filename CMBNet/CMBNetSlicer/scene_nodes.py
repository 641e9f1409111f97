"""Nodes of a scene by class; `slicer.util.getNodesByClass` looks at the main scene whatever scene it is given."""

from __future__ import annotations

from typing import Any


def nodes_of_class(scene: Any, class_name: str) -> list[Any]:
    """All nodes of a class and its subclasses, in the order of the scene."""
    return [scene.GetNthNodeByClass(index, class_name) for index in range(scene.GetNumberOfNodesByClass(class_name))]
