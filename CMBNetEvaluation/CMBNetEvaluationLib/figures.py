"""Figures of an evaluation as PNG: FROC, Bland-Altman, strata, calibration."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from .estimates import Estimate
from .froc import RATES, FrocCurve
from .scan_result import ScanResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 110
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#888888"


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw_figures(results: Sequence[ScanResult], metrics: Mapping[str, Any]) -> dict[str, bytes]:
    """PNG of each figure by name; a figure without data is left out."""
    figures = {"bland_altman": _picture(lambda axes: _bland_altman(axes, results, metrics["counting"]))}
    if metrics["froc"] is not None:
        figures["froc"] = _picture(lambda axes: _froc(axes, metrics["froc"]["curve"], metrics["detection"]["pooled"]))
    if metrics["calibration"] is not None:
        figures["calibration"] = _picture(lambda axes: _calibration(axes, metrics["calibration"]["bins"]))
    for key, groups in metrics["strata"].items():
        height = 1.2 + 0.34 * len(groups)
        figures[f"strata_{key}"] = _picture(lambda axes, k=key, g=groups: _strata(axes, k, g), height)
    return figures


def _picture(draw: Any, height: float = 4.0) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    buffer = io.BytesIO()
    # Without the entry of the version the same data give the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _froc(axes: Axes, curve: FrocCurve, pooled: Mapping[str, Estimate]) -> None:
    if len(curve.sensitivity):
        rates = np.maximum(curve.false_positives_per_scan, RATES[0] / 2)
        axes.step(
            [*rates, max(RATES[-1], rates[-1])], [*curve.sensitivity, curve.sensitivity[-1]], where="post", color=_BLUE
        )
    sensitivity, rate = pooled["sensitivity"].value, pooled["false_positives_per_scan"].value
    if sensitivity is not None and rate is not None:
        axes.plot([max(rate, RATES[0] / 2)], [sensitivity], "o", color=_ORANGE, label="operating point")
        axes.legend(loc="lower right", frameon=False)
    axes.set_xscale("log", base=2)
    axes.set_xticks(RATES, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set(xlabel="False positives per scan (all scans)", ylabel="Sensitivity", ylim=(0, 1.02))
    axes.grid(alpha=0.3)


def _bland_altman(axes: Axes, results: Sequence[ScanResult], counting: Mapping[str, Any]) -> None:
    predicted = np.array([result.n_predicted for result in results], dtype=float)
    reference = np.array([result.n_reference for result in results], dtype=float)
    axes.plot((predicted + reference) / 2, predicted - reference, "o", color=_BLUE, alpha=0.6, markersize=5)
    for name, style in (("bias", "-"), ("limit_low", "--"), ("limit_high", "--")):
        value = counting[name].value
        if value is not None:
            axes.axhline(value, linestyle=style, color=_ORANGE, linewidth=1)
            axes.annotate(
                f"{value:.2f}", (1.0, value), xycoords=("axes fraction", "data"), fontsize=8, ha="right", va="bottom"
            )
    axes.set(xlabel="Mean of predicted and reference count", ylabel="Predicted minus reference")
    axes.grid(alpha=0.3)


def _calibration(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    filled = [entry for entry in bins if entry["n"]]
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1)
    axes.plot([entry["mean_score"] for entry in filled], [entry["share_true"] for entry in filled], "o-", color=_BLUE)
    for entry in filled:
        place = (entry["mean_score"], entry["share_true"])
        axes.annotate(str(entry["n"]), place, fontsize=8, xytext=(3, -9), textcoords="offset points")
    axes.set(xlabel="Score", ylabel="Share of microbleeds", xlim=(0, 1), ylim=(-0.02, 1.02))
    axes.grid(alpha=0.3)


def _strata(axes: Axes, key: str, groups: Mapping[str, Mapping[str, Any]]) -> None:
    for row, figures in enumerate(groups.values()):
        for shift, name, colour in ((-0.13, "sensitivity", _BLUE), (0.13, "precision", _ORANGE)):
            _interval(axes, figures[name], row + shift, colour)
    labels = [f"{name} ({figures['tp']}/{figures['fp']}/{figures['fn']})" for name, figures in groups.items()]
    axes.set_yticks(range(len(groups)), labels, fontsize=8)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    # Beside the first row nothing may be defined, so the legend has lines of its own.
    for name, colour in (("sensitivity", _BLUE), ("precision", _ORANGE)):
        axes.plot([], [], "o-", color=colour, markersize=5, label=name)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, frameon=False)
    axes.set(xlim=(-0.02, 1.02), xlabel=f"By {key} (TP/FP/FN)")
    axes.grid(axis="x", alpha=0.3)


def _interval(axes: Axes, estimate: Estimate, height: float, colour: str) -> None:
    if estimate.value is None:
        return
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [height, height], color=colour, linewidth=1.5)
    axes.plot([estimate.value], [height], "o", color=colour, markersize=5)
