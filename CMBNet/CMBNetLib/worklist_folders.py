"""Worklists of a BIDS data set or of any folder with scans in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import InputError
from .files import scan_stem
from .worklist import OUTPUT_FOLDER, Case, Worklist, missing_files, unique_names

# BIDS itself knows T2starw; SWI comes under several suffixes, T2S is VALDO's.
_SUFFIXES = ("swi", "T2starw", "T2star", "T2S")
_IMAGES = (".nii", ".nii.gz", ".nrrd", ".mha")
# A folder that begins with so many files of other kinds is no series.
_MOST_LOOKED_AT = 50
_DERIVED = re.compile(
    r"(mask|label|labels|seg|dseg|probseg|CMB|truth|reference|microbleeds|candidates|probability)$", re.IGNORECASE
)
_ENTITY = re.compile(r"([a-zA-Z]+)-([a-zA-Z0-9]+)")


@dataclass(frozen=True)
class _BidsScan:
    path: Path
    entities: dict[str, str]
    suffix: str

    @property
    def stem(self) -> str:
        """Entities without the suffix, as derived files begin."""
        return "_".join(f"{key}-{value}" for key, value in self.entities.items())


def is_bids(folder: Path) -> bool:
    """True for a folder with ``dataset_description.json`` or subject folders."""
    return (folder / "dataset_description.json").is_file() or any(child.is_dir() for child in folder.glob("sub-*"))


def read_bids_worklist(folder: Path, output_folder: Path | None = None) -> Worklist:
    """List the SWI and T2* scans of a BIDS data set; the scan of the session before is the prior.

    Derived files go to ``derivatives/cmbnet/sub-X[/ses-Y]/anat`` under BIDS names. A phase image of the same
    acquisition (``part-phase``) becomes the second volume.

    Raises
    ------
    InputError
        The data set holds no such scan.
    """
    scans = [scan for scan in map(_bids_scan, sorted(folder.glob("sub-*/**/*.nii*"))) if scan is not None]
    main = [scan for scan in scans if scan.entities.get("part", "mag") == "mag"]
    if not main:
        raise InputError(f"{folder} holds no SWI or T2* scan (names that end in {', '.join(_SUFFIXES)}).")
    output = Path(output_folder) if output_folder else folder / "derivatives" / "cmbnet"
    cases = [_bids_case(scan, scans, output) for scan in main]
    cases = _with_priors(main, cases)
    return Worklist(tuple(cases), output, tuple(missing_files(cases)))


def read_folder_worklist(folder: Path, output_folder: Path | None = None) -> Worklist:
    """List the scans below a folder: image files, and subfolders with DICOM files; masks are passed over.

    Raises
    ------
    InputError
        No scan was found.
    """
    output = Path(output_folder) if output_folder else folder / OUTPUT_FOLDER
    paths, problems = [], []
    for path in sorted(folder.rglob("*")):
        try:
            if output not in path.parents and _is_scan(path):
                paths.append(path)
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror}.")
    if not paths:
        raise InputError(f"{folder} holds no scan ({', '.join(_IMAGES)} or DICOM folders).")
    stems = [scan_stem(path) for path in paths]
    # A name that occurs twice (scan.nii.gz in each subject's folder) is told apart by its folders.
    names = [
        stem if stems.count(stem) == 1 else "_".join([*path.relative_to(folder).parent.parts, stem])
        for path, stem in zip(paths, stems, strict=True)
    ]
    cases = [Case(name, path, output / name, stem=name) for name, path in zip(unique_names(names), paths, strict=True)]
    return Worklist(tuple(cases), output, tuple(problems))


def _bids_scan(path: Path) -> _BidsScan | None:
    *parts, suffix = scan_stem(path).split("_")
    entities = {}
    for part in parts:
        match = _ENTITY.fullmatch(part)
        if match is None:
            return None
        entities[match.group(1)] = match.group(2)
    if suffix not in _SUFFIXES or "sub" not in entities or "label" in entities:
        return None
    return _BidsScan(path, entities, suffix)


def _bids_case(scan: _BidsScan, scans: list[_BidsScan], output: Path) -> Case:
    parts = [f"{key}-{scan.entities[key]}" for key in ("sub", "ses") if key in scan.entities]
    folder = output.joinpath(*parts)
    case_id = scan_stem(scan.path)
    wanted = {key: value for key, value in scan.entities.items() if key != "part"}
    phase = (
        other.path for other in scans if other.entities == {**wanted, "part": "phase"} and other.suffix == scan.suffix
    )
    stem = f"{scan.stem}_space-orig_label-CMB"
    return Case(
        case_id, scan.path, folder / case_id, second=next(phase, None), stem=stem, derived_folder=folder / "anat"
    )


def _with_priors(scans: list[_BidsScan], cases: list[Case]) -> list[Case]:
    """Give each case the scan of the same kind of the session before."""
    latest: dict[tuple[object, ...], Path] = {}
    result = []
    order = sorted(range(len(scans)), key=lambda index: _session_order(scans[index].entities.get("ses", "")))
    for index in order:
        scan = scans[index]
        kind = (scan.suffix, *(item for item in scan.entities.items() if item[0] != "ses"))
        before = latest.get(kind)
        result.append((index, replace(cases[index], prior=before) if before else cases[index]))
        latest[kind] = scan.path
    return [case for _, case in sorted(result, key=lambda pair: pair[0])]


def _session_order(session: str) -> list[tuple[int, str]]:
    """Sessions by the numbers in their names: ``M6`` comes before ``M12``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", session)]


def _is_scan(path: Path) -> bool:
    if path.is_dir():
        files = [child for child in sorted(path.iterdir()) if child.is_file()]
        images = [file for file in files if not file.name.startswith(".") and file.name.upper() != "DICOMDIR"]
        return any(map(_is_dicom, images[:_MOST_LOOKED_AT]))
    name = path.name.lower()
    return (
        name.endswith(_IMAGES)
        and not name.startswith(".")
        and not _DERIVED.search(scan_stem(path))
        and "_desc-" not in name
    )


def _is_dicom(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"
