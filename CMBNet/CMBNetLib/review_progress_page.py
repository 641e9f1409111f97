"""The progress of an annotation as one page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from statistics import median

from .review_progress import AnnotationProgress, CaseProgress

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:1.5rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ccc}
table{border-collapse:collapse;margin:.5rem 0}
td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #e4e4e4}
td:first-child,th:first-child{text-align:left}.note{color:#555;font-size:.88rem}
.warning{background:#fff4d6;padding:.4rem .8rem}.bar{background:#e8e8e8;height:.8rem;border-radius:.4rem}
.bar div{background:#2e7d32;height:100%;border-radius:.4rem}
"""
_READERS = (
    "Reader",
    "Started",
    "Finished",
    "Decisions",
    "Microbleeds",
    "Rejected",
    "Unsure",
    "Hours",
    "Minutes a case",
)
_PAIRS = ("Readers", "Cases", "Lesions", "Both", "Only first", "Only second", "Neither", "Positive agreement", "Kappa")


def progress_page(title: str, created: str, progress: AnnotationProgress) -> str:
    """Return the page as text."""
    finished = sum(any(reading.finished for reading in case.readings) for case in progress.cases)
    share = round(100 * finished / max(len(progress.cases), 1))
    parts = [
        f"<h1>{escape(title)}</h1><p class=note>{escape(created)}</p><p>{escape(progress.summary)}</p>",
        f'<div class="bar"><div style="width:{share}%"></div></div>',
        _warnings(progress.problems),
        "<h2>Readers</h2>", _table(_READERS, [_reader(progress, name) for name in progress.names]),
        "<h2>Agreement</h2>", _agreement(progress),
        "<h2>Cases</h2>", _table(("Case", *progress.names), [_case(case, progress.names) for case in progress.cases]),
    ]  # fmt: skip
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>'


def _reader(progress: AnnotationProgress, name: str) -> list[str]:
    readings = progress.of(name)
    done = [reading for reading in readings if reading.finished]
    counts = [sum(getattr(each, what) for each in readings) for what in ("microbleeds", "rejected", "unsure")]
    hours = sum(each.seconds for each in readings) / 3600
    minutes = f"{median(each.seconds for each in done) / 60:.1f}" if done else "–"
    numbers = (len(readings), len(done), sum(counts), *counts)
    return [name, *map(str, numbers), f"{hours:.2f}", minutes]


def _agreement(progress: AnnotationProgress) -> str:
    if not progress.agreements:
        return "<p class=note>No case has been finished by two readings yet.</p>"
    rows = [
        [
            f"{pair.first}, {pair.second}",
            *map(str, (pair.n_cases, pair.n_lesions, pair.both, pair.only_first, pair.only_second, pair.neither)),
            _figure(pair.positive_agreement),
            _figure(pair.kappa),
        ]
        for pair in progress.agreements
    ]
    note = (
        "<p class=note>Positive agreement is 2 × both / (2 × both + only first + only second). Kappa is Cohen's, over "
        "the places that one of the two marked; “neither” are those that both call no microbleed or unsure.</p>"
    )
    return _table(_PAIRS, rows) + note


def _case(case: CaseProgress, names: Sequence[str]) -> list[str]:
    said = {reading.name: reading for reading in case.readings}
    cells = []
    for name in names:
        reading = said.get(name)
        if reading is None:
            cells.append("–")
        else:
            state = "finished" if reading.finished else "started"
            cells.append(f"{state}: {reading.microbleeds} of {reading.decisions}, {reading.seconds / 60:.1f} min")
    return [case.case_id, *cells]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _warnings(problems: Sequence[str]) -> str:
    lines = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    return f'<div class="warning"><ul>{lines}</ul></div>' if lines else ""


def _table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
