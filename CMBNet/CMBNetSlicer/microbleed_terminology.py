"""The coded meaning of a segment: a haemorrhage, at its site, on its side."""

from __future__ import annotations

from CMBNetLib.candidates import Candidate
from CMBNetLib.errors import InputError
from CMBNetLib.taxonomy import load_taxonomy

# The nearest type in the lists that Slicer ships; "cerebral microbleed" itself has no confirmed code there.
_CATEGORY = "SCT^49755003^Morphologically Altered Structure"
_TYPE = "SCT^50960005^Hemorrhage"
_NONE = "^^"
_TYPES_LIST = "Segmentation category and type - 3D Slicer General Anatomy list"
_ANATOMY_LIST = "Anatomic codes - DICOM master list"
_SIDES = {"left": "SCT^7771000^Left", "right": "SCT^24028007^Right", "midline": "SCT^260528009^Median"}
_BRAIN = "SCT^12738006^Brain"


def terminology_entry(candidate: Candidate) -> str:
    """Slicer's serialised terminology entry of a microbleed."""
    region, side = _region(candidate)
    return "~".join((_TYPES_LIST, _CATEGORY, _TYPE, _NONE, _ANATOMY_LIST, region, side))


def _region(candidate: Candidate) -> tuple[str, str]:
    where = candidate.location
    if where is None:
        return _BRAIN, _NONE
    try:
        code = load_taxonomy("bombs").site(where.region).code
    except InputError:  # "outside": between brain and skull, or in fluid
        return _BRAIN, _NONE
    return f"{code.scheme}^{code.value}^{code.meaning}", _SIDES.get(where.side, _NONE)


def region_name(candidate: Candidate) -> str:
    """The site in words, ``Thalamus``; a dash where it is not known."""
    if candidate.location is None:
        return "–"
    names = {site.id: site.name for site in load_taxonomy("bombs").sites}
    return names.get(candidate.location.region, "Outside the brain tissue")
