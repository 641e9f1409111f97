"""Reads the Python files of the repository for the structure tests: imports, sizes, names.

It parses them and never imports them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = ("CMBNet", "CMBNetEvaluation", "CMBNetTraining")
PACKAGES = {
    "CMBNetLib": REPOSITORY / "CMBNet" / "CMBNetLib",
    "CMBNetSlicer": REPOSITORY / "CMBNet" / "CMBNetSlicer",
    "CMBNetEvaluationLib": REPOSITORY / "CMBNetEvaluation" / "CMBNetEvaluationLib",
    "CMBNetTrainingLib": REPOSITORY / "CMBNetTraining" / "CMBNetTrainingLib",
}


@dataclass(frozen=True)
class Import:
    """One imported name, such as `CMBNetLib.volume`, and whether loading the file imports it."""

    name: str
    line: int
    at_file_scope: bool

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


def python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def module_files() -> list[Path]:
    """The three files Slicer loads, as far as they exist."""
    paths = (REPOSITORY / module / f"{module}.py" for module in MODULES)
    return [path for path in paths if path.is_file()]


def installed_python() -> list[Path]:
    return [path for module in MODULES for path in python_files(REPOSITORY / module)]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def imports_of(path: Path) -> tuple[Import, ...]:
    """Every import of a file except those under `if TYPE_CHECKING:`, which never run."""
    return tuple(_walk_imports(tree_of(path).body, _package_of(path), at_file_scope=True))


def _package_of(path: Path) -> str:
    """Dotted name of the package a file lies in, empty for a module file."""
    for name, folder in PACKAGES.items():
        if path.is_relative_to(folder):
            return ".".join((name, *path.relative_to(folder).parts[:-1]))
    return ""


def _walk_imports(body: list[ast.stmt], package: str, at_file_scope: bool) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_file_scope)
        elif isinstance(node, ast.ImportFrom):
            yield from _imports_from(node, package, at_file_scope)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _walk_imports(node.orelse, package, at_file_scope)
        else:
            inner = at_file_scope and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                yield from _walk_imports(getattr(node, field, []), package, inner)


def _imports_from(node: ast.ImportFrom, package: str, at_file_scope: bool) -> Iterator[Import]:
    parts = package.split(".")
    base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
    source = ".".join(part for part in (base, node.module) if part)
    yield Import(source, node.lineno, at_file_scope)
    if file_of(source) is not None:
        # `from CMBNetLib import volume` loads the file volume.py as well.
        for alias in node.names:
            name = f"{source}.{alias.name}"
            if file_of(name) is not None:
                yield Import(name, node.lineno, at_file_scope)


def file_of(name: str) -> Path | None:
    """The repository's file behind a dotted module name, None for foreign modules."""
    top, *rest = name.split(".")
    if top not in PACKAGES:
        return None
    path = PACKAGES[top].joinpath(*rest)
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


def loaded_with(path: Path) -> dict[str, str]:
    """Foreign packages that loading a file brings in, each with the chain of files that leads to it."""
    found: dict[str, str] = {}
    pending, seen = [(path, path.name)], {path}
    while pending:
        current, chain = pending.pop()
        for item in (item for item in imports_of(current) if item.at_file_scope):
            targets = _own_files(item.name)
            if not targets and item.top not in sys.stdlib_module_names:
                found.setdefault(item.top, f"{chain}:{item.line}")
            for target in targets:
                if target not in seen:
                    seen.add(target)
                    pending.append((target, f"{chain} -> {target.name}"))
    return found


def _own_files(name: str) -> list[Path]:
    """The files that importing a dotted name runs: every package on the way down, then the module."""
    parts = name.split(".")
    files = (file_of(".".join(parts[: end + 1])) for end in range(len(parts)))
    return [path for path in files if path is not None]


def functions_of(path: Path) -> Iterator[tuple[str, int]]:
    """(name, lines without the docstring) of every function and method."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                docstring = node.body[0]
                assert docstring.end_lineno is not None
                lines -= docstring.end_lineno - docstring.lineno + 1
            yield node.name, lines
