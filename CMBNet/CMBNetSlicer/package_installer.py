"""Whether the detector's packages are there, and getting them: only when the user clicks."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer

from CMBNetLib.command_system import NEEDED

TORCH = "torch"
TORCH_VERSIONS = ">=2.2,!=2.9.*"
# 2.9 runs 3D convolutions under autocast about 4 times slower (github.com/pytorch/pytorch/issues/166122).
OLDEST_TORCH, SLOW_TORCH = (2, 2), (2, 9)
# Not needed to find microbleeds; report and evaluation take the first two, training takes monai. Of monai pip picks the
# version that fits the torch that is there.
MORE_PACKAGES = (("jinja2", "jinja2"), ("matplotlib", "matplotlib"), ("monai", "monai"))
# Slicer brings these along and breaks when pip replaces them, so pip is held to the versions that are there.
BUNDLED = ("numpy", "scipy", "SimpleITK", "pydicom", "requests", "Pillow", "packaging")


@dataclass(frozen=True)
class PackageState:
    """What the state line shows.

    Attributes
    ----------
    kind : str
        ``ready``, ``missing``, ``installing`` or ``failed``.
    text : str
        A sentence for the user.
    missing : tuple of str
        Import names of what is not there; in the state ``ready`` detection does not need them.
    """

    kind: str
    text: str
    missing: tuple[str, ...] = ()


def find_package(name: str) -> bool:
    """Whether a package can be imported. It is not: importing torch here would pin its libraries in Slicer."""
    return name in sys.modules or importlib.util.find_spec(name) is not None


def reason_packages_are_missing(*names: str) -> str:
    """What a user of another module has to do to get these packages; empty when they are there."""
    missing = [name for name in names if not find_package(name)]
    if not missing:
        return ""
    return f"Missing: {', '.join(missing)}. Open the module CMBNet and press Install packages (section Packages)."


def package_version(name: str) -> str | None:
    """Installed version by distribution name, without importing the package; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def install_torch(requirement: str) -> None:
    """Install torch for this computer's GPU with the PyTorch extension; with pip where the extension is missing.

    Raises
    ------
    RuntimeError
        The user declined, or the installation failed.
    """
    if not find_package("PyTorchUtils"):
        install_with_pip([f"{TORCH}{requirement}"], None)
        return
    import PyTorchUtils

    torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=requirement)
    if torch is None:
        raise RuntimeError("PyTorch was not installed: the installation was declined")


def install_with_pip(requirements: Sequence[str], constraints: Path | None) -> None:
    """Install with Slicer's own pip function; blocks, and must be called on the main thread."""
    if importlib.util.find_spec("slicer.packaging") is not None:  # Slicer 5.12: shows a window with the log
        packaging = importlib.import_module("slicer.packaging")
        packaging.pip_install(list(requirements), constraints=constraints, requester="CMBNet")
        return
    held = ["--constraint", str(constraints)] if constraints else []
    slicer.util.pip_install([*held, *requirements])


@dataclass
class PackageInstaller:
    """State and installation of the packages.

    Parameters
    ----------
    finder, version_of, torch_installer, pip
        What asks and installs; tests pass their own.
    """

    finder: Callable[[str], bool] = find_package
    version_of: Callable[[str], str | None] = package_version
    torch_installer: Callable[[str], None] = install_torch
    pip: Callable[[Sequence[str], Path | None], None] = install_with_pip
    _failure: str = field(default="", init=False)

    def state(self) -> PackageState:
        """The state now."""
        missing = self._missing(needed=True)
        if not missing:
            wanted = tuple(name for name, _ in self._missing(needed=False))
            return _with_torch(self.version_of(TORCH), wanted)
        names = ", ".join(name for name, _ in missing)
        modules = tuple(name for name, _ in missing)
        if self._failure:
            return PackageState("failed", f"Installation failed: {self._failure}. Missing: {names}.", modules)
        return PackageState("missing", f"Missing: {names}. Detection needs them once.", modules)

    def install(self, on_state: Callable[[PackageState], None]) -> PackageState:
        """Install what is missing, torch first; blocks. ``on_state`` is told before each step and at the end."""
        self._failure = ""
        try:
            if not self.finder(TORCH):
                on_state(PackageState("installing", "Installing PyTorch (some minutes)…"))
                self.torch_installer(TORCH_VERSIONS)
                importlib.invalidate_caches()
            self._install_rest(on_state)
        except (Exception, SystemExit) as error:  # whatever pip, PyTorchUtils or a declined dialog raise, is shown
            self._failure = _one_line(error)
        importlib.invalidate_caches()
        state = self.state()
        if state.kind == "missing":
            self._failure = "pip reported success, but packages are still missing. Restart Slicer and look again"
            state = self.state()
        on_state(state)
        return state

    def _install_rest(self, on_state: Callable[[PackageState], None]) -> None:
        requirements = [requirement for name, requirement in self._missing(needed=False) if name != TORCH]
        if not requirements:
            return
        on_state(PackageState("installing", f"Installing {', '.join(requirements)}…"))
        with tempfile.TemporaryDirectory(prefix="CMBNet-") as folder:
            constraints = Path(folder) / "constraints.txt"
            constraints.write_text("".join(self._held()), encoding="utf-8")
            self.pip(requirements, constraints)

    def _held(self) -> list[str]:
        versions = ((name, self.version_of(name)) for name in (TORCH, *BUNDLED))
        # A local version such as 2.8.0+cu126 is kept: without it pip would take the other build for another version.
        return [f"{name}=={version}\n" for name, version in versions if version]

    def _missing(self, *, needed: bool) -> list[tuple[str, str]]:
        """(import name, requirement) of what is not there, without those of `MORE_PACKAGES` if ``needed``."""
        wanted = [(name, requirement) for name, requirement, _use in NEEDED]
        wanted += [] if needed else list(MORE_PACKAGES)
        return [(name, requirement) for name, requirement in wanted if not self.finder(name)]


def _with_torch(version: str | None, wanted: tuple[str, ...] = ()) -> PackageState:
    """The state when all that detection needs is there, judged by the version of torch (None: it carries none)."""
    numbers = re.match(r"(\d+)\.(\d+)", version or "")
    release = (int(numbers[1]), int(numbers[2])) if numbers else None
    if release is not None and release < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        reason = f"PyTorch {version} is too old, {oldest} is needed. Uninstall it with the module PyTorch Utils"
        return PackageState("failed", f"{reason}, restart Slicer, and install again.", (TORCH,))
    remark = " This version is slow with 3D networks; another one is better." if release == SLOW_TORCH else ""
    ready = f"Ready (PyTorch {version})." if version else "Ready."
    more = f" Missing for report, evaluation or training: {', '.join(wanted)}." if wanted else ""
    return PackageState("ready", ready + remark + more, wanted)


def _one_line(error: Any) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")
