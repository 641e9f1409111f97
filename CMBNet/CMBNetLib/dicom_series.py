"""From a DICOM folder to one volume: which series, which frame, and whether its slices make an even stack."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from . import acquisition_tags
from .dicom_pixels import read_slices
from .dicom_slices import DicomFile, DicomSlice, is_dicom, read_dicom_file
from .dicom_stack import frames_of, stack_of
from .errors import InputError
from .files import scan_stem
from .volume import Volume
from .volume_checks import MIN_SLICES
from .wording import number_of, were

_MOST_FILES = 20_000
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_dicom(path: Path, *, frame: int | None = None, series: str | None = None) -> Volume:
    """Read one DICOM series.

    Parameters
    ----------
    path
        A folder (folders inside are searched too), or one file: a multi-frame file is read alone, from another
        its series in the same folder is read.
    frame
        Which volume of a series with several images at each position, from 0.
    series
        SeriesInstanceUID, where the folder holds several.

    Raises
    ------
    InputError
        No series or several, frames without a choice, missing or uneven slices, damaged files, no MR magnitude.
    """
    files, notes = _chosen(path, _image_files(path), series)
    slices, told = _without_copies([item for file in files for item in file.slices])
    stack = stack_of(slices)
    frames = frames_of(stack)
    if frame is None and len(frames) > 1:
        raise InputError(_frame_list(path, frames))
    if frame is not None and not 0 <= frame < len(frames):
        raise InputError(f"{path.name} has no frame {frame}: it has the frames 0 to {len(frames) - 1}.")
    chosen = frames[frame or 0]
    metadata = _metadata(files[0], chosen)
    metadata["warnings"] += notes + told + stack.warnings
    if len(frames) > 1:
        metadata["frame"] = frame
    return Volume(read_slices(chosen), _LPS_TO_RAS @ stack.ijk_to_lps, scan_stem(path), metadata)


def _image_files(path: Path) -> list[DicomFile]:
    """The DICOM images of the folder; of a single file, those of its series or itself alone."""
    if path.is_dir():
        return _read_all(path, _walk(path))
    own = read_dicom_file(path) if is_dicom(path) else None
    if own is None:
        raise InputError(f"{path.name} is no DICOM image (a report, or damaged); choose the series folder.")
    if len(own.slices) > 1:
        return [own]
    siblings = [item for item in sorted(path.parent.iterdir()) if item.is_file()]
    return [file for file in _read_all(path.parent, siblings) if file.series_uid == own.series_uid]


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if not name.startswith(".") and name != "DICOMDIR"]
        if len(found) > _MOST_FILES:
            raise InputError(f"{folder} holds more than {_MOST_FILES} files; choose the folder of one series.")
    return found


def _read_all(folder: Path, paths: list[Path]) -> list[DicomFile]:
    files: list[DicomFile] = []
    candidates = [path for path in paths if path.stat().st_size and is_dicom(path)]
    for path in candidates:
        file = read_dicom_file(path)
        if file is not None:
            files.append(file)
    if files:
        return files
    if candidates:
        raise InputError(f"{folder} holds {len(candidates)} DICOM files, but no images with a position in space.")
    others = [path.name for path in paths if path.name.lower().endswith((".nii", ".nii.gz", ".nrrd", ".mha"))]
    hint = f"give one of its files instead: {', '.join(others[:5])}" if others else "choose the folder of one series"
    raise InputError(f"{folder} holds no DICOM files; {hint}.")


def _chosen(path: Path, files: list[DicomFile], series: str | None) -> tuple[list[DicomFile], list[str]]:
    """The files of the one series to read, and a warning where others were passed over."""
    groups: dict[str, list[DicomFile]] = defaultdict(list)
    for file in files:
        groups[file.series_uid].append(file)
    if series is not None:
        if series not in groups:
            raise InputError(f"{path.name} has no series {series}. It has:\n{_series_list(groups)}")
        return groups[series], []
    large = [uid for uid, members in groups.items() if _n_slices(members) >= MIN_SLICES]
    if len(groups) == 1 or len(large) != 1:
        if len(groups) > 1:
            raise InputError(
                f"{path.name} holds {len(groups)} series; choose one with --series UID:\n{_series_list(groups)}"
            )
        return files, []
    left = len(groups) - 1
    note = f"{left} other series of fewer than {MIN_SLICES} slices (localizers) in the folder {were(left)} left out."
    return groups[large[0]], [note]


def _n_slices(files: list[DicomFile]) -> int:
    return sum(len(file.slices) for file in files)


def _series_list(groups: dict[str, list[DicomFile]]) -> str:
    lines = []
    for uid, members in sorted(groups.items(), key=lambda entry: (entry[1][0].number, entry[0])):
        first = members[0]
        component = first.slices[0].component
        extra = f", {component}" if component not in ("", "magnitude") else ""
        name = first.description or "no description"
        lines.append(f"  {uid}  '{name}', {first.modality}, {_n_slices(members)} slices{extra}")
    return "\n".join(lines)


def _frame_list(path: Path, frames: list[list[DicomSlice]]) -> str:
    lines = []
    for index, frame in enumerate(frames):
        echo = "" if frame[0].echo_time_ms is None else f", echo time {frame[0].echo_time_ms:g} ms"
        lines.append(f"  {index}: {frame[0].component or 'image'}{echo}, {len(frame)} slices")
    listing = "\n".join(lines)
    return f"{path.name} is 4D with {len(frames)} images at each position; choose one with --frame N:\n{listing}"


def _without_copies(slices: list[DicomSlice]) -> tuple[list[DicomSlice], list[str]]:
    unique = {item.uid: item for item in reversed(slices)}
    copies = len(slices) - len(unique)
    note = f"{number_of(copies, 'slice')} {were(copies)} there twice (same SOPInstanceUID); one copy of each was used."
    return [item for item in slices if unique[item.uid] is item], [note] if copies else []


def _metadata(file: DicomFile, slices: list[DicomSlice]) -> dict[str, Any]:
    """Acquisition parameters (nothing about the patient), refusing what is no MR magnitude."""
    name = f"Series '{file.description or file.series_uid}'"
    components = {item.component for item in slices} - {""}
    acquisition_tags.refuse_unsuitable(file.modality, [], name)
    for component in sorted(components):
        acquisition_tags.refuse_unsuitable(file.modality, [component], name)
    echo = slices[0].echo_time_ms
    metadata: dict[str, Any] = {
        "modality": file.modality,
        "sequence": acquisition_tags.sequence_from_tags(file.scanning_sequence, echo),
        "series_uid": file.series_uid,
        "series_description": file.description,
        "warnings": [],
    }
    if acquisition_tags.is_projection(file.image_type, file.description):
        metadata["warnings"].append(acquisition_tags.projection_warning())
    return metadata | acquisition_tags.described([*file.texts, *file.image_type], file.field_strength_t, echo)
