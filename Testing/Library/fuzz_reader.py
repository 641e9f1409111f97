"""Reads the scans named on stdin, one a line, in a process of its own: a crash or hang of a reader stays in here.

For each it prints one JSON line: the refusal, or where it saved the voxels it read. Run by test_fuzz_input.
"""

from __future__ import annotations

import faulthandler
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "CMBNet"))

from CMBNetLib.errors import CMBNetError
from CMBNetLib.volume import read_volume

MOST_SECONDS = 20.0


def outcome(path: Path) -> dict[str, Any]:
    """What became of one scan: "refused", "read" or "bug"."""
    try:
        volume = read_volume(path)
    except CMBNetError as error:
        return {"outcome": "refused", "message": str(error), "exit_code": error.exit_code}
    except Exception:
        return {"outcome": "bug", "message": traceback.format_exc()}
    saved = path.with_name(path.name + ".read.npy")
    np.save(saved, volume.array)
    warnings = volume.metadata["warnings"]
    return {"outcome": "read", "voxels": str(saved), "ijk_to_ras": volume.ijk_to_ras.tolist(), "warnings": warnings}


def main() -> None:
    for line in sys.stdin:
        faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
        found = outcome(Path(json.loads(line)))
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
