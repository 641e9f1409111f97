"""Reading one case: going through the findings, deciding, modes, undo; what the file says afterwards."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from CMBNetLib.errors import InputError
from CMBNetLib.reading_events import Part
from CMBNetLib.readings import read_readings
from CMBNetLib.review_candidates import NO_CANDIDATES, CandidateSource
from CMBNetLib.review_terms import ReviewTerms
from review_cases import CENTERS, a_review, a_scan, a_source, ball


def kinds(review) -> list[str]:
    return [event.kind for event in read_readings(review.store.path).events]


def test_the_loop_goes_through_the_candidates_in_their_order(tmp_path: Path) -> None:
    review = a_review(tmp_path)
    seen = [review.current]
    while review.step(1):
        seen.append(review.current)
    assert seen == ["c1", "c2", "c3", "c4", "c5"]
    assert review.step(-1)
    assert review.current == "c4"
    visits = [event for event in read_readings(review.store.path).events if event.kind == "visit"]
    assert [event.target for event in visits] == ["c1", "c2", "c3", "c4", "c5"]
    assert all(event.seconds > 0 for event in visits)


def test_a_decision_holds_certainty_region_candidate_and_source_position(tmp_path: Path) -> None:
    review = a_review(tmp_path)
    review.decide("microbleed")
    found = read_readings(review.store.path).state.finding("c1")
    assert (found.verdict, found.certainty, found.region, found.candidate) == ("microbleed", "certain", "thalamus", 1)
    assert found.source_ras == review.source.by_id[1].point_ras
    review.set_certainty("uncertain")
    assert review.finding("c1").certainty == "uncertain"
    review.decide("not", mimic="vein")
    assert (review.finding("c1").mimic, review.finding("c1").certainty) == ("vein", None)
    with pytest.raises(InputError, match="has no certainty"):
        review.set_certainty("certain")
    review.decide("microbleed")
    assert (review.finding("c1").mimic, review.finding("c1").certainty) == (None, "certain")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda review: review.decide("not"), "needs a mimic"),
        (lambda review: review.decide("not", mimic="ghost"), "Unknown mimic 'ghost'"),
        (lambda review: review.set_certainty("sure"), "no certainty 'sure'"),
        (lambda review: review.set_region("elbow"), "no site 'elbow'"),
        (lambda review: review.go("c77"), "not in this case"),
        (lambda review: review.delete(), "rejected as a mimic"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_no_event(tmp_path: Path, act, message: str) -> None:
    review = a_review(tmp_path)
    before = kinds(review)
    with pytest.raises(InputError, match=message):
        act(review)
    assert kinds(review) == before


def test_the_region_steps_through_the_scale_and_around(tmp_path: Path) -> None:
    review = a_review(tmp_path)
    sites = [site.id for site in review.terms.taxonomy.sites]
    start = sites.index("thalamus")
    for step in range(1, len(sites) + 1):
        review.step_region(1)
        assert review.finding("c1").region == sites[(start + step) % len(sites)]
    review.step_region(-1)
    assert review.finding("c1").region == sites[start - 1]


def test_the_region_of_foreign_candidates_comes_from_the_anatomy(tmp_path: Path) -> None:
    source = CandidateSource("points", tuple(a_source(a_scan(CENTERS), CENTERS).candidates[:0]))
    review = a_review(tmp_path, source=source, locate=lambda point: "pons" if point[0] > 0 else "cortex")
    key = review.add((5.0, 0.0, 0.0))
    assert review.finding(key).region == review.terms.region_of("pons")
    key = review.add((-5.0, 0.0, 0.0))
    assert review.finding(key).region == "cortex"


def test_filters_hide_and_next_undecided_jumps(tmp_path: Path) -> None:
    review = a_review(tmp_path)
    review.decide("microbleed")
    review.go("c3")
    review.decide("unsure")
    assert review.next_undecided()
    assert review.current == "c4"
    review.go("c5")
    assert review.next_undecided()  # c5 itself waits, but it is on show: the next one after it
    assert review.current == "c2"
    review.filter = "undecided"
    assert review.listed() == ["c2", "c4", "c5"]
    review.decide("unsure")  # the finding on show leaves the list
    assert review.step(1)
    assert review.current == "c4"
    for key in ("c4", "c5"):
        review.go(key)
        review.decide("unsure")
    assert not review.next_undecided()
    assert review.counts() == (5, 5)
    review.filter = "microbleed"
    assert review.listed() == ["c1"]
    with pytest.raises(InputError, match="Unknown filter"):
        review.listed("best")


def test_undo_shows_what_was_undone(tmp_path: Path) -> None:
    review = a_review(tmp_path)
    review.decide("microbleed")
    review.go("c4")
    review.comment("odd")
    review.go("c2")
    assert review.undo().kind == "comment"
    assert (review.current, review.finding("c4").comment) == ("c4", None)
    assert review.undo().kind == "decide"
    assert (review.current, review.finding("c1").verdict) == ("c1", None)
    assert review.undo() is None
    review.redo()
    assert review.finding("c1").verdict == "microbleed"


def test_added_findings_are_microbleeds_and_can_be_moved_and_deleted(tmp_path: Path) -> None:
    review = a_review(tmp_path)
    key = review.add((1.0, 2.0, 3.0), ball((9, 9, 9)))
    assert review.current == key
    assert (review.finding(key).verdict, review.finding(key).certainty) == ("microbleed", "certain")
    assert review.listed("added") == [key]
    review.move((4.0, 6.0, 3.0))
    assert (review.finding(key).source_ras, review.finding(key).shift_mm) == ((1.0, 2.0, 3.0), 5.0)
    review.delete()
    assert review.current == "c5"
    assert key not in review.listed()
    review.undo()
    assert review.current == key


def test_a_rejected_finding_cannot_be_outlined(tmp_path: Path) -> None:
    review = a_review(tmp_path)
    review.decide("not", mimic="vein")
    acts = (
        lambda: review.set_mask(ball((9, 9, 9))),
        lambda: review.split(ball((9, 9, 9)), [Part((1.0, 2.0, 3.0), ball((5, 5, 5)))]),
        lambda: review.merge(["c2"], ball((9, 9, 9))),
    )
    for act in acts:
        with pytest.raises(InputError, match="outline is locked"):
            act()
    review.undo()
    review.set_mask(ball((9, 9, 9), 1))
    assert review.finding("c1").mask.n_voxels == 7
    review.set_mask(None)
    assert review.finding("c1").mask is None  # the candidate's own outline does not come back


def test_merged_candidates_leave_the_list(tmp_path: Path) -> None:
    review = a_review(tmp_path)
    review.merge(["c2"], ball((20, 13, 9), 4))
    assert review.listed() == ["c1", "c3", "c4", "c5"]
    review.undo()
    assert "c2" in review.listed()


def test_blinded_readers_see_the_detector_only_after_they_finished(tmp_path: Path) -> None:
    review = a_review(tmp_path, mode="blinded")
    assert (review.listed(), review.current) == ([], None)
    point = review.source.by_id[2].point_ras
    own = review.add(tuple(value + 1 for value in point))
    with pytest.raises(InputError, match="finish the case first"):
        review.reveal()
    review.finish()
    assert review.reveal() == 1
    assert review.listed() == ["c1", "c3", "c4", "c5", own]  # candidate 2 is what the reader had marked
    review.go("c1")
    review.decide("microbleed")
    review.close()
    events = read_readings(review.store.path).events
    assert [(event.kind, event.mode) for event in events if event.kind in ("add", "decide")] == [
        ("add", "blinded"),
        ("decide", "second reader"),
    ]
    again = a_review(tmp_path, mode="blinded")
    assert again.shows_candidates
    assert again.store.mode == "second reader"


def test_second_readers_ask_for_the_detector(tmp_path: Path) -> None:
    review = a_review(tmp_path, mode="second reader")
    assert review.listed() == []
    review.reveal()
    assert review.listed() == ["c1", "c2", "c3", "c4", "c5"]
    assert review.reveal() == 0
    assert kinds(review).count("reveal") == 1


def test_readings_of_other_candidates_are_refused(tmp_path: Path) -> None:
    review = a_review(tmp_path)
    review.decide("microbleed")
    review.close()
    other = a_source(a_scan(CENTERS), CENTERS, "tool 2")
    with pytest.raises(InputError, match="made on the candidates of 'tool 1', not of 'tool 2'"):
        a_review(tmp_path, source=other)


def test_another_source_is_fine_while_no_candidate_was_read(tmp_path: Path) -> None:
    review = a_review(tmp_path, source=CandidateSource("none"))
    review.add((1.0, 2.0, 3.0))
    review.close()
    again = a_review(tmp_path)
    assert again.listed()[:2] == ["c1", "c2"]
    assert read_readings(again.store.path).state.source == "tool 1"


def test_a_full_disk_is_told_and_the_reading_goes_on(tmp_path: Path) -> None:
    review = a_review(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (review.store.path.stat().st_size + 20, hard))
    try:
        review.decide("microbleed")
        assert "kept in memory only" in review.trouble
        assert review.step(1)
        review.decide("not", mimic="vein")
        review.undo()
        assert (review.current, review.finding("c2").verdict) == ("c2", None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    review.decide("unsure")
    assert review.trouble is None
    assert read_readings(review.store.path).state.finding("c1").verdict == "microbleed"


def test_a_sites_own_scale_is_used_and_a_bad_one_refused(tmp_path: Path) -> None:
    terms = ReviewTerms.load("mars")
    review = a_review(tmp_path, terms=terms)
    review.decide("microbleed")
    assert review.finding("c1").certainty == "definite"
    bad = tmp_path / "mine.json"
    text = (Path(__file__).parents[2] / "Resources/Taxonomies/bombs.json").read_text()
    bad.write_text(text.replace('"code"', '"kode"'))
    with pytest.raises(InputError, match=r"has no code\. Give scheme, value and meaning"):
        ReviewTerms.load(bad)


def test_a_region_that_becomes_known_late_is_stored_when_the_case_is_finished(tmp_path: Path) -> None:
    known: list[str] = []
    review = a_review(tmp_path, source=NO_CANDIDATES, locate=lambda _point: known[0] if known else None)
    key = review.add((1.0, 2.0, 3.0))
    review.decide("microbleed")
    assert review.store.state.finding(key).region is None
    known.append("thalamus")
    assert review.finding(key).region == "thalamus"
    review.finish()
    assert review.store.state.finding(key).region == "thalamus"
    assert review.store.state.finished
