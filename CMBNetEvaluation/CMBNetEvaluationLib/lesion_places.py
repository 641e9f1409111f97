"""Zone and region of lesions, where their file does not say them: from a map of region codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from CMBNetLib.anatomy import Anatomy
from CMBNetLib.location import locate
from CMBNetLib.volume import read_labels

from .lesions import LesionSet
from .pairs import Pair


def place_lesions(pair: Pair, lesions: LesionSet) -> LesionSet:
    """Fill in zone and region from the pair's region map; what a file stated already is kept."""
    missing = [number for number, known in enumerate(lesions.attributes) if not known.get("zone")]
    if pair.regions is None or not missing:
        return lesions
    regions = read_labels(pair.regions)
    brain = regions.with_array((regions.array > 0).astype(np.uint8))
    anatomy = Anatomy(brain=brain, regions=regions, method="given", flags=[])
    attributes: list[dict[str, Any]] = [dict(known) for known in lesions.attributes]
    for number, place in zip(missing, locate(lesions.centers_ras[missing], anatomy), strict=True):
        attributes[number] |= {"zone": place.zone, "region": place.region, "side": place.side}
    return replace(lesions, attributes=tuple(attributes))
