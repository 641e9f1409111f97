"""The sum of a reader's events: undo as an event, moves that keep their source, splits and merges."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from CMBNetLib.errors import InputError
from CMBNetLib.reading_events import Event, Part
from CMBNetLib.reading_state import ReadingState, advance, fold
from reading_acts import a_mask, next_act


class Book:
    """Events numbered as the store numbers them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.state = ReadingState({})

    def add(self, event: Event) -> Event:
        event = event.stamped(len(self.events) + 1, "2026-01-01T00:00:00", "ann", "concurrent")
        after = advance(self.state, event)
        self.state = after if after is not None else fold([*self.events, event])
        self.events.append(event)
        return event

    def reverse(self, kind: str) -> None:
        numbers = self.state.undoable if kind == "undo" else self.state.redoable
        self.add(Event(kind, undoes=numbers[-1], target=self.events[numbers[-1] - 1].key))


def readings_of(state: ReadingState) -> dict[str, tuple]:
    """What was decided, without the time spent, which undo does not give back."""
    facts = {}
    for key, found in state.findings.items():
        said = (found.verdict, found.certainty, found.mimic, found.region, found.comment, found.moved_to_ras)
        shape = (found.mask, found.outline_removed, found.gone_into, found.deleted)
        if any(value for value in said + shape) or found.candidate is None:
            facts[key] = said + shape
    return facts


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), n_acts=st.integers(1, 25), n_undone=st.integers(1, 25))
def test_undo_takes_back_and_redo_brings_back_any_history(seed: int, n_acts: int, n_undone: int) -> None:
    chooser, book = random.Random(seed), Book()
    history = [readings_of(book.state)]
    for _ in range(n_acts):
        book.add(next_act(book.state, chooser))
        history.append(readings_of(book.state))
    depth = min(n_undone, n_acts)
    for step in range(1, depth + 1):
        book.reverse("undo")
        assert readings_of(book.state) == history[n_acts - step]
    for step in range(depth):
        book.reverse("redo")
        assert readings_of(book.state) == history[n_acts - depth + step + 1]
    assert not book.state.redoable


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), n_acts=st.integers(1, 40))
def test_one_event_at_a_time_gives_the_same_as_all_at_once(seed: int, n_acts: int) -> None:
    chooser, book = random.Random(seed), Book()
    for _ in range(n_acts):
        roll = chooser.random()
        if roll < 0.15 and book.state.undoable:
            book.reverse("undo")
        elif roll < 0.25 and book.state.redoable:
            book.reverse("redo")
        else:
            book.add(next_act(book.state, chooser))
    again = fold([Event.from_dict(event.as_dict()) for event in book.events])
    assert again == book.state
    assert again.seconds == pytest.approx(sum(event.seconds for event in book.events))


def test_a_new_act_after_undo_ends_what_could_be_redone() -> None:
    book = Book()
    book.add(Event("decide", target="c1", verdict="microbleed"))
    book.reverse("undo")
    book.add(Event("decide", target="c1", verdict="unsure"))
    assert book.state.redoable == ()
    assert book.state.finding("c1").verdict == "unsure"


def test_a_move_keeps_the_source_and_tells_the_shift() -> None:
    book = Book()
    book.add(Event("move", target="c1", point_ras=(1.0, 2.0, 3.0), moved_to_ras=(1.0, 5.0, 7.0)))
    found = book.state.finding("c1")
    assert found.source_ras == (1.0, 2.0, 3.0)
    assert found.position_ras == (1.0, 5.0, 7.0)
    assert found.shift_mm == pytest.approx(5.0)
    book.add(Event("move", target="c1", point_ras=(9.0, 9.0, 9.0), moved_to_ras=(1.0, 2.0, 4.0)))
    assert book.state.finding("c1").source_ras == (1.0, 2.0, 3.0)


def test_a_split_makes_findings_with_the_decision_of_their_parent() -> None:
    book = Book()
    book.add(Event("decide", target="c1", verdict="microbleed", certainty="possible", region="thalamus", seconds=4.0))
    split = Event("split", target="c1", mask=a_mask(1), parts=(Part((9.0, 9.0, 9.0), a_mask(2)),))
    book.add(split)
    part = book.state.finding("p2.1")
    assert (part.verdict, part.certainty, part.region, part.parent) == ("microbleed", "possible", "thalamus", "c1")
    assert part.source_ras == (9.0, 9.0, 9.0)
    assert part.seconds == 0.0
    assert [found.key for found in book.state.microbleeds()] == ["c1", "p2.1"]
    book.reverse("undo")
    assert "p2.1" not in book.state.findings


def test_a_merged_finding_is_gone_and_counts_as_decided() -> None:
    book = Book()
    book.add(Event("decide", target="c1", verdict="microbleed"))
    book.add(Event("merge", target="c1", others=("c2",), mask=a_mask(3)))
    gone = book.state.finding("c2")
    assert (gone.present, gone.decided, gone.gone_into) == (False, True, "c1")
    with pytest.raises(InputError, match="deleted or merged before"):
        fold([*book.events, Event("decide", target="c2", verdict="unsure", number=3)])


def test_an_added_point_can_be_deleted_and_a_candidate_cannot() -> None:
    book = Book()
    added = book.add(Event("add", point_ras=(1.0, 2.0, 3.0), verdict="microbleed", mask=a_mask()))
    assert [found.key for found in book.state.added()] == [added.key]
    book.add(Event("delete", target=added.key))
    assert book.state.added() == []
    with pytest.raises(InputError, match="rejected as a mimic, not deleted"):
        Event("delete", target="c1")


def test_undo_out_of_line_tells_that_the_file_was_changed() -> None:
    events = [Event("decide", target="c1", verdict="unsure", number=1), Event("undo", undoes=7, number=2)]
    with pytest.raises(InputError, match="would undo event 7, which is not next"):
        fold(events)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "decide", "target": "c1", "verdict": "not"}, "needs a mimic"),
        ({"kind": "decide", "target": "c1", "verdict": "microbleed", "mimic": "vein"}, "Only a rejected"),
        ({"kind": "decide", "target": "c1", "verdict": "maybe"}, "Unknown verdict 'maybe'"),
        ({"kind": "decide", "verdict": "unsure"}, "needs the finding"),
        ({"kind": "vote", "target": "c1"}, "newer version"),
        ({"kind": "visit", "mode": "open"}, "Unknown reading mode"),
        ({"kind": "visit", "seconds": float("nan")}, "cannot be nan"),
        ({"kind": "add", "verdict": "microbleed"}, "needs 'point_ras'"),
        ({"kind": "move", "target": "c1"}, "needs 'moved_to_ras'"),
        ({"kind": "merge", "target": "c1", "mask": a_mask(), "others": ("c1",)}, "at least one other"),
        ({"kind": "split", "target": "c1", "mask": a_mask()}, "at least one part"),
        ({"kind": "source"}, "needs 'source'"),
    ],
)
def test_events_that_contradict_themselves_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Event(**fields)


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "add", "point_ras": [1, 2]},
        {"kind": "add", "point_ras": [1, 2, float("inf")]},
        {"kind": "decide", "target": "c1", "verdict": "unsure", "stars": 5},
        {"kind": "mask", "target": "c1", "mask": {"bits": "x"}},
        {"kind": "decide", "target": "c1", "verdict": "unsure", "seconds": "long"},
    ],
)
def test_events_from_a_damaged_file_are_refused(content: dict) -> None:
    with pytest.raises(InputError):
        Event.from_dict(content)
