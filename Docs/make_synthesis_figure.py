"""Six simulated scans beside the real one: pictures, histogram, spectrum, thin dark structures, veins.

    python Docs/make_synthesis_figure.py LABEL_MAP... --real SCAN -o Docs

Writes synthesis.png and synthesis.csv.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from scipy import ndimage

from CMBNetLib.anatomy import find_anatomy
from CMBNetLib.preparation import slices_first
from CMBNetLib.volume import Volume, read_volume, resample_to
from CMBNetTrainingLib.head import HeadMap, draw_block, read_head_map, sample_labels
from CMBNetTrainingLib.protocol import Protocol, draw_protocol
from CMBNetTrainingLib.synthesis import SyntheticScan, fine_grid, synthesize
from CMBNetTrainingLib.tissue import brain_of
from CMBNetTrainingLib.veins import vein_fraction
from CMBNetTrainingLib.whole_scans import FIELD_OF_VIEW_MM

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Sequence, field (T), echo (ms), slice spacing (mm), pixel (mm) of the six; the first is taken like the real scan.
PROTOCOLS = (
    ("T2*", 1.5, 18.9, 4.8, 0.45), ("T2*", 3.0, 20.0, 3.0, 0.6), ("T2*", 3.0, 25.0, 1.0, 0.6),
    ("SWI", 3.0, 20.0, 1.5, 0.5), ("SWI", 1.5, 40.0, 2.0, 0.75), ("SWI", 7.0, 14.0, 1.0, 0.5),
)  # fmt: skip
SEED = 20_261_124
# A dark structure thinner than this (mm), darker than its surround by this share of the brain's median, is counted.
THIN_MM, DARKER = 2.5, 0.15
# Of veins in a susceptibility map of about 1 mm voxels (ppb).
VEIN_PPB, VOXEL_MM = 120.0, 1.06


def simulated(number: int, head: HeadMap) -> SyntheticScan:
    """Scan ``number`` of the figure."""
    sequence, field_t, echo_ms, slice_mm, pixel_mm = PROTOCOLS[number]
    rng = np.random.default_rng([SEED, number])
    drawn = draw_protocol(rng, pixel_mm=pixel_mm, slice_spacing_mm=slice_mm, sequence=sequence)
    protocol = replace(drawn, field_t=field_t, echo_time_ms=echo_ms, snr=40.0, ghost=0.0, motion_mm=0.0)
    shape, spacing, per_slice = fine_grid(FIELD_OF_VIEW_MM, protocol)
    block = draw_block(rng, shape, spacing, head.brain_center, protocol.slice_rotation)
    return synthesize(rng, head, block, protocol, per_slice, 12)


def figures_of(image: np.ndarray, brain: np.ndarray, pixel_mm: float) -> dict[str, object]:
    """Histogram over the brain (median is 1), radial spectrum of the middle slices, share of thin dark structures."""
    inside = ndimage.binary_erosion(brain, iterations=max(1, round(3 / pixel_mm)), structure=np.ones((1, 3, 3)))
    scaled = image / np.median(image[inside])
    size = max(3, round(THIN_MM / pixel_mm) | 1)
    closed = ndimage.grey_closing(scaled, size=(1, size, size))
    histogram, _ = np.histogram(scaled[inside], bins=np.linspace(0, 2, 81), density=True)
    return {
        "histogram": histogram,
        "spectrum": spectrum_of(scaled, inside, pixel_mm),
        "thin_dark_percent": 100 * float(((closed - scaled) > DARKER)[inside].mean()),
        "spread": float(np.subtract(*np.percentile(scaled[inside], [90, 10]))),
    }


def spectrum_of(image: np.ndarray, brain: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Mean power in rings of 0.02 cycles/mm up to 0.9, over slices in the middle of the brain, windowed by the mask."""
    rows = []
    area = brain.sum((1, 2))
    for k in np.flatnonzero(area > 0.7 * area.max()):
        soft = ndimage.gaussian_filter(brain[k].astype(float), 3 / pixel_mm)
        power = np.abs(np.fft.fft2((image[k] - 1) * soft)) ** 2 / soft.sum() * pixel_mm**2
        j, i = (np.fft.fftfreq(n, pixel_mm) for n in power.shape)
        ring = (np.hypot(j[:, None], i) / 0.02).astype(int)
        total = np.bincount(ring.ravel(), power.ravel(), minlength=46)
        rows.append(total[:46] / np.maximum(np.bincount(ring.ravel(), minlength=46)[:46], 1))
    return np.mean(rows, axis=0)


def vein_figures(head: HeadMap, seed: int) -> dict[str, float]:
    """Share of the brain (percent) that is vein above 120 ppb at about 1 mm, and median and p90 there."""
    rng = np.random.default_rng([SEED, seed])
    spacing = np.full(3, VOXEL_MM / 2)
    block = draw_block(rng, (300, 380, 310), spacing, head.brain_center, np.eye(3))
    labels = sample_labels(head, block.sample_points())
    chi = 1000 * vein_fraction(rng, labels, spacing) * float(rng.uniform(0.15, 0.42))
    coarse = chi.reshape(150, 2, 190, 2, 155, 2).mean((1, 3, 5))
    brain = ndimage.binary_closing(brain_of(labels)[::2, ::2, ::2], iterations=3)
    strong = coarse[brain & (coarse > VEIN_PPB)]
    return {
        "percent": 100 * len(strong) / brain.sum(),
        "median_ppb": float(np.median(strong)),
        "p90_ppb": float(np.percentile(strong, 90)),
    }


def draw(scans: list[tuple[str, np.ndarray, float, dict[str, object]]], path: Path) -> None:
    """Pictures above, histogram and spectrum below; the first scan is the real one."""
    figure = plt.figure(figsize=(3 * len(scans), 9), facecolor="white")
    grid = figure.add_gridspec(3, 2 * len(scans), height_ratios=[1, 1, 0.95])
    for column, (title, image, aspect, _) in enumerate(scans):
        for row, share in enumerate((0.45, 0.62)):
            axes = figure.add_subplot(grid[row, 2 * column : 2 * column + 2])
            axes.imshow(image[round(image.shape[0] * share), ::-1], cmap="gray", vmin=0, vmax=2.0, aspect=aspect)
            axes.set_axis_off()
            if row == 0:
                axes.set_title(title, fontsize=11)
    histogram = figure.add_subplot(grid[2, 1 : len(scans) - 1])
    spectrum = figure.add_subplot(grid[2, len(scans) + 1 : -1])
    for number, (title, _, _, numbers) in enumerate(scans):
        style = {"color": "black", "lw": 2.5} if number == 0 else {"lw": 1.2}
        label = title.replace("\n", ", ")
        histogram.plot(np.linspace(0.0125, 1.9875, 80), numbers["histogram"], label=label, **style)
        spectrum.semilogy(np.arange(46) * 0.02, numbers["spectrum"], **style)
    histogram.set(xlabel="intensity, brain's median = 1", ylabel="density")
    spectrum.set(xlabel="cycles/mm in plane", ylabel="power")
    histogram.legend(fontsize=8)
    figure.savefig(path, dpi=70, bbox_inches="tight")


def real_entry(path: Path) -> tuple[str, np.ndarray, float, dict[str, object]]:
    """Picture and figures of the real scan."""
    scan = slices_first(read_volume(path))
    mask = resample_to(find_anatomy(scan).brain, scan, interpolation="nearest").array > 0
    image = upright(scan)
    brain = upright(Volume(mask.astype(np.uint8), scan.ijk_to_ras)) > 0
    numbers = figures_of(image, brain, scan.spacing_mm[0])
    return "real\nT2* 1.5 T, 4.8 mm", image / np.median(image[brain]), 1.0, numbers


def upright(volume: Volume) -> np.ndarray:
    """The array with its axes along S, A and R, as simulated scans have them."""
    array = volume.array
    for axis, column in zip((0, 1, 2), (2, 1, 0), strict=True):
        if volume.direction[column, column] < 0:
            array = np.flip(array, axis)
    return array


def simulated_entry(number: int, head: HeadMap) -> tuple[str, np.ndarray, float, dict[str, object]]:
    """Picture and figures of one simulated scan."""
    scan = simulated(number, head)
    protocol: Protocol = scan.protocol
    image = np.asarray(scan.image, float)
    title = f"simulated\n{protocol.sequence} {protocol.field_t:g} T, {protocol.slice_spacing_mm:g} mm"
    brain = ndimage.binary_closing(scan.brain, np.ones((1, 5, 5)))
    return title, image / np.median(image[scan.brain]), 1.0, figures_of(image, brain, protocol.pixel_mm)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("label_maps", nargs="+", type=Path)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, default=Path("Docs"))
    args = parser.parse_args()
    heads = [read_head_map(path) for path in args.label_maps[: len(PROTOCOLS)]]
    scans = [real_entry(args.real)]
    for number in range(len(PROTOCOLS)):
        scans.append(simulated_entry(number, heads[number % len(heads)]))
        print(scans[-1][0].replace("\n", ", "), flush=True)
    draw(scans, args.output / "synthesis.png")
    with (args.output / "synthesis.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["scan", "thin_dark_percent", "spread_p10_p90"])
        for title, _, _, numbers in scans:
            figures = [f"{numbers['thin_dark_percent']:.2f}", f"{numbers['spread']:.3f}"]
            writer.writerow([title.replace("\n", ", "), *figures])
        writer.writerow(["veins of a map", "percent_above_120_ppb", "median_ppb", "p90_ppb"])
        for number, head in enumerate(heads[:3]):
            veins = vein_figures(head, number)
            writer.writerow([head.name, *(f"{veins[key]:.2f}" for key in ("percent", "median_ppb", "p90_ppb"))])


if __name__ == "__main__":
    main()
