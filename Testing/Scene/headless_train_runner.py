"""Runs headless_train.py as `Slicer --no-main-window --python-script` does.

python headless_train_runner.py CONFIG -o RUN [options]
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "Testing"), str(REPOSITORY / "CMBNet")]

import host  # noqa: E402

application = host.start(main_window=False)

from CMBNetSlicer import headless_train  # noqa: E402

assert application.layoutManager() is None
code = headless_train.main(sys.argv[1:])
assert "torch" not in sys.modules, "torch belongs into the child process"
headless_train.slicer.util.exit(code)
sys.exit(application.exit_code)
