"""Runs curations in forked processes, so that a test can kill many without waiting for imports.

Reads a JSON list of arguments of ``cmbnet`` a line; answers with the process id, then with the wait status.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import redirect_stdout

from CMBNetLib.cli import main
from CMBNetTrainingLib import command_curate, curation_run  # noqa: F401  (imported once, before any fork)


def serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
                os._exit(main(json.loads(line)))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    serve()
