"""The report: one HTML file for people, made from a detection file and its pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from .burden import Burden, burden_name, burden_text
from .errors import EnvironmentProblem
from .resources import resource_path
from .taxonomy import Taxonomy, load_taxonomy

# The list of what was nearly called is a hint, not a second result.
MAX_BELOW = 10
# Larger is no microbleed by definition (STRIVE: 2 to 10 mm).
LARGEST_MICROBLEED_MM = 10.0
SIDES = ("right", "left", "midline")
NOT_LOCATED = {"outside": "Outside the brain tissue", "unknown": "Not located"}


def render_report(
    document: Mapping[str, Any], *, projection: bytes | None = None, crops: Mapping[int, bytes] | None = None
) -> str:
    """The report as the text of one HTML file that needs no other.

    Parameters
    ----------
    document : mapping
        Content of a detection file. Of the scan only its name, sequence and geometry are shown: nothing names a
        patient, unless the scan's name does.
    projection : bytes, optional
        PNG of the projection with the rings.
    crops : mapping, optional
        Candidate id -> PNG of its crop.

    Raises
    ------
    EnvironmentProblem
        jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise EnvironmentProblem(f"The report needs the package jinja2, which cannot be loaded ({error}).") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    environment.filters["words"] = lambda name: str(name).replace("_", " ")
    environment.filters["png"] = lambda data: "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    template = environment.from_string((resource_path("Templates") / "report.html.j2").read_text(encoding="utf-8"))
    return template.render(**_content(document), projection=projection, crops=crops or {})


def _content(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows, worked out of the detection file."""
    scale = load_taxonomy("bombs")
    found = [entry for entry in document["candidates"] if entry["is_microbleed"]]
    below = [entry for entry in document["candidates"] if not entry["is_microbleed"]]
    return {
        "document": document,
        "scale": scale,
        "found": found,
        "below": below[:MAX_BELOW],
        "n_below": len(below),
        "rows": count_rows(found, scale),
        "sides": SIDES,
        "burden": burden_name(len(found)),
        "likely": burden_text(Burden(**document["burden"])) if "burden" in document else None,
        "pattern": pattern_text(document["counts"]),
        "too_large": [entry["id"] for entry in found if (entry["max_diameter_mm"] or 0) > LARGEST_MICROBLEED_MM],
        "places": {entry["id"]: place_text(entry, scale) for entry in document["candidates"]},
    }


def count_rows(found: Sequence[Mapping[str, Any]], scale: Taxonomy) -> list[dict[str, Any]]:
    """Rows of the rating scale's form: each zone, its sites below it, and the total.

    Parameters
    ----------
    found : sequence of mapping
        Microbleeds as the detection file lists them.
    scale : Taxonomy
        Names the zones, sites and size classes.

    Returns
    -------
    list of dict
        ``name``, ``level`` ("zone", "site" or "total") and ``counts`` with one entry a side, ``total``, and one
        entry a size class (by the equivalent diameter).
    """
    rows = []
    for zone in scale.zones:
        inside = [entry for entry in found if entry["zone"] == zone.id]
        # The summary speaks of the zone's id; the scale may have another name for it.
        name = zone.name if zone.name.lower() == zone.id else f"{zone.name} ({zone.id})"
        rows.append({"name": name, "level": "zone", "counts": _counts(inside, scale)})
        for site in (site for site in scale.sites if site.zone == zone.id):
            here = [entry for entry in inside if entry["region"] == site.id]
            rows.append({"name": site.name, "level": "site", "counts": _counts(here, scale)})
    for zone_id, name in NOT_LOCATED.items():
        inside = [entry for entry in found if (entry["zone"] or "unknown") == zone_id]
        if inside:
            rows.append({"name": name, "level": "zone", "counts": _counts(inside, scale)})
    return [*rows, {"name": "Total", "level": "total", "counts": _counts(found, scale)}]


def pattern_text(counts: Mapping[str, int]) -> str | None:
    """Where the microbleeds lie, in the words of the field; a description, never a diagnosis. None without any."""
    lobar, deep, below = counts["lobar"], counts["deep"], counts["infratentorial"]
    if sum(counts.values()) == 0:
        return None
    if lobar + deep + below < sum(counts.values()):
        return "not stated, because not every microbleed could be located"
    if deep == 0 and lobar:
        # Cerebellar microbleeds count neither way in the Boston criteria 2.0.
        return f"lobar only (n = {lobar})" + (f", with {below} infratentorial" if below else "")
    if lobar == 0:
        return "deep and infratentorial only" if deep and below else "deep only" if deep else "infratentorial only"
    return "mixed lobar and deep"


def place_text(entry: Mapping[str, Any], scale: Taxonomy) -> str:
    """Zone, site and side of a candidate in words."""
    if entry["zone"] is None:
        return NOT_LOCATED["unknown"]
    if entry["zone"] in NOT_LOCATED:
        return f"{NOT_LOCATED[entry['zone']]}, {entry['side']}"
    return f"{scale.zone_name(entry['zone'])}: {scale.site(entry['region']).name}, {entry['side']}"


def _counts(entries: Sequence[Mapping[str, Any]], scale: Taxonomy) -> dict[str, int]:
    counts = {side: sum(entry["side"] == side for entry in entries) for side in SIDES}
    counts["total"] = len(entries)
    classes = [scale.size_class(entry["equivalent_diameter_mm"] or -1.0) for entry in entries]
    counts.update({size.id: classes.count(size) for size in scale.size_classes})
    return counts


def _number(value: float | None, digits: int = 1) -> str:
    """A number for a table; a dash where it is not known."""
    return "–" if value is None else f"{value:.{digits}f}"
