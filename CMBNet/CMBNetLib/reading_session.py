"""Where a reader stopped: case, finding, filter and view, so that the next session opens there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import InputError
from .files import atomic_output

_SCHEMA = "cmbnet-session"


@dataclass(frozen=True)
class SessionPosition:
    """A place in a worklist.

    Attributes
    ----------
    case_id : str
    target : str or None
        Key of the finding, as in `reading_events.Event`.
    filter : str
        Name of the filter of the worklist.
    view : mapping
        What the panel needs to show the same picture: field of view in mm, second volume, outline on or off.
    """

    case_id: str
    target: str | None = None
    filter: str = "all"
    view: Mapping[str, Any] = field(default_factory=dict)


def session_path(folder: Path, reader: str) -> Path:
    """Return where the position of a reader in a worklist is kept; ``folder`` is `Worklist.output_folder`."""
    return Path(folder) / "sessions" / f"{reader}.json"


def save_position(path: Path, position: SessionPosition) -> None:
    """Write the position; :class:`InputError` if the folder cannot be written."""
    content = {"schema": _SCHEMA, "schema_version": "1.0", **asdict(position)}
    # Written at every step to another finding; a flush would take 5 ms, on a network folder 50.
    with atomic_output(path, flush=False) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def load_position(path: Path) -> SessionPosition | None:
    """Read the position; None if there is none or it cannot be used, since a session can
    always begin anew."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != _SCHEMA:
            raise InputError(f"{path} is no session file.")
        position = SessionPosition(
            str(content["case_id"]),
            content.get("target"),
            str(content.get("filter", "all")),
            dict(content["view"]),
        )
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
    return position
