"""RedBrick AI export: a study folder each, label maps with a table of entries, points of mimics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError
from CMBNetLib.files import scan_stem

from .layout_files import images_below, safe_id
from .source_scan import DOTS, Listing, Problem, SourceError, SourcePoint, SourceScan, checked_listing

_SEQUENCES = {"SWI": "SWI", "T2S": "T2*"}


class RedBrick:
    """``tasks.json``, ``<StudyUID>/images/<SEQ_k>/*.nii.gz``, ``<StudyUID>/segmentations/<SEQ_k>.nii.gz``."""

    name = "redbrick"
    title = "RedBrick AI export"

    def misses(self, root: Path) -> str | None:
        if not (root / "tasks.json").is_file():
            return "no tasks.json"
        if not any(path.is_dir() for path in root.glob("*/images")):
            return "no folder <StudyUID>/images"
        return None

    def list_scans(self, root: Path) -> Listing:
        try:
            tasks = _tasks(root / "tasks.json")
        except InputError as error:
            return Listing((), (Problem(f"{self.name}-tasks.json", "damaged", str(error)),))
        scans, problems = [], []
        folders = {path.parent.name for path in root.glob("*/images")}
        for study in sorted(folders | set(tasks)):
            try:
                scans.append(self._scan(root / study, tasks.get(study)))
            except InputError as error:
                problems.append(Problem(f"{self.name}-{safe_id(study)}", _code(error), str(error)))
        return checked_listing(scans, problems)

    def _scan(self, folder: Path, task: Mapping[str, Any] | None) -> SourceScan:
        if task is None:
            raise SourceError(f"tasks.json does not name the study {folder.name}; export it again.", "missing_label")
        label = _only(images_below(folder / "segmentations"), f"segmentation of {folder.name}", "missing_label")
        series_name = scan_stem(label)
        image = _only(images_below(folder / "images" / series_name), f"image {series_name} of {folder.name}")
        series = _series(task, series_name)
        mimics, notes = _mimics(series, folder.name)
        scan_id = f"{self.name}-{safe_id(folder.name)}"
        return SourceScan(
            scan_id,
            scan_id,
            image,
            self.name,
            label=label,
            label_kind=DOTS,
            label_attributes=_entries(series, folder.name),
            mimics=mimics,
            sequence=_SEQUENCES.get(series_name.split("_")[0].upper()),
            attributes=_attributes(task.get("classification") or series.get("classifications"), folder.name),
            notes=notes,
        )


def _code(error: InputError) -> str:
    return error.code if isinstance(error, SourceError) else "damaged"


def _only(found: list[Path], what: str, code: str = "missing_image") -> Path:
    if len(found) == 1:
        return found[0]
    if not found:
        raise SourceError(f"There is no {what}. Complete the export.", code)
    raise SourceError(
        f"There are {len(found)} files as {what}: {', '.join(p.name for p in found)}. Keep one.", "duplicate"
    )


def _tasks(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return study -> its task."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is no JSON ({error}); export it again.") from error
    tasks = content if isinstance(content, list) else content.get("tasks") if isinstance(content, dict) else None
    if not isinstance(tasks, list):
        raise InputError(f"{path.name} holds no list of tasks; export it again.")
    named = [task for task in tasks if isinstance(task, dict) and isinstance(task.get("name"), str) and task["name"]]
    if len(named) < len(tasks):
        raise InputError(f"{path.name}: {len(tasks) - len(named)} of {len(tasks)} tasks have no name; export it again.")
    # A task's name is the folder of its study; some exports write the whole path.
    return {task["name"].rstrip("/").split("/")[-1]: task for task in named}


def _series(task: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the series of a task that the segmentation belongs to."""
    listed = task.get("series")
    series = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    named = [
        entry for entry in series if str(entry.get("name", "")) == name or name in json.dumps(entry.get("items", ""))
    ]
    marked = [entry for entry in series if entry.get("segmentMap")]
    for chosen in (named, marked, series):
        if len(chosen) == 1:
            return chosen[0]
    raise InputError(f"tasks.json: it is not clear which of {len(series)} series of {task['name']} is {name}.")


def _entries(series: Mapping[str, Any], study: str) -> dict[int, Mapping[str, Any] | None]:
    """Return label value -> attributes; None for what is no microbleed."""
    table = series.get("segmentMap") or {}
    if not isinstance(table, dict):
        raise InputError(f"tasks.json: the segmentMap of {study} is no table.")
    entries: dict[int, Mapping[str, Any] | None] = {}
    for key, entry in table.items():
        if not str(key).isdecimal() or not isinstance(entry, dict):
            raise InputError(f"tasks.json: the segmentMap of {study} has the entry {key!r}, which is no label value.")
        is_microbleed = "CMB" in _category(entry).upper()
        entries[int(key)] = _attributes(entry.get("attributes"), study) if is_microbleed else None
    return entries


def _category(entry: Mapping[str, Any]) -> str:
    category = entry.get("category", "")
    return "/".join(str(part) for part in category) if isinstance(category, list) else str(category)


def _attributes(found: Any, study: str) -> dict[str, Any]:
    """Return attributes written as a table, or as a list of names and values."""
    if found is None:
        return {}
    if isinstance(found, dict):
        inner = found.get("attributes")
        return _attributes(inner, study) if isinstance(inner, (list, dict)) else dict(found)
    if isinstance(found, list) and all(isinstance(item, dict) for item in found):
        return {str(item.get("name", item.get("optionName", ""))): item.get("value") for item in found}
    raise InputError(f"tasks.json: attributes of {study} are neither a table nor a list of names and values.")


def _mimics(series: Mapping[str, Any], study: str) -> tuple[tuple[SourcePoint, ...], tuple[str, ...]]:
    """Return the points that mark mimics, and notes about landmarks that were left out."""
    landmarks = series.get("landmarks3d") or []
    if not isinstance(landmarks, list) or not all(isinstance(item, dict) for item in landmarks):
        raise InputError(f"tasks.json: the landmarks3d of {study} are no list of points.")
    points, notes = [], []
    for number, item in enumerate(landmarks, 1):
        category = _category(item)
        place = item.get("point")
        if "MIMIC" not in category.upper():
            notes.append(f"The landmark {number} ({category or 'no category'}) is no mimic and was left out.")
            continue
        try:
            i, j, k = (float(place[axis]) for axis in "ijk")  # type: ignore[index]
        except (KeyError, TypeError, ValueError):
            notes.append(f"The mimic {number} has no voxel position (i, j, k) and was left out.")
            continue
        points.append(
            SourcePoint(f"landmark {number}", (i, j, k), attributes=_attributes(item.get("attributes"), study))
        )
    return tuple(points), tuple(notes)
