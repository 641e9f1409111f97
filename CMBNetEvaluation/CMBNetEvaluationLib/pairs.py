"""Which prediction belongs to which reference: from two folders, or from a table."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError
from CMBNetLib.files import scan_stem

from .lesion_points import read_rows
from .lesion_sources import SUFFIXES

# What tools append to the name of a scan to say what a file is.
_ROLE = re.compile(
    r"[_.-](microbleeds?|candidates|detection|probability|prob|probseg|truth|reference|ref|gt|ground_?truth|masks?"
    r"|labels?|lesions?|seg|dseg|segmentation|pred|predictions?|cmbs?|points|readings|ignore|decoys|mimics"
    r"|desc-[a-z0-9]+|label-[a-z0-9]+|space-[a-z0-9]+)$",
    re.IGNORECASE,
)
_SEQUENCE = re.compile(r"[_.-](swi|t2s|t2star|t2starw|t2sw|gre|megre|qsm)$", re.IGNORECASE)
_SUBJECT = re.compile(r"sub-[a-z0-9]+", re.IGNORECASE)
_BARE_ROLE = re.compile(_ROLE.pattern.replace(r"[_.-](", "^(", 1), re.IGNORECASE)
# A richer file of the same scan wins: scores before labels, all candidates only through their detection file.
_PREFERENCE = ("_detection.json", "_microbleeds.nii.gz", "_probability.nii.gz")
_ROLES = ("prediction", "reference", "ignore", "decoys", "image", "regions")
_SYNONYMS = {"case_id": "scan_id", "scan": "scan_id", "id": "scan_id", "subject": "subject_id", "label": "reference"}


@dataclass(frozen=True)
class Pair:
    """One scan to evaluate.

    Attributes
    ----------
    scan_id, subject_id
        Names; scans of one subject stay together when intervals are made.
    prediction, reference
        Files; None where there is none.
    ignore, decoys, image, regions
        Lesions not to count, known mimics, the scan itself (for pictures), and a map of region codes.
    attributes
        Whatever else a table said: data set, sequence, field strength, ...
    """

    scan_id: str
    subject_id: str
    prediction: Path | None = None
    reference: Path | None = None
    ignore: Path | None = None
    decoys: Path | None = None
    image: Path | None = None
    regions: Path | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def pairs_from_folders(predictions: Path, references: Path, **others: Path | None) -> tuple[list[Pair], list[str]]:
    """Pair the files of folders by the names of their scans.

    Parameters
    ----------
    predictions, references
        Folders, searched with their subfolders; ``sub-1_swi_detection.json`` and ``sub-1_swi_mask.nii.gz`` belong
        together, and so do ``sub-1/prediction.nii.gz`` and ``sub-1/reference.nii.gz``.
    **others
        Folders for ``ignore``, ``decoys``, ``image``, ``regions``.

    Returns
    -------
    list of Pair, list of str
        The pairs by name, those with only one side included, and what could not be resolved.

    Raises
    ------
    InputError
        A folder is missing, or holds no file that could belong.
    """
    problems: list[str] = []
    found = {role: files_by_scan(folder, role, problems) for role, folder in
             {"prediction": predictions, "reference": references, **others}.items() if folder is not None}  # fmt: skip
    for role in ("prediction", "reference"):
        if not found[role]:
            raise InputError(f"There is no {role} in {predictions if role == 'prediction' else references}.")
    names = sorted({name for role in ("prediction", "reference") for name in found[role]})
    # A loose name (without sequence) joins files only where the exact names leave them alone.
    exact = {role: dict(files) for role, files in found.items()}
    alone = [name for name in names if not all(name in found[role] for role in ("prediction", "reference"))]
    loose = _join_loosely(exact, alone)
    kept = [name for name in names if name not in loose]
    return [replace(Pair(name, subject_of(name)), **_files_of(name, exact)) for name in kept], problems


def _files_of(name: str, found: Mapping[str, Mapping[str, Path]]) -> dict[str, Any]:
    return {role: look_up(files, name) for role, files in found.items()}


def pairs_from_table(table: Path, predictions: Path | None = None, *, replace_predictions: bool = False) -> list[Pair]:
    """Read pairs from a CSV with the columns ``scan_id,prediction,reference`` and any others.

    Known are ``subject_id``, ``ignore``, ``decoys``, ``image`` and ``regions``; a data set manifest (``label`` is
    the reference) serves too. Paths are relative to the table. Every further column becomes an attribute.

    Parameters
    ----------
    predictions
        Folder in which predictions are looked up by scan where the table names none.
    replace_predictions
        Look up every prediction in the folder, whatever the table says: it holds those of another model.

    Raises
    ------
    InputError
        No rows, no scan names, or a name that occurs twice.
    """
    rows = [{_SYNONYMS.get(key, key): value for key, value in row.items()} for row in read_rows(table)]
    if not rows:
        raise InputError(f"{table} lists no scans.")
    if not {"scan_id", "prediction", "reference", "image"} & set(rows[0]):
        raise InputError(f"{table} needs columns such as scan_id,prediction,reference; it has {', '.join(rows[0])}.")
    problems: list[str] = []
    looked_up = {} if predictions is None else files_by_scan(predictions, "prediction", problems)
    if replace_predictions:
        rows = [{**row, "prediction": ""} for row in rows]
    pairs = [_pair_of_row(table.parent, row, looked_up) for row in rows]
    names = [pair.scan_id for pair in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{table} names the scan {twice[0]} twice; every row needs its own scan_id.")
    return pairs


def with_attributes(pairs: Sequence[Pair], table: Path) -> tuple[list[Pair], list[str]]:
    """Add the columns of a table (a manifest) to the pairs it names; the second list says which it does not name."""
    known = {pair.scan_id: pair for pair in pairs_from_table(table)}
    unknown = [pair.scan_id for pair in pairs if pair.scan_id not in known]
    problems = []
    if unknown:
        first = f"{len(unknown)} of {len(pairs)} scans, such as {unknown[0]}"
        problems = [f"{table.name} does not name {first}: nothing is known of these for the strata."]
    return [_with_row(pair, known.get(pair.scan_id)) for pair in pairs], problems


def scan_name(path: Path) -> str:
    """Name of the scan a result file belongs to; a file called only by its role takes its folder's name."""
    name = scan_stem(path)
    for suffix in (".json", ".csv", ".tsv", ".jsonl"):
        name = name.removesuffix(suffix)
    while (shorter := _ROLE.sub("", name)) != name and shorter:
        name = shorter
    return path.parent.name if _BARE_ROLE.search(name) else name


def subject_of(scan_id: str) -> str:
    """``sub-01`` of a BIDS name, otherwise the name itself."""
    match = _SUBJECT.search(scan_id)
    return match.group(0) if match else scan_id


def _with_row(pair: Pair, row: Pair | None) -> Pair:
    if row is None:
        return pair
    attributes = {**pair.attributes, **row.attributes}
    more = {name: getattr(pair, name) or getattr(row, name) for name in ("ignore", "decoys", "image", "regions")}
    return replace(pair, subject_id=row.subject_id, attributes=attributes, **more)


def _pair_of_row(folder: Path, row: dict[str, str], predictions: Mapping[str, Path]) -> Pair:
    files = {role: folder / row[role] if row.get(role) else None for role in _ROLES}
    first = next((path for path in files.values() if path is not None), None)
    name = row.get("scan_id") or (scan_name(first) if first else "")
    if not name:
        raise InputError("A row of the table names neither a scan nor a file.")
    if files["prediction"] is None:
        files["prediction"] = look_up(predictions, name)
    attributes = {key: value for key, value in row.items() if key not in (*_ROLES, "scan_id", "subject_id") and value}
    return Pair(name, row.get("subject_id") or subject_of(name), attributes=attributes, **files)


def files_by_scan(folder: Path, role: str, problems: list[str]) -> dict[str, Path]:
    """The file of each scan in a folder and its subfolders; what is unclear is added to ``problems``.

    Raises
    ------
    InputError
        There is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    by_name: dict[str, list[Path]] = defaultdict(list)
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if name.lower().endswith(SUFFIXES) and not name.startswith(".") and _belongs(path, role):
                by_name[scan_name(path)].append(path)
    chosen = {name: _choose(name, paths, role, problems) for name, paths in by_name.items()}
    return {name: path for name, path in chosen.items() if path is not None}


def _belongs(path: Path, role: str) -> bool:
    """False for companions of a detection (candidate maps, overview tables) and JSON of other kinds."""
    name = path.name.lower()
    if role in ("image", "regions"):
        return not name.endswith((".json", ".jsonl", ".csv", ".tsv"))
    if name.endswith(".json"):
        return name.endswith("detection.json")
    return not name.endswith(("_candidates.nii.gz", "participants.tsv", "manifest.csv"))


def _choose(name: str, paths: list[Path], role: str, problems: list[str]) -> Path | None:
    if len(paths) == 1:
        return paths[0]
    for ending in _PREFERENCE:
        preferred = [path for path in paths if path.name.lower().endswith(ending)]
        if len(preferred) == 1:
            return preferred[0]
    listed = ", ".join(path.name for path in paths)
    problems.append(f"{name}: several files could be the {role} ({listed}); name the right one in a table of pairs.")
    return None


def _join_loosely(found: dict[str, dict[str, Path]], alone: list[str]) -> set[str]:
    """Join names that differ only by the sequence; returns the names that vanish into another."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in alone:
        groups[_bare(name)].append(name)
    gone = set()
    for names in groups.values():
        with_prediction = [name for name in names if name in found["prediction"]]
        with_reference = [name for name in names if name in found["reference"]]
        # Two names with a sequence each are two scans; only a name that says none can be meant for another.
        one_each = len(with_prediction) == len(with_reference) == 1 and len(names) == 2
        if one_each and min(names, key=len) == _bare(names[0]):
            kept, other = with_prediction[0], with_reference[0]
            for files in found.values():
                if other in files and kept not in files:
                    files[kept] = files[other]
            gone.add(other)
    return gone


def look_up(files: Mapping[str, Path], name: str) -> Path | None:
    """The file of a scan, also where only one of the two names says the sequence; None if there is none or several."""
    if name in files:
        return files[name]
    loose = [path for other, path in files.items() if _bare(other) == _bare(name) and _bare(name) in (name, other)]
    return loose[0] if len(loose) == 1 else None


def _bare(name: str) -> str:
    return _SEQUENCE.sub("", name)
