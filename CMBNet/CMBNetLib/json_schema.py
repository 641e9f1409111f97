"""Checks a JSON value against the part of JSON Schema (2020-12) that our own schemas use.

Slicer's Python has no jsonschema package. A test holds this file against that package, so that both read the
shipped schemas alike; a keyword that is not known here is refused, never skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "examples"}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: _is_number(value),
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
}


def first_problem(value: Any, schema: Mapping[str, Any]) -> str | None:
    """One sentence about the first place where ``value`` does not fit, with its path; None if all fits.

    Raises
    ------
    ValueError
        The schema uses a keyword or type that is not supported.
    """
    return next(_problems(value, schema, schema, "the file"), None)


def _problems(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], path: str) -> Iterator[str]:
    for keyword, wanted in schema.items():
        if keyword in _ANNOTATIONS:
            continue
        if keyword == "$ref":
            yield from _problems(value, _referred(wanted, root), root, path)
        elif keyword in _PARTS:
            yield from _PARTS[keyword](value, schema, root, path)
        elif keyword in _RULES:
            text = _RULES[keyword](value, wanted)
            if text:
                yield f"{path} {text}"
        else:
            raise ValueError(f"The JSON Schema keyword '{keyword}' is not supported.")


def _referred(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    node: Any = root
    if not reference.startswith("#/"):
        raise ValueError(f"The JSON Schema reference '{reference}' leads out of the file.")
    for key in reference[2:].split("/"):
        node = node[key]
    return node


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _type(value: Any, wanted: str | list[str]) -> str | None:
    names = [wanted] if isinstance(wanted, str) else wanted
    if unknown := [name for name in names if name not in _TYPES]:
        raise ValueError(f"The JSON Schema type '{unknown[0]}' is not supported.")
    if any(_TYPES[name](value) for name in names):
        return None
    return f"must be of type {' or '.join(names)}, not {_shown(value)}"


def _same(value: Any, other: Any) -> bool:
    # In JSON true and 1 differ, in Python they are equal.
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _const(value: Any, wanted: Any) -> str | None:
    return None if _same(value, wanted) else f"must be {wanted!r}, not {_shown(value)}"


def _enum(value: Any, wanted: list[Any]) -> str | None:
    if any(_same(value, choice) for choice in wanted):
        return None
    return f"must be one of {', '.join(map(repr, wanted))}, not {_shown(value)}"


def _pattern(value: Any, wanted: str) -> str | None:
    fits = not isinstance(value, str) or re.search(wanted, value) is not None
    return None if fits else f"has the wrong form: {_shown(value)}"


def _minimum(value: Any, wanted: float) -> str | None:
    return f"is {value}, less than {wanted:g}" if _is_number(value) and value < wanted else None


def _maximum(value: Any, wanted: float) -> str | None:
    return f"is {value}, more than {wanted:g}" if _is_number(value) and value > wanted else None


def _above(value: Any, wanted: float) -> str | None:
    return f"is {value}, but must be more than {wanted:g}" if _is_number(value) and value <= wanted else None


def _min_length(value: Any, wanted: int) -> str | None:
    return "is empty" if isinstance(value, str) and len(value) < wanted else None


def _min_items(value: Any, wanted: int) -> str | None:
    return f"has {len(value)} entries instead of {wanted}" if isinstance(value, list) and len(value) < wanted else None


def _max_items(value: Any, wanted: int) -> str | None:
    return f"has {len(value)} entries instead of {wanted}" if isinstance(value, list) and len(value) > wanted else None


def _required(value: Any, wanted: list[str]) -> str | None:
    missing = [name for name in wanted if name not in value] if isinstance(value, dict) else []
    return f"lacks '{missing[0]}'" if missing else None


def _properties(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in schema["properties"].items():
            if name in value:
                yield from _problems(value[name], part, root, _below(path, name))


def _additional(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], path: str) -> Iterator[str]:
    extra = [name for name in value if name not in schema.get("properties", {})] if isinstance(value, dict) else []
    wanted = schema["additionalProperties"]
    for name in extra:
        if wanted is False:
            yield f"{path} has an unknown entry '{name}'"
        elif wanted is not True:
            yield from _problems(value[name], wanted, root, _below(path, name))


def _items(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], path: str) -> Iterator[str]:
    if isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _problems(entry, schema["items"], root, f"{path}[{number}]")


def _below(path: str, name: str) -> str:
    return name if path == "the file" else f"{path}.{name}"


_RULES: dict[str, Callable[[Any, Any], str | None]] = {
    "type": _type,
    "const": _const,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _minimum,
    "maximum": _maximum,
    "exclusiveMinimum": _above,
    "minLength": _min_length,
    "minItems": _min_items,
    "maxItems": _max_items,
    "required": _required,
}
_Part = Callable[[Any, Mapping[str, Any], Mapping[str, Any], str], Iterator[str]]
_PARTS: dict[str, _Part] = {
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
}
