"""The packages of the panel: a state line, and a button that installs what is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from CMBNetSlicer.package_installer import PackageInstaller, PackageState


class PackagesSection:
    """Shows the state of the packages.

    Parameters
    ----------
    ui
        The named widgets of the panel.
    installer
        Looks and installs.
    on_change
        Called when the state may have changed.

    Attributes
    ----------
    installer : PackageInstaller
        The one in use; another one may take its place.
    state : PackageState
        What is shown.
    """

    def __init__(self, ui: Any, installer: PackageInstaller, on_change: Callable[[], None]) -> None:
        self._ui, self.installer, self._on_change = ui, installer, on_change
        self.state = installer.state()
        ui.installButton.clicked.connect(self._install)
        ui.packagesCollapsibleButton.collapsed = True
        self._show(self.state)

    @property
    def ready(self) -> bool:
        """Whether a detection can run."""
        return self.state.kind == "ready"

    def refresh(self) -> None:
        """Look again; packages come and go without us."""
        self._show(self.installer.state())

    def _install(self, _checked: bool = False) -> None:
        self._ui.installButton.enabled = False
        self.installer.install(self._show)
        self._on_change()

    def _show(self, state: PackageState) -> None:
        self.state = state
        if state.kind != "ready":  # the user has to act, or to know why it takes so long
            self._ui.packagesCollapsibleButton.collapsed = False
        self._ui.packagesLabel.text = state.text
        self._ui.packagesCollapsibleButton.text = _title(state.kind)
        self._ui.installButton.enabled = state.kind in ("missing", "failed") or bool(state.missing)
        self._ui.installButton.text = _("Try again") if state.kind == "failed" else _("Install packages")
        if state.kind == "installing":
            slicer.app.processEvents()  # pip blocks: the line must be on the screen before


def _title(kind: str) -> str:
    """The title of the section, which shows while the section is closed too."""
    return {
        "ready": _("Packages: ready"),
        "missing": _("Packages: missing"),
        "installing": _("Packages: installing"),
        "failed": _("Packages: installation failed"),
    }[kind]
