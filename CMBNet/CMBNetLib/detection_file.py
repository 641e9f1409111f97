"""The detection file: everything the detector said about a scan, as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__
from .burden import burden_of
from .counts import summary_text, zone_counts
from .errors import InputError
from .json_schema import first_problem
from .resources import resource_path
from .volume import Volume

if TYPE_CHECKING:
    from .candidates import Candidate
    from .detection import DetectionResult

SCHEMA_VERSION = "1.0"
# What can change a number in the file. Asked for by name, never imported: Slicer lacks some of them.
PACKAGES = ("numpy", "scipy", "SimpleITK", "scikit-image", "connected-components-3d", "torch")
SHAPE_FIELDS = (
    "volume_mm3",
    "equivalent_diameter_mm",
    "max_diameter_mm",
    "elongation",
    "flatness",
    "sphericity",
    "contrast",
)


@lru_cache(maxsize=1)
def detection_schema() -> dict[str, Any]:
    """The JSON Schema of detection files."""
    path = resource_path("Schemas") / f"detection-{SCHEMA_VERSION}.schema.json"
    return json.loads(path.read_text(encoding="utf-8"))


def detection_document(result: DetectionResult) -> dict[str, Any]:
    """The content of a detection file; `files` is empty until whoever writes the files fills it in."""
    candidates = sorted(result.candidates, key=lambda candidate: candidate.id)
    entries = [_candidate(candidate, result.threshold) for candidate in candidates]
    found = [entry for entry in entries if entry["is_microbleed"]]
    document = {
        "schema": "cmbnet-detection",
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "scan": _scan(result.scan),
        "qc": result.qc,
        "model": result.model,
        "settings": {
            **result.settings,
            "operating_point": result.operating_point,
            "threshold": result.threshold,
        },
        "operating_points": result.operating_points,
        "floor_threshold": result.floor_threshold,
        "n_microbleeds": len(found),
        "summary": summary_text(candidates, result.threshold),
        "counts": zone_counts(entry["zone"] for entry in found),
        "candidates": entries,
        "files": {},
        "timings_s": result.timings_s,
        "software": software_versions(),
    }
    if result.model.get("calibration_error") is not None:
        document["burden"] = asdict(burden_of(candidate.score for candidate in candidates))
    return _plain(document)


def read_detection(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check a detection file.

    Returns
    -------
    dict
        The content, as `Docs/file_formats.md` describes it.

    Raises
    ------
    InputError
        No such file, no JSON, another kind of file, a newer major version, or content that contradicts itself.
    """
    path = Path(path)
    content = _load(path)
    if not isinstance(content, dict) or content.get("schema") != "cmbnet-detection":
        raise InputError(f'{path} is no detection file: it lacks "schema": "cmbnet-detection".')
    version = str(content.get("schema_version"))
    if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise InputError(
            f"{path} has the schema version {version}, this program reads {SCHEMA_VERSION}. Update SlicerCMBNet."
        )
    problem = first_problem(content, detection_schema()) or _contradiction(content)
    if problem:
        raise InputError(f"{path} is damaged or was changed by hand: {problem}. Run the detection again.")
    return content


def software_versions() -> dict[str, str]:
    """Versions of the program, Python, the platform and the packages that the numbers depend on."""
    versions = {
        "SlicerCMBNet": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
    }
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # not installed, so no number came from it
    return versions


def _scan(scan: Volume) -> dict[str, Any]:
    path = scan.metadata.get("path")
    return {
        "name": scan.name,
        "path": None if path is None else str(path),
        "fingerprint": scan.fingerprint(),
        "shape_ijk": list(scan.shape_ijk),
        "spacing_mm": [round(edge, 6) for edge in scan.spacing_mm],
        "ijk_to_ras": scan.ijk_to_ras.tolist(),
        "sequence": scan.metadata.get("sequence"),
        "field_strength_t": scan.metadata.get("field_strength_t"),
        "echo_time_ms": scan.metadata.get("echo_time_ms"),
    }


def _candidate(candidate: Candidate, threshold: float) -> dict[str, Any]:
    shape, where = candidate.shape, candidate.location
    return {
        "id": candidate.id,
        "score": candidate.score,
        "is_microbleed": bool(candidate.score >= threshold),
        "center_ras": [round(float(value), 3) for value in candidate.center_ras],
        "n_voxels": candidate.n_voxels,
        **{name: None if shape is None else _rounded(getattr(shape, name)) for name in SHAPE_FIELDS},
        "zone": None if where is None else where.zone,
        "region": None if where is None else where.region,
        "side": None if where is None else where.side,
        "structure": None if where is None else where.structure,
        "location_confidence": None if where is None else _rounded(where.confidence),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 4)


def _plain(value: Any) -> Any:
    """Value with JSON types only: numpy scalars, tuples and paths become what they stand for, NaN null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _load(path: Path) -> Any:
    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is no number")

    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except FileNotFoundError as error:
        raise InputError(f"There is no detection file {path}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}.") from error


def _contradiction(content: Mapping[str, Any]) -> str | None:
    """What the schema cannot say: order of the candidates, counts, and names that stay in the folder."""
    candidates = content["candidates"]
    if [entry["id"] for entry in candidates] != list(range(1, len(candidates) + 1)):
        return "the candidate ids are not 1, 2, 3, ..."
    scores = [entry["score"] for entry in candidates]
    if scores != sorted(scores, reverse=True):
        return "the candidates are not sorted by score"
    if content["n_microbleeds"] != sum(entry["is_microbleed"] for entry in candidates):
        return "n_microbleeds is not the number of candidates with is_microbleed"
    if sum(content["counts"].values()) != content["n_microbleeds"]:
        return "counts do not add up to n_microbleeds"
    for name in content["files"].values():
        if Path(name).name != name or name in ("", ".", ".."):
            return f"the file name {name!r} leads out of the folder"
    return None
