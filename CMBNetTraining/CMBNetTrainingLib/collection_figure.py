"""One picture of a collection: how many microbleeds a scan has, how large they are, on which slices."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

SIZE_INCHES = (12.0, 3.6)
DPI = 100
# As in the tables: scans with 0, 1, 2-4, 5 and more, 10 and more microbleeds.
BURDENS = ((0, 0, "0"), (1, 1, "1"), (2, 4, "2-4"), (5, 9, "5-9"), (10, 10**6, "10+"))


def collection_figure(records: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a PNG; the same records give the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    burden, size, slices = figure.subplots(1, 3)
    for axes in (burden, size):
        axes.yaxis.get_major_locator().set_params(integer=True)
    datasets = sorted({str(record["dataset"]) for record in records})
    groups = [[record for record in records if record["dataset"] == name] for name in datasets]
    _draw_burden(burden, datasets, groups)
    _draw_sizes(size, datasets, groups)
    _draw_slices(slices, datasets, groups)
    stream = io.BytesIO()
    # Without this the PNG names the version of matplotlib.
    canvas.print_png(stream, metadata={"Software": None})
    return stream.getvalue()


def _draw_burden(axes: Any, names: Sequence[str], groups: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    bottom = [0] * len(BURDENS)
    for name, records in zip(names, groups, strict=True):
        counts = [record["counts"]["collection"] for record in records]
        heights = [sum(low <= count <= high for count in counts) for low, high, _ in BURDENS]
        axes.bar([text for *_, text in BURDENS], heights, bottom=bottom, label=name)
        bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
    axes.set(xlabel="microbleeds in a scan", ylabel="scans", title="Burden")
    if names:
        axes.legend(fontsize="small")


def _draw_sizes(axes: Any, names: Sequence[str], groups: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    sizes = [
        [e["shape"]["equivalent_diameter_mm"] for record in records for e in record["microbleeds"] if e["shape"]]
        for records in groups
    ]
    axes.hist(sizes, bins=[0.5 * step for step in range(25)], stacked=True, label=list(names))
    axes.set(xlabel="equivalent diameter (mm)", ylabel="microbleeds", title="Size")


def _draw_slices(axes: Any, names: Sequence[str], groups: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    for name, records in zip(names, groups, strict=True):
        spacings = [sorted(record["source"]["spacing_mm"]) for record in records]
        axes.scatter([s[0] for s in spacings], [s[2] for s in spacings], s=18, alpha=0.6, label=name)
    axes.set(xlabel="smallest voxel edge (mm)", ylabel="largest voxel edge (mm)", title="Voxels")
    # One grid alone would be drawn on an axis of hundredths of a millimetre.
    axes.set_xlim(0, 1.1 * max([1.0, *axes.get_xlim()]))
    axes.set_ylim(0, 1.1 * max([1.0, *axes.get_ylim()]))
