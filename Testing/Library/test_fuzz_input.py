"""Randomly damaged scans: each is refused with a sentence or read right; nothing crashes, hangs or passes for a scan.

The readers run in a process of their own (fuzz_reader), so that a crash inside ITK is seen as what it is.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

import damage
import scan_files as make
from CMBNetLib.volume import Volume, to_sitk
from fuzz_reader import MOST_SECONDS

SEED = 20240611
READER = Path(__file__).with_name("fuzz_reader.py")
COUNTS = {"nifti": 90, "gzip": 60, "gzipped header": 40, "text header": 40}
SERIES_COUNTS = {"plain": 60, "JPEG2000": 20, "JPEG": 20}


@dataclass
class Case:
    """A damaged scan; ``spoilt`` are the slices (k) of a series that may differ from the sound one."""

    path: Path
    what: str
    spoilt: set[int] = field(default_factory=set)


def read_apart(paths: list[Path]) -> list[dict[str, Any]]:
    """What became of each scan; a reader that dies is started again behind the scan that killed it."""
    found: list[dict[str, Any]] = []
    while len(found) < len(paths):
        left = paths[len(found) :]
        with tempfile.TemporaryFile("w+") as errors:
            done = subprocess.run(
                [sys.executable, str(READER)],
                input="".join(json.dumps(str(path)) + "\n" for path in left),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=MOST_SECONDS * 10,
            )
            errors.seek(0)
            tail = errors.read()[-2000:]
        found += [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode:
            found.append({"outcome": "crash", "message": f"exit {done.returncode}: {tail}"})
    return found


def file_cases(folder: Path, kind: str) -> list[Case]:
    random = np.random.default_rng([SEED, len(kind)])
    cases = []
    for number in range(COUNTS[kind]):
        suffix, content, damages = sound_file(folder, kind, number)
        if kind == "gzipped header":
            content, what = damage.damaged_gzip_content(random, content)
        else:
            content, what = damage.damaged_file(random, content, damages)
        path = folder / f"{number:03d}{suffix}"
        path.write_bytes(content)
        cases.append(Case(path, what))
    return cases


def sound_file(folder: Path, kind: str, number: int) -> tuple[str, bytes, tuple[damage.Damage, ...]]:
    """Suffix and content of a sound scan, and the damages for its kind."""
    if kind == "text header":
        suffix = (".nrrd", ".mha")[number % 2]
        path = folder / f"sound{number}{suffix}"
        image = to_sitk(Volume(make.head_array(), make.oblique_affine()))
        sitk.WriteImage(image, path, useCompression=number % 4 < 2)
        content = path.read_bytes()
        path.unlink()
        return suffix, content, (*damage.BYTE_DAMAGE, damage.flip_start, damage.flip_start)
    suffix = ".nii" if kind == "nifti" else ".nii.gz"
    array = make.head_array() if number % 2 else make.head_array().astype(np.float32)
    path = make.write_nifti(folder / f"sound{number}{suffix}", array)
    content = path.read_bytes()
    path.unlink()
    return suffix, content, damage.BYTE_DAMAGE + (damage.HEADER_DAMAGE * 2 if kind == "nifti" else ())


def assert_ended_well(case: Case, result: dict[str, Any]) -> None:
    where = f"{case.path.name} ({case.what})"
    assert result["outcome"] in ("refused", "read"), f"{where}: {result['message']}"
    if result["outcome"] == "refused":
        assert result["exit_code"] == 2, where
        assert len(result["message"]) > 30, result["message"]
        assert not re.search(r"\w\(0x[0-9a-f]+\)|ITK ERROR", result["message"]), result["message"]
        return
    voxels = np.load(result["voxels"])
    assert np.isfinite(voxels).all(), where
    assert min(voxels.shape) >= 10, where
    assert voxels.min() < voxels.max(), where
    edges = np.linalg.norm(np.array(result["ijk_to_ras"])[:3, :3], axis=0)
    assert ((edges > 0.19) & (edges < 7.1)).all(), where


def assert_same_as_nibabel(case: Case, result: dict[str, Any]) -> None:
    """An independent reader finds the same voxels, where it reads the file at all."""
    try:
        image = nibabel.load(case.path)
        expected = np.asarray(image.dataobj, dtype=np.float32).T
    except Exception:  # nibabel refuses headers that are only odd
        return
    expected = np.where(np.abs(expected) < 1e15, expected, np.float32(0))
    voxels = np.load(result["voxels"])
    np.testing.assert_allclose(
        voxels, expected.reshape(voxels.shape), rtol=1e-5, atol=1e-7 * np.abs(expected).max(), err_msg=str(case)
    )


@pytest.mark.parametrize("kind", COUNTS)
def test_damaged_files_are_refused_or_read_right(tmp_path: Path, kind: str) -> None:
    cases = file_cases(tmp_path, kind)
    results = read_apart([case.path for case in cases])
    for case, result in zip(cases, results, strict=True):
        assert_ended_well(case, result)
        if result["outcome"] == "read" and "text" not in kind:
            assert_same_as_nibabel(case, result)
    refused = sum(result["outcome"] == "refused" for result in results)
    assert refused > len(cases) / 4, "the damage is too weak to test anything"
    if kind == "gzip":  # the checksum leaves only the few bytes of gzip's own header unprotected
        assert refused > 0.9 * len(cases)


@pytest.mark.parametrize("kind", SERIES_COUNTS)
def test_damaged_series_are_refused_or_read_right(tmp_path: Path, kind: str) -> None:
    files = damage.sound_series(tmp_path / "sound", None if kind == "plain" else kind)
    random = np.random.default_rng([SEED, len(kind)])
    cases = []
    for number in range(SERIES_COUNTS[kind]):
        folder = tmp_path / f"series{number:03d}"
        folder.mkdir()
        names, what = damage.damage_series(random, folder, files)
        # The files are numbered against the order of the slices.
        cases.append(Case(folder, what, {len(files) - 1 - sorted(files).index(name) for name in names}))
    results = read_apart([case.path for case in cases])
    for case, result in zip(cases, results, strict=True):
        assert_ended_well(case, result)
        if result["outcome"] == "read":
            assert_sound_slices(case, result)
    outcomes = {result["outcome"] for result in results}
    assert outcomes == {"refused", "read"} if kind == "plain" else "refused" in outcomes


def assert_sound_slices(case: Case, result: dict[str, Any]) -> None:
    """All slices of undamaged files are there, in order, unchanged and in their place."""
    sound, affine = make.head_array(), make.oblique_affine()
    voxels, found = np.load(result["voxels"]), np.array(result["ijk_to_ras"])
    first = np.linalg.solve(affine, found[:, 3])[2]
    assert first == pytest.approx(round(first), abs=1e-3), case
    slices = {k + round(first): voxels[k] for k in range(len(voxels))}
    kept = set(range(len(sound))) - case.spoilt
    # A spoilt slice at the end may be gone; one in between would be a gap.
    assert kept <= slices.keys(), case
    for k in kept:
        np.testing.assert_array_equal(slices[k], sound[k], err_msg=f"{case}, slice {k}")


def test_a_compression_bomb_is_refused_quickly(tmp_path: Path) -> None:
    """A few kilobytes that unpack to gigabytes are not unpacked beyond what the header declares."""
    path = make.write_nifti(tmp_path / "scan.nii", make.head_array())
    content = path.read_bytes() + b"\0" * (1 << 28)
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(content, 1))
    (result,) = read_apart([tmp_path / "bomb.nii.gz"])
    assert result["outcome"] == "refused"
    assert "holds more voxels than" in result["message"]
