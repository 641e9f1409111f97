"""The 20 public SWI scans of Dou et al. 2016: centres in MATLAB files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from CMBNetLib.errors import InputError

from .layout_files import by_key, find_folder, images_below, paired
from .mat_file import read_matrix
from .source_scan import Listing, Problem, SourcePoint, SourceScan, checked_listing

_NUMBER = re.compile(r"\d+")


class Dou:
    """``nii/NN.nii`` and ``ground_truth/NN.mat`` with ``cen``, N x 3 voxels counted from 1."""

    name = "dou"
    title = "Dou 2016 (20 SWI)"

    def misses(self, root: Path) -> str | None:
        if find_folder(root, "nii") is None:
            return "no folder nii"
        return "no folder ground_truth" if find_folder(root, "ground_truth") is None else None

    def list_scans(self, root: Path) -> Listing:
        image_folder, truth = find_folder(root, "nii"), find_folder(root, "ground_truth")
        images = by_key(images_below(image_folder) if image_folder else [], _number)
        mats = sorted(truth.glob("*.mat")) if truth else []
        pairs, problems = paired(images, by_key(mats, lambda stem: _number(stem.removesuffix(".mat"))), self.name)
        scans = []
        for key, image, mat in pairs:
            scan_id = f"{self.name}-{key}"
            try:
                points = read_centres(mat)
            except InputError as error:
                problems.append(Problem(scan_id, "damaged", str(error)))
                continue
            scans.append(
                SourceScan(
                    scan_id, scan_id, image, self.name, points=points, sequence="SWI", field_strength_t=3.0,
                    echo_time_ms=24.0,
                )
            )  # fmt: skip
        return checked_listing(scans, problems)


def read_centres(path: Path) -> tuple[SourcePoint, ...]:
    """Return the centres of a ``.mat`` file, counted from 0.

    Raises
    ------
    InputError
        The file is no MATLAB file, has no ``cen``, or ``cen`` is no N x 3 table of finite numbers.
    """
    centres = read_matrix(path, "cen")
    if centres.size == 0:
        return ()
    if centres.ndim != 2 or centres.shape[1] != 3 or centres.dtype.kind not in "iuf":
        raise InputError(f"'cen' in {path.name} is not a table of N x 3 numbers but {centres.shape} {centres.dtype}.")
    if not np.isfinite(centres.astype(float)).all():
        raise InputError(f"'cen' in {path.name} holds values that are not numbers; correct the file.")
    return tuple(
        SourcePoint(f"{path.name} row {row + 1}", (float(i) - 1, float(j) - 1, float(k) - 1))
        for row, (i, j, k) in enumerate(centres.tolist())
    )


def _number(stem: str) -> str | None:
    match = _NUMBER.fullmatch(stem)
    return f"{int(stem):02d}" if match else None
