"""Figures of an evaluation as PNG: FROC, Bland-Altman, strata, calibration."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from .estimates import Estimate
from .froc import RATES, FrocCurve
from .report_tables import name_of
from .scan_result import ScanResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 110
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#888888"
_LEFT = RATES[0] / 2  # the logarithmic axis begins here; what lies further left is drawn at its edge


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw_figures(
    results: Sequence[ScanResult],
    metrics: Mapping[str, Any],
    comparison: tuple[Mapping[str, Any], Sequence[str]] | None = None,
) -> dict[str, bytes]:
    """PNG of each figure by name; a figure without data is left out."""
    figures = {"bland_altman": picture(lambda axes: _bland_altman(axes, results, metrics["counting"]))}
    if metrics["froc"] is not None:
        figures["froc"] = picture(lambda axes: _froc(axes, metrics["froc"], metrics["detection"]["pooled"]))
    if comparison is not None and comparison[0]["curves"] is not None:
        figures["comparison_froc"] = picture(lambda axes: _two_curves(axes, comparison[0]["curves"], comparison[1]))
    if metrics["calibration"] is not None:
        figures["calibration"] = picture(lambda axes: _calibration(axes, metrics["calibration"]["bins"]))
    for key, groups in metrics["strata"].items():
        height = 1.2 + 0.34 * len(groups)
        figures[f"strata_{key}"] = picture(lambda axes, k=key, g=groups: _strata(axes, k, g), height)
    return figures


def picture(draw: Any, height: float = 4.0) -> bytes:
    """PNG of what ``draw`` puts on its axes; ``height`` in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    buffer = io.BytesIO()
    # Without the entry of the version the same data give the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _froc(axes: Axes, froc: Mapping[str, Any], pooled: Mapping[str, Estimate]) -> None:
    band = froc["band"]
    # A band that is not defined somewhere has a gap there.
    low, high = (np.array(band[side], dtype=float) for side in ("low", "high"))
    axes.fill_between(band["rates"], low, high, color=BLUE, alpha=0.15, linewidth=0, label="95 % interval")
    draw_curve(axes, froc["curve"], BLUE, "FROC")
    sensitivity, rate = pooled["sensitivity"].value, pooled["false_positives_per_scan"].value
    if sensitivity is not None and rate is not None:
        axes.plot([max(rate, _LEFT)], [sensitivity], "o", color=ORANGE, label="operating point")
    froc_axes(axes)


def _two_curves(axes: Axes, curves: Sequence[FrocCurve], names: Sequence[str]) -> None:
    for curve, name, colour in zip(curves, names, (BLUE, ORANGE), strict=True):
        draw_curve(axes, curve, colour, name)
    froc_axes(axes)


def draw_curve(axes: Axes, curve: FrocCurve, colour: str, name: str) -> None:
    """The steps of a FROC; dotted where the curve has ended and its last sensitivity goes on."""
    if not len(curve.sensitivity):
        return
    rates = np.maximum(curve.false_positives_per_scan, _LEFT)
    axes.step(rates, curve.sensitivity, where="post", color=colour, label=name)
    if rates[-1] < RATES[-1]:
        axes.plot([rates[-1], RATES[-1]], [curve.sensitivity[-1]] * 2, ":", color=colour)


def froc_axes(axes: Axes) -> None:
    """Axes of a FROC."""
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    axes.set_xscale("log", base=2)
    axes.set_xticks((_LEFT, *RATES), ["≤ 1/16", "1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set(xlabel="False positives per scan (all scans)", ylabel="Sensitivity", ylim=(0, 1.02))
    axes.grid(alpha=0.3)


def _bland_altman(axes: Axes, results: Sequence[ScanResult], counting: Mapping[str, Any]) -> None:
    """Counts are whole numbers, so that many scans share a point: its area tells how many."""
    counts = np.array([(result.n_predicted, result.n_reference) for result in results], dtype=float)
    places, number = np.unique(counts, axis=0, return_counts=True)
    predicted, reference = places.T
    area = 22.0 * number
    axes.scatter((predicted + reference) / 2, predicted - reference, s=area, color=BLUE, alpha=0.6, linewidth=0)
    lines = (("bias", "-", "bias"), ("limit_low", "--", "− 1.96 SD"), ("limit_high", "--", "+ 1.96 SD"))
    for name, style, text in lines:
        value = counting[name].value
        if value is not None:
            axes.axhline(value, linestyle=style, color=ORANGE, linewidth=1)
            axes.annotate(
                f"{text} {value:.2f}", (1.0, value), xycoords=("axes fraction", "data"), xytext=(-3, 2),
                textcoords="offset points", fontsize=8, ha="right", va="bottom",
            )  # fmt: skip
    axes.set(xlabel="Mean of predicted and reference count", ylabel="Predicted minus reference")
    axes.margins(y=0.12)
    axes.set_title("area: number of scans", fontsize=8, loc="right")
    axes.grid(alpha=0.3)


def _calibration(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    filled = [entry for entry in bins if entry["n"]]
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    axes.plot([entry["mean_score"] for entry in filled], [entry["share_true"] for entry in filled], "o-", color=BLUE)
    for entry in filled:
        place = (entry["mean_score"], entry["share_true"])
        axes.plot([place[0]] * 2, [entry["wilson_low"], entry["wilson_high"]], color=BLUE, linewidth=1, alpha=0.6)
        axes.annotate(str(entry["n"]), place, fontsize=8, xytext=(4, -9), textcoords="offset points")
    axes.set(xlabel="Score", ylabel="Share of microbleeds", xlim=(-0.02, 1.05), ylim=(-0.05, 1.05))
    axes.set_title("bars: Wilson intervals; numbers: candidates", fontsize=8, loc="right")
    axes.grid(alpha=0.3)


def _strata(axes: Axes, key: str, groups: Mapping[str, Mapping[str, Any]]) -> None:
    for row, figures in enumerate(groups.values()):
        for shift, name, colour in ((-0.13, "sensitivity", BLUE), (0.13, "precision", ORANGE)):
            draw_interval(axes, figures[name], row + shift, colour)
    labels = [f"{name} ({figures['tp']}/{figures['fp']}/{figures['fn']})" for name, figures in groups.items()]
    axes.set_yticks(range(len(groups)), labels, fontsize=8)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    legend_above(axes, (("sensitivity", BLUE), ("precision", ORANGE)))
    axes.set(xlim=(-0.02, 1.02), xlabel=f"{name_of(key)} (TP/FP/FN)")
    axes.grid(axis="x", alpha=0.3)


def draw_interval(axes: Axes, estimate: Estimate, height: float, colour: str) -> None:
    """Point and interval in a row; dotted where only the counts give one."""
    if estimate.value is None:
        return
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [height, height], "-", color=colour, linewidth=1.5)
    elif estimate.by_counts is not None:
        axes.plot([*estimate.by_counts], [height, height], ":", color=colour, linewidth=1.5)
    axes.plot([estimate.value], [height], "o", color=colour, markersize=5)


def legend_above(axes: Axes, entries: Sequence[tuple[str, str]]) -> None:
    """Names and colours over the axes; in no row all of them need be defined, so the legend has lines of its own."""
    for name, colour in entries:
        axes.plot([], [], "o-", color=colour, markersize=5, label=name)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, frameon=False)
