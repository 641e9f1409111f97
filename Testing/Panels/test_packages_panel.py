"""The packages of the detector: what the state line says, what is installed in which order, and what can fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import slicer
from panel_driver import PanelDriver, add_scan

from CMBNetSlicer import package_installer
from CMBNetSlicer.package_installer import PackageInstaller, PackageState, find_package

NUMPY = "2.4.6"


@dataclass
class Computer:
    """A computer without the packages, and what was done to it."""

    packages: set[str] = field(default_factory=lambda: {"SimpleITK", "numpy", "scipy", "jinja2", "matplotlib", "monai"})
    torch: str | None = None
    done: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    problem: Exception | None = None
    useless: bool = False

    def installer(self) -> PackageInstaller:
        return PackageInstaller(self.packages.__contains__, self.version_of, self.install_torch, self.pip)

    def version_of(self, name: str) -> str | None:
        return {"torch": self.torch, "numpy": NUMPY}.get(name)

    def install_torch(self, requirement: str) -> None:
        self.done.append(f"torch{requirement}")
        if self.problem is not None:
            raise self.problem
        self.packages.add("torch")
        self.torch = "2.8.0+cu126"

    def pip(self, requirements: Sequence[str], constraints: Path | None) -> None:
        self.done += requirements
        if self.problem is not None:
            raise self.problem
        assert constraints is not None
        self.constraints = constraints.read_text().split()
        if not self.useless:
            self.packages |= {"safetensors", "cc3d", "skimage"}


def test_what_is_missing_is_named() -> None:
    state = Computer().installer().state()
    assert state.kind == "missing"
    assert state.missing == ("torch", "safetensors", "cc3d", "skimage")
    assert state.text.startswith("Missing: torch, safetensors, cc3d, skimage.")


def test_torch_comes_first_and_the_rest_is_held_to_what_is_there() -> None:
    computer, told = Computer(), []
    state = computer.installer().install(told.append)
    assert computer.done == ["torch>=2.2,!=2.9.*", "safetensors", "connected-components-3d", "scikit-image"]
    assert computer.constraints == ["torch==2.8.0+cu126", f"numpy=={NUMPY}"]
    assert [each.kind for each in told] == ["installing", "installing", "ready"]
    assert state.text == "Ready (PyTorch 2.8.0+cu126)."


def test_the_torch_that_is_there_stays() -> None:
    computer = Computer(torch="2.7.1")
    computer.packages |= {"torch"}
    computer.packages -= {"jinja2"}
    computer.installer().install(lambda state: None)
    assert computer.done == ["safetensors", "connected-components-3d", "scikit-image", "jinja2"]
    assert computer.constraints[0] == "torch==2.7.1"


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (RuntimeError("PyTorch was not installed: the installation was declined"), "the installation was declined"),
        (subprocess.CalledProcessError(1, "pip install"), "returned non-zero exit status 1"),
        (OSError("No space left on device"), "No space left on device"),
        (SystemExit(2), "2"),
    ],
)
def test_a_failure_is_told_with_its_reason_and_can_be_tried_again(problem: Exception, reason: str) -> None:
    computer = Computer(problem=problem)
    installer = computer.installer()
    state = installer.install(lambda state: None)
    assert state.kind == "failed"
    assert state.text.startswith("Installation failed: ")
    assert f"{reason}. Missing: torch, safetensors" in state.text
    assert len(computer.done) == 1, "nothing is installed after a failure"
    computer.problem = None
    assert installer.install(lambda state: None).kind == "ready"


def test_a_pip_that_installs_nothing_is_no_success() -> None:
    state = Computer(useless=True).installer().install(lambda state: None)
    assert state.kind == "failed"
    assert "still missing. Restart Slicer" in state.text


@pytest.mark.parametrize(
    ("version", "kind", "words"),
    [
        ("2.2.2", "ready", "Ready (PyTorch 2.2.2)."),
        ("2.9.1+cpu", "ready", "slow with 3D networks"),
        ("1.13.1", "failed", "PyTorch 1.13.1 is too old, 2.2 is needed."),
        (None, "ready", "Ready."),
        ("unknown", "ready", "Ready (PyTorch unknown)."),
    ],
)
def test_the_version_of_torch_is_judged(version: str | None, kind: str, words: str) -> None:
    computer = Computer(torch=version)
    computer.packages |= {"torch", "safetensors", "cc3d", "skimage"}
    state = computer.installer().state()
    assert state.kind == kind
    assert words in state.text


def test_looking_for_a_package_does_not_import_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "explodes").mkdir()
    (tmp_path / "explodes" / "__init__.py").write_text("raise SystemError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_package("explodes")
    assert "explodes" not in sys.modules
    assert not find_package("no_such_package_anywhere")


class TorchLogic:
    """What the module PyTorch Utils of the PyTorch extension offers."""

    answer: Any = object()
    asked: tuple[Any, ...] = ()

    def installTorch(self, askConfirmation: bool = False, torchVersionRequirement: str | None = None) -> Any:
        TorchLogic.asked = (askConfirmation, torchVersionRequirement)
        return TorchLogic.answer


def test_torch_is_installed_by_the_pytorch_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=TorchLogic))
    package_installer.install_torch(">=2.2")
    assert TorchLogic.asked == (True, ">=2.2")
    monkeypatch.setattr(TorchLogic, "answer", None)
    with pytest.raises(RuntimeError, match="declined"):
        package_installer.install_torch(">=2.2")


def test_pip_is_slicers_own_old_and_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    held = tmp_path / "constraints.txt"
    monkeypatch.setattr(slicer.util, "pip_install", calls.append)
    monkeypatch.setattr(package_installer.importlib.util, "find_spec", lambda name: None)
    package_installer.install_with_pip(["safetensors"], held)  # Slicer 5.10
    assert calls == [["--constraint", str(held), "safetensors"]]
    packaging = SimpleNamespace(pip_install=lambda *args, **options: calls.append((args, options)))
    monkeypatch.setattr(package_installer.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(package_installer.importlib, "import_module", lambda name: packaging)
    package_installer.install_with_pip(["safetensors"], held)
    assert calls[1] == ((["safetensors"],), {"constraints": held, "requester": "CMBNet"})


def test_the_panel_installs_on_a_click_and_then_detects(panel: PanelDriver) -> None:
    computer = Computer(problem=OSError("No space left on device"))
    panel.choose_scan(add_scan())
    panel.use_installer(computer.installer())
    ui = panel.ui
    assert ui.packagesLabel.text.startswith("Missing: torch")
    assert not ui.packagesCollapsibleButton.collapsed
    assert not ui.detectButton.enabled
    assert ui.detectButton.toolTip == "Install the packages first (section Packages)."
    assert computer.done == [], "nothing is installed before the click"
    ui.installButton.click()
    assert ui.packagesLabel.text.startswith("Installation failed: No space left on device")
    assert ui.installButton.text == "Try again"
    computer.problem = None
    ui.installButton.click()
    assert ui.packagesLabel.text == "Ready (PyTorch 2.8.0+cu126)."
    assert not ui.installButton.enabled
    assert ui.detectButton.enabled


def test_the_state_is_on_the_screen_while_pip_blocks(panel: PanelDriver) -> None:
    shown = []

    class Installer:
        def state(self) -> PackageState:
            return PackageState("missing", "Missing: torch.", ("torch",))

        def install(self, on_state: Any) -> None:
            on_state(PackageState("installing", "Installing PyTorch (some minutes)…"))
            shown.append((panel.ui.packagesLabel.text, panel.ui.installButton.enabled))

    panel.use_installer(Installer())
    panel.ui.installButton.click()
    assert shown[-1] == ("Installing PyTorch (some minutes)…", False)
