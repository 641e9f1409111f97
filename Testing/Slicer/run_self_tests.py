"""Runs the self-tests of the modules inside the application and ends it with an exit code.

    Slicer --testing --no-splash --additional-module-paths CMBNet CMBNetTraining CMBNetEvaluation \
        --python-script run_self_tests.py [--install] [--pictures DIR] [MODULE ...]

Exit codes: 0 all passed, 1 one failed, 3 one could not run here because packages are missing.
`make test-slicer SLICER=/path/to/Slicer` starts it; more arguments by `SLICER_TEST_ARGS`.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import slicer

MODULES = ("CMBNet", "CMBNetTraining", "CMBNetEvaluation")
PASSED, FAILED, NOT_RUN = "passed", "FAILED", "NOT RUN"
EXIT_CODES = {PASSED: 0, FAILED: 1, NOT_RUN: 3}


def main(arguments: Sequence[str]) -> int:
    """Run the self-tests and print one line for each; returns the exit code."""
    args = _parsed(arguments)
    _print_versions()
    if args.install and not _install():
        return EXIT_CODES[NOT_RUN]
    results = {name: _run(name) for name in args.modules or MODULES}
    if args.pictures is not None:
        _take_pictures(results, args.pictures)
    for name, (outcome, seconds, reason) in results.items():
        print(f"{name:<20} {outcome:<8} {seconds:6.1f} s  {reason}".rstrip())
    outcomes = {outcome for outcome, _seconds, _reason in results.values()}
    worst = next((outcome for outcome in (FAILED, NOT_RUN) if outcome in outcomes), PASSED)
    print(f"Self-tests: {worst}", flush=True)
    return EXIT_CODES[worst]


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run_self_tests.py", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="default: all three")
    parser.add_argument("--install", action="store_true", help="install the detector's packages first")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write a picture of each panel")
    return parser.parse_args(list(arguments))


def _print_versions() -> None:
    import numpy
    import vtk

    application = f"{slicer.app.applicationName} {slicer.app.applicationVersion}"
    python, toolkit = sys.version.split()[0], vtk.vtkVersion.GetVTKVersion()
    print(f"{application}, Python {python}, VTK {toolkit}, numpy {numpy.__version__}")


def _install() -> bool:
    """Install what is missing; whether all is there now."""
    from CMBNetSlicer.package_installer import PackageInstaller

    return PackageInstaller().install(lambda state: print(state.text, flush=True)).kind == "ready"


def _run(name: str) -> tuple[str, float, str]:
    """(outcome, seconds, reason) of one self-test."""
    if name not in slicer.selfTests:
        return FAILED, 0.0, "the module was not loaded"
    start = time.monotonic()
    try:
        slicer.selfTests[name]()
        outcome, reason = PASSED, ""
    except unittest.SkipTest as skipped:
        outcome, reason = NOT_RUN, str(skipped)
    except Exception as error:  # whatever a test raises is its result
        traceback.print_exc()
        outcome, reason = FAILED, f"{type(error).__name__}: {error}"
    return outcome, time.monotonic() - start, reason


def _take_pictures(results: dict[str, Any], folder: Path) -> None:
    """Write what the panels look like after the tests."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in results:
        slicer.util.selectModule(name)
        slicer.app.processEvents()
        path = folder / f"{name}.png"
        getattr(slicer.modules, name.lower()).widgetRepresentation().grab().save(str(path))
        print(f"Picture: {path}", flush=True)


if __name__ == "__main__":
    slicer.util.exit(main(sys.argv[1:]))
