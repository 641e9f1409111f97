"""The key table: no clash among the keys, with the Segment Editor or with Slicer's main window."""

from __future__ import annotations

import pytest

from CMBNetLib.errors import InputError
from CMBNetLib.review_keys import ACTIONS, APPLICATION_KEYS, SEGMENT_EDITOR_KEYS, KeyBindings, normal_key


def test_the_first_keys_clash_with_nothing() -> None:
    keys = [action.key for action in ACTIONS]
    assert len(set(keys)) == len(keys)
    assert [key for key in keys if normal_key(key) != key] == []
    assert set(keys) & (SEGMENT_EDITOR_KEYS | APPLICATION_KEYS) == set()
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("m", "M"),
        ("shift + CTRL+x", "Ctrl+Shift+X"),
        ("escape", "Esc"),
        ("pagedown", "PgDown"),
        ("+", "+"),
        ("ctrl++", "Ctrl++"),
        ("f5", "F5"),
        ("ctrl+]", "Ctrl+]"),
    ],
)
def test_keys_are_written_as_qt_writes_them(text: str, key: str) -> None:
    assert normal_key(text) == key


@pytest.mark.parametrize("text", ["", "Ctrl+", "A+B", "Shift"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no key"):
        normal_key(text)


def test_a_key_can_be_changed_and_survives_a_session() -> None:
    keys = KeyBindings()
    keys.rebind("microbleed", "ctrl+f5")
    assert keys.key("microbleed") == "Ctrl+F5"
    assert (keys.action("Ctrl+F5"), keys.action("M")) == ("microbleed", None)
    again = KeyBindings(keys.changes())
    assert again.items() == keys.items()
    again.reset()
    assert again.changes() == {}


@pytest.mark.parametrize(
    ("key", "owner"),
    [("N", "'Not a microbleed'"), ("1", "the Segment Editor"), ("ctrl+z", "the Segment Editor"), ("Ctrl+O", "Slicer")],
)
def test_a_key_that_somebody_has_is_refused_by_name(key: str, owner: str) -> None:
    keys = KeyBindings()
    with pytest.raises(InputError, match=f"is the key of .*{owner}"):
        keys.rebind("microbleed", key)
    assert keys.key("microbleed") == "M"


def test_its_own_key_is_no_clash_and_unknown_actions_are_refused() -> None:
    keys = KeyBindings()
    keys.rebind("microbleed", "m")
    with pytest.raises(InputError, match="no action 'dance'"):
        keys.rebind("dance", "F5")


def test_settings_that_no_longer_fit_are_told_and_left_out() -> None:
    keys = KeyBindings({"microbleed": "N", "dance": "F5", "unsure": "F6"})
    assert (keys.key("microbleed"), keys.key("unsure")) == ("M", "F6")
    assert len(keys.problems) == 2
