"""The sample scan in Slicer's module Sample Data."""

from __future__ import annotations

from pathlib import Path

import slicer

from CMBNetLib.resources import resource_path

NAME = "CMBNetSample"
FILE = "SampleData/CMBNetSample_swi.nii.gz"


def sample_scan_path() -> Path:
    """The file of the sample scan; `EnvironmentProblem` if it was not installed."""
    return resource_path(FILE)


def register_sample_scan(icon: str) -> None:
    """Offer the shipped scan in Sample Data; nothing is downloaded.

    Parameters
    ----------
    icon
        Path of the picture shown there.
    """
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # Slicer 5.12
        logic.registerCustomSampleDataCategory("CMBNet", title="Cerebral microbleeds")
    logic.registerCustomSampleDataSource(
        category="CMBNet",
        sampleName=NAME,
        uris=sample_scan_path().as_uri(),
        fileNames=sample_scan_path().name,
        nodeNames=NAME,
        # Slicer keeps a copy by file name; without the checksum it would go on using that of an older version.
        checksums=f"SHA256:{slicer.util.computeChecksum('SHA256', str(sample_scan_path()))}",
        thumbnailFileName=icon,
    )
