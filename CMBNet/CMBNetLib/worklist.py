"""The cases a reader works through, and where the files of each are kept."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import InputError
from .files import atomic_output, scan_stem

COLUMNS = ("case_id", "image", "prior", "reference", "notes", "second", "candidates")
REQUIRED = ("case_id", "image")
_PATHS = ("image", "prior", "reference", "second", "candidates")
_CASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}")
OUTPUT_FOLDER = "cmbnet-review"


@dataclass(frozen=True)
class Case:
    """What a reader opens.

    Attributes
    ----------
    case_id : str
        Unique in the worklist; part of file names.
    image : Path
        The scan.
    folder : Path
        Where readings, detection and reviewed masks of the case are kept.
    prior, reference, second, candidates : Path or None
        Scan of an earlier visit; ground truth; a volume to look at beside the scan (phase, T2); candidates of any
        tool.
    notes : str
        Free text.
    stem : str
        Beginning of the names of derived files.
    derived_folder : Path or None
        Where derived files go; None for `folder`.
    """

    case_id: str
    image: Path
    folder: Path
    prior: Path | None = None
    reference: Path | None = None
    second: Path | None = None
    candidates: Path | None = None
    notes: str = ""
    stem: str = ""
    derived_folder: Path | None = None

    def derived(self, description: str, suffix: str) -> Path:
        """Return the path of a derived file, e.g. ``..._desc-reviewed_mask.nii.gz``."""
        return (self.derived_folder or self.folder) / f"{self.stem or self.case_id}_desc-{description}_{suffix}"

    @property
    def detection(self) -> Path:
        """Where ``cmbnet detect IMAGE -o FOLDER`` puts its detection file."""
        return self.folder / f"{scan_stem(self.image)}_detection.json"


@dataclass(frozen=True)
class Worklist:
    """The cases in their order.

    Attributes
    ----------
    cases : tuple of Case
    output_folder : Path
        Where the readers' sessions are kept.
    problems : tuple of str
        What to tell the reader: files that are missing, columns nobody knows.
    source : Path or None
        What it was read from, for other processes; None for one that exists in memory only.
    """

    cases: tuple[Case, ...]
    output_folder: Path
    problems: tuple[str, ...] = ()
    source: Path | None = None

    def index(self, case_id: str) -> int:
        """Return the place of a case; :class:`InputError` if the worklist has none of that id."""
        for index, case in enumerate(self.cases):
            if case.case_id == case_id:
                return index
        raise InputError(f"The worklist has no case '{case_id}'.")


def read_worklist(path: Path, output_folder: Path | None = None) -> Worklist:
    """Read a CSV file, a BIDS data set or a folder of scans, whichever ``path`` is.

    Parameters
    ----------
    path : Path
        ``*.csv`` or ``*.tsv``; a folder with ``dataset_description.json`` or ``sub-*``; or any folder.
    output_folder : Path, optional
        Where readings go; by default ``cmbnet-review`` beside the CSV or in the folder, ``derivatives/cmbnet`` for
        BIDS.

    Raises
    ------
    InputError
        Nothing there, a missing column, rows without case or image, duplicate cases, or no scan found.
    """
    path = Path(path)
    if path.is_file():
        return replace(read_csv_worklist(path, output_folder), source=path)
    if not path.is_dir():
        raise InputError(f"There is no worklist {path}. Choose a CSV file or a folder of scans.")
    from .worklist_folders import is_bids, read_bids_worklist, read_folder_worklist

    read = read_bids_worklist if is_bids(path) else read_folder_worklist
    return replace(read(path, output_folder), source=path)


def read_csv_worklist(path: Path, output_folder: Path | None = None) -> Worklist:
    """Read ``case_id,image[,prior][,reference][,notes][,second][,candidates]``; paths are relative to the file.

    Raises
    ------
    InputError
        As `read_worklist`; the message names the rows.
    """
    header, rows = _read_table(path)
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise InputError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}. A worklist begins with the line "
            "'case_id,image' (and prior, reference, notes, second, candidates where you have them)."
        )
    _check_rows(path, rows)
    folder = Path(output_folder) if output_folder else path.parent / OUTPUT_FOLDER
    cases = [_case(row, path.parent, folder) for _, row in rows]
    unknown = [name for name in header if name not in COLUMNS]
    problems = [f"Column '{name}' of {path.name} is not used." for name in unknown]
    return Worklist(tuple(cases), folder, (*problems, *missing_files(cases)))


def write_csv_worklist(path: Path, cases: Iterable[Case]) -> Path:
    """Write cases as a worklist with absolute paths; :class:`InputError` if the folder cannot be written."""
    with atomic_output(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for case in cases:
            paths = {name: _absolute(getattr(case, name)) for name in _PATHS}
            writer.writerow({"case_id": case.case_id, "notes": case.notes, **paths})
    return Path(path)


def worklist_of_paths(paths: Sequence[Path], output_folder: Path) -> Worklist:
    """Make a worklist of scans, e.g. those of the present scene; case ids are their names.

    Raises
    ------
    InputError
        No scan at all.
    """
    if not paths:
        raise InputError("There is no scan to make a worklist of. Load a scan from a file first.")
    names = unique_names([scan_stem(path) for path in paths])
    cases = [
        Case(name, Path(path), Path(output_folder) / name, stem=name) for name, path in zip(names, paths, strict=True)
    ]
    return Worklist(tuple(cases), Path(output_folder), tuple(missing_files(cases)))


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names as valid case ids; one that occurs again gets a number."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        clean = re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).lstrip("_.+-") or "case"
        seen[clean] = seen.get(clean, 0) + 1
        result.append(clean if seen[clean] == 1 else f"{clean}-{seen[clean]}")
    return result


def missing_files(cases: Iterable[Case]) -> list[str]:
    """Return one sentence for each file of a case that is not there."""
    return [
        f"Case {case.case_id}: {name} {getattr(case, name)} is missing."
        for case in cases
        for name in _PATHS
        if getattr(case, name) is not None and not getattr(case, name).exists()
    ]


def _read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the column names and the rows that are not blank, with their line numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: {error}.") from error
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    header = [name.strip().lower() for name in next(reader, [])]
    rows = []
    for values in reader:
        if not any(value.strip() for value in values):
            continue
        if len(values) > len(header):
            raise InputError(
                f"Line {reader.line_num} of {path} has {len(values)} fields, the first line has {len(header)}. "
                "Put fields that hold a comma between quotation marks."
            )
        values += [""] * (len(header) - len(values))
        rows.append((reader.line_num, {name: value.strip() for name, value in zip(header, values, strict=True)}))
    return header, rows


def _check_rows(path: Path, rows: list[tuple[int, dict[str, str]]]) -> None:
    if not rows:
        raise InputError(f"{path} lists no case.")
    empty = [str(line) for line, row in rows if not row["case_id"] or not row["image"]]
    if empty:
        raise InputError(f"{path} has no case_id or no image in line {', '.join(empty)}.")
    wrong = [f"'{row['case_id']}' (line {line})" for line, row in rows if not _CASE_ID.fullmatch(row["case_id"])]
    if wrong:
        raise InputError(
            f"{path}: these case ids cannot be used in a file name: {', '.join(wrong)}. Use letters, digits, "
            "'_', '-', '+' and '.'."
        )
    lines: dict[str, list[int]] = {}
    for line, row in rows:
        # Windows and macOS do not tell "A" from "a" in a file name.
        lines.setdefault(row["case_id"].lower(), []).append(line)
    twice = [f"'{name}' (lines {', '.join(map(str, found))})" for name, found in lines.items() if len(found) > 1]
    if twice:
        raise InputError(f"{path} lists a case more than once: {'; '.join(twice)}. Every row needs its own case_id.")


def _case(row: Mapping[str, str], root: Path, output_folder: Path) -> Case:
    paths = {name: root / row[name] for name in _PATHS if row.get(name)}
    case_id = row["case_id"]
    return Case(case_id, folder=output_folder / case_id, notes=row.get("notes", ""), stem=case_id, **paths)


def _absolute(path: Path | None) -> str:
    return str(path.resolve()) if path is not None else ""
