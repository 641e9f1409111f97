"""Random but sensible sequences of what a reader does, for the tests of readings."""

from __future__ import annotations

import random

import numpy as np

from CMBNetLib.reading_events import Event, Part, candidate_of
from CMBNetLib.reading_mask import ReadingMask
from CMBNetLib.reading_state import ReadingState


def a_mask(size: int = 2, offset: tuple[int, int, int] = (3, 4, 5)) -> ReadingMask:
    """A cube of `size` voxels a side."""
    return ReadingMask.from_array(np.ones((size, size, size), bool), "brush", offset_ijk=offset)


def next_act(state: ReadingState, chooser: random.Random, n_candidates: int = 5) -> Event:
    """An act that fits the findings as they are; every kind of act occurs."""
    keys = [f"c{number}" for number in range(1, n_candidates + 1)]
    keys += [key for key in state.findings if key not in keys]
    present = [key for key in keys if state.finding(key).present]
    added = [key for key in present if candidate_of(key) is None]
    point = tuple(round(chooser.uniform(-50, 50), 2) for _ in range(3))
    if not present:
        return Event("add", point_ras=point, verdict="microbleed", seconds=1.0)
    target, seconds = chooser.choice(present), round(chooser.uniform(0, 9), 3)
    others = tuple(key for key in present if key != target)[:1]
    acts = [
        Event("decide", target=target, verdict="microbleed", certainty="definite", region="cortex", seconds=seconds),
        Event("decide", target=target, verdict="not", mimic="vein", seconds=seconds),
        Event("decide", target=target, verdict="unsure", seconds=seconds),
        Event("region", target=target, region="thalamus", seconds=seconds),
        Event("comment", target=target, comment="größer als gedacht\n2", seconds=seconds),
        Event("move", target=target, moved_to_ras=point, seconds=seconds),
        Event("mask", target=target, mask=a_mask(), seconds=seconds),
        Event("mask", target=target),
        Event("split", target=target, mask=a_mask(1), parts=(Part(point, a_mask(1, (9, 9, 9))),)),
        Event("add", point_ras=point, verdict="microbleed", mask=a_mask()),
    ]
    if others:
        acts.append(Event("merge", target=target, mask=a_mask(3), others=others))
    acts += [Event("delete", target=key) for key in added[:1]]
    return chooser.choice(acts)
