"""The command line: one table of commands, one place where errors become exit codes."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from .errors import CMBNetError, EnvironmentProblem
from .files import remove_open_outputs
from .progress import ConsoleProgress, JsonProgress, Progress, install_signal_handlers

# Command -> module with HELP, add_arguments(parser) and run(args, progress) -> exit code. Only the one that is called
# is imported: the help text of `cmbnet` needs no torch.
COMMANDS = {
    "detect": ("CMBNetLib.command_detect", "find the microbleeds of a scan"),
    "model": ("CMBNetLib.command_model", "list, show, verify or import models"),
    "system": ("CMBNetLib.command_system", "what this machine has, what is missing and how to get it"),
    "evaluate": ("CMBNetEvaluationLib.command_evaluate", "compare detections or readings with a reference"),
    "readings": ("CMBNetEvaluationLib.command_readings", "masks, consensus, training data, progress of readings"),
    "curate": ("CMBNetTrainingLib.command_curate", "bring data sets into one clean collection"),
    "synthesize": ("CMBNetTrainingLib.command_synthesize", "simulate scans with known microbleeds from label maps"),
    "train": ("CMBNetTrainingLib.command_train", "train a model, or go on with a training that was stopped"),
    "export": ("CMBNetTrainingLib.command_export", "make a model of a training run"),
}
BUG = 1
# In Slicer nobody has a command line; the panels show this sentence too.
_HOW_TO_GET_IT = "In Slicer: module CMBNet, section Packages. Elsewhere `cmbnet system` says what to install."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0 done, 2 bad input, 3 environment, 4 cancelled, 1 a bug (its traceback goes to stderr).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(arguments)
    args = parser.parse_args(arguments)
    progress: Progress = JsonProgress() if args.json_events else ConsoleProgress()
    try:
        install_signal_handlers(progress)
        return _run(args, progress)
    finally:
        progress.close()
        remove_open_outputs()


def _run(args: argparse.Namespace, progress: Progress) -> int:
    try:
        return int(args.run(args, progress))
    except CMBNetError as error:
        progress.error(error)
        return error.exit_code
    except ModuleNotFoundError as error:
        problem = EnvironmentProblem(f"The package {error.name} is missing. {_HOW_TO_GET_IT}")
        problem.__cause__ = error
        progress.error(problem)
        return problem.exit_code
    except KeyboardInterrupt:
        return 4
    except Exception as error:
        # A program that reads the events is told too; the traceback is for the report of the bug.
        progress.error(CMBNetError(f"This is a bug in SlicerCMBNet, please report it: {type(error).__name__}: {error}"))
        import traceback

        traceback.print_exc()
        return BUG


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cmbnet",
        description="Find cerebral microbleeds on SWI and T2*-weighted MRI. For research use, not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"cmbnet {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    for name, (module_name, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == wanted:
            module = importlib.import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
        command.add_argument("--json-events", action="store_true", help="print one JSON object a line, for programs")
    return parser


def _version() -> str:
    try:
        return version("slicercmbnet")
    except PackageNotFoundError:  # inside Slicer the libraries are not installed by pip
        return f"in {os.path.dirname(os.path.abspath(__file__))}"
