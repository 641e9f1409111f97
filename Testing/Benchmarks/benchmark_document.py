"""Where benchmarks write what they measured: one section each of Docs/benchmarks.md."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "Docs" / "benchmarks.md"


def write_section(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Replace the section of a benchmark between its two marks, or append it."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    old = document.read_text(encoding="utf-8") if document.exists() else "# Benchmarks\n"
    before, _, rest = old.partition(begin)
    after = rest.partition(end)[2] if rest else "\n"
    document.write_text(f"{before.rstrip()}\n\n{begin}\n{text}\n{end}\n{after.lstrip()}", encoding="utf-8")


def print_or_write(name: str, measure: Callable[[], str], about: str | None) -> None:
    """Command line of a benchmark without settings: print what it measures, and write it when asked."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--write", action="store_true", help="write the table into Docs/benchmarks.md")
    args = parser.parse_args()
    text = measure()
    print(text)
    if args.write:
        write_section(name, text)
