"""`Docs/file_formats.md` says what the schema and the program do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from CMBNetLib import bundle, errors, exports, worklist
from CMBNetLib.detection_file import SCHEMA_VERSION, detection_schema
from CMBNetLib.progress import JsonProgress


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "Docs" / "file_formats.md").read_text(encoding="utf-8")


def table_after(text: str, words: str) -> list[list[str]]:
    """Cells of the rows of the first table after these words, without its head."""
    rest = text[text.index(words) + len(words) :]
    lines = re.search(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    assert lines is not None
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[0].splitlines()[2:]]
    return [[cell.strip("| `") if number == 0 else cell.strip("| ") for number, cell in enumerate(row)] for row in rows]


def column(text: str, words: str) -> list[str]:
    return [row[0] for row in table_after(text, words)]


def type_text(schema: dict[str, Any]) -> str:
    """The type as the page writes it."""
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    if "enum" in schema:
        return "one of " + ", ".join("null" if value is None else value for value in schema["enum"])
    if "$ref" in schema:
        return "object"
    if schema["type"] == "array":
        number = f"{schema['minItems']} " if "minItems" in schema else ""
        return f"list of {number}{'list' if schema['items'].get('type') == 'array' else type_text(schema['items'])}s"
    return schema["type"] if isinstance(schema["type"], str) else " or ".join(schema["type"])


PARTS = ["detection", *detection_schema()["$defs"]]


@pytest.mark.parametrize("name", PARTS)
def test_entries_types_and_duties_are_those_of_the_schema(text: str, name: str) -> None:
    schema = detection_schema() if name == "detection" else detection_schema()["$defs"][name]
    documented = {row[0]: (row[1], row[2]) for row in table_after(text, f"\n### `{name}`\n")}
    wanted = {
        entry: (type_text(part), "yes" if entry in schema["required"] else "no")
        for entry, part in schema["properties"].items()
    }
    assert documented == wanted
    assert list(documented) == list(wanted)


def test_no_part_is_documented_that_the_schema_lacks(text: str) -> None:
    assert sorted(re.findall(r"^### `(\w+)`$", text, re.MULTILINE)) == sorted(PARTS)


def test_every_entry_is_explained(text: str) -> None:
    for name in PARTS:
        for row in table_after(text, f"\n### `{name}`\n"):
            assert len(row) == 4, row
            assert len(row[3]) > 2, row


def test_files_of_a_detection(text: str) -> None:
    documented = {row[0]: row[1].strip("`") for row in table_after(text, "\n## Results of a detection\n")}
    assert documented == {key: f"<name>{suffix}" for key, suffix in exports.SUFFIXES.items()}
    optional = {row[0] for row in table_after(text, "\n## Results of a detection\n") if row[2] != "always"}
    assert optional == set(exports.OPTIONAL)


def test_files_listed_in_the_detection_file_are_those_written() -> None:
    assert set(detection_schema()["$defs"]["files"]["properties"]) == set(exports.SUFFIXES) - {"json"}


def test_columns_of_the_table(text: str) -> None:
    assert tuple(column(text, "\n## Table (CSV)\n")) == exports.CSV_COLUMNS


def test_versions(text: str) -> None:
    assert f"schema version {SCHEMA_VERSION}." in text
    assert f"detection-{SCHEMA_VERSION}.schema.json" in text


def test_events_are_those_that_are_sent(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    progress = JsonProgress()
    progress.stage("read", "Reading")
    progress.advance(0.5)
    progress.warning("code", "text")
    progress.result({})
    progress.error(errors.InputError("text"))
    sent = {line.pop("event"): set(line) for line in map(json.loads, capsys.readouterr().out.splitlines())}
    documented = {row[0]: set(re.findall(r"`(\w+)`", row[1])) for row in table_after(text, "\n## Job events")}
    assert documented == sent


def test_exit_codes_are_those_of_the_errors(text: str) -> None:
    rows = table_after(text, "`cmbnet detect` ends with")
    documented = {row[1].strip("`"): int(row[0]) for row in rows}
    assert documented.pop("–") == 0
    assert documented == {name: getattr(errors, name).exit_code for name in documented}
    assert set(documented.values()) == {1, 2, 3, 4}


def test_bundle_files_and_keys(text: str) -> None:
    assert tuple(column(text, "\n## Bundle\n")) == bundle.FILES
    assert tuple(column(text, "Entries of the section `cmbnet`:")) == bundle._KEYS


def test_columns_of_the_worklist(text: str) -> None:
    rows = table_after(text, "**Worklist**")
    assert tuple(row[0] for row in rows) == worklist.COLUMNS
    assert tuple(row[0] for row in rows if "(required)" in row[1]) == worklist.REQUIRED


def test_the_links_within_the_page_lead_somewhere(text: str) -> None:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
