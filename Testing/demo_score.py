"""Compares the result of `make demo` with the truth of the sample scan: how many microbleeds were found.

    python Testing/demo_score.py DEMO_FOLDER

A microbleed counts as found when a detected one overlaps it or has its centre within 3 mm of it; each
detected one is used once. Exit code 1 where fewer than 80 % were found or more than 3 are false.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import center_of_mass, label
from scipy.optimize import linear_sum_assignment

from CMBNetLib.volume import Volume, read_labels

SAMPLE_DATA = Path(__file__).resolve().parent.parent / "Resources" / "SampleData"
TOLERANCE_MM = 3.0
WANTED_FOUND = 0.8
ALLOWED_FALSE = 3


def centres_mm(array: np.ndarray, grid: Volume) -> np.ndarray:
    """(N, 3) RAS centres of the labels of an array [k, j, i], in the order of the labels."""
    labels = np.unique(array[array > 0])
    if labels.size == 0:
        return np.empty((0, 3))
    kji = np.array(center_of_mass(array > 0, array, labels))
    return grid.ras_from_ijk(kji[:, ::-1])


def instances(array: np.ndarray) -> np.ndarray:
    """One label per microbleed, also where the file marks all of them with 1."""
    return array if array.max() > 1 else label(array > 0, np.ones((3, 3, 3)))[0]


def score(detected: Volume, truth: Volume) -> tuple[int, int, int]:
    """(found, missed, false) after the pairing with the smallest total distance."""
    found_array, truth_array = instances(detected.array), instances(truth.array)
    found, wanted = centres_mm(found_array, detected), centres_mm(truth_array, truth)
    distance = np.linalg.norm(wanted[:, None] - found[None], axis=2)
    near = distance <= TOLERANCE_MM
    if found_array.shape == truth_array.shape:
        near |= _overlaps(truth_array, found_array)
    rows, columns = linear_sum_assignment(np.where(near, distance, 1e6))
    hits = int(near[rows, columns].sum())
    return hits, len(wanted) - hits, len(found) - hits


def _overlaps(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(truth, found) table: whether the two labels share a voxel."""
    rows, columns = np.unique(truth[truth > 0]), np.unique(found[found > 0])
    table = np.zeros((rows.size, columns.size), dtype=bool)
    shared = (truth > 0) & (found > 0)
    table[np.searchsorted(rows, truth[shared]), np.searchsorted(columns, found[shared])] = True
    return table


def main(folder: Path) -> int:
    truth_path = SAMPLE_DATA / "CMBNetSample_truth.nii.gz"
    result_path = folder / "CMBNetSample_swi_microbleeds.nii.gz"
    for path in (truth_path, result_path):
        if not path.is_file():
            print(f"{path} is missing: run make demo first", file=sys.stderr)
            return 2
    found, missed, false = score(read_labels(result_path), read_labels(truth_path))
    print(f"Sample scan: {found} of {found + missed} microbleeds found, {false} false ones.")
    return 0 if found >= WANTED_FOUND * (found + missed) and false <= ALLOWED_FALSE else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo")))
