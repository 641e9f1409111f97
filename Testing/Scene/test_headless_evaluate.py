"""Evaluation without any window: the script for `--python-script` ends with the exit code of the command."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import slicer

from CMBNetSlicer.evaluation_self_test import write_example

SCRIPT = Path(__file__).resolve().parents[2] / "CMBNet" / "CMBNetSlicer" / "headless_evaluate.py"


def run_script(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> list[int]:
    """Run the file as Slicer does and return the codes it asked Slicer to end with."""
    codes: list[int] = []
    monkeypatch.setattr(slicer.util, "exit", codes.append)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return codes


def test_the_script_evaluates_and_ends_with_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_example(tmp_path)
    folders = ["--predictions", tmp_path / "predictions", "--references", tmp_path / "references"]
    assert run_script(monkeypatch, *folders, "-o", tmp_path / "out") == [0]
    assert (tmp_path / "out" / "evaluation.json").exists()


@pytest.mark.parametrize("arguments", [("--no-such-option",), ("-o", "out"), ("--predictions", "nowhere", "-o", "out")])
def test_bad_input_ends_with_2(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_script(monkeypatch, *arguments) == [2]
