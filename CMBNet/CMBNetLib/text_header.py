"""NRRD and MetaImage headers: lines of text before the voxels, or beside them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .errors import InputError
from .image_header import ImageHeader, check_sizes, damaged, open_file
from .image_payload import check_payload

_LONGEST_HEADER = 1 << 20
_NRRD_TYPES = {
    "int8": ("signed char", "int8", "int8_t"),
    "uint8": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "int16": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "uint16": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "int32": ("int", "signed int", "int32", "int32_t"),
    "uint32": ("uint", "unsigned int", "uint32", "uint32_t"),
    "int64": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "uint64": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "float32": ("float",),
    "float64": ("double",),
}
_META_TYPES = {
    "MET_CHAR": "int8", "MET_UCHAR": "uint8", "MET_SHORT": "int16", "MET_USHORT": "uint16", "MET_INT": "int32",
    "MET_UINT": "uint32", "MET_LONG": "int32", "MET_ULONG": "uint32", "MET_LONG_LONG": "int64",
    "MET_ULONG_LONG": "uint64", "MET_FLOAT": "float32", "MET_DOUBLE": "float64",
}  # fmt: skip
_ANATOMICAL_SPACES = (
    "right-anterior-superior", "ras", "left-anterior-superior", "las", "left-posterior-superior", "lps",
)  # fmt: skip
_MILLIMETRES = {"mm", "millimeter", "millimeters", "millimetre", "millimetres", "none", "???", ""}
# NRRD counts time among the axes of the domain.
_DOMAIN_KINDS = ("domain", "space", "time", "???")


def read_nrrd_header(path: Path) -> ImageHeader:
    """Read and check the header of a .nrrd or .nhdr file, and that the voxels are all there.

    Raises
    ------
    InputError
        No NRRD file, a damaged header, missing voxels, or an encoding or voxel type that is not read.
    """
    text, data_at = _header_text(path, rb"\r?\n\r?\n")
    lines = text.splitlines()
    if not lines or not lines[0].startswith("NRRD000"):
        raise InputError(f"{path.name} is no NRRD file: it does not begin with NRRD000. Copy or export the scan again.")
    fields = _nrrd_fields(lines[1:])
    known = {name: kind for kind, names in _NRRD_TYPES.items() for name in names}
    voxel_type = known.get(fields.get("type", "").lower())
    if voxel_type is None:
        raise _unknown_type(path, fields.get("type", "none"))
    sizes, components, listed = _nrrd_sizes(path, fields)
    compressed = _nrrd_compression(path, fields)
    _check_numbers(path, fields, ("space directions", "space origin", "spacings", "axis mins"))
    oriented = "space directions" in fields and fields.get("space", "").lower() in _ANATOMICAL_SPACES
    warnings = () if oriented else (_NO_ORIENTATION,)
    if units := set(re.findall(r'"([^"]*)"', fields.get("space units", "").lower())) - _MILLIMETRES:
        raise InputError(f"{path.name} gives its geometry in {', '.join(sorted(units))}; convert it to millimetres.")
    header = ImageHeader(path, "NrrdImageIO", sizes, voxel_type, components, warnings=warnings, frames_listed=listed)
    check_sizes(path, sizes)
    data, offset = _data_file(path, fields.get("data file", fields.get("datafile", "LOCAL")), data_at)
    check_payload(header, data, offset, compressed=compressed)
    return header


def read_meta_header(path: Path) -> ImageHeader:
    """Read and check the header of a .mha or .mhd file, and that the voxels are all there.

    Raises
    ------
    InputError
        No MetaImage file, a damaged header, missing voxels, or a voxel type that is not read.
    """
    text, data_at = _header_text(path, rb"ElementDataFile\s*=[^\n]*\n?")
    pairs = (line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    fields = {key.strip(): value.strip() for key, value in pairs}
    if not {"NDims", "DimSize", "ElementDataFile"} <= fields.keys():
        raise InputError(f"{path.name} is no MetaImage file: its header is incomplete. Copy or export the scan again.")
    kind = fields.get("ElementType", "none").removesuffix("_ARRAY")
    if kind not in _META_TYPES:
        raise _unknown_type(path, kind)
    if fields.get("BinaryData", "True").lower() != "true":
        raise InputError(f"{path.name} keeps its voxels as text; save it again in binary form.")
    sizes = _integers(path, fields["DimSize"])
    if [len(sizes)] != list(_integers(path, fields["NDims"])):
        raise damaged(path, f"its header declares {fields['NDims']} dimensions and {len(sizes)} sizes")
    (components,) = _integers(path, fields.get("ElementNumberOfChannels", "1"))[:1]
    _check_numbers(path, fields, ("ElementSpacing", "TransformMatrix", "Offset", "Position", "Origin"))
    warnings = () if {"TransformMatrix", "Orientation", "Rotation"} & fields.keys() else (_NO_ORIENTATION,)
    header = ImageHeader(
        path, "MetaImageIO", _without_single_frame(sizes), _META_TYPES[kind], components, warnings=warnings
    )
    check_sizes(path, sizes)
    compressed = fields.get("CompressedData", "False").lower() == "true"
    data, offset = _data_file(path, fields["ElementDataFile"], data_at)
    check_payload(header, data, offset, compressed=compressed)
    return header


_NO_ORIENTATION = "The header does not say how the scan lies in space: left and right may be swapped."


def _header_text(path: Path, end: bytes) -> tuple[str, int]:
    """The header up to and with the pattern ``end``, and the byte after it."""
    with open_file(path) as stream:
        head = stream.read(_LONGEST_HEADER)
    match = re.search(end, head)
    stop = match.end() if match else len(head)
    if match is None and path.suffix.lower() in (".nrrd", ".mha"):
        raise damaged(path, "its header has no end")
    return head[:stop].decode("latin-1"), stop


def _nrrd_fields(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(": ")[::2] for line in lines if not line.startswith("#") and ":=" not in line)
    return {key.strip().lower(): value.strip() for key, value in pairs if key.strip()}


def _nrrd_sizes(path: Path, fields: dict[str, str]) -> tuple[tuple[int, ...], int, bool]:
    """Axis lengths, values a voxel, and whether frames are kept as values of the voxels (axis kind "list")."""
    sizes = _integers(path, fields.get("sizes", ""))
    (n_axes,) = _integers(path, fields.get("dimension", "0"))[:1] or (0,)
    if n_axes != len(sizes):
        raise damaged(path, f"its header declares {n_axes} dimensions and {len(sizes)} sizes")
    kinds = fields.get("kinds", "").lower().split() or ["domain"] * n_axes
    if len(kinds) != n_axes:
        raise damaged(path, f"its header describes {len(kinds)} of {n_axes} axes")
    values = [axis for axis, kind in enumerate(kinds) if kind not in _DOMAIN_KINDS]
    if len(values) > 1:
        raise InputError(f"{path.name} has {n_axes} axes of the kinds {', '.join(kinds)}; a scan has three of space.")
    if not values:
        return _without_single_frame(sizes), 1, False
    (axis,) = values
    domain = sizes[:axis] + sizes[axis + 1 :]
    if kinds[axis] == "list" and n_axes == 4 and sizes[axis] > 1:
        return (*domain, sizes[axis]), 1, True
    return domain, sizes[axis], False


def _nrrd_compression(path: Path, fields: dict[str, str]) -> bool:
    encoding = fields.get("encoding", "none").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise InputError(f"{path.name} has the encoding '{encoding}'; save it again as raw or gzip.")
    if any(fields.get(key, "0") != "0" for key in ("line skip", "lineskip", "byte skip", "byteskip")):
        raise InputError(f"{path.name} skips bytes before its voxels; save it again as a plain NRRD file.")
    return encoding != "raw"


def _data_file(path: Path, name: str, data_at: int) -> tuple[Path, int]:
    """File and byte where the voxels begin; ``name`` is what the header says."""
    if name.upper() == "LOCAL":
        return path, data_at
    # A header that came with a mail may not reach for other files of this computer.
    if name.upper().startswith("LIST") or "%" in name or Path(name).name != name:
        raise InputError(f"{path.name} takes its voxels from '{name}'; save it as one .nrrd, .mha or .nii.gz file.")
    data = path.with_name(name)
    if not data.is_file():
        raise InputError(f"{path.name} takes its voxels from {name}, which is not beside it; copy both files.")
    return data, 0


def _integers(path: Path, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split())
    except ValueError as error:
        raise damaged(path, f"its header has '{text[:40]}' where whole numbers belong") from error


def _check_numbers(path: Path, fields: dict[str, str], keys: tuple[str, ...]) -> None:
    """Refuse a geometry whose numbers are missing, no numbers or infinite."""
    for key in keys:
        words = re.sub(r"[(),]|none", " ", fields.get(key, "")).split()
        try:
            finite = all(np.isfinite(float(word)) for word in words)
        except ValueError:
            finite = False
        if not finite:
            raise damaged(path, f"its header has '{fields[key][:60]}' as {key}, which are no numbers")


def _unknown_type(path: Path, kind: str) -> InputError:
    return InputError(f"{path.name} has voxels of the unknown type '{kind[:40]}'; save it as 16-bit or float.")


def _without_single_frame(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return sizes[:3] if all(size == 1 for size in sizes[3:]) else sizes
