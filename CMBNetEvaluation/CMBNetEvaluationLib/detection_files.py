"""Candidates from ``<name>_detection.json``, with their voxels where the candidate map lies beside it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from CMBNetLib.errors import CMBNetError, InputError

from .lesion_images import read_sparse_image
from .lesions import LesionSet, lesions_from_points

SCHEMA = "cmbnet-detection"
_ATTRIBUTES = (
    "zone", "region", "side", "is_microbleed", "equivalent_diameter_mm", "elongation", "sphericity", "contrast",
)  # fmt: skip


def read_detection(path: str | os.PathLike[str]) -> tuple[LesionSet, np.ndarray]:
    """Read all candidates of a detection file.

    Returns
    -------
    LesionSet, array of bool
        The candidates by falling score, and which of them are microbleeds at the operating point of the file.

    Raises
    ------
    InputError
        The file is not a detection, a candidate lacks its id, score or centre, or the candidate map beside it does
        not hold the same ids.
    """
    path = Path(path)
    content = load_detection(path)
    try:
        entries = sorted(content["candidates"], key=lambda entry: (-float(entry["score"]), int(entry["id"])))
        ids = np.array([int(entry["id"]) for entry in entries], dtype=np.int64)
        scores = np.array([float(entry["score"]) for entry in entries])
        points = np.array([entry["center_ras"] for entry in entries], dtype=float).reshape(-1, 3)
        called = np.array([bool(entry["is_microbleed"]) for entry in entries], dtype=bool)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path.name} lists a candidate without id, score, centre or verdict ({error!r}).") from error
    if not (np.isfinite(points).all() and np.isfinite(scores).all()):
        raise InputError(f"{path.name} lists a candidate whose centre or score is not a finite number.")
    attributes = [{key: entry[key] for key in _ATTRIBUTES if entry.get(key) is not None} for entry in entries]
    lesions = lesions_from_points(points, ids=ids, scores=scores, attributes=attributes)
    return _with_voxels(lesions, _candidate_map(path, content)), called


def load_detection(path: Path) -> dict[str, Any]:
    """The JSON object of a detection file; `InputError` if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or "candidates" not in content:
        raise InputError(f'{path.name} is no detection file: it must say "schema": "{SCHEMA}" and list candidates.')
    return content


def _candidate_map(path: Path, content: dict[str, Any]) -> Path | None:
    name = content.get("files", {}).get("candidates")
    usual = path.with_name(path.name.replace("_detection.json", "_candidates.nii.gz"))
    found = path.parent / str(name) if name else usual
    return found if found.exists() and found != path else None


def _with_voxels(lesions: LesionSet, map_path: Path | None) -> LesionSet:
    """Give each candidate its voxels, keeping its centre as the file states it."""
    if map_path is None:
        return lesions
    try:
        image = read_sparse_image(map_path)
    except CMBNetError as error:
        raise InputError(f"The candidate map beside the detection file: {error}") from error
    order = np.argsort(lesions.ids)
    place = np.searchsorted(lesions.ids[order], image.values)
    known = place < len(order)
    known[known] = lesions.ids[order][place[known]] == image.values[known]
    if not known.all():
        extra = int(image.values[~known][0])
        raise InputError(f"{map_path.name} holds the label {extra}, which is no candidate of the detection file.")
    owner = order[place].astype(np.int64)
    return replace(lesions, grid=image.grid, voxels=image.voxels, owner=owner, from_points=False)
