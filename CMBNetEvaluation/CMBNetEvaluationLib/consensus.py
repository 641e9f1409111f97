"""What the readers of a case agree on, and what has to be settled between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .sites import Sites


def votes_of(sites: Sites, raters: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each place that one of the raters calls a microbleed or is unsure about.

    ``majority`` is ``yes`` with more than half of the given votes, ``no`` with less, ``tie`` with half or where all
    were unsure; ``agreed`` is 1 where nobody was unsure and all said the same.
    """
    own = [name for name in raters if name in sites.raters]
    rows = []
    for center, ratings in zip(sites.centers_ras, sites.of(own), strict=True):
        yes, no, unsure = int((ratings == 1).sum()), int((ratings == 0).sum()), int(np.isnan(ratings).sum())
        if yes + unsure == 0:
            continue
        rows.append(
            {
                "case_id": sites.case_id,
                **dict(zip("xyz", (round(float(value), 3) + 0.0 for value in center), strict=True)),
                "readers": len(own), "yes": yes, "no": no, "unsure": unsure,
                "majority": "yes" if yes > no else "no" if yes < no else "tie",
                "agreed": int(unsure == 0 and (no == 0 or yes == 0)),
                "said_yes": " ".join(name for name, rating in zip(own, ratings, strict=True) if rating == 1),
            }
        )  # fmt: skip
    return rows


def consensus_points(rows: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """A reference made of the votes on one case, as rows of a point list.

    Parameters
    ----------
    kind
        ``majority``: places with more than half of the votes; ties and places that all are unsure about are
        ``possible``, which an evaluation ignores. ``union``: places that anyone calls a microbleed; those that are
        only unsure are ``possible``.
    """
    certain = {"majority": lambda row: row["majority"] == "yes", "union": lambda row: row["yes"] > 0}[kind]
    doubtful = {"majority": lambda row: row["majority"] == "tie", "union": lambda row: row["yes"] == 0}[kind]
    points: list[dict[str, Any]] = []
    for row in rows:
        if certain(row) or doubtful(row):
            certainty = "definite" if certain(row) else "possible"
            places = {name: row[name] for name in ("x", "y", "z", "yes", "no", "unsure")}
            points.append({"id": len(points) + 1, **places, "certainty": certainty})
    return points
