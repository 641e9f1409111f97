"""Finding files of a data set, and pairing images with labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from CMBNetLib.files import scan_stem

from .source_scan import Problem

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


def images_below(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the image files below a folder whose name fits the pattern, sorted; hidden files are left out."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.rglob(pattern) if path.name.lower().endswith(IMAGE_SUFFIXES))
    return sorted(path for path in found if path.is_file() and not _hidden(path.relative_to(folder)))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def find_folder(root: Path, name: str) -> Path | None:
    """Return the first folder of that name at or below the root, by depth and then by path."""
    if root.name == name and root.is_dir():
        return root
    found = [path for path in root.rglob(name) if path.is_dir()]
    return min(found, key=lambda path: (len(path.parts), str(path)), default=None)


def find_file(root: Path, name: str) -> Path | None:
    """Return the first file of that name below the root."""
    found = [path for path in root.rglob(name) if path.is_file()]
    return min(found, key=lambda path: (len(path.parts), str(path)), default=None)


def by_key(paths: Iterable[Path], key: Callable[[str], str | None]) -> dict[str, list[Path]]:
    """Group files by what ``key`` makes of their names without suffix; files without a key are left out."""
    groups: dict[str, list[Path]] = {}
    for path in paths:
        name = key(scan_stem(path))
        if name is not None:
            groups.setdefault(name, []).append(path)
    return groups


def paired(
    images: dict[str, list[Path]], labels: dict[str, list[Path]], dataset: str, label_word: str = "label"
) -> tuple[list[tuple[str, Path, Path]], list[Problem]]:
    """Pair images and labels of one key each; what has no partner, or two, is a problem."""
    pairs, problems = [], []
    for key in sorted(set(images) | set(labels)):
        scan_id = f"{dataset}-{key}"
        files = {"image": images.get(key, []), label_word: labels.get(key, [])}
        for word, found in files.items():
            kind = "image" if word == "image" else "label"
            if not found:
                text = f"{scan_id} has no {word}. Complete the data set, or remove the rest of this scan."
                problems.append(Problem(scan_id, f"missing_{kind}", text))
            elif len(found) > 1:
                text = f"{scan_id} has {len(found)} files as {word}: {', '.join(map(str, found))}. Keep one."
                problems.append(Problem(scan_id, "duplicate", text))
        if all(len(found) == 1 for found in files.values()):
            pairs.append((key, images[key][0], labels[key][0]))
    return pairs, problems


def safe_id(text: str) -> str:
    """Return the text with only letters, digits, dot, underscore and hyphen, so that it can be a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "scan"
