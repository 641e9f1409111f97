"""How a scan was acquired, from its DICOM tags, a BIDS sidecar or its name."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import InputError

# Vendors' names: SWI (Siemens), SWIp (Philips), SWAN (GE), BSI and FSBB (Hitachi, Canon), VenoBOLD.
_SWI = re.compile(r"(?<![a-z])(e?swi|swip|swan|venobold|fsbb|bsi|sw[_ ]?images?)(?![a-z])|susceptib", re.IGNORECASE)
_T2STAR = re.compile(
    r"t2 ?[*]|t2[ _-]?(star|stern|etoile)|(?<![a-z0-9])(t2s|t2w?gre|gre|gr|eg|ffe|hemo|haemo|fl2d\w*|megre)(?![a-z])",
    re.IGNORECASE,
)
_PHASE = re.compile(r"(?<![a-z])(phase|pha|part-phase|ph)(?![a-z])", re.IGNORECASE)
_PROJECTION = re.compile(r"(?<![a-z])(m(in)?[ _-]?ip|mnip|minimum ?ip)(?![a-z])", re.IGNORECASE)
_SHORTEST_T2STAR_ECHO_MS = 8.0


def sequence_of(*texts: object) -> str | None:
    """Return "SWI" or "T2*" where one of the names of a scan says so, else None."""
    text = " ".join(str(part) for part in texts if part)
    if _SWI.search(text):
        return "SWI"
    return "T2*" if _T2STAR.search(text) else None


def name_warnings(*texts: object, magnitude: bool = False) -> list[str]:
    """Sentences about a scan whose name says that it is no magnitude image with its own slices.

    Where the header says ``magnitude``, a phase in its name is that of the encoding.
    """
    text = " ".join(str(part) for part in texts if part)
    warnings = []
    if not magnitude and _PHASE.search(text):
        warnings.append("The name of the scan says that it is a phase image; the magnitude or SWI image is needed.")
    if _PROJECTION.search(text):
        warnings.append(
            "The scan is a minimum intensity projection, in which veins look like microbleeds; choose the SWI slices."
        )
    return warnings


def from_sidecar(path: Path, stem: str) -> dict[str, Any]:
    """Acquisition parameters from the BIDS sidecar ``<stem>.json`` beside ``path``; empty where there is none.

    A sidecar that is no JSON gives one entry in ``warnings``.

    Raises
    ------
    InputError
        The sidecar says that the scan is not MR, or a phase image.
    """
    sidecar = path.with_name(f"{stem}.json")
    if not sidecar.is_file():
        return {}
    try:
        fields = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {"warnings": [f"{sidecar.name} beside the scan is no JSON file and was ignored."]}
    if not isinstance(fields, dict):
        return {}
    listed = fields.get("ImageType")
    image_type = listed if isinstance(listed, list) else []
    refuse_unsuitable(str(fields.get("Modality") or "MR"), image_type, path.name)
    echo_s = number(fields.get("EchoTime"))
    texts = [fields.get(key) for key in ("SeriesDescription", "ProtocolName", "SequenceName")]
    known = described(texts, number(fields.get("MagneticFieldStrength")), None if echo_s is None else 1e3 * echo_s)
    magnitude = component_of(image_type) == "magnitude"
    return known | {"warnings": name_warnings(texts[0], *image_type, magnitude=magnitude)}


def described(texts: list[Any], field_strength_t: float | None, echo_time_ms: float | None) -> dict[str, Any]:
    """The metadata entries that are known of ``sequence``, ``field_strength_t`` and ``echo_time_ms``."""
    found: Mapping[str, Any] = {
        "sequence": sequence_of(*texts),
        "field_strength_t": _field(field_strength_t),
        "echo_time_ms": echo_time_ms if echo_time_ms and 0 < echo_time_ms < 1000 else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def sequence_from_tags(scanning_sequence: str, echo_time_ms: float | None) -> str | None:
    """Return "T2*" for a gradient echo with a long echo time, else None."""
    gradient = "GR" in scanning_sequence and "SE" not in scanning_sequence
    return "T2*" if gradient and (echo_time_ms or 0.0) >= _SHORTEST_T2STAR_ECHO_MS else None


def refuse_unsuitable(modality: str, image_type: list[Any], name: str) -> None:
    """Refuse other modalities and the parts of a complex image that are no magnitude.

    Raises
    ------
    InputError
        CT, another modality than MR, or a phase, real or imaginary image.
    """
    if modality.upper() not in ("MR", "MRI", ""):
        raise InputError(f"{name} is a {modality} scan; choose an SWI or T2*-weighted MR scan.")
    component = component_of(image_type)
    if component not in ("magnitude", ""):
        raise InputError(f"{name} is a {component} image; choose the magnitude or SWI series of the same acquisition.")


def component_of(image_type: list[Any]) -> str:
    """Return "magnitude", "phase", "real", "imaginary", or "" where DICOM's ImageType does not say."""
    values = {str(value).upper() for value in image_type}
    kinds = {
        "phase": {"P", "PHASE", "PHASE MAP"},
        "real": {"R", "REAL"},
        "imaginary": {"I", "IMAGINARY"},
        "magnitude": {"M", "MAGNITUDE"},
    }
    return next((kind for kind, names in kinds.items() if values & names), "")


def number(value: Any) -> float | None:
    """``value`` as a finite float, else None."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _field(tesla: float | None) -> float | None:
    # Some systems write gauss or millitesla.
    if tesla and tesla > 100:
        tesla /= 10_000 if tesla > 5_000 else 1_000
    return tesla if tesla and 0 < tesla < 25 else None
