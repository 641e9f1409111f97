"""Several readers on one case: which findings are the same lesion, what they agree on, and what is left to decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .reading_events import Point
from .reading_mask import ReadingMask
from .reading_state import Finding, ReadingState
from .readings import Readings
from .review_candidates import CandidateSource
from .review_case import SAME_LESION_MM

NOT_MARKED = "not marked"


@dataclass(frozen=True)
class Lesion:
    """What several readers said about one place.

    Attributes
    ----------
    number : int
        From 1 within the case.
    said : mapping
        Name of the reading -> its finding; a reader who marked nothing there is missing.
    readers : tuple of str
        All names.
    ruling : Finding or None
        What the adjudicator said.
    """

    number: int
    said: Mapping[str, Finding]
    readers: tuple[str, ...]
    ruling: Finding | None = None

    @property
    def point_ras(self) -> Point:
        """Mean of the positions (RAS, mm), or where the adjudicator moved it."""
        if self.ruling is not None and self.ruling.moved_to_ras is not None:
            return self.ruling.moved_to_ras
        points = np.array([found.position_ras for found in self.said.values()], dtype=float)
        x, y, z = points.mean(axis=0).round(4)
        return float(x), float(y), float(z)

    def verdict_of(self, reader: str) -> str:
        """The verdict of one reading; `NOT_MARKED` for a reader who saw nothing worth a mark there."""
        found = self.said.get(reader)
        return str(found.verdict) if found is not None else NOT_MARKED

    @property
    def votes(self) -> Counter[str]:
        """How many readers said what; nothing marked counts as *not*."""
        said = (self.verdict_of(reader) for reader in self.readers)
        return Counter("not" if verdict == NOT_MARKED else verdict for verdict in said)

    @property
    def unanimous(self) -> bool:
        """Whether all readers gave the same verdict."""
        return len(self.votes) == 1

    @property
    def verdict(self) -> str | None:
        """The adjudicator's verdict, else that of more than half of the readers, else None."""
        if self.ruling is not None and self.ruling.verdict is not None:
            return self.ruling.verdict
        verdict, count = self.votes.most_common(1)[0]
        return verdict if 2 * count > len(self.readers) else None

    @property
    def decided_by(self) -> str:
        """``adjudicator``, ``all``, ``majority`` or ``nobody``."""
        if self.ruling is not None and self.ruling.verdict is not None:
            return "adjudicator"
        if self.unanimous:
            return "all"
        return "majority" if self.verdict is not None else "nobody"

    def most_said(self, name: str) -> str | None:
        """What most of those who gave the verdict say of ``certainty``, ``mimic`` or ``region``; the first at a tie."""
        if self.ruling is not None and getattr(self.ruling, name) is not None:
            return str(getattr(self.ruling, name))
        values = [getattr(found, name) for found in self.said.values() if found.verdict == self.verdict]
        counted = Counter(value for value in values if value is not None)
        return counted.most_common(1)[0][0] if counted else None

    def outline(self) -> ReadingMask | None:
        """The adjudicator's outline, else the voxels in at least half of the outlines of the microbleed votes."""
        if self.ruling is not None and self.ruling.mask is not None:
            return self.ruling.mask
        masks = [f.mask for f in self.said.values() if f.verdict == "microbleed" and f.mask is not None]
        return vote_on_voxels(masks) if masks else None


def reading_name(readings: Readings) -> str:
    """How a reading is called in tables: the reader, with the round where it is not the first."""
    header = readings.header
    return header.reader if header.round == 1 else f"{header.reader} round {header.round}"


def lesions_of(states: Mapping[str, ReadingState], source: CandidateSource) -> list[Lesion]:
    """Join the findings of several readings of one case.

    Findings are one lesion if they are about the same candidate, or lie within 5 mm of each other (STRIVE: a
    microbleed is at most 10 mm wide); the closest are joined first. No lesion holds two findings of one reading.
    """
    groups: list[dict[str, Finding]] = []
    for reader, state in states.items():
        findings = [source.complete(found) for found in state.findings.values()]
        wanted = [f for f in findings if f.present and f.verdict is not None and f.position_ras is not None]
        _join(groups, reader, wanted)
    readers = tuple(states)
    return [Lesion(number, group, readers) for number, group in enumerate(groups, start=1)]


def disagreements(lesions: Iterable[Lesion]) -> list[Lesion]:
    """Return the lesions that the readers do not agree on."""
    return [lesion for lesion in lesions if not lesion.unanimous]


def with_rulings(lesions: Sequence[Lesion], state: ReadingState) -> list[Lesion]:
    """Return the lesions with what an adjudicator said, whose candidate ids are the numbers of the lesions."""
    found = {f.candidate: f for f in state.findings.values() if f.present and f.verdict is not None}
    return [replace(lesion, ruling=found.get(lesion.number)) for lesion in lesions]


def vote_on_voxels(masks: Sequence[ReadingMask]) -> ReadingMask:
    """Return the voxels in at least half of the masks; never nothing, at worst those most often drawn."""
    boxes = [mask.box() for mask in masks]
    low = [min(box[axis].start for box in boxes) for axis in range(3)]
    high = [max(box[axis].stop for box in boxes) for axis in range(3)]
    votes = np.zeros([b - a for a, b in zip(low, high, strict=True)], np.int32)
    for mask, box in zip(masks, boxes, strict=True):
        place = tuple(slice(e.start - a, e.stop - a) for e, a in zip(box, low, strict=True))
        votes[place] += mask.array()
    needed = min(len(masks) / 2, int(votes.max()))
    offset = (low[2], low[1], low[0])
    return ReadingMask.from_array(votes >= needed, "merge", {"readers": len(masks)}, offset_ijk=offset)


def _join(groups: list[dict[str, Finding]], reader: str, findings: list[Finding]) -> None:
    """Put the findings of one reading into the groups, the closest first; what fits nowhere begins a group."""
    pairs = sorted(
        (_apart(group, found), number, place)
        for number, group in enumerate(groups)
        for place, found in enumerate(findings)
        if _apart(group, found) <= SAME_LESION_MM
    )
    placed: set[int] = set()
    for _apart_mm, number, place in pairs:
        if reader not in groups[number] and place not in placed:
            groups[number][reader] = findings[place]
            placed.add(place)
    groups.extend({reader: found} for place, found in enumerate(findings) if place not in placed)


def _apart(group: Mapping[str, Finding], found: Finding) -> float:
    """Least distance (mm) to the findings of a group; 0 for the same candidate."""
    if found.candidate is not None and any(other.candidate == found.candidate for other in group.values()):
        return 0.0
    points = np.array([other.position_ras for other in group.values()], dtype=float)
    return float(np.linalg.norm(points - np.asarray(found.position_ras), axis=1).min())
