"""Import of a zipped bundle that nobody has reason to trust."""

from __future__ import annotations

import json
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from .bundle import FILES, METADATA, Bundle, load_bundle
from .errors import BundleError
from .resources import user_models_dir

MOST_FILES = 50
MOST_BYTES = 200 * 1024**2
# Float16 weights hardly compress; a member that grows a hundredfold is a bomb or no bundle.
MOST_GROWTH = 100


def import_bundle(archive: Path, models_dir: Path | None = None) -> Bundle:
    """Unpack ``archive`` into the user's models folder, after all checks.

    Parameters
    ----------
    archive
        A zip with the bundle's files at the top or in one folder.
    models_dir
        Where to; the user's models folder by default.

    Raises
    ------
    BundleError
        No zip file, an unsafe member, a bundle that is refused, or one of that id is there already.
    """
    root = models_dir or user_models_dir()
    try:
        with zipfile.ZipFile(archive) as source:
            members = _checked_members(source)
            prefix = _prefix(members)
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".import-", dir=root) as temporary:
                return _unpack(source, members, prefix, Path(temporary), root)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise BundleError(f"{archive} is not a zip file that can be unpacked ({error}).") from error
    except OSError as error:
        raise BundleError(f"Cannot import {archive}: {error.strerror or error}.") from error


def _checked_members(source: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = [member for member in source.infolist() if not member.is_dir()]
    if len(members) > MOST_FILES:
        raise BundleError(f"The zip holds {len(members)} files; a bundle has at most {MOST_FILES}.")
    for member in members:
        _check_member(member)
    size = sum(member.file_size for member in members)
    if size > MOST_BYTES:
        raise BundleError(f"The zip unpacks to {size / 1024**2:.0f} MB; a bundle has at most {MOST_BYTES >> 20} MB.")
    names = [member.filename.lower() for member in members]
    if len(set(names)) != len(names):
        raise BundleError("The zip holds the same file twice.")
    return members


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise BundleError(f"The zip is unsafe: '{name}' points outside the bundle.")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise BundleError(f"The zip is unsafe: '{name}' is a link.")
    if member.file_size > MOST_GROWTH * max(member.compress_size, 1) + 1024**2:
        raise BundleError(f"The zip is unsafe: '{name}' unpacks to {member.file_size / 1024**2:.0f} MB.")


def _prefix(members: list[zipfile.ZipInfo]) -> str:
    found = [m.filename.removesuffix(METADATA) for m in members if m.filename.endswith(METADATA)]
    if len(found) != 1 or found[0].count("/") > 1:
        raise BundleError(f"The zip holds no bundle: {METADATA} is expected at the top or in one folder.")
    return found[0]


def _unpack(
    source: zipfile.ZipFile, members: list[zipfile.ZipInfo], prefix: str, temporary: Path, root: Path
) -> Bundle:
    try:
        model = str(json.loads(source.read(prefix + METADATA))["cmbnet"]["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{METADATA} in the zip names no model ({error}).") from error
    if not model or PurePosixPath(model).name != model or "\\" in model or model.startswith("."):
        raise BundleError(f"The bundle's id '{model}' is not a plain name.")
    target = root / model
    if target.exists():
        raise BundleError(f"Model {model} is imported already ({target}). Remove that folder first to replace it.")
    folder = temporary / model
    for member in members:
        relative = member.filename.removeprefix(prefix)
        if relative in FILES:  # anything else has no business in the folder
            _copy(source, member, folder / relative)
    load_bundle(folder).load_network()
    folder.rename(target)
    return load_bundle(target)


def _copy(source: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # zipfile itself stops at the declared size and checks the CRC, so a lying header cannot write more.
    with source.open(member) as packed, path.open("wb") as out:
        shutil.copyfileobj(packed, out)
