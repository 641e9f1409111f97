"""A thousand damaged labels, spreadsheets, tables and JSON files: each gets a named error, and no other scan stops."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import curation_sources as sources
from CMBNetLib.cli import main
from CMBNetLib.errors import InputError
from CMBNetLib.volume import Volume, write_volume
from CMBNetTrainingLib.dataset_layouts import choose_layout
from CMBNetTrainingLib.scan_loading import load_scan
from CMBNetTrainingLib.source_scan import Problem, SourceError
from damage import BYTE_DAMAGE, damaged_file, damaged_gzip_content
from head_phantom import SPOTS_RAS, head

SEED = 33
# With the 30 of the whole program, a thousand.
LABELS, CENTRES, SHEETS, TABLES, JSON = 300, 150, 150, 170, 200
WHOLE = 30
CODES = {"damaged", "grid", "values", "missing_label", "missing_image", "outside", "duplicate"}
# What converters and people write instead of a number, a name or a list.
NASTY: tuple[Any, ...] = (None, True, -1, 0, 1e308, float("nan"), "", "x", "../..", [], {}, [[]], [None], {"": None})


@pytest.fixture(scope="module")
def small() -> Volume:
    return head((4.0, 4.0, 6.0), spot_mm=8.0)


@pytest.fixture(scope="module")
def label(small: Volume, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("label") / "label.nii.gz"
    write_volume(sources.mask(small, radius_mm=5.0), path)
    return path.read_bytes()


def damaged_labels(label: bytes, seed: int) -> Iterator[bytes]:
    """Damaged copies without end: of the file, and of the header inside a sound gzip file."""
    random = np.random.default_rng(seed)
    while True:
        compressed = random.random() < 0.5
        yield damaged_file(random, label, BYTE_DAMAGE)[0] if compressed else damaged_gzip_content(random, label)[0]


def check(problem: Problem | SourceError, name: str) -> None:
    """The problem has a known code and a sentence that names the file."""
    text = problem.message if isinstance(problem, Problem) else str(problem)
    assert problem.code in CODES, (problem.code, text)
    assert name in text, text
    assert len(text) > len(name) + 15


def outcome(root: Path, layout: str, scan_id: str) -> Problem | SourceError | None:
    """What is told about one scan, by the list or by reading it; None where the damage does no harm."""
    listing = choose_layout(root, layout).list_scans(root)
    told = [problem for problem in listing.problems if problem.scan_id == scan_id]
    if told:
        return told[0]
    (scan,) = (scan for scan in listing.scans if scan.scan_id == scan_id)
    try:
        load_scan(scan)
    except SourceError as error:
        return error
    return None


def until(number: int, attempt: Callable[[], Problem | SourceError | None], name: str) -> None:
    """Damage again and again until so many inputs had an error; flipped bits in a comment do no harm."""
    found = tries = 0
    while found < number:
        tries += 1
        assert tries < 4 * number + 20, "nearly every damage goes unnoticed"
        problem = attempt()
        if problem is not None:
            check(problem, name)
            found += 1


def a_source(small: Volume, root: Path, others: int = 1) -> Path:
    """A VALDO folder of sound scans, sub-900 and on, and sub-100 whose label will be damaged."""
    for number in (100, *range(900, 900 + others)):
        folder = root / f"sub-{number}"
        noise = np.random.default_rng(number).normal(0, 1, small.array.shape)
        scan = small.with_array((small.array + noise).astype(np.float32))
        sources.save(scan, folder / f"sub-{number}_space-T2S_desc-masked_T2S.nii.gz")
        sources.save(sources.mask(small, radius_mm=5.0), folder / f"sub-{number}_space-T2S_CMB.nii.gz")
    return root


def test_damaged_labels(small: Volume, label: bytes, tmp_path: Path) -> None:
    root = a_source(small, tmp_path)
    path = root / "sub-100" / "sub-100_space-T2S_CMB.nii.gz"
    copies = damaged_labels(label, SEED)

    def attempt() -> Problem | SourceError | None:
        path.write_bytes(next(copies))
        return outcome(root, "valdo", "valdo-sub-100")

    until(LABELS, attempt, path.name)


def test_damaged_centres(small: Volume, tmp_path: Path) -> None:
    from scipy.io import savemat

    for name in ("01", "02"):
        sources.save(small, tmp_path / "nii" / f"{name}.nii")
        (tmp_path / "ground_truth").mkdir(exist_ok=True)
        savemat(tmp_path / "ground_truth" / f"{name}.mat", {"cen": sources.voxels(small) + 1})
    path, random = tmp_path / "ground_truth" / "01.mat", np.random.default_rng(SEED)
    sound = path.read_bytes()

    def attempt() -> Problem | SourceError | None:
        path.write_bytes(damaged_file(random, sound, BYTE_DAMAGE)[0])
        assert "dou-02" in {scan.scan_id for scan in choose_layout(tmp_path, "dou").list_scans(tmp_path).scans}
        return outcome(tmp_path, "dou", "dou-01")

    until(CENTRES, attempt, path.name)


def test_damaged_spreadsheets(small: Volume, tmp_path: Path) -> None:
    ending = "_MRI_SWI_BFC_50mm_HM"
    sources.save(small, tmp_path / "rCMB_DefiniteSubject" / f"305_T0{ending}.nii.gz")
    sources.save(small, tmp_path / "NoCMBSubject" / f"411_T0{ending}.nii.gz")
    path, random = tmp_path / "rCMBInformationInfo.xlsx", np.random.default_rng(SEED)
    row = [f"305_T0{ending}.nii.gz", *(sources.voxels(small) + 1).ravel().tolist()]
    sources.write_sheet(path, [row])
    sound = path.read_bytes()

    def attempt() -> Problem | SourceError | None:
        if random.random() < 0.5:
            path.write_bytes(damaged_file(random, sound, BYTE_DAMAGE)[0])
        else:
            cells = [cell for cell in NASTY if cell is None or isinstance(cell, (str, float, int))]
            broken = list(row)
            broken[int(random.integers(len(row)))] = cells[int(random.integers(len(cells)))]
            sources.write_sheet(path, [broken])
        listing = choose_layout(tmp_path, "momeni").list_scans(tmp_path)
        assert "momeni-411_T0" in {scan.scan_id for scan in listing.scans}, "the scan without a row goes on"
        told = [problem for problem in listing.problems if path.name in problem.message]
        if told or any(problem.scan_id.startswith("momeni-305_T0") for problem in listing.problems):
            return told[0]
        return outcome(tmp_path, "momeni", "momeni-305_T0")

    until(SHEETS, attempt, path.name)


def test_damaged_tables_of_points(small: Volume, tmp_path: Path) -> None:
    rows = "x\ty\tz\n" + "".join("\t".join(map(str, spot)) + "\n" for spot in SPOTS_RAS)
    for name in ("01", "02"):
        folder = tmp_path / f"sub-{name}" / "anat"
        sources.save(small, folder / f"sub-{name}_T2starw.nii.gz")
        (folder / f"sub-{name}_label-CMB_points.tsv").write_text(rows)
    path = tmp_path / "sub-01" / "anat" / "sub-01_label-CMB_points.tsv"
    random = np.random.default_rng(SEED)

    def attempt() -> Problem | SourceError | None:
        content = damaged_file(random, rows.encode(), BYTE_DAMAGE)[0]
        if random.random() < 0.5:
            cells = rows.split("\t")
            cells[int(random.integers(len(cells)))] = str(NASTY[int(random.integers(len(NASTY)))])
            content = "\t".join(cells).encode()
        path.write_bytes(content)
        listing = choose_layout(tmp_path, "bids").list_scans(tmp_path)
        assert "bids-sub-02_T2starw" in {scan.scan_id for scan in listing.scans}
        return outcome(tmp_path, "bids", "bids-sub-01_T2starw")

    until(TABLES, attempt, path.name)


def test_damaged_json(tmp_path: Path) -> None:
    sources.make_redbrick(tmp_path)
    path, random = tmp_path / "tasks.json", np.random.default_rng(SEED)
    shutil.copytree(tmp_path / "1.2.3.4", tmp_path / "5.6.7.8")
    tasks = json.loads(path.read_text())
    tasks.append({**tasks[0], "name": "5.6.7.8"})
    sound = json.dumps(tasks)

    def attempt() -> Problem | SourceError | None:
        if random.random() < 0.3:
            path.write_bytes(damaged_file(random, sound.encode(), BYTE_DAMAGE)[0])
        else:
            broken = json.loads(sound)
            _spoil(random, broken[0])
            path.write_text(json.dumps(broken))
            listing = choose_layout(tmp_path, "redbrick").list_scans(tmp_path)
            names = {scan.scan_id for scan in listing.scans}
            whole = {problem.scan_id for problem in listing.problems} == {"redbrick-tasks.json"}
            assert "redbrick-5.6.7.8" in names or whole, "the other study goes on where the file can be read"
        listing = choose_layout(tmp_path, "redbrick").list_scans(tmp_path)
        return listing.problems[0] if listing.problems else None

    until(JSON, attempt, "tasks.json")


def _spoil(random: np.random.Generator, tree: Any) -> None:
    """Put something else in one place of a JSON tree."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            places.append((node, key))
            walk(node[key])

    walk(tree)
    node, key = places[int(random.integers(len(places)))]
    node[key] = NASTY[int(random.integers(len(NASTY)))]


def test_the_program_goes_on_past_damaged_labels(
    small: Volume, label: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = a_source(small, tmp_path / "source", others=2)
    image = root / "sub-100" / "sub-100_space-T2S_desc-masked_T2S.nii.gz"
    copies, damaged = damaged_labels(label, SEED + 1), []
    for number in range(200, 200 + WHOLE):
        folder = root / f"sub-{number}"
        folder.mkdir()
        os.link(image, folder / f"sub-{number}_space-T2S_desc-masked_T2S.nii.gz")
        path = folder / f"sub-{number}_space-T2S_CMB.nii.gz"
        while True:
            path.write_bytes(next(copies))
            if outcome(root, "valdo", f"valdo-sub-{number}") is not None:
                break
        damaged.append(f"valdo-sub-{number}")
    shutil.rmtree(root / "sub-100")
    output = tmp_path / "collection"
    command = ["curate", str(root), "-o", str(output), "--workers", "0", "--pictures", "none", "--validation", "0"]
    assert main([*command, "--pixel-mm", "2", "--slice-mm", "4"]) == 2
    capsys.readouterr()
    with (output / "log.csv").open(newline="") as stream:
        log = {row["scan_id"]: row for row in csv.DictReader(stream)}
    assert sorted(log) == sorted([*damaged, "valdo-sub-900", "valdo-sub-901"])
    for scan_id in damaged:
        assert log[scan_id]["status"] == "failed"
        assert log[scan_id]["code"] in CODES, log[scan_id]
    with (output / "manifest.csv").open(newline="") as stream:
        assert [row["scan_id"] for row in csv.DictReader(stream)] == ["valdo-sub-900", "valdo-sub-901"]


def test_a_failed_scan_is_left_alone_until_it_is_to_be_tried_again(
    small: Volume, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--retry failed``: the same inputs, and what stood in the way is gone."""
    import CMBNetTrainingLib.curation_run as curation_run

    root, output = a_source(small, tmp_path / "source", others=1), tmp_path / "collection"
    command = ["curate", str(root), "-o", str(output), "--workers", "0", "--pictures", "none", "--validation", "0"]
    command += ["--pixel-mm", "2", "--slice-mm", "4"]
    curate, done = curation_run.curate_scan, []

    def broken(source: Any, *more: Any) -> Any:
        done.append(source.scan_id)
        if source.scan_id == "valdo-sub-100" and len(done) <= 2:
            raise InputError("The disk could not be read.")
        return curate(source, *more)

    monkeypatch.setattr(curation_run, "curate_scan", broken)
    assert main(command) == 2
    assert main(command) == 2, "it still counts as failed"
    assert done == ["valdo-sub-100", "valdo-sub-900"], "a second run does neither again"
    assert "The disk could not be read" in (output / "log.csv").read_text()
    assert main([*command, "--retry", "failed"]) == 0
    assert done[2:] == ["valdo-sub-100"], "what was done well is not done again"
    assert "failed" not in (output / "log.csv").read_text()
    assert main([*command, "--retry", "failed"]) == 0
    assert len(done) == 3
    capsys.readouterr()
