"""The script of `make test-slicer`: its exit codes, also when a module is missing or a package is."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import slicer
from panel_driver import REPOSITORY

import host

SCRIPT = REPOSITORY / "Testing" / "Slicer" / "run_self_tests.py"


@pytest.fixture
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_self_tests", SCRIPT)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module


def passes() -> None:
    pass


def fails() -> None:
    raise AssertionError("three is not four")


def cannot_run() -> None:
    raise unittest.SkipTest("torch is missing")


@pytest.mark.parametrize(
    ("tests", "code", "words"),
    [
        ((passes, passes), 0, "Self-tests: passed"),
        ((passes, fails), 1, "AssertionError: three is not four"),
        ((cannot_run, passes), 3, "torch is missing"),
        ((cannot_run, fails), 1, "Self-tests: FAILED"),
    ],
)
def test_the_exit_code_tells_the_worst_outcome(
    runner: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tests: tuple[Callable[[], None], ...],
    code: int,
    words: str,
) -> None:
    monkeypatch.setattr(slicer, "selfTests", {"A": tests[0], "B": tests[1]})
    assert runner.main(["A", "B"]) == code
    assert words in capsys.readouterr().out


def test_a_module_that_did_not_load_is_a_failure(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slicer, "selfTests", {})
    assert runner.main([]) == 1
    assert capsys.readouterr().out.count("the module was not loaded") == 3


def test_pictures_of_the_panels_are_written(runner: ModuleType, tmp_path: Path) -> None:
    host.load_module(REPOSITORY / "CMBNetTraining" / "CMBNetTraining.py")
    assert runner.main(["CMBNetTraining", "--pictures", str(tmp_path)]) == 0
    assert (tmp_path / "CMBNetTraining.png").read_bytes().startswith(b"\x89PNG")


def test_make_starts_the_application_with_the_modules_the_script_and_its_arguments(tmp_path: Path) -> None:
    slicer_app = tmp_path / "Slicer with a blank"
    slicer_app.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n", encoding="utf-8")
    slicer_app.chmod(0o755)
    words = [f"SLICER={slicer_app}", "SLICER_TEST_ARGS=--install CMBNet"]
    command = ["make", "--no-print-directory", "test-slicer", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    arguments = json.loads(done.stdout.splitlines()[-1])
    assert arguments[:2] == ["--testing", "--no-splash"]
    folders = [str(REPOSITORY / name) for name in ("CMBNet", "CMBNetTraining", "CMBNetEvaluation")]
    assert arguments[2:] == [
        "--additional-module-paths", *folders, "--python-script", str(SCRIPT), "--install", "CMBNet"
    ]  # fmt: skip


def test_make_asks_for_the_application(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "test-slicer", "SLICER="], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "make test-slicer SLICER=/path/to/Slicer" in done.stdout
