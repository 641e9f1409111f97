"""Runs headless_detect.py as `Slicer --no-main-window --python-script` does, with the fake detector behind it.

python headless_runner.py MODE SCAN -o DIR [options]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "Testing"), str(REPOSITORY / "CMBNet")]

import host  # noqa: E402

application = host.start(main_window=False)

from CMBNetSlicer import headless_detect  # noqa: E402
from CMBNetSlicer.job_command import JobCommand  # noqa: E402


def fake_command(scan: Path, output: Path, settings: Any) -> JobCommand:
    """The command of the fake detector."""
    script = REPOSITORY / "Testing" / "Panels" / "fake_detector.py"
    arguments = (str(script), sys.argv[1], str(scan), "-o", str(output), *settings.arguments())
    return JobCommand(sys.executable, arguments, str(REPOSITORY))


assert application.layoutManager() is None
headless_detect.detect_command = fake_command
headless_detect.slicer.util.exit(headless_detect.main(sys.argv[2:]))
sys.exit(application.exit_code)
