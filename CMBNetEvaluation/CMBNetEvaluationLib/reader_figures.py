"""Figures of a reader study as PNG: agreement two by two, votes, readers against the reference, assistance, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import BLUE, GREY, ORANGE, draw_interval, legend_above, picture
from .reader_study import CONDITIONS, ReaderStudy, both_conditions
from .reading_files import MODEL
from .report_tables import name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HELP = ("sensitivity", "precision", "f1", "false_positives_per_scan")


def draw_study_figures(study: ReaderStudy) -> dict[str, bytes]:
    """PNG of each figure by name; a figure without data is left out."""
    figures = {}
    # What raters have in common with the reference has a figure of its own.
    pairs = [entry for entry in study.pairs if entry["kind"] != "with the reference"]
    if pairs:
        figures["agreement"] = picture(lambda axes: _agreement(axes, pairs), 1.2 + 0.4 * len(pairs))
    if study.votes:
        figures["votes"] = picture(lambda axes: _votes(axes, study.votes, len(study.panel)), 3.2)
    if study.against_reference:
        figures["against_reference"] = picture(lambda axes: _against_reference(axes, study.against_reference))
    if study.assistance is not None:
        figures["assistance"] = picture(lambda axes: _assistance(axes, study.assistance or {}), 2.8)
    if any(reading.seconds for reading in study.readings):
        figures["time"] = picture(lambda axes: _time(axes, study), 3.4)
    return figures


def _agreement(axes: Axes, pairs: Sequence[Mapping[str, Any]]) -> None:
    """F1 and AC1 of each two raters with their intervals."""
    for row, entry in enumerate(pairs):
        for shift, name, colour in ((-0.15, "f1", BLUE), (0.15, "gwet_ac1", ORANGE)):
            draw_interval(axes, entry[name], row + shift, colour)
    axes.set_yticks(range(len(pairs)), [f"{entry['first']} / {entry['second']}" for entry in pairs], fontsize=8)
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    legend_above(axes, (("F1 of lesions", BLUE), ("Gwet's AC1 of places", ORANGE)))
    axes.locator_params(axis="x", nbins=6)
    axes.set(xlabel="Agreement", xlim=(min(0.0, axes.get_xlim()[0]) - 0.02, 1.02))
    axes.grid(axis="x", alpha=0.3)


def _votes(axes: Axes, votes: Sequence[Mapping[str, Any]], n_readers: int) -> None:
    """How many places so many readers of the panel call a microbleed, those with an unsure reader apart."""
    yes = np.array([row["yes"] for row in votes])
    unsure = np.array([row["unsure"] > 0 for row in votes])
    numbers = np.arange(n_readers + 1)
    sure = [int(((yes == number) & ~unsure).sum()) for number in numbers]
    doubted = [int(((yes == number) & unsure).sum()) for number in numbers]
    axes.bar(numbers, sure, color=BLUE, label="nobody unsure")
    axes.bar(numbers, doubted, bottom=sure, color=GREY, label="some reader unsure")
    axes.set_xticks(numbers)
    axes.set(xlabel=f"Readers of {n_readers} that call the place a microbleed", ylabel="Places")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=8)
    axes.grid(axis="y", alpha=0.3)


def _against_reference(axes: Axes, raters: Mapping[str, Mapping[str, Any]]) -> None:
    """Sensitivity over false positives a scan of each rater, with both intervals."""
    for number, (name, detection) in enumerate(raters.items()):
        colour = ORANGE if name == MODEL else BLUE
        rate, sensitivity = (detection["pooled"][key] for key in ("false_positives_per_scan", "sensitivity"))
        if sensitivity.value is None or rate.value is None:
            continue
        for estimate, along in ((rate, True), (sensitivity, False)):
            ends = (estimate.low, estimate.high) if estimate.low is not None else estimate.by_counts
            if ends is not None:
                fixed = [sensitivity.value if along else rate.value] * 2
                axes.plot(*((ends, fixed) if along else (fixed, ends)), color=colour, linewidth=1, alpha=0.5)
        axes.plot([rate.value], [sensitivity.value], "osD^vP*X"[number % 8], color=colour, label=name)
    axes.set(xlabel="False positives per scan", ylabel="Sensitivity", ylim=(0, 1.02))
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    axes.grid(alpha=0.3)


def _assistance(axes: Axes, assistance: Mapping[str, Any]) -> None:
    """What assistance changed, with intervals."""
    rows = [(name, assistance["metrics"][name]) for name in _HELP if assistance["metrics"][name].difference is not None]
    for row, (_name, found) in enumerate(rows):
        if found.low is not None:
            axes.plot([found.low, found.high], [row, row], color=BLUE, linewidth=1.5)
        axes.plot([found.difference], [row], "o", color=BLUE)
    axes.axvline(0.0, color=GREY, linewidth=1)
    names = ["False positives per scan" if name == _HELP[-1] else name_of(name) for name, _found in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set(xlabel="With minus without assistance (95 % interval)")
    axes.grid(axis="x", alpha=0.3)


def _time(axes: Axes, study: ReaderStudy) -> None:
    """Seconds a case by condition; a line joins the two of one reader and case."""
    for before, after in both_conditions(study.readings):
        axes.plot([0, 1], [before.seconds or 0.0, after.seconds or 0.0], color=GREY, linewidth=0.6, alpha=0.6)
    for place, (assisted, name) in enumerate(CONDITIONS.items()):
        seconds = [reading.seconds or 0.0 for reading in study.readings if reading.assisted is assisted]
        if seconds:
            axes.plot([place] * len(seconds), seconds, "o", color=BLUE, alpha=0.5, markersize=4)
            axes.plot([place], [float(np.median(seconds))], "_", color=ORANGE, markersize=26, markeredgewidth=2)
        axes.annotate(f"{name} ({len(seconds)})", (place, -0.03), xycoords=("data", "axes fraction"), ha="center",
                      va="top", fontsize=9)  # fmt: skip
    axes.set_xticks([])
    axes.set(ylabel="Seconds a case", xlim=(-0.5, 1.5))
    axes.set_ylim(bottom=0)
    axes.set_title("orange: median", fontsize=8, loc="right")
    axes.grid(axis="y", alpha=0.3)
