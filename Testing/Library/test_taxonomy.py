"""Rating scales and mimics: the shipped files are sound, damaged ones are refused with a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from CMBNetLib.errors import InputError
from CMBNetLib.location import ANATOMY, FLUID, OUTSIDE
from CMBNetLib.taxonomy import ZONES, load_mimics, load_taxonomy


def test_bombs_has_the_sites_of_its_form() -> None:
    bombs = load_taxonomy("bombs")
    by_zone = {zone: [site.id for site in bombs.sites if site.zone == zone] for zone in ZONES}
    assert by_zone == {
        "lobar": ["cortex", "subcortical_white_matter"],
        "deep": ["basal_ganglia", "internal_capsule", "external_capsule", "thalamus"],
        "infratentorial": ["brainstem", "cerebellum"],
    }
    assert [term.id for term in bombs.certainty] == ["certain", "uncertain"]


def test_mars_has_lobes_and_its_own_terms() -> None:
    mars = load_taxonomy("mars")
    lobar = {site.id for site in mars.sites if site.zone == "lobar"}
    assert {"frontal", "parietal", "temporal", "occipital", "insula"} <= lobar
    assert [term.id for term in mars.certainty] == ["definite", "possible"]
    assert {site.zone for site in mars.sites} == set(ZONES)


def test_every_structure_of_the_atlas_belongs_to_one_site_of_bombs() -> None:
    bombs = load_taxonomy("bombs")
    tissue = [name for name in ANATOMY if name not in (*FLUID, OUTSIDE)]
    assert all(bombs.site_of(name) is not None for name in tissue)
    assert all(bombs.site_of(name) is None for name in (*FLUID, OUTSIDE))
    assert {name for site in bombs.sites for name in site.anatomy} == set(tissue)


@pytest.mark.parametrize(("structure", "zone"), [("thalamus", "deep"), ("cerebellum", "infratentorial")])
def test_a_structure_leads_to_its_zone(structure: str, zone: str) -> None:
    site = load_taxonomy("bombs").site_of(structure)
    assert site is not None
    assert site.zone == zone


@pytest.mark.parametrize("name", ["bombs", "mars"])
def test_every_site_has_a_snomed_code(name: str) -> None:
    for site in load_taxonomy(name).sites:
        assert site.code.scheme == "SCT"
        assert site.code.value.isdigit()
        assert site.code.meaning


@pytest.mark.parametrize(
    ("scale", "diameter", "size"),
    [
        ("bombs", 4.99, "small"),
        ("bombs", 5.0, "large"),
        ("bombs", 10.0, None),
        ("bombs", -1.0, None),
        ("mars", 1.9, None),
    ],
)
def test_size_classes_include_their_lower_end(scale: str, diameter: float, size: str | None) -> None:
    found = load_taxonomy(scale).size_class(diameter)
    assert (found.id if found else None) == size


def test_names_for_people() -> None:
    bombs = load_taxonomy("bombs")
    assert bombs.zone_name("infratentorial") == "Posterior fossa"
    assert bombs.zone_name("outside") == "Outside"
    assert bombs.site("thalamus").name == "Thalamus"


def test_an_unknown_site_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"has no site 'pons'.*thalamus.*brainstem"):
        load_taxonomy("bombs").site("pons")


def test_mimics_have_hints_and_end_with_other() -> None:
    mimics = load_mimics()
    assert mimics[-1].id == "other"
    assert {"vessel", "calcification", "cavernoma"} & {mimic.id for mimic in mimics}
    assert all(len(mimic.hint) > 10 for mimic in mimics)
    assert len({mimic.id for mimic in mimics}) == len(mimics)


def changed(tmp_path: Path, repository: Path, name: str, change: Callable[[dict[str, Any]], object]) -> Path:
    content = json.loads((repository / "Resources" / "Taxonomies" / f"{name}.json").read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / f"{name}-changed.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.update(schema="other"), "is not a cmbnet-taxonomy file"),
        (lambda c: c.pop("name"), "lacks the text 'name'"),
        (lambda c: c.update(sites=[]), "has no list 'sites'"),
        (lambda c: c["sites"][0].pop("code"), "'cortex' has no code"),
        (lambda c: c["sites"][0]["code"].pop("value"), "lacks the text 'value'"),
        (lambda c: c["sites"].append(c["sites"][0]), "the site 'cortex' appears twice"),
        (lambda c: c["sites"][0].update(zone="frontal"), "unknown zone 'frontal'"),
        (lambda c: c["sites"][0].update(anatomy="cortex"), "must be a list of names"),
        (lambda c: c["sites"][0].update(anatomy=["thalamus"]), "anatomical structure 'thalamus' appears twice"),
        (lambda c: c["size_classes"][0].update(below_mm=0), "must rise"),
        (lambda c: c["size_classes"][0].pop("from_mm"), "needs numbers"),
    ],
)
def test_a_damaged_scale_is_refused(
    tmp_path: Path, repository: Path, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    path = changed(tmp_path, repository, "bombs", change)
    with pytest.raises(InputError, match=sentence):
        load_taxonomy(path)


def test_an_own_scale_is_read(tmp_path: Path, repository: Path) -> None:
    path = changed(tmp_path, repository, "bombs", lambda c: c.update(id="ours", name="Our scale"))
    assert (load_taxonomy(path).id, load_taxonomy(path).name) == ("ours", "Our scale")


def test_mimics_without_other_are_refused(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(InputError, match="must be 'other'"):
        load_mimics(changed(tmp_path, repository, "mimics", lambda c: c["mimics"].pop()))


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"broken\.json"):
        load_taxonomy(path)


def test_a_missing_scale_is_told() -> None:
    with pytest.raises(InputError, match="There is no taxonomy file"):
        load_taxonomy("smars")
