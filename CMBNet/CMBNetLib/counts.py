"""How many microbleeds lie where, in numbers and in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .candidates import Candidate
from .taxonomy import ZONES
from .wording import number_of

# Beside the zones of the rating scales: in fluid or out of the brain mask, and scans without an anatomy.
OUTSIDE = "outside"
UNKNOWN = "unknown"


def zone_counts(zones: Iterable[str | None]) -> dict[str, int]:
    """Number of entries in each zone; every zone is there, the sum is the number of entries.

    Parameters
    ----------
    zones : iterable of str or None
        Zone of each microbleed; None where no anatomy was found.
    """
    counts = dict.fromkeys((*ZONES, OUTSIDE, UNKNOWN), 0)
    for zone in zones:
        counts[UNKNOWN if zone is None else zone] += 1
    return counts


def zone_of(candidate: Candidate) -> str | None:
    """Zone of a candidate, None where no anatomy was found."""
    return None if candidate.location is None else candidate.location.zone


def summary_text(candidates: Sequence[Candidate], threshold: float) -> str:
    """Say what was found: ``3 microbleeds: 2 lobar, 1 deep``, or that nothing was, with the highest score.

    Parameters
    ----------
    candidates : sequence of Candidate
        All candidates, also those below the threshold.
    threshold : float
        Score from which a candidate counts as a microbleed.
    """
    found = [candidate for candidate in candidates if candidate.score >= threshold]
    if not found:
        return _nothing(candidates, threshold)
    number = number_of(len(found), "microbleed")
    counts = zone_counts(zone_of(candidate) for candidate in found)
    if counts[UNKNOWN] == len(found):
        return f"{number} (no zones: the anatomy is not known)"
    names = {OUTSIDE: "outside the brain tissue", UNKNOWN: "without a zone"}
    parts = [f"{count} {names.get(zone, zone)}" for zone, count in counts.items() if count]
    return f"{number}: {', '.join(parts)}"


def _nothing(candidates: Sequence[Candidate], threshold: float) -> str:
    if not candidates:
        return "No microbleeds (and no candidate with a lower score)"
    best = max(candidates, key=lambda candidate: candidate.score)
    where = best.location
    place = "" if where is None else f", {where.side} {where.zone}"
    # Three digits where two would print a score as equal to the threshold it stays below.
    digits = 2 if round(best.score, 2) < round(threshold, 2) else 3
    return f"No microbleeds (highest score {best.score:.{digits}f}{place}; threshold {threshold:.{digits}f})"
