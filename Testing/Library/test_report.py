"""The report: what it says, that it says no more, and that it is one sound HTML file."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from CMBNetLib.detection_file import detection_document
from CMBNetLib.report import count_rows, pattern_text, render_report
from CMBNetLib.taxonomy import load_taxonomy
from detection_example import example_result, spread_centres

VOID = {"meta", "img", "br", "link", "input", "hr"}
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


class Page(HTMLParser):
    """Reads a page and fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and "style" not in self.open:
            self.words.append(text)
            if self.open[-1] in ("td", "th"):
                self.rows[-1][-1] += text

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def row(self, first: str) -> list[str]:
        return next(cells for cells in self.rows if cells and cells[0] == first)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return detection_document(example_result())


def page_of(document: dict[str, Any], **pictures: Any) -> Page:
    return Page(render_report(document, **pictures))


def test_it_tells_the_result_and_how_it_was_found(document: dict[str, Any]) -> None:
    text = page_of(document).text
    for phrase in (
        "3 microbleeds: 1 lobar, 1 deep, 1 infratentorial",
        "Research use only, not a medical device.",
        "not checked by a reader",
        "sub-1_swi",
        "SWI, 3.0 T, echo time 20.0 ms",
        "spacing 1.50 × 1.50 × 3.00 mm",
        "Count class: 1-4",
        "mixed lobar and deep",
        "The slices are 3.0 mm apart",
        "cmbnet-preview, version 0.1.0",
        "preview – research use only",
        "ab" * 32,
        "1 of 1, by descending score",
    ):
        assert phrase in text, phrase


def test_the_likely_number_is_told_where_scores_are_calibrated(document: dict[str, Any]) -> None:
    assert "burden" not in document
    assert "are expected" not in page_of(document).text
    result = example_result()
    result.model["calibration_error"] = 0.04
    calibrated = detection_document(result)
    assert calibrated["burden"]["expected"] == pytest.approx(sum(candidate.score for candidate in result.candidates))
    told = page_of(calibrated).text
    assert f"{calibrated['burden']['expected']:.1f} microbleeds are expected (90% between 1 and 4); class 1-4" in told


def test_microbleeds_are_counted_by_zone_region_side_and_size(document: dict[str, Any]) -> None:
    page = page_of(document)
    assert page.row("Place") == ["Place", "Right", "Left", "Midline", "Total", "Less than 5 mm", "5 to 10 mm"]
    assert page.row("Lobar") == ["Lobar", "1", "0", "0", "1", "0", "1"]
    assert page.row("Thalamus")[1:5] == ["0", "1", "0", "1"]
    assert page.row("Posterior fossa (infratentorial)")[1:5] == ["0", "1", "0", "1"]
    assert page.row("Total") == ["Total", "1", "2", "0", "3", "0", "3"]


def test_every_microbleed_counts_once_even_where_it_has_no_zone() -> None:
    found = [
        {"zone": zone, "region": None, "side": None, "equivalent_diameter_mm": None} for zone in (None, "outside", None)
    ]
    rows = {row["name"]: row["counts"]["total"] for row in count_rows(found, load_taxonomy("bombs"))}
    assert rows["Not located"] == 2
    assert rows["Outside the brain tissue"] == 1
    assert rows["Total"] == 3


def test_the_zones_and_their_sites_add_up() -> None:
    document = detection_document(example_result(spread_centres(40)))
    rows = count_rows(document["candidates"], load_taxonomy("bombs"))
    by_level = {
        level: np.sum([list(row["counts"].values()) for row in rows if row["level"] == level], axis=0)
        for level in ("zone", "site", "total")
    }
    assert by_level["total"][3] == 40
    assert np.array_equal(by_level["zone"], by_level["total"])
    assert np.array_equal(by_level["site"], by_level["total"])


def test_the_list_has_sizes_and_places(document: dict[str, Any]) -> None:
    row = next(cells for cells in page_of(document).rows if "Deep: Thalamus, left" in cells)
    assert row == ["2", "Deep: Thalamus, left", "0.81", "67.5", "5.1", "6.2", row[6], "-8.0, 3.0, 0.0"]


def test_the_operating_points_say_what_was_measured_on_what(document: dict[str, Any]) -> None:
    page = page_of(document)
    assert page.row("balanced (used)") == ["balanced (used)", "0.500", "0.80", "0.70", "40 synthetic scans"]
    assert page.row("sensitive")[1:] == ["0.200", "0.90", "2.50", "40 synthetic scans"]


def test_a_threshold_set_by_hand_claims_no_measured_figure() -> None:
    page = page_of(detection_document(example_result(threshold=0.4)))
    assert "nothing was measured at it" in page.text
    assert "(used)" not in page.text
    assert "none, threshold chosen by hand; counted are scores of 0.400 or more" in page.text


def test_an_operating_point_without_figures_shows_none() -> None:
    result = example_result()
    result.operating_points = {"balanced": {"threshold": 0.5}}
    assert page_of(detection_document(result)).row("balanced (used)")[2:] == ["–", "–", "not measured"]


def test_zero_microbleeds_are_stated_with_the_best_candidate() -> None:
    result = example_result(np.array([[30.0, 20.0, 10.0]]), [0.12])
    page = page_of(detection_document(result), crops={1: DOT})
    assert "No microbleeds (highest score 0.12, right lobar; threshold 0.50)" in page.text
    assert "No candidate reaches the threshold." in page.text
    assert "Count class: 0." in page.text
    assert "Distribution" not in page.text
    assert page.row("Total")[1:] == ["0"] * 6
    assert [image["alt"] for image in page.all("img")] == [
        "Axial crops around candidate 1, without and with its outline"
    ]


def test_no_candidate_at_all_makes_a_report() -> None:
    assert "No microbleeds (and no candidate" in page_of(detection_document(example_result(np.zeros((0, 3)), []))).text


def test_lesions_too_large_for_a_microbleed_are_named() -> None:
    result = example_result(np.array([[30.0, 20.0, 10.0], [-30.0, 20.0, 10.0]]))
    shape = result.candidates[1].shape
    assert shape is not None
    result.candidates[1] = replace(result.candidates[1], shape=replace(shape, max_diameter_mm=12.5))
    assert re.search(r"Larger than 10 mm: 2 ?\. By definition", page_of(detection_document(result)).text)


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((3, 0, 0), "lobar only (n = 3)"),
        ((2, 0, 1), "lobar only (n = 2), with 1 infratentorial"),
        ((0, 2, 0), "deep only"),
        ((0, 0, 2), "infratentorial only"),
        ((0, 1, 1), "deep and infratentorial only"),
        ((1, 1, 0), "mixed lobar and deep"),
        ((0, 0, 0), None),
    ],
)
def test_the_pattern_is_a_description(counts: tuple[int, int, int], text: str | None) -> None:
    assert pattern_text(dict(zip(("lobar", "deep", "infratentorial"), counts, strict=True))) == text


def test_no_pattern_is_stated_when_one_microbleed_has_no_zone() -> None:
    counts = {"lobar": 2, "deep": 0, "infratentorial": 0, "outside": 0, "unknown": 1}
    assert "not stated" in str(pattern_text(counts))


def test_nothing_of_the_patient_and_no_path_gets_in() -> None:
    result = example_result()
    secrets = {"patient_name": "Doe^Jane", "patient_id": "4711-X", "series_uid": "1.2.3.4", "path": "/home/jane/a.nii"}
    result.scan.metadata.update(secrets)
    text = render_report(detection_document(result))
    assert not [value for value in secrets.values() if value in text]


def test_text_from_files_cannot_become_markup() -> None:
    result = example_result()
    attack = "<script>alert(1)</script>\"'&"
    result.scan = replace(result.scan, name=attack)
    result.qc = [{"code": attack, "message": attack}]
    result.settings = {attack: attack}
    result.operating_points["balanced"]["measured_on"] = attack
    result.model["id"] = attack
    page = page_of(detection_document(result))
    assert page.all("script") == []
    assert page.text.count("alert(1)") >= 6


def test_the_file_needs_nothing_from_outside(document: dict[str, Any]) -> None:
    text = render_report(document, projection=DOT, crops={1: DOT, 2: DOT, 3: DOT})
    page = Page(text)
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base"} == set()
    sources = [str(image["src"]) for image in page.all("img")]
    assert len(sources) == 4
    assert all(base64.b64decode(source.removeprefix("data:image/png;base64,")) == DOT for source in sources)
    assert not re.search(r"https?:|url\(|@import|src=[\"']//", text)


def test_a_screen_reader_finds_its_way(document: dict[str, Any]) -> None:
    page = page_of(document, projection=DOT, crops={1: DOT})
    assert page.all("html")[0]["lang"] == "en"
    assert all(len(str(image["alt"])) > 20 for image in page.all("img"))
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.all("h1")) == 1
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert {section["aria-labelledby"] for section in page.all("section")} == set(identifiers)


def test_the_page_is_made_for_a4(document: dict[str, Any]) -> None:
    text = render_report(document)
    assert "size: A4" in text
    assert "break-inside: avoid" in text


def test_sixty_microbleeds_and_long_lists_stay_bounded() -> None:
    scores = np.linspace(0.9, 0.1, 60).round(4).tolist()
    page = page_of(detection_document(example_result(spread_centres(60), scores)))
    numbers = [int(cells[0]) for cells in page.rows if cells and cells[0].isdigit()]
    n_found = sum(score >= 0.5 for score in scores)
    assert numbers == list(range(1, n_found + 11))
    assert f"10 of {60 - n_found}, by descending score" in page.text
