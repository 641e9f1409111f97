"""What every test layer shares.

`repository`: the root of the checkout. `shared_data`: real scans beside the checkout, if they are there.
Layers bring their own fixtures in `Testing/<Layer>/conftest.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
# A pytest without the paths of pyproject.toml (another rootdir) still finds the libraries.
for folder in ("Testing/Library", "Testing", "CMBNetTraining", "CMBNetEvaluation", "CMBNet"):
    if str(REPOSITORY / folder) not in sys.path:
        sys.path.insert(0, str(REPOSITORY / folder))

from system_libraries import explanation, missing_libraries  # noqa: E402

GRAPHICS_LAYERS = ("Scene", "Panels")
MISSING = missing_libraries()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Pictures for the documentation are written only when somebody asks: a test run leaves the checkout as it is."""
    parser.addoption("--pictures", action="store_true", help="write what tests draw to Resources/Screenshots")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the layers that cannot even be imported without the graphics libraries."""
    if MISSING and any(collection_path == REPOSITORY / "Testing" / layer for layer in GRAPHICS_LAYERS):
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: one that begins last keeps one worker busy and the others waiting."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in the summary that two layers did not run, so that a green line is not misread."""
    if MISSING:
        terminalreporter.section("NOT RUN: Testing/Scene and Testing/Panels", yellow=True)
        terminalreporter.line(explanation(MISSING))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder `shared/data` beside the checkout with real scans; the test is skipped where it is missing."""
    for folder in (REPOSITORY.parent / "shared" / "data", REPOSITORY / "shared" / "data"):
        if folder.is_dir():
            return folder
    pytest.skip("real scans (../shared/data) are not on this machine")
