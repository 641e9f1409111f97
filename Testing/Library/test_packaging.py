"""What the Extensions Index, pip and a reader of the documents rely on."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

import CMBNetLib
import source_tree as tree
import update_cmake_lists as cmake

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings its predecessor there
    import tomli as tomllib

REPOSITORY = tree.REPOSITORY
# Field label of a CMake line as the Index reads it: one quoted string in the same line.
CMAKE_FIELD = r'^\s*set\({name} "([^"\n]+)"\)'
REPOSITORY_URL = re.compile(r"https://raw\.githubusercontent\.com/[^/]+/SlicerCMBNet/main/(.+)")
MARKDOWN_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img[^>]*src=\"([^\"]+)\"")


def cmake_field(name: str) -> str:
    text = (REPOSITORY / "CMakeLists.txt").read_text()
    match = re.search(CMAKE_FIELD.format(name=name), text, re.MULTILINE)
    assert match is not None, f"{name} is missing or not one quoted string"
    return match[1]


def documents() -> list[Path]:
    folders = (REPOSITORY, *(REPOSITORY / name for name in ("Docs", "Resources", "Testing", *tree.MODULES)))
    top, *rest = folders
    return sorted([*top.glob("*.md"), *(path for folder in rest for path in folder.rglob("*.md"))])


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n", f"{path.name} is not a PNG file"
    return struct.unpack(">II", head[16:24])


def test_cmake_lists_match_the_tree() -> None:
    wanted = cmake.wanted_files(REPOSITORY)
    stale = [path.parent.name for path, text in wanted.items() if path.read_text() != text]
    assert stale == [], "run make cmake-lists"


def test_a_new_file_makes_a_cmake_list_stale() -> None:
    text = "set(MODULE_PYTHON_SCRIPTS\n  a.py\n  )\n"
    changed = cmake.updated(text, {"MODULE_PYTHON_SCRIPTS": ["a.py", "b.py"]})
    assert changed == "set(MODULE_PYTHON_SCRIPTS\n  a.py\n  b.py\n  )\n"
    assert cmake.listed(changed, "MODULE_PYTHON_SCRIPTS") == ["a.py", "b.py"]


def test_the_extension_carries_the_name_the_index_expects() -> None:
    match = re.search(r"project\((\w+)\)", (REPOSITORY / "CMakeLists.txt").read_text())
    assert match is not None
    assert match[1] == "CMBNet"
    assert cmake_field("EXTENSION_HOMEPAGE").rpartition("/")[2] == "SlicerCMBNet"
    assert cmake_field("EXTENSION_CATEGORY") == "Neuroimaging"
    assert cmake_field("EXTENSION_DEPENDS") == "PyTorch"


def test_cmake_installs_what_the_modules_share() -> None:
    text = (REPOSITORY / "CMakeLists.txt").read_text()
    listed = re.search(r"set\(SHARED_RESOURCES\s+([^)]+)\)", text)
    assert listed is not None
    # Screenshots are for the web page of the extension only.
    shared = {path.name for path in (REPOSITORY / "Resources").iterdir() if path.is_dir()} - {"Screenshots"}
    assert set(listed[1].split()) == shared


def test_a_lay_reader_understands_the_description() -> None:
    description = cmake_field("EXTENSION_DESCRIPTION")
    assert "microbleed" in description
    assert "research" in description
    assert cmake_field("EXTENSION_CONTRIBUTORS")


@pytest.mark.parametrize("field", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_pictures_of_the_index_page_are_png_files_of_this_repository(field: str) -> None:
    for url in cmake_field(field).split():
        match = REPOSITORY_URL.fullmatch(url)
        assert match is not None, url
        assert min(png_size(REPOSITORY / match[1])) >= 128


@pytest.mark.parametrize("module", tree.MODULES)
def test_every_module_has_an_icon(module: str) -> None:
    assert png_size(REPOSITORY / module / "Resources" / "Icons" / f"{module}.png") == (128, 128)


def test_the_licence_is_apache_2() -> None:
    text = (REPOSITORY / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_one_version_everywhere() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    citation = re.search(r"^version: (\S+)$", (REPOSITORY / "CITATION.cff").read_text(), re.MULTILINE)
    newest = re.search(r"^## (\d\S*)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert citation is not None
    assert newest is not None
    assert {project["version"], citation[1], newest[1], CMBNetLib.__version__} == {project["version"]}


def test_pip_installs_every_package_of_the_libraries() -> None:
    setuptools = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    libraries = [folder for name, folder in tree.PACKAGES.items() if name != "CMBNetSlicer"]
    packages = {
        path.parent.relative_to(folder.parent).as_posix().replace("/", ".")
        for folder in libraries
        for path in folder.rglob("__init__.py")
    }
    assert set(setuptools["packages"]) == packages


def test_constraints_pin_every_dependency_and_name_no_registry() -> None:
    text = (REPOSITORY / "constraints.txt").read_text()
    pinned = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = sum(project["optional-dependencies"].values(), project["dependencies"])
    names = {re.split(r"[<>=!\[ ]", name)[0].lower().replace("_", "-") for name in wanted}
    assert names <= pinned
    assert "://" not in text
    assert "torch==2.13.0" in text


def test_links_between_documents_lead_somewhere() -> None:
    paths = documents()
    assert REPOSITORY / "README.md" in paths
    broken = [
        f"{path.relative_to(REPOSITORY)}: {link}"
        for path in paths
        for link in (a or b for a, b in MARKDOWN_LINK.findall(path.read_text(encoding="utf-8")))
        if not link.startswith(("http", "#", "mailto:"))
        and not (path.parent / link.partition("#")[0]).exists()
    ]
    assert broken == []


def test_the_readme_answers_what_reviewers_of_the_index_ask() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for phrase in ("make demo", "make test", "Research use", "How to cite", "Apache", "sample scan"):
        assert phrase.lower() in text.lower(), phrase
    for module in ("**CMBNet**", "**CMBNet Training**", "**CMBNet Evaluation**"):
        assert module in text, module


def test_the_checkout_stays_far_below_the_limit_of_the_index() -> None:
    """100 MB with .git is the limit; the tree itself must leave room for history."""
    folders = [*tree.MODULES, "Resources", "Docs", "Testing"]
    files = (path for name in folders for path in (REPOSITORY / name).rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files if "__pycache__" not in path.parts and not _cached(path))
    assert size < 30e6


def _cached(path: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(REPOSITORY).parts)
