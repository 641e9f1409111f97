"""The small schema checker agrees with the jsonschema package wherever our schemas can tell right from wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from CMBNetLib.detection_file import detection_document, detection_schema
from CMBNetLib.json_schema import first_problem
from detection_example import example_result

WRONG_VALUES = (None, True, -1, 0.5, 7, 1e9, "", "text", [], ["text"], [1, 2], {}, {"text": "text"})


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    content = detection_document(example_result())
    content["files"] = {"microbleeds": "a.nii.gz", "candidates": "b.nii.gz", "csv": "c.csv"}
    return json.loads(json.dumps(content))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of every value of a document; of a list the first entry only."""
    yield path
    first = list(enumerate(value))[:1] if isinstance(value, list) else []
    for key, child in value.items() if isinstance(value, dict) else first:
        yield from places(child, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any, remove: bool = False) -> Any:
    if not path:
        return value
    content = copy.deepcopy(document)
    node = content
    for key in path[:-1]:
        node = node[key]
    if remove:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return content


def test_the_example_fits_for_both(document: dict[str, Any]) -> None:
    assert first_problem(document, detection_schema()) is None
    jsonschema.Draft202012Validator(detection_schema()).validate(document)


def test_the_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(detection_schema())


def test_every_wrong_value_anywhere_gets_the_verdict_of_jsonschema(document: dict[str, Any]) -> None:
    reference = jsonschema.Draft202012Validator(detection_schema())
    verdicts = []
    for path in places(document):
        variants = [changed(document, path, value) for value in WRONG_VALUES]
        if path:
            variants.append(changed(document, path, None, remove=True))
        for variant in variants:
            ours = first_problem(variant, detection_schema()) is None
            assert ours == reference.is_valid(variant), (path, variant if not path else None)
            verdicts.append(ours)
    assert verdicts.count(True) > 50
    assert verdicts.count(False) > 300


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("candidates", 0, "score"), 1.4, "candidates[0].score is 1.4, more than 1"),
        (("candidates", 0, "zone"), "frontal", "candidates[0].zone must be one of 'lobar', 'deep', "),
        (("scan", "fingerprint"), "abc", "scan.fingerprint has the wrong form: 'abc'"),
        (("scan", "spacing_mm"), [1, 0, 1], "scan.spacing_mm[1] is 0, but must be more than 0"),
        (("scan", "shape_ijk"), [1, 2], "scan.shape_ijk has 2 entries instead of 3"),
        (("counts", "frontal"), 2, "counts has an unknown entry 'frontal'"),
        (("candidates", 0, "is_microbleed"), 1, "candidates[0].is_microbleed must be of type boolean, not 1"),
        (("model", "id"), "", "model.id is empty"),
    ],
)
def test_the_sentence_names_the_place(
    document: dict[str, Any], path: tuple[Any, ...], value: Any, sentence: str
) -> None:
    problem = first_problem(changed(document, path, value), detection_schema())
    assert problem is not None
    assert problem.startswith(sentence)


def test_a_missing_entry_is_named(document: dict[str, Any]) -> None:
    problem = first_problem(changed(document, ("model", "sha256"), None, remove=True), detection_schema())
    assert problem == "model lacks 'sha256'"


@pytest.mark.parametrize(
    "schema", [{"oneOf": []}, {"type": "float"}, {"properties": {"a": {"multipleOf": 2}}}, {"$ref": "other.json"}]
)
def test_a_keyword_it_does_not_know_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="JSON Schema"):
        first_problem({"a": 1}, schema)


def test_true_is_not_one() -> None:
    assert first_problem(True, {"const": 1}) == "the file must be 1, not True"
    assert first_problem(1, {"enum": [True]}) == "the file must be one of True, not 1"


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema."""
    if isinstance(schema, dict):
        yield schema
        for keyword in ("properties", "$defs"):
            for part in schema.get(keyword, {}).values():
                yield from nodes(part)
        for keyword in ("items", "additionalProperties"):
            yield from nodes(schema.get(keyword))


def test_all_shipped_schemas_use_known_keywords(repository: Path) -> None:
    paths = sorted((repository / "Resources" / "Schemas").glob("*.schema.json"))
    assert paths
    for path in paths:
        schema = json.loads(path.read_text(encoding="utf-8"))
        for node in nodes(schema):
            first_problem({}, {**node, "$defs": schema.get("$defs", {})})
