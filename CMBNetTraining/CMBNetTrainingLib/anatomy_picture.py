"""Picture of the anatomy of a scan: slices with the outline of the brain, and the regions in colour.

python -m CMBNetTrainingLib.anatomy_picture SCAN -o Docs/anatomy.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from CMBNetLib.anatomy import Anatomy, find_anatomy
from CMBNetLib.anatomy_bundle import anatomy_network
from CMBNetLib.location import ANATOMY
from CMBNetLib.volume import Volume, nearest_to_ras, read_volume, resample_to

COLOURS = {
    "cortex": "#c8a2c8",
    "subcortical_white_matter": "#f5f5dc",
    "deep_white_matter": "#e8e0a8",
    "corpus_callosum": "#ffd27f",
    "hippocampus_amygdala": "#d8b34a",
    "caudate": "#7ec8e3",
    "putamen": "#e75480",
    "pallidum": "#3050c8",
    "thalamus": "#2e8b57",
    "internal_capsule": "#ff7f0e",
    "external_capsule": "#b22222",
    "brainstem": "#8b7d6b",
    "cerebellum": "#e6945c",
    "ventricle": "#6a3da8",
    "csf": "#3c3c64",
}
SLICES = 8


def draw(scan: Volume, anatomy: Anatomy, path: Path, title: str) -> None:
    """Eight slices from below to above, radiological view (the patient's right is on the left of the picture)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    volume = nearest_to_ras(scan)
    brain = resample_to(anatomy.brain, volume.grid, interpolation="nearest").array > 0
    codes = resample_to(anatomy.regions, volume.grid, interpolation="nearest").array
    rows = _box_of(brain)
    occupied = np.flatnonzero(brain.any((1, 2)))
    heights = np.linspace(int(occupied[0]), int(occupied[-1]), SLICES + 2).round().astype(int)[1:-1]
    top = float(np.percentile(volume.array[brain], 99.5))
    aspect = volume.spacing_mm[1] / volume.spacing_mm[0]
    figure, axes = pyplot.subplots(4, SLICES // 2, figsize=(10, 11.4), dpi=80, facecolor="black")
    for number, k in enumerate(heights):
        row, column = 2 * (number // (SLICES // 2)), number % (SLICES // 2)
        plain, coloured = axes[row, column], axes[row + 1, column]
        for axis in (plain, coloured):
            axis.imshow(_view(volume.array[k][rows]), cmap="gray", vmin=0, vmax=top, aspect=aspect)
            axis.axis("off")
        plain.contour(_view(brain[k][rows].astype(float)), [0.5], colors="#ffcc00", linewidths=0.8)
        coloured.imshow(_colours(_view(codes[k][rows])), aspect=aspect)
    _legend(figure)
    figure.suptitle(title, color="white", fontsize=10)
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.075, top=0.96, wspace=0.01, hspace=0.01)
    figure.savefig(path, facecolor="black")
    pyplot.close(figure)


def _box_of(brain: np.ndarray) -> tuple[slice, slice]:
    """In-plane box of the brain with a margin of a tenth."""
    box = []
    for axis in (1, 2):
        low, high = np.flatnonzero(brain.any(tuple(a for a in range(3) if a != axis)))[[0, -1]]
        margin = (high - low) // 10
        box.append(slice(max(0, low - margin), high + margin))
    return box[0], box[1]


def _view(plane: np.ndarray) -> np.ndarray:
    return plane[::-1, ::-1]


def _colours(codes: np.ndarray) -> np.ndarray:
    from matplotlib.colors import to_rgba

    table = np.zeros((64, 4))
    for name, colour in COLOURS.items():
        table[ANATOMY.index(name)] = to_rgba(colour, 0.55)
    return table[codes % 64]


def _legend(figure: object) -> None:
    from matplotlib.patches import Patch

    marks = [Patch(color=colour, label=name.replace("_", " ")) for name, colour in COLOURS.items()]
    figure.legend(  # type: ignore[attr-defined]
        handles=marks, ncol=5, loc="lower center", frameon=False, labelcolor="white", fontsize=8
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scan", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    scan = read_volume(args.scan)
    anatomy = find_anatomy(scan, anatomy_network())
    draw(scan, anatomy, args.output, f"{scan.name}: {anatomy.method}")


if __name__ == "__main__":
    main()
