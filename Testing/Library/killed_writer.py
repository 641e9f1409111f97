"""Writes the results of a made-up detection again and again, each time in a forked process that may end at once.

Reads JSON lines [output folder, seconds until the writer is killed or null]; answers each with a JSON line
[exit status as of os.waitpid, seconds]. The forks spare the seconds that importing takes. Run by test_kill.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "CMBNet"))

from CMBNetLib.exports import write_results
from detection_example import example_result


def main() -> None:
    result = example_result()
    with tempfile.TemporaryDirectory() as folder:  # imports what is imported late
        write_results(result, folder, probability=True)
    print("ready", flush=True)
    for line in sys.stdin:
        folder, seconds = json.loads(line)
        begin = time.perf_counter()
        child = os.fork()
        if child == 0:
            if seconds is not None:
                # By default SIGALRM ends a process like SIGKILL: no handler and no clean-up runs.
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))
            write_results(result, Path(folder), probability=True)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        print(json.dumps([status, time.perf_counter() - begin]), flush=True)


if __name__ == "__main__":
    main()
