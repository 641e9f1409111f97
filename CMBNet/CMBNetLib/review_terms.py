"""The words a reader chooses from: a rating scale and a list of mimics, ours or a site's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import InputError
from .taxonomy import Mimic, Taxonomy, Term, load_mimics, load_taxonomy


@dataclass(frozen=True)
class ReviewTerms:
    """A rating scale (regions, certainty) and the mimics, both checked when they were read.

    `source` is the name or file of the scale, for other processes.
    """

    taxonomy: Taxonomy
    mimics: tuple[Mimic, ...]
    source: str | Path = "bombs"

    @classmethod
    def load(cls, taxonomy: str | Path = "bombs", mimics: str | Path = "mimics") -> ReviewTerms:
        """Read both files; :class:`InputError` says what is missing in them."""
        return cls(load_taxonomy(taxonomy), load_mimics(mimics), taxonomy)

    @classmethod
    def default(cls) -> ReviewTerms:
        """BOMBS and the mimics of STRIVE-2."""
        return cls.load()

    def mimic(self, mimic_id: str) -> Mimic:
        """Return a mimic by its id; :class:`InputError` if the list has none."""
        for mimic in self.mimics:
            if mimic.id == mimic_id:
                return mimic
        raise InputError(f"Unknown mimic '{mimic_id}'. Choose one of: {', '.join(m.id for m in self.mimics)}.")

    def certainty_term(self, certainty_id: str | None) -> Term:
        """Return a certainty term by its id, the first one for None; :class:`InputError` if the scale has none."""
        terms = self.taxonomy.certainty
        if certainty_id is None:
            return terms[0]
        for term in terms:
            if term.id == certainty_id:
                return term
        known = ", ".join(term.id for term in terms)
        raise InputError(f"{self.taxonomy.name} has no certainty '{certainty_id}'. Choose one of: {known}.")

    def region_of(self, anatomy: str) -> str | None:
        """Return the site that a region or structure belongs to in this scale; None if it has no place in it."""
        if any(site.id == anatomy for site in self.taxonomy.sites):
            return anatomy
        site = self.taxonomy.site_of(anatomy)
        return site.id if site is not None else None
