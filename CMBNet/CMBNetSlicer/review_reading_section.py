"""The reading part of the review panel: the finding on show, its verdict, certainty, mimic, region and comment."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from CMBNetLib.reading_state import Finding
from CMBNetLib.review_case import CaseReview
from CMBNetLib.review_listing import FILTERS
from CMBNetLib.review_results import equivalent_diameter_mm
from CMBNetLib.review_terms import ReviewTerms
from CMBNetSlicer.review_desk import ReviewDesk

VERDICTS = {
    "microbleed": "Microbleed", "not": "Not a microbleed", "unsure": "Unsure", None: "Undecided",
}  # fmt: skip
_WIDGETS = ("certaintyBox", "mimicBox", "regionBox", "commentEdit", "findingFilterBox")


class ReadingSection:
    """Shows the finding on show and takes choices in its lists; keys go through the desk.

    Parameters
    ----------
    ui
        The named widgets of ``CMBNetReview.ui``.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._desk: ReviewDesk | None = None
        self._terms: ReviewTerms | None = None
        self._showing = False
        for name in FILTERS:
            ui.findingFilterBox.addItem(_(name.capitalize()))
        ui.findingFilterBox.currentIndexChanged.connect(self._filter_chosen)
        ui.certaintyBox.currentIndexChanged.connect(self._certainty_chosen)
        ui.mimicBox.currentIndexChanged.connect(self._mimic_chosen)
        ui.regionBox.currentIndexChanged.connect(self._region_chosen)
        ui.commentEdit.returnPressed.connect(self._comment_given)

    def use(self, desk: ReviewDesk | None) -> None:
        """Work on a desk; None on none."""
        self._desk = desk
        if desk is not None and desk.room.setup.terms is not self._terms:
            self._terms = desk.room.setup.terms
            self._fill_lists(self._terms)
        self.show()

    def show(self) -> None:
        """Show the state of the desk."""
        desk = self._desk
        review = desk.review if desk is not None else None
        self._showing = True
        for name in _WIDGETS:
            getattr(self._ui, name).enabled = review is not None and (
                name == "findingFilterBox" or review.current is not None
            )
        if desk is None or review is None:
            self._ui.caseLabel.text = _("No case is open.")
            self._ui.findingLabel.text = ""
        else:
            self._show_case(desk, review)
        self._showing = False

    def focus_comment(self) -> None:
        """Put the caret into the comment."""
        self._ui.commentEdit.setFocus()
        self._ui.commentEdit.selectAll()

    def _show_case(self, desk: ReviewDesk, review: CaseReview) -> None:
        ui = self._ui
        decided, total = review.counts()
        notes = desk.room.loaded.case.notes if desk.room.loaded is not None else ""
        finished = _(" · finished") if review.store.state.finished else ""
        mode = review.store.mode
        ui.caseLabel.text = f"<b>{review.store.header.case_id}</b> · {decided} / {total} · {mode}{finished} {notes}"
        ui.findingFilterBox.currentIndex = FILTERS.index(review.filter)
        ui.revealButton.enabled = not review.shows_candidates or desk.room.stale
        ui.findingLabel.text = self._finding_text(review)
        if review.current is None or self._terms is None:
            return
        found = review.finding(review.current)
        _choose(ui.certaintyBox, [term.id for term in self._terms.taxonomy.certainty], found.certainty)
        _choose(ui.mimicBox, [mimic.id for mimic in self._terms.mimics], found.mimic)
        _choose(ui.regionBox, [site.id for site in self._terms.taxonomy.sites], found.region)
        comment = found.comment or ""
        if str(ui.commentEdit.text) != comment:
            ui.commentEdit.text = comment

    def _finding_text(self, review: CaseReview) -> str:
        if review.current is None:
            hidden = not review.shows_candidates and review.source.candidates
            return _("The detector is hidden.") if hidden else _("No finding.")
        keys = review.listed()
        found = review.finding(review.current)
        place = f"{keys.index(review.current) + 1} / {len(keys)}" if review.current in keys else f"– / {len(keys)}"
        kind = _("Candidate") if found.candidate is not None else _("Added finding")
        score = review.score(review.current)
        shown = f" · score {score:.2f}" if score is not None else ""
        moved = f" · moved {found.shift_mm:.1f} mm" if found.moved_to_ras is not None else ""
        mimic = f": {self._terms.mimic(found.mimic).name}" if found.mimic and self._terms is not None else ""
        return f"{kind} {place}{shown}{self._size_text(found)}{moved}<br><b>{_(VERDICTS[found.verdict])}</b>{mimic}"

    def _size_text(self, found: Finding) -> str:
        loaded = self._desk.room.loaded if self._desk is not None else None
        if found.mask is None or loaded is None:
            return _(" · no outline")
        n_voxels = found.mask.n_voxels
        volume = n_voxels * loaded.scan.voxel_volume_mm3
        return f" · {equivalent_diameter_mm(n_voxels, loaded.scan):.1f} mm · {volume:.0f} mm³"

    def _fill_lists(self, terms: ReviewTerms) -> None:
        self._showing = True
        lists = (
            (self._ui.certaintyBox, [term.name for term in terms.taxonomy.certainty]),
            (self._ui.mimicBox, [mimic.name for mimic in terms.mimics]),
            (self._ui.regionBox, [f"{site.name} ({site.zone})" for site in terms.taxonomy.sites]),
        )
        for box, names in lists:
            box.clear()
            box.addItem("–")
            for name in names:
                box.addItem(name)
        self._showing = False

    def _chosen(self, index: int) -> bool:
        return not self._showing and self._desk is not None and index > 0

    def _certainty_chosen(self, index: int) -> None:
        if self._chosen(index):
            term = self._terms.taxonomy.certainty[index - 1].id
            self._desk.change(lambda review: review.set_certainty(term))

    def _mimic_chosen(self, index: int) -> None:
        if self._chosen(index):
            self._desk.decide("not", self._terms.mimics[index - 1].id)

    def _region_chosen(self, index: int) -> None:
        if self._chosen(index):
            site = self._terms.taxonomy.sites[index - 1].id
            self._desk.change(lambda review: review.set_region(site))

    def _filter_chosen(self, index: int) -> None:
        if not self._showing and self._desk is not None:
            self._desk.change(lambda review: setattr(review, "filter", FILTERS[index]))

    def _comment_given(self) -> None:
        if self._desk is not None:
            text = str(self._ui.commentEdit.text)
            self._desk.change(lambda review: review.comment(text))
            self._ui.commentEdit.clearFocus()


def _choose(box: Any, ids: list[str], chosen: str | None) -> None:
    box.currentIndex = ids.index(chosen) + 1 if chosen in ids else 0
