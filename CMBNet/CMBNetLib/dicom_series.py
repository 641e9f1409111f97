"""From a DICOM folder to one volume: which series, which frame, and whether its slices make an even stack."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import acquisition_tags
from .dicom_pixels import read_slices
from .dicom_slices import DicomFile, DicomSlice, UnusableFile, is_dicom, read_dicom_file
from .dicom_stack import frames_of, stack_of
from .errors import InputError
from .files import scan_stem
from .volume import Volume
from .volume_checks import MIN_SLICES
from .wording import number_of, were

_MOST_FILES = 20_000
# IM0001, 1.2.840.113, a.dcm; not notes.txt, README or film.mp4
_SLICE_NAME = re.compile(r"[^.\s]*\d[^.\s]*|.*\.(dcm|ima|dic|dicom|\d+)", re.IGNORECASE)
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


@dataclass(frozen=True)
class _Found:
    """The images of a folder, the DICOM files in it that cannot be read, and what else to tell of it."""

    files: list[DicomFile]
    refused: list[UnusableFile]
    notes: list[str]


def _image_files(path: Path) -> _Found:
    """The DICOM images of the folder; of a single file, those of its series or itself alone."""
    if path.is_dir():
        return _read_all(path, _walk(path))
    try:
        own = read_dicom_file(path) if is_dicom(path) else None
    except UnusableFile as error:
        raise InputError(str(error)) from error
    if own is None:
        raise InputError(f"{path.name} is no DICOM image (a report, or damaged); choose the series folder.")
    if len(own.slices) > 1:
        return _Found([own], [], [])
    siblings = [item for item in sorted(path.parent.iterdir()) if item.is_file() and not item.name.startswith(".")]
    found = _read_all(path.parent, siblings)
    return replace(found, files=[file for file in found.files if file.series_uid == own.series_uid])


def _walk(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"Cannot read {error.filename}: {error.strerror}. Slices may lie in it.")

    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if not name.startswith(".") and name != "DICOMDIR"]
        if len(found) > _MOST_FILES:
            raise InputError(f"{folder} holds more than {_MOST_FILES} files; choose the folder of one series.")
    return found


def _read_all(folder: Path, paths: list[Path]) -> _Found:
    files: list[DicomFile] = []
    refused: list[UnusableFile] = []
    candidates = [path for path in paths if _size(path) and is_dicom(path)]
    for path in candidates:
        try:
            file = read_dicom_file(path)
        except UnusableFile as error:
            refused.append(error)
            continue
        if file is not None:
            files.append(file)
    if files:
        return _Found(files, refused, _left_out([path for path in paths if path not in set(candidates)]))
    if refused:
        raise InputError(str(refused[0])) from refused[0]
    if candidates:
        raise InputError(f"{folder} holds {len(candidates)} DICOM files, but no images with a position in space.")
    others = [path.name for path in paths if path.name.lower().endswith((".nii", ".nii.gz", ".nrrd", ".mha"))]
    hint = f"give one of its files instead: {', '.join(others[:5])}" if others else "choose the folder of one series"
    raise InputError(f"{folder} holds no DICOM files; {hint}.")


def _size(path: Path) -> int:
    """Bytes in a file; 0 for a link to one that is not there."""
    return path.stat().st_size if path.exists() else 0


def _left_out(paths: list[Path]) -> list[str]:
    """A warning where files that are called like slices are none: a copy may have been cut short."""
    called_so = [path for path in paths if _SLICE_NAME.fullmatch(path.name)]
    if not called_so:
        return []
    count, first = len(called_so), called_so[0].name
    return [
        f"{number_of(count, 'file')} in the folder {were(count)} empty or no DICOM and left out, the first is {first}; "
        "slices may be missing at the ends of the scan."
    ]


def _chosen(path: Path, found: _Found, series: str | None) -> tuple[list[DicomFile], list[str]]:
    """The files of the one series to read, and what to tell of all others."""
    files, notes = _one_series(path, found.files, series)
    others = [error for error in found.refused if error.series_uid not in ("", files[0].series_uid)]
    for error in found.refused:
        if error not in others:
            raise InputError(str(error)) from error
    readable = _by_series(found.files)
    if series is None and path.is_dir():
        for error in others:
            if error.series_uid not in readable:  # it may be the one that was meant
                text = f"{error} For another series of the folder take --series UID:\n{_series_list(readable)}"
                raise InputError(text) from error
    if others:
        notes.append(f"{number_of(len(others), 'file')} of other series cannot be read; the first: {others[0]}")
    return files, notes + found.notes


def _one_series(path: Path, files: list[DicomFile], series: str | None) -> tuple[list[DicomFile], list[str]]:
    """The files of the one series to read, and a warning where others were passed over."""
    groups = _by_series(files)
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


def _by_series(files: list[DicomFile]) -> dict[str, list[DicomFile]]:
    groups: dict[str, list[DicomFile]] = defaultdict(list)
    for file in files:
        groups[file.series_uid].append(file)
    return groups


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
    # A careless export may give one UID to all slices.
    unique = {(item.uid, *item.position.round(3)): item for item in reversed(slices)}
    copies = len(slices) - len(unique)
    note = f"{number_of(copies, 'slice')} {were(copies)} there twice (same SOPInstanceUID); one copy of each was used."
    kept = {id(item) for item in unique.values()}
    return [item for item in slices if id(item) in kept], [note] if copies else []


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
        "warnings": acquisition_tags.name_warnings(
            file.description, *file.image_type, magnitude=components == {"magnitude"}
        ),
    }
    return metadata | acquisition_tags.described([*file.texts, *file.image_type], file.field_strength_t, echo)
