"""Damages scans at random, the same way for the same seed, as bad disks, broken copies and faulty converters do."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

import scan_files as make

NIFTI_HEADER = 352
# Type and place of the fields of a NIfTI-1 header that decide how the rest is read.
NIFTI_FIELDS = (
    *(("<h", 40 + 2 * n) for n in range(8)), ("<h", 70), ("<h", 72), *(("<f", 76 + 4 * n) for n in range(8)),
    ("<f", 108), ("<f", 112), ("<f", 116), ("<h", 252), ("<h", 254), *(("<f", 256 + 4 * n) for n in range(18)),
    ("<i", 0), ("<h", 68), ("<i", 348),
)  # fmt: skip
NASTY = {
    "h": (0, 1, -1, 2, 3, 7, 8, 255, 32767, -32768, 16, 64, 128, 1024, 2304),
    "f": (0.0, -1.0, 1.0, 1e-30, 1e30, 3e38, float("nan"), float("inf"), -float("inf"), 348.0, 351.5, 1e9),
    "i": (0, 1, -1, 348, 540, 2**31 - 1, -(2**31)),
}
Damage = Callable[[np.random.Generator, bytearray], None]


def flip_bytes(random: np.random.Generator, content: bytearray, start: int = 0, stop: int | None = None) -> None:
    """Change one to eight bytes."""
    for at in random.integers(start, min(stop or len(content), len(content)), size=random.integers(1, 9)):
        content[at] ^= int(random.integers(1, 256))


def truncate(random: np.random.Generator, content: bytearray) -> None:
    """Cut the end off, often near the beginning or the end."""
    share = random.choice([random.random(), random.random() ** 4, 1 - random.random() ** 4])
    del content[int(share * len(content)) :]


def blank_block(random: np.random.Generator, content: bytearray) -> None:
    """Overwrite a block of a disk's size with zeros."""
    start = int(random.integers(0, len(content)))
    content[start : start + 512] = b"\0" * len(content[start : start + 512])


def insert_block(random: np.random.Generator, content: bytearray) -> None:
    """Insert some random bytes."""
    start = int(random.integers(0, len(content)))
    content[start:start] = random.bytes(int(random.integers(1, 2000)))


def nasty_field(random: np.random.Generator, content: bytearray) -> None:
    """Give one to three fields of a NIfTI header a value that readers stumble over."""
    for at in random.integers(0, len(NIFTI_FIELDS), size=random.integers(1, 4)):
        kind, offset = NIFTI_FIELDS[at]
        value = NASTY[kind[1]][int(random.integers(0, len(NASTY[kind[1]])))]
        content[offset : offset + struct.calcsize(kind)] = struct.pack(kind, value)


def flip_nifti_header(random: np.random.Generator, content: bytearray) -> None:
    """Change bytes of the header only."""
    flip_bytes(random, content, 0, NIFTI_HEADER)


def flip_start(random: np.random.Generator, content: bytearray) -> None:
    """Change bytes of the first 1200, where DICOM, NRRD and MetaImage have their headers."""
    flip_bytes(random, content, 0, 1200)


BYTE_DAMAGE: tuple[Damage, ...] = (flip_bytes, truncate, blank_block, insert_block)
HEADER_DAMAGE: tuple[Damage, ...] = (nasty_field, flip_nifti_header)


def damaged_file(random: np.random.Generator, content: bytes, damages: tuple[Damage, ...]) -> tuple[bytes, str]:
    """A damaged copy of ``content`` and the name of the damage."""
    damage = damages[int(random.integers(0, len(damages)))]
    changed = bytearray(content)
    damage(random, changed)
    return bytes(changed), damage.__name__


def damaged_gzip_content(random: np.random.Generator, content: bytes) -> tuple[bytes, str]:
    """A sound gzip file around a NIfTI file with a damaged header."""
    changed, name = damaged_file(random, gzip.decompress(content), HEADER_DAMAGE)
    return gzip.compress(changed, 1), f"gzipped {name}"


def damage_series(random: np.random.Generator, folder: Path, files: dict[str, bytes]) -> tuple[set[str], str]:
    """Write a series into ``folder`` with one to three files damaged or missing; their names and what was done."""
    names = sorted(files)
    chosen = {names[n] for n in random.integers(0, len(names), size=random.integers(1, 4))}
    kind = int(random.integers(0, 4))
    for name, content in files.items():
        if name not in chosen:
            (folder / name).write_bytes(content)
        elif kind:
            (folder / name).write_bytes(damaged_file(random, content, (*BYTE_DAMAGE, flip_start, flip_start))[0])
    return chosen, "deleted files" if kind == 0 else "damaged files"


def sound_series(folder: Path, compressor: str | None = None) -> dict[str, bytes]:
    """Name and content of each file of a small series, voxels compressed if wanted."""
    make.write_series(folder)
    for path in folder.iterdir():
        if compressor is not None:
            make.compress(path, compressor)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
