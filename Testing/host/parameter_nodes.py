"""``slicer.parameterNodeWrapper``: typed attributes kept in a vtkMRMLScriptedModuleNode.

Numbers, text, flags and node references, with the validators Slicer documents. ``connectGui`` is left out: the
connectors know dozens of widgets, and a panel that needs them has to be tested in the application.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import slicer

__all__ = ["Choice", "Maximum", "Minimum", "WithinRange", "parameterNodeWrapper"]

_RESERVED = (
    "default", "isCached", "dataType", "getValue", "setValue", "StartModify", "EndModify", "AddObserver",
    "RemoveObserver", "Modified", "allParameters", "connectGui", "connectParametersToGui", "disconnectGui",
)  # fmt: skip


class Minimum:
    """The value may not be smaller."""

    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def validate(self, value: Any) -> None:
        """Raise ValueError if it is."""
        if value is not None and value < self.minimum:
            raise ValueError(f"Value must be greater than or equal to {self.minimum} (value was '{value}')")


class Maximum:
    """The value may not be larger."""

    def __init__(self, maximum: float) -> None:
        self.maximum = maximum

    def validate(self, value: Any) -> None:
        """Raise ValueError if it is."""
        if value is not None and value > self.maximum:
            raise ValueError(f"Value must be less than or equal to {self.maximum} (value was '{value}')")


class WithinRange(Minimum):
    """The value lies between the two, both included."""

    def __init__(self, minimum: float, maximum: float) -> None:
        super().__init__(minimum)
        self.maximum = maximum

    def validate(self, value: Any) -> None:
        """Raise ValueError if it does not."""
        super().validate(value)
        Maximum(self.maximum).validate(value)


class Choice:
    """The value is one of the list."""

    def __init__(self, choices: list[Any]) -> None:
        self.choices = choices

    def validate(self, value: Any) -> None:
        """Raise ValueError if it is not."""
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices} (value was '{value}')")


class _Parameter:
    """One attribute: how it is written to the node and read back."""

    def __init__(self, name: str, kind: Any, default: Any) -> None:
        annotated = typing.get_origin(kind) is typing.Annotated
        self.name = name
        self.kind = kind.__origin__ if annotated else kind
        self.validators = list(kind.__metadata__) if annotated else []
        self.is_node = isinstance(self.kind, type) and issubclass(self.kind, slicer.vtkMRMLNode)
        if not self.is_node and self.kind not in (str, int, float, bool):
            raise TypeError(f"the stand-in keeps no parameter of type {self.kind}")
        fallback = None if self.is_node else self.kind()
        self.default = fallback if default is None else default

    def is_in(self, node: Any) -> bool:
        """Whether the node holds a value already."""
        return self.is_node or bool(node.HasParameter(self.name))

    def write(self, node: Any, value: Any) -> None:
        """Check the value and keep it."""
        if self.is_node:
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            return
        node.SetParameter(self.name, str(self._checked(value)))

    def read(self, node: Any) -> Any:
        """The value kept."""
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)

    def _checked(self, value: Any) -> Any:
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, self.kind):
            raise TypeError(f"{self.name} is a {self.kind.__name__}, not {value!r}")
        for validator in self.validators:
            validator.validate(value)
        return value


def parameterNodeWrapper(classtype: type | None = None) -> Any:
    """Class decorator: annotated names become attributes kept in the node given to the constructor."""
    return _process if classtype is None else _process(classtype)


def _process(classtype: type) -> type:
    parameters = {
        name: _Parameter(name, kind, getattr(classtype, name, None))
        for name, kind in typing.get_type_hints(classtype, include_extras=True).items()
    }
    for name in _RESERVED:
        if hasattr(classtype, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
    for name, parameter in parameters.items():
        setattr(classtype, name, _property(parameter))
    for name, method in _methods(parameters).items():
        setattr(classtype, name, method)
    return classtype


def _property(parameter: _Parameter) -> property:
    return property(
        lambda self: parameter.read(self.parameterNode),
        lambda self, value: parameter.write(self.parameterNode, value),
    )


def _methods(parameters: dict[str, _Parameter]) -> dict[str, Callable[..., Any]]:
    def initialise(self: Any, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        for parameter in parameters.values():
            if not parameter.is_in(parameterNode):
                parameter.write(parameterNode, parameter.default)

    return {
        "__init__": initialise,
        "getValue": lambda self, name: parameters[name].read(self.parameterNode),
        "setValue": lambda self, name, value: parameters[name].write(self.parameterNode, value),
        "StartModify": lambda self: self.parameterNode.StartModify(),
        "EndModify": lambda self, modified: self.parameterNode.EndModify(modified),
        "AddObserver": lambda self, event, call, priority=0.0: self.parameterNode.AddObserver(event, call, priority),
        "RemoveObserver": lambda self, tag: self.parameterNode.RemoveObserver(tag),
        "Modified": lambda self: self.parameterNode.Modified(),
    }
