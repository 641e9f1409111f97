"""Writes the file lists of the CMakeLists.txt files from the tree.

A file that is not listed works from the source tree and is missing in the installed extension; one that is
listed and missing stops the configuration. `make cmake-lists` runs this; `--check` only compares.

    python Testing/update_cmake_lists.py [--check]
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
MODULES = ("CMBNet", "CMBNetEvaluation", "CMBNetTraining")
NOT_INSTALLED = {"Screenshots"}  # folders of Resources that only the README shows
LIST = r"(set\({name}\n)(.*?)(  \))"


def installed_files(module: Path) -> tuple[list[str], list[str]]:
    """(Python files, other files) of a module folder, relative to it, sorted."""
    paths = [path for path in module.rglob("*") if path.is_file() and _is_source(path.relative_to(module))]
    names = sorted(path.relative_to(module).as_posix() for path in paths)
    scripts = [name for name in names if name.endswith(".py")]
    return scripts, [name for name in names if not name.endswith(".py")]


def shared_folders(repository: Path) -> list[str]:
    """Folders of the shared Resources that hold at least one file and are installed."""
    folders = (path for path in (repository / "Resources").iterdir() if path.is_dir())
    return sorted(
        folder.name
        for folder in folders
        if folder.name not in NOT_INSTALLED and any(path.is_file() for path in folder.rglob("*"))
    )


def listed(text: str, name: str) -> list[str]:
    """Entries of `set(<name> ...)` in a CMake file."""
    match = re.search(LIST.format(name=name), text, re.DOTALL)
    if match is None:
        raise ValueError(f"no list set({name} in the CMake file")
    return match[2].split()


def updated(text: str, lists: dict[str, list[str]]) -> str:
    """The CMake file with these lists in place of its own."""
    for name, entries in lists.items():
        body = "".join(f"  {entry}\n" for entry in entries)
        text = re.sub(
            LIST.format(name=name), lambda match, body=body: match[1] + body + match[3], text, flags=re.DOTALL
        )
    return text


def wanted_files(repository: Path) -> dict[Path, str]:
    """Path and right content of every CMakeLists.txt with lists."""
    files = {}
    for module in MODULES:
        scripts, resources = installed_files(repository / module)
        path = repository / module / "CMakeLists.txt"
        lists = {"MODULE_PYTHON_SCRIPTS": scripts, "MODULE_PYTHON_RESOURCES": resources}
        files[path] = updated(path.read_text(), lists)
    path = repository / "CMakeLists.txt"
    files[path] = updated(path.read_text(), {"SHARED_RESOURCES": shared_folders(repository)})
    return files


def _is_source(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return not hidden and path.name != "CMakeLists.txt" and path.suffix not in (".pyc", ".tmp")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare; exit code 1 where they differ")
    check = parser.parse_args().check
    stale = {path: text for path, text in wanted_files(REPOSITORY).items() if path.read_text() != text}
    for path, text in stale.items():
        name = path.relative_to(REPOSITORY)
        if check:
            print(f"{name} does not match the tree: run make cmake-lists", file=sys.stderr)
        else:
            path.write_text(text)
            print(f"updated {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
