"""The script of `make test-slicer`: its exit codes, also when a module is missing or a package is."""

from __future__ import annotations

import importlib.util
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
