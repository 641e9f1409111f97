"""Everything an evaluation writes into its folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from CMBNetLib.files import atomic_output
from CMBNetLib.progress import Progress

from .evaluation import Evaluation, plain
from .figures import can_draw, draw_figures
from .methods_text import methods_paragraph, software_versions
from .pairs import Pair
from .report_page import report_html
from .tables import (
    DIFFERENCE_COLUMNS,
    MEASURE_COLUMNS,
    difference_rows,
    froc_rows,
    lesion_rows,
    measure_rows,
    scan_rows,
    stratum_rows,
    write_csv,
)

SCHEMA = "cmbnet-evaluation"
SCHEMA_VERSION = "1.0"
TITLE = "Evaluation of microbleed detection"


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    metrics: Mapping[str, Any],
    *,
    title: str = TITLE,
    gallery: Path | None = None,
    comparison: tuple[Mapping[str, Any], Sequence[str]] | None = None,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Write JSON, CSV, figures and the page; returns the paths by kind.

    The same input gives the same bytes but for the time in ``evaluation.json`` and ``report.html``.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    progress = progress or Progress()
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    left_out = len(evaluation.pairs) - len(evaluation.results)
    methods = methods_paragraph(
        evaluation.results, evaluation.settings, metrics, compared=comparison is not None, left_out=left_out
    )
    paths = _write_tables(folder, evaluation, metrics, comparison)
    figures = write_figures(folder, draw_figures, (evaluation.results, metrics, comparison), progress)
    if find_spec("jinja2") is None:
        progress.warning("no_report", "The page was not written: the package jinja2 is missing (see cmbnet system).")
    else:
        page = report_html(
            title, created, evaluation.results, metrics, methods=methods, problems=evaluation.problems,
            figures=figures, gallery=gallery, comparison=comparison, rule=evaluation.settings.rule.sentence(),
        )  # fmt: skip
        paths["report"] = write_text(folder / "report.html", page)
    document = evaluation_document(evaluation, metrics, created, methods, paths, title)
    if comparison is not None:
        document["comparison"] = {"models": list(comparison[1]), **plain(dict(comparison[0]))}
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    paths["json"] = write_text(folder / "evaluation.json", text)
    return paths


def evaluation_document(
    evaluation: Evaluation,
    metrics: Mapping[str, Any],
    created: str,
    methods: str,
    files: Mapping[str, Path],
    title: str,
) -> dict[str, Any]:
    """The content of ``evaluation.json``."""
    settings = evaluation.settings
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "created": created,
        "title": title,
        "software": software_versions(),
        "settings": {
            "rule": settings.rule.as_dict(),
            "threshold": settings.threshold,
            "floor": settings.floor,
            "ignore_below_mm": settings.ignore_below_mm,
            "decoy_mm": settings.decoy_mm,
        },
        "methods": methods,
        "problems": list(evaluation.problems),
        "pairs": {pair.scan_id: _sources(pair) for pair in sorted(evaluation.pairs, key=lambda pair: pair.scan_id)},
        "metrics": plain(dict(metrics)),
        "files": {kind: path.name for kind, path in sorted(files.items())},
    }


def _sources(pair: Pair) -> dict[str, str | None]:
    """Absolute paths of the files of a pair."""
    paths = {role: getattr(pair, role) for role in ("prediction", "reference", "image")}
    return {role: None if path is None else str(path.resolve()) for role, path in paths.items()}


def _write_tables(
    folder: Path,
    evaluation: Evaluation,
    metrics: Mapping[str, Any],
    comparison: tuple[Mapping[str, Any], Sequence[str]] | None,
) -> dict[str, Path]:
    paths = {
        "scans": write_csv(folder / "scans.csv", *scan_rows(evaluation.results)),
        "lesions": write_csv(folder / "lesions.csv", *lesion_rows(evaluation.results)),
        "metrics": write_csv(folder / "metrics.csv", MEASURE_COLUMNS, measure_rows(metrics)),
        "strata": write_csv(folder / "strata.csv", *stratum_rows(metrics["strata"])),
    }
    if metrics["froc"] is not None:
        paths["froc"] = write_csv(folder / "froc.csv", *froc_rows(metrics["froc"]["curve"]))
    if comparison is not None:
        rows = difference_rows(comparison[0]["metrics"])
        paths["comparison"] = write_csv(folder / "comparison.csv", DIFFERENCE_COLUMNS, rows)
    return paths


def write_figures(
    folder: Path, draw: Callable[..., dict[str, bytes]], arguments: Sequence[Any], progress: Progress
) -> dict[str, bytes]:
    """Write the PNG files that ``draw`` makes into ``folder/figures``; a warning where matplotlib is missing."""
    if not can_draw():
        progress.warning("no_figures", "Figures were not drawn: the package matplotlib is missing (see cmbnet system).")
        return {}
    figures = draw(*arguments)
    for name, data in figures.items():
        with atomic_output(folder / "figures" / f"{name}.png") as temporary:
            temporary.write_bytes(data)
    return figures


def write_text(path: Path, text: str) -> Path:
    """Write a text file at once; returns its path."""
    with atomic_output(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
