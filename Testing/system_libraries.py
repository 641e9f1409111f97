"""Says which shared libraries of the system the Scene and Panels tests lack, and installs them if it may.

The wheels of Qt and VTK bring everything except what belongs to the graphics stack of the system. A fresh
Debian or Ubuntu has none of it. Standard library only: this runs before anything is imported that needs
those libraries.

    python Testing/system_libraries.py [--install]
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys

# Found with ldd over the wheels of PySide6_Essentials 6.12 and vtk 9.6.2.
DEBIAN_PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}


def missing_libraries() -> list[str]:
    """Names of the shared libraries that the loader cannot open; empty where this is not Linux."""
    if not sys.platform.startswith("linux"):
        return []
    return [name for name in DEBIAN_PACKAGES if not _loads(name)]


def explanation(missing: list[str]) -> str:
    """One sentence: what is missing and the command that brings it."""
    packages = " ".join(DEBIAN_PACKAGES[name] for name in missing)
    return (
        f"The Scene and Panels tests need system libraries that are missing here: {', '.join(missing)}. "
        f"On Debian or Ubuntu: sudo apt-get install {packages}"
    )


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install(missing: list[str]) -> None:
    packages = [DEBIAN_PACKAGES[name] for name in missing]
    print(f"== Installing system libraries with apt-get: {' '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--install", action="store_true", help="use apt-get if this is root on Debian")
    arguments = parser.parse_args()
    missing = missing_libraries()
    if missing and arguments.install and _may_install():
        _install(missing)
        missing = missing_libraries()
    if missing:
        # Not an error: the other layers still run, and pytest repeats the sentence in its summary.
        print(explanation(missing), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
