"""Which key does what in the review room: a table that readers can change and that never clashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import InputError

N_MIMIC_KEYS = 9


@dataclass(frozen=True)
class Action:
    """Something a key does: its id, its title in lists, its first key, its group, and its name on a button."""

    id: str
    title: str
    key: str
    group: str
    label: str = ""


ACTIONS = (
    Action("next_candidate", "Next candidate", "F", "Go", "Next"),
    Action("previous_candidate", "Previous candidate", "D", "Go", "Previous"),
    Action("next_undecided", "Next undecided", "G", "Go"),
    Action("next_case", "Next case", "PgDown", "Go"),
    Action("previous_case", "Previous case", "PgUp", "Go"),
    Action("finish_case", "Finish case", "Ctrl+Return", "Go"),
    Action("reveal", "Show the detector", "H", "Go"),
    Action("microbleed", "Microbleed", "M", "Decide"),
    Action("not", "Not a microbleed", "N", "Decide"),
    Action("unsure", "Unsure", "U", "Decide"),
    Action("certainty_1", "Definite", "J", "Decide"),
    Action("certainty_2", "Possible", "K", "Decide"),
    *(Action(f"mimic_{n}", f"Not: mimic {n}", f"Alt+{n}", "Decide") for n in range(1, N_MIMIC_KEYS + 1)),
    Action("next_region", "Next region", "R", "Decide"),
    Action("previous_region", "Previous region", "Shift+R", "Decide"),
    Action("comment", "Comment", "C", "Decide"),
    Action("undo", "Undo", "Backspace", "Decide"),
    Action("redo", "Redo", "Shift+Backspace", "Decide"),
    Action("toggle_outline", "Outline", "O", "View"),
    Action("toggle_crosshair", "Cross-hair", "X", "View"),
    Action("toggle_second", "Second volume", "S", "View"),
    Action("toggle_minip", "Minimum projection", "B", "View", "Projection"),
    Action("toggle_beside", "Second row", "Shift+B", "View"),
    Action("zoom_in", "Closer", "Ctrl+Up", "View"),
    Action("zoom_out", "Farther", "Ctrl+Down", "View"),
    Action("add", "Add by click", "A", "Edit", "Add"),
    Action("move", "Move by click", "V", "Edit", "Move"),
    Action("brush", "Draw", "P", "Edit"),
    Action("erase", "Erase", "E", "Edit"),
    Action("regrow", "Grow anew", "T", "Edit"),
    Action("grow", "Grow", "]", "Edit"),
    Action("shrink", "Shrink", "[", "Edit"),
    Action("split", "Split", "L", "Edit"),
    Action("merge", "Merge with nearest", "Shift+L", "Edit", "Merge"),
    Action("delete", "Delete", "Delete", "Edit"),
    Action("segment_editor", "Segment Editor", "Shift+E", "Edit"),
    Action("no_tool", "Put the tool away", "Shift+Space", "Edit"),
)
TITLES = {action.id: action.title for action in ACTIONS}
LABELS = {action.id: action.label or action.title for action in ACTIONS}

# qMRMLSegmentEditorWidget::installKeyboardShortcuts of Slicer 5.10 and 5.12; on macOS redo is Ctrl+Shift+Z.
SEGMENT_EDITOR_KEYS = frozenset(
    [str(n) for n in range(10)]
    + [f"Shift+{n}" for n in range(10)]
    + ["Esc", "Space", "Z", "Y", "Q", "W", "I", "/", "*", ",", ".", "<", ">", "Ctrl+Z", "Ctrl+Y", "Ctrl+Shift+Z"]
)
# Files, search, bookmarks, help and layouts in Slicer's main window.
APPLICATION_KEYS = frozenset([f"Ctrl+{letter}" for letter in "OSWFBHNMADGQ3456"] + ["F1", "Tab", "Shift+Tab"])
_MODIFIERS = ("Ctrl", "Alt", "Shift", "Meta")
_NAMES = {
    "escape": "Esc", "esc": "Esc", "pagedown": "PgDown", "pgdown": "PgDown", "pageup": "PgUp", "pgup": "PgUp",
    "del": "Delete", "enter": "Return", "control": "Ctrl", "option": "Alt", "space": "Space", "cmd": "Ctrl",
}  # fmt: skip


def normal_key(text: str) -> str:
    """Return a key in the form Qt writes it: modifiers in the order Ctrl, Alt, Shift, then the key.

    Raises
    ------
    InputError
        No key, or more than one.

    Examples
    --------
    >>> normal_key(" shift+ctrl+x ")
    'Ctrl+Shift+X'
    """
    stripped = text.strip()
    parts = ["+"] if stripped == "+" else [part.strip() for part in stripped.replace("++", "+plus").split("+")]
    parts = [_NAMES.get(part.lower(), "+" if part == "plus" else part.capitalize()) for part in parts]
    parts = [{"Pgdown": "PgDown", "Pgup": "PgUp"}.get(part, part) for part in parts]
    keys = [part for part in parts if part not in _MODIFIERS]
    modifiers = [name for name in _MODIFIERS if name in parts]
    if len(keys) != 1 or not keys[0]:
        raise InputError(f"'{text}' is no key. Write one key, with modifiers if you like: M, Ctrl+Down, Shift+F5.")
    return "+".join([*modifiers, keys[0]])


class KeyBindings:
    """The present key of every action.

    Parameters
    ----------
    changes : mapping, optional
        Action id -> key, as `changes` gave them in an earlier session. Entries that are unknown or clash are left
        at the first key and told in `problems`.
    """

    def __init__(self, changes: Mapping[str, str] | None = None) -> None:
        self._keys = {action.id: action.key for action in ACTIONS}
        self.problems: list[str] = []
        for action_id, key in (changes or {}).items():
            try:
                self.rebind(action_id, key)
            except InputError as error:
                self.problems.append(str(error))

    def key(self, action_id: str) -> str:
        """Return the key of an action."""
        return self._keys[action_id]

    def action(self, key: str) -> str | None:
        """Return the action that a key starts, or None."""
        wanted = normal_key(key)
        return next((action_id for action_id, bound in self._keys.items() if bound == wanted), None)

    def items(self) -> list[tuple[str, str]]:
        """(action id, key) of all actions, in the order of `ACTIONS`."""
        return list(self._keys.items())

    def rebind(self, action_id: str, key: str) -> None:
        """Give an action another key.

        Raises
        ------
        InputError
            Unknown action, no key, or the key belongs to another action, to the Segment Editor or to Slicer.
        """
        if action_id not in self._keys:
            raise InputError(f"There is no action '{action_id}'.")
        wanted = normal_key(key)
        owner = self.clash(action_id, wanted)
        if owner is not None:
            raise InputError(f"{wanted} is the key of {owner}. Choose another key for '{TITLES[action_id]}'.")
        self._keys[action_id] = wanted

    def clash(self, action_id: str, key: str) -> str | None:
        """Return who has a key already, in words; None if nobody else has it."""
        wanted = normal_key(key)
        holder = self.action(wanted)
        if holder is not None and holder != action_id:
            return f"'{TITLES[holder]}'"
        if wanted in SEGMENT_EDITOR_KEYS:
            return "the Segment Editor"
        return "the main window of Slicer" if wanted in APPLICATION_KEYS else None

    def reset(self) -> None:
        """Give every action its first key."""
        self._keys = {action.id: action.key for action in ACTIONS}

    def changes(self) -> dict[str, str]:
        """Return the actions whose key is not the first one, for the settings."""
        return {action.id: self._keys[action.id] for action in ACTIONS if self._keys[action.id] != action.key}
