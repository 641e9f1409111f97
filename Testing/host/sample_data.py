"""The registration half of Slicer's SampleData module; nothing is downloaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import slicer


class SampleDataLogic:
    """Keeps what modules register where Slicer keeps it."""

    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str) -> None:
        """Name a category for the user (Slicer 5.12 and later)."""
        titles = slicer.modules.__dict__.setdefault("sampleDataSourceCategories", {})
        titles.setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFiles: Any = None,
        loadFileProperties: Any = None,
        checksums: Any = None,
        loadFileType: Any = None,
    ) -> None:
        """Add a data set to a category."""
        sources = slicer.modules.__dict__.setdefault("sampleDataSources", {})
        values = {name: value for name, value in locals().items() if name not in ("category", "sources")}
        sources.setdefault(category, []).append(SimpleNamespace(**values))
