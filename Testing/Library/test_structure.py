"""House rules that one file alone cannot show: who imports whom, how large things are, names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import source_tree as tree

REPOSITORY = tree.REPOSITORY
APPLICATION = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "PySide6", "host"}
# What Slicer 5.10 and 5.12 bring along; all else is installed on a click, so loading may not need it.
BUNDLED = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "numpy", "scipy", "SimpleITK", "pydicom", "requests"}
SLICER_MODULES = {"SampleData", "DICOMLib", "SegmentEditorEffects", "PyTorchUtils"}
FORBIDDEN = {
    "CMBNetLib": APPLICATION | {"monai", "CMBNetSlicer", "CMBNetEvaluationLib", "CMBNetTrainingLib"},
    "CMBNetEvaluationLib": APPLICATION | {"monai", "CMBNetSlicer", "CMBNetTrainingLib"},
    "CMBNetTrainingLib": APPLICATION | {"CMBNetSlicer"},
    "CMBNetSlicer": {"torch", "monai", "PySide6", "host"},
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 30


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def test_the_walk_tells_imports_on_loading_from_later_ones(tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import slicer\n"
        "try:\n    import torch.nn\nexcept ImportError:\n    import monai\n"
        "def later():\n    from vtk import vtkObject\n"
    )
    found = {(item.name, item.at_file_scope) for item in tree.imports_of(path)}
    assert found == {("typing", True), ("torch.nn", True), ("monai", True), ("vtk", False)}
    assert set(tree.loaded_with(path)) == {"torch", "monai"}


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_no_import_arrow_points_the_wrong_way(package: str) -> None:
    paths = tree.python_files(tree.PACKAGES[package])
    assert paths, f"{package} holds no Python file"
    wrong = [
        f"{relative(path)}:{item.line} imports {item.name}"
        for path in paths
        for item in tree.imports_of(path)
        if item.top in FORBIDDEN[package]
    ]
    assert wrong == []


def test_torch_is_imported_on_loading_only_by_network_and_inference() -> None:
    wrong = [
        f"{relative(path)}:{item.line}"
        for path in tree.python_files(tree.PACKAGES["CMBNetLib"])
        if not path.stem.startswith(("network", "inference"))
        for item in tree.imports_of(path)
        if item.top == "torch" and item.at_file_scope
    ]
    assert wrong == []


def test_the_command_line_answers_without_loading_torch() -> None:
    heavy = "{'torch', 'monai', 'vtk', 'pandas'}"
    program = f"import sys, CMBNetLib.cli; print(sorted({heavy} & set(sys.modules)))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY / "CMBNet", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def slicer_side() -> list[Path]:
    return [*tree.module_files(), *tree.python_files(tree.PACKAGES["CMBNetSlicer"])]


def test_what_slicer_loads_needs_only_what_slicer_bundles() -> None:
    paths = slicer_side()
    assert len(tree.module_files()) == len(tree.MODULES)
    own = {path.stem for path in tree.module_files()}
    wrong = [
        f"{name}: {chain}"
        for path in paths
        for name, chain in tree.loaded_with(path).items()
        if name not in BUNDLED | SLICER_MODULES | own
    ]
    assert wrong == []


def test_module_files_never_import_torch() -> None:
    wrong = [
        f"{relative(path)}:{item.line} imports {item.name}"
        for path in tree.module_files()
        for item in tree.imports_of(path)
        if item.top in {"torch", "monai"}
    ]
    assert wrong == []


def test_loading_a_module_file_runs_no_code() -> None:
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    for path in tree.module_files():
        _docstring, *statements = tree.tree_of(path).body
        calls = (node for node in statements if not isinstance(node, allowed) and not _is_type_checking(node))
        wrong = [node.lineno for node in calls]
        assert wrong == [], f"{relative(path)} runs code when Slicer loads it, lines {wrong}"


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    paths = [*tree.installed_python(), *tree.python_files(REPOSITORY / "Testing")]
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {name: lines for name, lines in lengths.items() if lines >= MAX_FILE_LINES} == {}


@pytest.mark.parametrize("package", sorted(tree.PACKAGES))
def test_nine_of_ten_functions_are_short(package: str) -> None:
    functions = [
        (lines, f"{relative(path)}: {name}")
        for path in tree.python_files(tree.PACKAGES[package])
        for name, lines in tree.functions_of(path)
    ]
    long = sorted((entry for entry in functions if entry[0] >= MAX_FUNCTION_LINES), reverse=True)
    assert functions
    assert len(long) <= 0.1 * len(functions), long


def test_file_names_are_unique_in_the_flat_installation() -> None:
    """Slicer copies all modules into one folder: a name that occurs twice loses one of its files."""
    names = Counter(
        path.relative_to(REPOSITORY / module).as_posix()
        for module in tree.MODULES
        for path in (REPOSITORY / module).rglob("*")
        if path.is_file() and path.name != "CMakeLists.txt" and not _hidden(path.relative_to(REPOSITORY))
    )
    names.update(relative(path) for path in (REPOSITORY / "Resources").rglob("*") if path.is_file())
    assert {name: count for name, count in names.items() if count > 1} == {}


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def test_no_two_python_files_share_a_name() -> None:
    names = Counter(path.name for path in tree.installed_python())
    shared = {name: count for name, count in names.items() if count > 1 and not name.startswith("__")}
    assert shared == {}


def test_no_installed_folder_takes_a_name_others_use() -> None:
    taken = {"utils", "scripts", "testing", "logic", "lib"}
    folders = [
        relative(path)
        for module in tree.MODULES
        for path in (REPOSITORY / module).rglob("*")
        if path.is_dir() and path.name.lower() in taken
    ]
    assert folders == []


def test_only_the_module_file_lies_where_slicer_looks_for_modules() -> None:
    """Slicer takes every Python file of that folder for a module and reports an error for the others."""
    for module in tree.MODULES:
        names = {path.name for path in (REPOSITORY / module).glob("*.py")}
        assert names <= {f"{module}.py"}, module


def test_no_source_file_holds_what_must_not_be_there() -> None:
    patterns = {
        "bare except": re.compile(r"^\s*except\s*:", re.MULTILINE),
        "removed module imp": re.compile(r"^\s*(import imp|from imp import)\b", re.MULTILINE),
        "template text": re.compile(r"Ideally you should have several levels of tests|TemplateKey"),
        "unfinished work": re.compile(r"\b(TODO|FIXME|XXX)\b|raise NotImplementedError\(\)"),
        "unpickling": re.compile(r"\bpickle\.loads?\(|torch\.load\("),
    }
    wrong = [
        f"{relative(path)}: {what}"
        for path in tree.installed_python()
        for what, pattern in patterns.items()
        if pattern.search(path.read_text(encoding="utf-8"))
    ]
    assert wrong == []
