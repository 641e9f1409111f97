"""Words that readers choose from: zones, regions, certainty, mimics, with their SNOMED CT codes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .errors import InputError
from .resources import resource_path

ZONES = ("lobar", "deep", "infratentorial")
SIDES = ("left", "right", "midline")


@dataclass(frozen=True)
class Code:
    """A coded concept as DICOM writes it: scheme designator, value, meaning."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Term:
    """A word of a closed list: its id in files and its display name."""

    id: str
    name: str


@dataclass(frozen=True)
class Site:
    """One place of a rating scale; `anatomy` names the structures of the atlas that belong to it."""

    id: str
    name: str
    zone: str
    code: Code
    anatomy: tuple[str, ...] = ()


@dataclass(frozen=True)
class SizeClass:
    """A size class of a rating scale, `from_mm` included, `below_mm` excluded."""

    id: str
    name: str
    from_mm: float
    below_mm: float


@dataclass(frozen=True)
class Mimic:
    """What a rejected candidate really is, with a hint that tells it from a microbleed."""

    id: str
    name: str
    hint: str
    code: Code | None = None


@dataclass(frozen=True)
class Taxonomy:
    """A rating scale: its zones, sites, certainty terms and size classes."""

    id: str
    name: str
    reference: str
    zones: tuple[Term, ...]
    certainty: tuple[Term, ...]
    size_classes: tuple[SizeClass, ...]
    sites: tuple[Site, ...]

    def site(self, site_id: str) -> Site:
        """Return the site with this id; :class:`InputError` if the scale has none."""
        for site in self.sites:
            if site.id == site_id:
                return site
        known = ", ".join(site.id for site in self.sites)
        raise InputError(f"{self.name} has no site '{site_id}'. Choose one of: {known}.")

    def site_of(self, anatomy: str) -> Site | None:
        """Return the site that a structure of the atlas belongs to, or None."""
        return next((site for site in self.sites if anatomy in site.anatomy), None)

    def zone_name(self, zone_id: str) -> str:
        """Return the display name of a zone; ids outside the scale are shown as they are."""
        return next((zone.name for zone in self.zones if zone.id == zone_id), zone_id.capitalize())

    def size_class(self, diameter_mm: float) -> SizeClass | None:
        """Return the size class of a diameter, or None if the scale has none for it."""
        fits = (size for size in self.size_classes if size.from_mm <= diameter_mm < size.below_mm)
        return next(fits, None)


@lru_cache(maxsize=8)
def load_taxonomy(name_or_path: str | Path = "bombs") -> Taxonomy:
    """Read and check a rating scale.

    Parameters
    ----------
    name_or_path : str or Path
        ``"bombs"``, ``"mars"``, or the path of a JSON file in the form of `Resources/Taxonomies/bombs.json`.

    Raises
    ------
    InputError
        No such file, no valid JSON, a missing key or code, a duplicate id, or an unknown zone.
    """
    path, content = _read(name_or_path, "cmbnet-taxonomy")
    taxonomy = Taxonomy(
        id=_text(content, "id", path),
        name=_text(content, "name", path),
        reference=_text(content, "reference", path),
        zones=tuple(_term(entry, path) for entry in _entries(content, "zones", path)),
        certainty=tuple(_term(entry, path) for entry in _entries(content, "certainty", path)),
        size_classes=tuple(_size_class(entry, path) for entry in _entries(content, "size_classes", path)),
        sites=tuple(_site(entry, path) for entry in _entries(content, "sites", path)),
    )
    _check(taxonomy, path)
    return taxonomy


@lru_cache(maxsize=8)
def load_mimics(name_or_path: str | Path = "mimics") -> tuple[Mimic, ...]:
    """Read and check the list of mimics; the last one is always ``other``."""
    path, content = _read(name_or_path, "cmbnet-mimics")
    mimics = tuple(_mimic(entry, path) for entry in _entries(content, "mimics", path))
    _unique((mimic.id for mimic in mimics), "mimic", path)
    if mimics[-1].id != "other":
        raise InputError(f"The last mimic in {path} must be 'other'; found '{mimics[-1].id}'.")
    return mimics


def _read(name_or_path: str | Path, schema: str) -> tuple[Path, Mapping[str, Any]]:
    named = isinstance(name_or_path, str) and name_or_path.replace("_", "").isalnum()
    path = resource_path("Taxonomies") / f"{name_or_path}.json" if named else Path(name_or_path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"There is no taxonomy file {path}.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise InputError(f'{path} is not a {schema} file: it must be a JSON object with "schema": "{schema}".')
    return path, content


def _text(entry: Any, key: str, path: Path) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{path}: an entry lacks the text '{key}': {entry!r}"[:300])
    return value


def _entries(content: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    entries = content.get(key)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path} has no list '{key}', or it is empty.")
    return entries


def _term(entry: Any, path: Path) -> Term:
    return Term(_text(entry, "id", path), _text(entry, "name", path))


def _code(entry: Mapping[str, Any], path: Path) -> Code:
    code = entry.get("code")
    if not isinstance(code, dict):
        raise InputError(f"{path}: '{entry.get('id')}' has no code. Give scheme, value and meaning.")
    return Code(_text(code, "scheme", path), _text(code, "value", path), _text(code, "meaning", path))


def _site(entry: Any, path: Path) -> Site:
    term = _term(entry, path)
    anatomy = entry.get("anatomy", [])
    if not isinstance(anatomy, list) or not all(isinstance(name, str) for name in anatomy):
        raise InputError(f"{path}: 'anatomy' of the site '{term.id}' must be a list of names.")
    return Site(term.id, term.name, _text(entry, "zone", path), _code(entry, path), tuple(anatomy))


def _mimic(entry: Any, path: Path) -> Mimic:
    term = _term(entry, path)
    code = _code(entry, path) if "code" in entry else None
    return Mimic(term.id, term.name, _text(entry, "hint", path), code)


def _size_class(entry: Any, path: Path) -> SizeClass:
    term = _term(entry, path)
    try:
        lower, upper = float(entry["from_mm"]), float(entry["below_mm"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: the size class '{term.id}' needs numbers from_mm and below_mm.") from error
    if not 0 <= lower < upper:
        raise InputError(f"{path}: the size class '{term.id}' must rise from {lower:g} to {upper:g} mm.")
    return SizeClass(term.id, term.name, lower, upper)


def _check(taxonomy: Taxonomy, path: Path) -> None:
    _unique((site.id for site in taxonomy.sites), "site", path)
    _unique((zone.id for zone in taxonomy.zones), "zone", path)
    _unique((term.id for term in taxonomy.certainty), "certainty term", path)
    _unique((name for site in taxonomy.sites for name in site.anatomy), "anatomical structure", path)
    zones = {zone.id for zone in taxonomy.zones}
    for name in [*zones, *(site.zone for site in taxonomy.sites)]:
        if name not in zones or name not in ZONES:
            raise InputError(f"{path}: unknown zone '{name}'. Zones are {', '.join(ZONES)}.")


def _unique(names: Iterable[str], what: str, path: Path) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{path}: the {what} '{name}' appears twice.")
        seen.add(name)
