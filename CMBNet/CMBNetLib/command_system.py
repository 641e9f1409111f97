"""``cmbnet system``: packages, versions, devices, and what is missing."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from .progress import ConsoleProgress, Progress

# Import name, name to install, what cannot be done without it.
NEEDED = (
    ("torch", "torch>=2.2,!=2.9.*", "detection"),
    ("safetensors", "safetensors", "detection"),
    ("cc3d", "connected-components-3d", "detection"),
    ("SimpleITK", "SimpleITK", "detection"),
    ("numpy", "numpy", "detection"),
    ("scipy", "scipy", "detection"),
    ("skimage", "scikit-image", "detection"),
)
OPTIONAL = (
    ("pydicom", "pydicom", "DICOM metadata"),
    ("jinja2", "jinja2", "the report"),
    ("matplotlib", "matplotlib", "the overview picture"),
    ("rich", "rich", "the progress bar"),
    ("pandas", "pandas", "evaluation"),
    ("monai", "monai", "training"),
    ("highdicom", "highdicom", "DICOM export"),
)


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """The command has no arguments of its own."""


def run(_args: argparse.Namespace, progress: Progress) -> int:
    """Tell what is there; the exit code is 3 when detection cannot run."""
    report = system_report()
    if isinstance(progress, ConsoleProgress):
        print("\n".join(_lines(report)))
    progress.result(report)
    return 0 if report["ready"] else 3


def system_report() -> dict[str, Any]:
    """Packages with versions (None: missing), devices, what is missing and how to get it, whether detection can run.

    Packages are looked up, not imported; only torch is imported, where it is there, to ask for GPUs.
    """
    packages = {module: package_version(module, name) for module, name, _ in (*NEEDED, *OPTIONAL)}
    missing = [
        {"package": module, "how": f'pip install "{name}"', "needed_for": use}
        for module, name, use in (*NEEDED, *OPTIONAL)
        if packages[module] is None
    ]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "devices": _devices() if packages["torch"] else [],
        "missing": missing,
        "ready": all(packages[module] is not None for module, _, _ in NEEDED),
    }


def package_version(module: str, requirement: str | None = None) -> str | None:
    """Version of an installed package by its import name; None when it is not there."""
    if find_spec(module) is None:
        return None
    name = (requirement or module).split(">")[0].split("=")[0]
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _devices() -> list[dict[str, Any]]:
    import torch

    from .inference import cpu_has_bfloat16, threads

    cpu = {"device": "cpu", "name": platform.processor() or platform.machine(), "threads": threads()}
    devices: list[dict[str, Any]] = [{**cpu, "cores": os.cpu_count(), "bfloat16": cpu_has_bfloat16()}]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        gib = round(properties.total_memory / 1024**3, 1)
        devices.append({"device": f"cuda:{index}", "name": properties.name, "memory_gib": gib})
    return devices


def _lines(report: dict[str, Any]) -> list[str]:
    lines = [f"Python {report['python']} on {report['platform']}"]
    lines += [f"  {name:<12} {found or 'missing'}" for name, found in report["packages"].items()]
    for device in report["devices"]:
        lines.append("  " + ", ".join(f"{key} {value}" for key, value in device.items()))
    lines += [f"Missing for {entry['needed_for']}: {entry['how']}" for entry in report["missing"]]
    return [*lines, "Detection can run." if report["ready"] else "Detection cannot run."]
