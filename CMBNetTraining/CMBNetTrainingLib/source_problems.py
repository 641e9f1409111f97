"""What was wrong with the data sets of a collection, kept beside it until each is listed again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .collection import write_json
from .layout_files import safe_id
from .source_scan import Problem


def write_problems(work: Path, name: str, problems: Sequence[Problem]) -> None:
    """Replace the problems of the data set ``name``."""
    write_json(_path(work, name), {"problems": [asdict(problem) for problem in problems]})


def read_problems(work: Path) -> list[Problem]:
    """Return the problems of all data sets of the collection."""
    found = []
    for path in sorted(work.glob("*.problems.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found += [Problem(**problem) for problem in content["problems"]]
    return found


def _path(work: Path, name: str) -> Path:
    return work / f"{safe_id(name)}.problems.json"
