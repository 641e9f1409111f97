"""What the header of an image file declares.

ITK allocates whatever a damaged header asks for, so the header is read and checked first; only then ITK may open
the file.
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
# 0.25 mm isotropic over a whole head is 320 million voxels; the float32 copy of this many takes 1.6 GB.
MAX_VOXELS = 400_000_000
MAX_FRAMES = 10_000
MAX_FILE_VOXELS = 2_000_000_000
_CHUNK = 1 << 20


@dataclass(frozen=True)
class ImageHeader:
    """One image file as its header declares it.

    Attributes
    ----------
    path
        The file that ITK is given.
    image_io
        Name of the ITK reader for it.
    sizes
        Voxels along each axis in the order of the file (i, j, k, then frames).
    components
        Values per voxel: 1 for a scalar image, 3 for RGB.
    voxel_type
        numpy name ("int16", "float32", "complex64").
    affines
        The 4x4 voxel-to-RAS matrices that the header states, preferred first; none where the format leaves the
        choice to ITK.
    description
        Free text of the header.
    warnings
        Sentences about what was odd but usable.
    not_numbers
        How many voxels of each frame are NaN or infinite, for formats whose ITK reader hides them; else empty.
    frames_listed
        The frames are kept as several values a voxel (NRRD axis kind "list"), and ITK hands them out so.
    """

    path: Path
    image_io: str
    sizes: tuple[int, ...]
    voxel_type: str
    components: int = 1
    affines: tuple[np.ndarray, ...] = ()
    description: str = ""
    warnings: tuple[str, ...] = ()
    not_numbers: tuple[int, ...] = ()
    frames_listed: bool = False

    @property
    def n_frames(self) -> int:
        """Number of 3D volumes in the file."""
        return math.prod(self.sizes[3:])


def damaged(path: Path, found: str) -> InputError:
    """The refusal of a file that is broken; ``found`` says how, as a clause."""
    return InputError(f"{path.name} is damaged: {found}. Copy or export the scan again.")


def reason_of(error: Exception) -> str:
    """The last line of an exception's text without the addresses and class names that ITK puts before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^(ITK ERROR: )?\w+\(0x[0-9a-f]+\): *", "", lines[-1])[:160] if lines else type(error).__name__


def check_sizes(path: Path, sizes: tuple[int, ...]) -> None:
    """Refuse axes of no length and images that no memory holds, before anything is allocated.

    Raises
    ------
    InputError
        An axis is shorter than one voxel, or there are too many voxels.
    """
    text = " x ".join(str(size) for size in sizes)
    if not sizes or min(sizes) < 1:
        raise damaged(path, f"its header declares {text or 'no'} voxels")
    frames = math.prod(sizes[3:])
    if math.prod(sizes[:3]) > MAX_VOXELS or frames > MAX_FRAMES or math.prod(sizes) > MAX_FILE_VOXELS:
        raise InputError(
            f"{path.name} declares {text} voxels; at most {MAX_VOXELS // 10**6} million a volume are read. "
            "If the scan is not that large, its header is damaged: export it again."
        )


def check_shape(header: ImageHeader, *, what: str = "scan") -> None:
    """Refuse what is not a stack of scalar slices; several frames pass.

    Raises
    ------
    InputError
        Colour, vector or complex voxels, or a single slice.
    """
    name = header.path.name
    if header.voxel_type.startswith("complex"):
        raise InputError(f"{name} holds complex voxels; export the magnitude image and use that as the {what}.")
    if header.components != 1:
        kind = "colour (RGB)" if header.components in (3, 4) else "vector"
        raise InputError(f"{name} is a {kind} image with {header.components} values a voxel; use a {what} with one.")
    if len(header.sizes) < 3 or header.sizes[2] == 1:
        raise InputError(f"{name} is a single 2D image; a {what} is a 3D volume. Choose the whole series.")


def read_head(path: Path, size: int) -> bytes:
    """The first ``size`` bytes of a file, decompressed where it is gzipped; fewer where it is shorter.

    Raises
    ------
    InputError
        The file cannot be opened, or its compressed stream is broken.
    """
    with open_file(path) as stream:
        head = stream.read(size)
        if not head.startswith(GZIP_MAGIC):
            return head
        head += stream.read(_CHUNK)
    try:
        return zlib.decompressobj(47).decompress(head, size)
    except zlib.error as error:
        raise damaged(path, "its compressed data cannot be unpacked") from error


def open_file(path: Path) -> BinaryIO:
    """The file opened for reading, or an `InputError` that says why not."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
