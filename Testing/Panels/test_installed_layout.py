"""The extension as Slicer installs it: all modules, libraries and resources in one folder, without the checkout."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from panel_driver import REPOSITORY

MODULES = ("CMBNet", "CMBNetTraining", "CMBNetEvaluation")

# Runs in a process of its own: this one has the libraries of the checkout already.
_OPEN_ALL = """
import json, sys
from pathlib import Path

flat = Path(sys.argv[1])
sys.path[:0] = [str(flat), sys.argv[2]]
import host

host.start([flat])
panels = {name: host.load_module(flat / f"{name}.py").widget().panel for name in sys.argv[3:]}
import slicer

slicer.app.emit("startupCompleted()")
from CMBNetSlicer.curation_command import CurationRun, curate_command
from CMBNetSlicer.evaluation_command import EvaluationRun, evaluate_command
from CMBNetSlicer.job_command import RunSettings, detect_command

commands = [
    detect_command(flat / "none.nii", flat / "out", RunSettings()),
    evaluate_command(EvaluationRun(str(flat / "none"), str(flat / "none"), str(flat / "out"))),
    curate_command(CurationRun(str(flat / "none"), str(flat / "out")), flat / "fixes.csv"),
]
ours = [module for name, module in sys.modules.items() if name.startswith("CMBNet")]
print(json.dumps({
    "files": [module.__file__ for module in ours],
    "models": panels["CMBNet"].ui.modelBox.count(),
    "sample": slicer.modules.sampleDataSources["CMBNet"][-1].uris,
    "commands": [[command.line, command.folder] for command in commands],
}))
"""


def listed(cmake: Path, name: str) -> list[str]:
    """The entries of a list in a CMakeLists.txt."""
    found = re.search(rf"set\({name}\n(.*?)\n\s*\)", cmake.read_text(), re.DOTALL)
    assert found is not None
    return found[1].split()


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What slicerMacroBuildScriptedModule and the install rules of the top folder put side by side."""
    folder = tmp_path_factory.mktemp("qt-scripted-modules")
    for module in MODULES:
        cmake = REPOSITORY / module / "CMakeLists.txt"
        for name in listed(cmake, "MODULE_PYTHON_SCRIPTS") + listed(cmake, "MODULE_PYTHON_RESOURCES"):
            target = folder / name
            assert not target.exists(), f"two modules install {name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / module / name, target)
    for name in listed(REPOSITORY / "CMakeLists.txt", "SHARED_RESOURCES"):
        shutil.copytree(REPOSITORY / "Resources" / name, folder / "Resources" / name)
    return folder


@pytest.fixture(scope="module")
def opened(flat: Path) -> dict[str, object]:
    """What the three panels have when they are opened there."""
    arguments = [str(flat), str(REPOSITORY / "Testing"), *MODULES]
    done = subprocess.run(
        [sys.executable, "-c", _OPEN_ALL, *arguments],
        cwd=flat,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_the_panels_open_with_files_of_the_installation_only(flat: Path, opened: dict[str, object]) -> None:
    files = [Path(str(name)).resolve() for name in opened["files"] if name]  # type: ignore[attr-defined]
    assert files
    assert [path for path in files if flat.resolve() not in path.parents] == []
    assert opened["models"] == 1
    assert str(opened["sample"]).startswith(flat.as_uri())


@pytest.mark.parametrize(("number", "words"), [(0, "none.nii"), (1, "none"), (2, "none")])
def test_the_child_processes_find_their_libraries(
    flat: Path, opened: dict[str, object], number: int, words: str
) -> None:
    """Each of them gets as far as the input that is not there."""
    line, folder = opened["commands"][number]  # type: ignore[index]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "error"
    assert words in done.stdout
