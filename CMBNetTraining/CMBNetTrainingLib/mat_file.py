"""Numeric matrices of MATLAB files (level 5, as MATLAB writes since version 5; not the HDF5 of ``-v7.3``).

SciPy's reader ends the whole program on some damaged files (a bus error in 1.17), and a data set must not be able to do
that. The format is public: MathWorks, "MAT-File Format", chapter 1.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from CMBNetLib.errors import InputError

HEADER_BYTES = 128
# More than any table of centres needs; a damaged compressed element must not fill the memory.
LARGEST_BYTES = 64 * 2**20
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
# Array classes from double to uint64; what comes before are cells, structures, objects, text and sparse matrices.
_FIRST_NUMERIC, _LAST_NUMERIC = 6, 15


def read_matrix(path: Path, name: str) -> np.ndarray:
    """Return the numeric matrix ``name`` of a MATLAB file.

    Raises
    ------
    InputError
        The file cannot be read, is damaged or of another format, has no such variable, or it is no numeric matrix.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error}); copy it again.") from error
    order = {b"IM": "<", b"MI": ">"}.get(content[126:HEADER_BYTES])
    if order is None:
        raise InputError(f"{path.name} cannot be read as a MATLAB file of level 5; copy or save it again ('-v7').")
    try:
        for kind, data in _elements(content[HEADER_BYTES:], order):
            if kind == _COMPRESSED:
                data = zlib.decompressobj().decompress(data, LARGEST_BYTES)
                kind, data = next(_elements(data, order), (0, b""))
            found = _named_matrix(data, order, name, path) if kind == _MATRIX else None
            if found is not None:
                return found
    except (ValueError, zlib.error) as error:
        raise InputError(f"{path.name} cannot be read as a MATLAB file ({error}); copy it again.") from error
    raise InputError(f"{path.name} has no variable '{name}'; is it the ground truth of this data set?")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each element; `ValueError` where one is longer than what holds it."""
    at = 0
    while at + 8 <= len(data):
        first, length = (int(value) for value in np.frombuffer(data, f"{order}u4", 2, at))
        kind, start = first, at + 8
        if first >> 16:  # At most four bytes lie in the tag itself.
            kind, length, start = first & 0xFFFF, first >> 16, at + 4
        end = start + length
        if end > len(data) or (first >> 16 and length > 4):
            raise ValueError(f"an element of {length} bytes does not fit")
        yield kind, data[start:end]
        at = at + 8 if first >> 16 else end + (-length % 8 if kind != _COMPRESSED else 0)


def _named_matrix(data: bytes, order: str, name: str, path: Path) -> np.ndarray | None:
    """Return the matrix in an element, None where it has another name."""
    parts = list(_elements(data, order))
    if len(parts) < 3 or len(parts[0][1]) < 8 or parts[2][1] != name.encode():
        return None
    array_class = parts[0][1][0 if order == "<" else 3]
    sizes = np.frombuffer(parts[1][1], f"{order}i4")
    if not _FIRST_NUMERIC <= array_class <= _LAST_NUMERIC or len(parts) < 4:
        raise InputError(f"'{name}' in {path.name} is not a table of numbers; is it the ground truth of this data set?")
    if parts[3][0] not in _NUMBERS or len(sizes) < 2 or (sizes < 0).any():
        raise ValueError(f"'{name}' has the type {parts[3][0]} and the sizes {sizes.tolist()}")
    numbers = np.frombuffer(parts[3][1], order + _NUMBERS[parts[3][0]])
    # In Python's integers: a product of damaged sizes overflows.
    expected = 1
    for size in sizes.tolist():
        expected *= size
    if expected != len(numbers):
        raise ValueError(f"'{name}' should have {' x '.join(map(str, sizes.tolist()))} numbers and has {len(numbers)}")
    return numbers.reshape(sizes.tolist(), order="F")
