"""NIfTI-1 headers, as nifti1.h defines them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from .errors import InputError
from .image_header import GZIP_MAGIC, ImageHeader, check_sizes, damaged, open_file, read_head
from .image_payload import check_nifti_payload, where_not_numbers

# Offsets are those of nifti1.h.
_NIFTI1 = {
    "dim": ("8i2", 40), "intent_code": ("i2", 68), "datatype": ("i2", 70), "bitpix": ("i2", 72),
    "pixdim": ("8f4", 76), "vox_offset": ("f4", 108), "xyzt_units": ("u1", 123), "descrip": ("S80", 148),
    "qform_code": ("i2", 252), "sform_code": ("i2", 254), "quatern": ("3f4", 256), "qoffset": ("3f4", 268),
    "srow": ("(3,4)f4", 280),
}  # fmt: skip
_LENGTH1, _LENGTH2 = 348, 540
# code: (numpy type, values a voxel)
_DATATYPES = {
    2: ("uint8", 1), 4: ("int16", 1), 8: ("int32", 1), 16: ("float32", 1), 32: ("complex64", 1), 64: ("float64", 1),
    128: ("uint8", 3), 256: ("int8", 1), 512: ("uint16", 1), 768: ("uint32", 1), 1024: ("int64", 1),
    1280: ("uint64", 1), 1792: ("complex128", 1), 2304: ("uint8", 4),
}  # fmt: skip
_UNIT_NAMES = {1: "metres", 3: "micrometres"}


def read_nifti_header(path: Path) -> ImageHeader:
    """Read and check the header of a .nii, .nii.gz or .hdr/.img file, and check that the voxels are all there.

    Raises
    ------
    InputError
        No NIfTI file, a damaged or contradictory header, missing voxels, or an unusable voxel type or unit.
    """
    header_path, data_path = _header_and_data(path)
    fields, pair = _fields(header_path, read_head(header_path, _LENGTH1))
    voxel_type, components = _voxel_type(header_path, fields)
    sizes, vectors = _sizes(header_path, fields)
    affines, warnings = _affines(header_path, fields)
    header = ImageHeader(
        path, "NiftiImageIO", sizes, voxel_type, components * vectors, affines, _text(fields["descrip"]), warnings
    )
    check_sizes(header_path, sizes)
    dtype = np.dtype(voxel_type).newbyteorder(fields.dtype["datatype"].byteorder)
    return check_nifti_payload(header, data_path, _voxel_offset(header_path, fields, pair), dtype)


def not_numbers(path: Path) -> np.ndarray:
    """Which voxels of a three-dimensional NIfTI file are NaN or infinite: bool [k, j, i]. ITK reads them as 0.

    Raises
    ------
    InputError
        As `read_nifti_header`.
    """
    header = read_nifti_header(path)
    header_path, data_path = _header_and_data(path)
    fields, pair = _fields(header_path, read_head(header_path, _LENGTH1))
    dtype = np.dtype(header.voxel_type).newbyteorder(fields.dtype["datatype"].byteorder)
    return where_not_numbers(header, data_path, _voxel_offset(header_path, fields, pair), dtype)


def _header_and_data(path: Path) -> tuple[Path, Path]:
    name = path.name
    swapped = {".hdr": ".img", ".img": ".hdr", ".hdr.gz": ".img.gz", ".img.gz": ".hdr.gz"}
    for suffix, other in swapped.items():
        if name.lower().endswith(suffix):
            partner = path.with_name(name[: -len(suffix)] + other)
            if not partner.is_file():
                raise InputError(f"{name} is one half of an image; the other half {partner.name} is not beside it.")
            return (path, partner) if "hdr" in suffix else (partner, path)
    with open_file(path) as stream:
        if stream.read(2) == GZIP_MAGIC and not name.lower().endswith(".gz"):
            raise InputError(f"{name} is compressed but not called so; rename it to {path.stem}.nii.gz.")
    return path, path


def _fields(path: Path, head: bytes) -> tuple[np.void, bool]:
    """The header's fields, and whether the voxels lie in a second file."""
    order: Literal["<", ">"]
    for order in ("<", ">"):
        length = int(np.frombuffer(head[:4].ljust(4, b"\0"), f"{order}i4")[0])
        if length == _LENGTH2 and head[4:7] in (b"n+2", b"ni2"):
            raise InputError(f"{path.name} is a NIfTI-2 file, which ITK does not read; save it as NIfTI-1.")
        magic = head[344:348]
        if length == _LENGTH1 and magic in (b"n+1\0", b"ni1\0"):
            names, formats, offsets = zip(*((name, *entry) for name, entry in _NIFTI1.items()), strict=True)
            kind = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": _LENGTH1})
            return np.frombuffer(head[:_LENGTH1], kind.newbyteorder(order))[0], magic == b"ni1\0"
    raise InputError(
        f"{path.name} is no NIfTI file: its header is missing or damaged. Copy or convert the scan again "
        "(Analyze 7.5 files carry no orientation and are not read)."
    )


def _voxel_type(path: Path, fields: np.void) -> tuple[str, int]:
    code = int(fields["datatype"])
    if code not in _DATATYPES:
        raise InputError(
            f"{path.name} has voxels of a type that is not read (NIfTI code {code}); convert it to 16-bit or float."
        )
    name, components = _DATATYPES[code]
    bits = 8 * np.dtype(name).itemsize * components
    if int(fields["bitpix"]) not in (0, bits):
        raise damaged(path, f"its header declares {name} voxels of {int(fields['bitpix'])} bits")
    return name, components


def _sizes(path: Path, fields: np.void) -> tuple[tuple[int, ...], int]:
    """Axis lengths (three, and frames where there are several), and values a voxel from the fifth axis."""
    n_axes = int(fields["dim"][0])
    if not 1 <= n_axes <= 7:
        raise damaged(path, f"its header declares {n_axes} dimensions")
    sizes = [int(size) for size in fields["dim"][1 : n_axes + 1]]
    check_sizes(path, tuple(sizes[:4]))
    if any(size != 1 for size in sizes[5:]):
        raise InputError(f"{path.name} has {n_axes} dimensions; a scan has three. Export one volume of it.")
    vectors = sizes[4] if len(sizes) > 4 else 1
    if not 1 <= vectors <= 10_000:
        raise damaged(path, f"its header declares {vectors} values a voxel")
    frames = sizes[3] if len(sizes) > 3 else 1
    return (*sizes[:3], frames) if frames > 1 else tuple(sizes[:3]), vectors


def _voxel_offset(path: Path, fields: np.void, pair: bool) -> int:
    offset = float(fields["vox_offset"])
    if not np.isfinite(offset) or not 0 <= offset < 1 << 31:
        raise damaged(path, "its header does not say where the voxels begin")
    if not pair and offset < fields.dtype.itemsize:
        raise damaged(path, f"its header says that the voxels begin inside the header (byte {offset:.0f})")
    return int(offset)


def _affines(path: Path, fields: np.void) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    """The matrices the header states (sform, then qform), and what is odd about them."""
    unit = int(fields["xyzt_units"]) & 7
    if unit in _UNIT_NAMES:
        raise InputError(f"{path.name} gives its geometry in {_UNIT_NAMES[unit]}; convert it to millimetres.")
    # ITK takes the voxel edges from here, whatever the matrices say.
    edges = np.asarray(fields["pixdim"][1:4], dtype=float)
    if not np.isfinite(edges).all() or (np.abs(edges) < 1e-6).any():
        text = " x ".join(f"{edge:g}" for edge in edges)
        raise InputError(f"{path.name} states voxel edges of {text} mm in its header; export the scan again.")
    if (edges < 0).any():
        raise InputError(
            f"{path.name} states a negative voxel edge in its header, which some programs take for a mirrored axis and "
            "others do not: left and right may be swapped. Export or convert the scan again."
        )
    affines = []
    if fields["sform_code"] > 0:
        affines.append(np.vstack([fields["srow"], [0, 0, 0, 1]]).astype(float))
        _check_edges(path, fields, edges)
    if fields["qform_code"] > 0:
        affines.append(_quaternion_affine(fields))
    if not all(np.isfinite(affine).all() for affine in affines):
        raise InputError(f"The orientation or position in the header of {path.name} is not a number; export it again.")
    if not affines:
        return (), ("The header does not say how the scan lies in space: left and right may be swapped.",)
    return tuple(affines), ()


def _check_edges(path: Path, fields: np.void, edges: np.ndarray) -> None:
    """Refuse two voxel sizes in one header; only a matrix to a template (codes 3 and up) may scale."""
    stated = np.linalg.norm(np.asarray(fields["srow"], dtype=float)[:, :3], axis=0)
    if fields["sform_code"] <= 2 and np.isfinite(stated).all() and not np.allclose(stated, edges, rtol=0.02):
        one, other = (" x ".join(f"{edge:g}" for edge in values) for values in (edges, stated))
        raise InputError(
            f"The header of {path.name} contradicts itself: voxel edges of {one} mm in one place and {other} mm in "
            "another. Export or convert the scan again."
        )


def _quaternion_affine(fields: np.void) -> np.ndarray:
    """4x4 voxel -> RAS by "method 2" of nifti1.h."""
    from scipy.spatial.transform import Rotation

    b, c, d = (float(part) for part in fields["quatern"])
    a = np.sqrt(max(1.0 - b * b - c * c - d * d, 0.0))
    affine = np.full((4, 4), np.nan)
    affine[3] = [0, 0, 0, 1]
    if np.isfinite([a, b, c, d]).all() and a * a + b * b + c * c + d * d > 0.5:
        handed = -1.0 if fields["pixdim"][0] < 0 else 1.0
        edges = np.asarray(fields["pixdim"][1:4], dtype=float) * [1.0, 1.0, handed]
        affine[:3, :3] = Rotation.from_quat([b, c, d, a]).as_matrix() * edges
        affine[:3, 3] = fields["qoffset"]
    return affine


def _text(raw: bytes) -> str:
    return bytes(raw).split(b"\0")[0].decode("latin-1").strip()
