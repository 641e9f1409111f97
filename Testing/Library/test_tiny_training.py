"""The whole way in one command: label maps to simulated scans, training, a model that finds microbleeds elsewhere."""

from __future__ import annotations

import csv
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from CMBNetLib.bundle import Bundle, load_bundle
from CMBNetLib.detection import DetectionSettings, detect
from CMBNetLib.progress import Progress
from CMBNetLib.volume import read_volume
from CMBNetTrainingLib.synthetic_collection import make_collection
from CMBNetTrainingLib.training_presets import PRESETS

LABEL_MAPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "label_maps"
MAPS = tuple(str(LABEL_MAPS / f"training_seg_{number:02d}.nii.gz") for number in (1, 2, 3))
CORE_SECONDS = 600  # five minutes on two cores
SIZES_MM = (4.0, 8.0)
MATCH_MM = 5.0

Scored = list[tuple[float, bool]]  # score of a candidate, whether it is false; those on other microbleeds are left out


def trained(folder: Path) -> tuple[Bundle, float]:
    """The model of the one command, and the processor seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        sys.executable, "-m", "CMBNetLib", "train", "tiny", "--label-maps", *MAPS, "-o", str(folder / "run"),
        "--export", str(folder / "tiny"),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3000)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return load_bundle(folder / "tiny"), seconds


def scored(bundle: Bundle, collection: Path, scan_id: str) -> tuple[Scored, int]:
    """Candidates in a scan that are false or on a microbleed of the sizes asked for, and how many of those there are.

    One to one within 5 mm. A candidate on a microbleed that is smaller, larger or hardly visible counts neither way.
    """
    result = detect(
        read_volume(collection / "images" / f"{scan_id}.nii.gz"),
        bundle,
        DetectionSettings(threshold=bundle.floor_threshold),
    )
    with (collection / "truth" / f"{scan_id}.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["kind"] == "microbleed"]
    places = np.array([[float(row[axis]) for axis in "xyz"] for row in rows]).reshape(-1, 3)
    wanted = [row["visible"] == "1" and SIZES_MM[0] <= float(row["diameter_mm"]) <= SIZES_MM[1] for row in rows]
    centers = np.array([c.center_ras for c in result.candidates]).reshape(-1, 3)
    distance = np.linalg.norm(places[:, None] - centers[None], axis=2)
    pairs = zip(*linear_sum_assignment(np.where(distance <= MATCH_MM, distance, 1e6)), strict=True)
    on = {int(column): int(row) for row, column in pairs if distance[row, column] <= MATCH_MM}
    kept = [
        (candidate.score, number not in on)
        for number, candidate in enumerate(result.candidates)
        if number not in on or wanted[on[number]]
    ]
    return kept, sum(wanted)


def sensitivity_at(candidates: Scored, count: int, allowed: int) -> float:
    """Share of ``count`` microbleeds above the threshold at which at most ``allowed`` candidates are false."""
    found = false = 0
    for _score, is_false in sorted(candidates, key=lambda entry: (-entry[0], not entry[1])):
        false += is_false
        if false > allowed:
            break
        found += not is_false
    return found / count


def test_the_figure_counts_what_lies_above_the_threshold() -> None:
    candidates = [(0.9, False), (0.8, True), (0.7, False), (0.6, True), (0.5, False)]
    assert [sensitivity_at(candidates, 4, allowed) for allowed in (0, 1, 2)] == [0.25, 0.5, 0.75]


@pytest.mark.slow
@pytest.mark.skipif(not LABEL_MAPS.is_dir(), reason=f"needs the label maps in {LABEL_MAPS}")
def test_five_minutes_teach_to_find_large_microbleeds_in_another_head(tmp_path: Path) -> None:
    bundle, seconds = trained(tmp_path)
    # Scans of the third head that neither training nor validation saw.
    chosen = PRESETS["tiny"].synthesis
    plan = replace(chosen, label_maps=MAPS[2:], validation_maps=0, scans_per_map=4)
    rows = make_collection(tmp_path / "fresh", plan, 77, Progress())
    parts = [scored(bundle, tmp_path / "fresh", row["scan_id"]) for row in rows]
    candidates, count = [entry for part, _ in parts for entry in part], sum(n for _, n in parts)
    reached = sensitivity_at(candidates, count, 2 * len(rows))
    told = f"{reached:.2f} of {count} at 2 false positives a scan, {seconds:.0f} core seconds"
    print(told)
    assert count >= 15, told
    assert reached >= 0.7, told
    # Twice: threads that wait for each other on a busy machine count as work, so the time is told, not judged closely.
    assert seconds <= 2 * CORE_SECONDS, told
