"""The files a detection leaves: label maps, table, detection file, pictures and report."""

from __future__ import annotations

import csv
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .counts import summary_text
from .detection_file import SCHEMA_VERSION, detection_document, read_detection
from .errors import EnvironmentProblem, InputError
from .files import atomic_output, check_writable
from .overview import Overview
from .progress import Progress
from .report import render_report
from .volume import Volume, write_volume

if TYPE_CHECKING:
    from .detection import DetectionResult

__all__ = ["CSV_COLUMNS", "read_detection", "result_names", "summary_text", "write_results"]

SUFFIXES = {
    "microbleeds": "_microbleeds.nii.gz",
    "candidates": "_candidates.nii.gz",
    "csv": "_microbleeds.csv",
    "probability": "_probability.nii.gz",
    "overview": "_overview.png",
    "report": "_report.html",
    "json": "_detection.json",
}
_HOW_TO_INSTALL = "Install it and run the detection again, or use the other files."
OPTIONAL = ("probability", "overview", "report")
CSV_COLUMNS = (
    "schema_version",
    "scan",
    "n_microbleeds",
    "id",
    "is_microbleed",
    "score",
    "zone",
    "region",
    "side",
    "center_r_mm",
    "center_a_mm",
    "center_s_mm",
    "n_voxels",
    "volume_mm3",
    "equivalent_diameter_mm",
    "max_diameter_mm",
    "elongation",
    "flatness",
    "sphericity",
    "contrast",
)


def write_results(
    result: DetectionResult,
    out_dir: str | os.PathLike[str],
    *,
    probability: bool = False,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Write all files of a detection; all of them appear, or none.

    The overview needs matplotlib, the report jinja2. Where one is missing the other files are written, and a
    warning says what is left out (also in the detection file). Files of an earlier run of the same name are
    replaced, and those that this run does not write are removed, as they would show other results.

    Parameters
    ----------
    result : DetectionResult
        What the detector found.
    out_dir : path
        Folder of the files; made if it is not there.
    probability : bool
        Write the probability map too.
    progress : Progress, optional
        Hears the warnings; without it they are Python warnings.

    Returns
    -------
    dict
        Key -> path of each file written: ``microbleeds``, ``candidates``, ``csv``, ``json``, and if they could
        be made ``overview``, ``report``, ``probability``.

    Raises
    ------
    InputError
        The folder cannot be written, or the labels are not on the grid of the scan.
    """
    _check(result)
    folder = Path(out_dir)
    paths = {key: folder / name for key, name in result_names(result.scan.name).items()}
    document = detection_document(result)
    with ExitStack() as stack:
        # Entered first, so renamed last: whoever sees the detection file finds the others complete.
        json_target = stack.enter_context(atomic_output(paths["json"]))
        writer = _Writer(stack, paths)
        _write_volumes(result, writer, probability)
        writer.write("csv", lambda path: _write_table(document, path))
        notes = _write_for_people(result, document, writer)
        document["qc"] += notes
        document["files"] = writer.names
        json_target.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for key in set(OPTIONAL) - set(writer.names):
        paths[key].unlink(missing_ok=True)
    for note in notes:
        _tell(note, progress)
    return {key: paths[key] for key in (*writer.names, "json")}


def check_place(scan: Volume, out_dir: str | os.PathLike[str]) -> None:
    """Say before minutes of work that results of ``scan`` cannot be written into ``out_dir``.

    Raises
    ------
    InputError
        The folder cannot be written, or holds the results of another scan of this name.
    """
    check_writable(out_dir)
    path = Path(out_dir) / result_names(scan.name)["json"]
    try:
        there = json.loads(path.read_text(encoding="utf-8"))["scan"]["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # nothing to lose
    if there != scan.fingerprint():
        raise InputError(
            f"{path} holds the results of another scan or frame called '{scan.name}'; choose another folder, or move "
            "them away."
        )


def result_names(scan_name: str) -> dict[str, str]:
    """Key -> file name of each result of a scan; characters that a file name cannot hold become ``_``."""
    stem = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", scan_name).strip(". ") or "scan"
    return {key: stem + suffix for key, suffix in SUFFIXES.items()}


class _Writer:
    """Opens each output under a temporary name that the stack renames at the end."""

    def __init__(self, stack: ExitStack, paths: dict[str, Path]) -> None:
        self._stack = stack
        self._paths = paths
        self.names: dict[str, str] = {}

    def write(self, key: str, write: Callable[[Path], Any]) -> None:
        write(self._stack.enter_context(atomic_output(self._paths[key])))
        self.names[key] = self._paths[key].name


def _check(result: DetectionResult) -> None:
    if result.labels.array.shape != result.scan.array.shape:
        raise InputError("The candidate labels are not on the grid of the scan. Run the detection again.")


def _write_volumes(result: DetectionResult, writer: _Writer, probability: bool) -> None:
    writer.write("microbleeds", lambda path: write_volume(_microbleed_labels(result), path, dtype=np.uint16))
    writer.write("candidates", lambda path: write_volume(result.labels, path, dtype=np.uint16))
    if probability:
        writer.write("probability", lambda path: write_volume(result.probability, path, dtype=np.float32))


def _microbleed_labels(result: DetectionResult) -> Volume:
    """The candidate labels without those below the threshold."""
    labels = result.labels.array
    kept = np.zeros(int(labels.max(initial=0)) + 1, np.uint16)
    ids = [candidate.id for candidate in result.microbleeds if candidate.id < len(kept)]
    kept[ids] = ids
    return result.labels.with_array(kept[labels])


def _write_for_people(result: DetectionResult, document: dict[str, Any], writer: _Writer) -> list[dict[str, str]]:
    """Overview and report, as far as their packages are there; returns a note for each that was left out."""
    notes: list[dict[str, str]] = []
    overview = None
    try:
        overview = Overview(result)
    except EnvironmentProblem as problem:
        notes.append({"code": "overview_missing", "message": f"No pictures were made. {problem} {_HOW_TO_INSTALL}"})
    if overview is not None:
        writer.write("overview", overview.write)
    projection = None if overview is None else overview.projection_png()
    crops = {} if overview is None else {candidate.id: overview.crop_png(candidate) for candidate in overview.shown}
    shown = {**document, "qc": [*document["qc"], *notes]}
    try:
        text = render_report(shown, projection=projection, crops=crops)
    except EnvironmentProblem as problem:
        notes.append({"code": "report_missing", "message": f"No report was made. {problem} {_HOW_TO_INSTALL}"})
    else:
        writer.write("report", lambda path: path.write_text(text, encoding="utf-8"))
    return notes


def _tell(note: dict[str, str], progress: Progress | None) -> None:
    if progress is None:
        warnings.warn(note["message"], stacklevel=3)
    else:
        progress.warning(note["code"], note["message"])


def _write_table(document: dict[str, Any], path: Path) -> None:
    # utf-8-sig would please old Excel and break the first column's name in everything else.
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_rows(document))


def _rows(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One row a microbleed; without any, one row that says so with the highest-scoring candidate, if there is one."""
    candidates = document["candidates"]
    common = {
        "schema_version": SCHEMA_VERSION,
        "scan": document["scan"]["name"],
        "n_microbleeds": document["n_microbleeds"],
    }
    found = [entry for entry in candidates if entry["is_microbleed"]]
    for entry in found or candidates[:1]:
        yield common | _row(entry)
    if not candidates:
        yield common | {"is_microbleed": "false"}


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    row = {column: entry[column] for column in CSV_COLUMNS if column in entry}
    row["is_microbleed"] = "true" if entry["is_microbleed"] else "false"
    row.update(zip(("center_r_mm", "center_a_mm", "center_s_mm"), entry["center_ras"], strict=True))
    return row
