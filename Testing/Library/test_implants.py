"""Microbleeds put into scans that exist."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch

from CMBNetLib.cli import main
from CMBNetLib.volume import read_labels, read_volume, write_volume
from CMBNetTrainingLib.implanted_scans import implant_into, protocol_of
from CMBNetTrainingLib.implants import attenuations, implant, with_fresh_lesion
from CMBNetTrainingLib.noise import noise_of
from CMBNetTrainingLib.protocol import Protocol
from CMBNetTrainingLib.sources import Source
from CMBNetTrainingLib.training_manifest import read_manifests
from CMBNetTrainingLib.truth import MICROBLEED
from head_phantom import brain_of, head

PROTOCOL = Protocol("T2*", 2, 1.5, 20.0, 1.0, 1.0, 2.0, 1.0, 50.0, 1, 0.0, 0.0, (0.0, 0.0, 0.0))


def test_an_attenuation_is_one_far_away_and_dark_in_the_middle() -> None:
    source = Source("microbleed", (0.0, 0.0, 0.0), 1.5, 1.5)
    factor = attenuations(np.random.default_rng(0), [source, source], PROTOCOL).numpy()
    assert factor.shape[0] == 2
    middle = tuple(n // 2 for n in factor.shape[1:])
    for one in factor:
        assert one[middle] < 0.6
        assert np.abs(one[:, 0, 0] - 1).max() < 0.05


def test_longer_echo_and_stronger_field_make_a_microbleed_larger() -> None:
    source = Source("microbleed", (0.0, 0.0, 0.0), 1.0, 1.0)

    def dark(field_t: float, echo_ms: float) -> int:
        protocol = Protocol("T2*", 2, field_t, echo_ms, 0.5, 0.5, 1.0, 1.0, 50.0, 1, 0.0, 0.0, (0.0, 0.0, 0.0))
        return int((attenuations(np.random.default_rng(0), [source], protocol).numpy() < 0.7).sum())

    assert 0 < dark(1.5, 15.0) < dark(1.5, 35.0) < dark(3.0, 35.0)


def test_implants_change_only_their_surroundings_and_keep_the_noise() -> None:
    scan = head((1.0, 1.0, 2.0), spots=())
    image, labels, implants = implant(np.random.default_rng(1), scan.array, brain_of(scan), PROTOCOL, 6, 3.0)
    assert len(implants) == 6
    assert any(each.visible for each in implants)
    assert set(np.unique(labels)) - {0} == {each.id for each in implants if each.visible}
    assert (image != scan.array).mean() < 0.15
    for each in implants:
        if each.visible:
            assert image[labels == each.id].mean() < 0.9 * scan.array[labels == each.id].mean()


def test_the_noise_of_a_scan_is_measured() -> None:
    rng = np.random.default_rng(0)
    image = 100 + np.linspace(0, 40, 64)[None, :, None] + rng.normal(0, 4.0, (12, 64, 64))
    assert noise_of(image, np.ones(image.shape, bool)) == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize("turn", [0.0, 25.0])
def test_the_field_points_to_the_head_in_array_axes(turn: float) -> None:
    scan = head((2.0, 2.0, 4.0), turn_deg=turn)
    b = protocol_of(scan, 20.0).b0_direction
    expected = scan.direction[2][::-1]
    assert abs(float(np.dot(b, expected))) == pytest.approx(1.0, abs=1e-6)


def test_implanted_microbleeds_have_places_and_the_scan_keeps_its_grid() -> None:
    scan = head((1.0, 1.0, 3.0), spots=())
    image, labels, about = implant_into(scan, 5, seed=3)
    assert image.array.shape == labels.array.shape == scan.array.shape
    for row in about["objects"]:
        if row["visible"]:
            inside = np.argwhere(labels.array == row["id"])[:, ::-1]
            assert np.linalg.norm(labels.ras_from_ijk(inside).mean(0) - row["center_ras"]) < 4.0


def test_the_command_writes_copies_with_different_implants(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    write_volume(head((2.0, 2.0, 4.0), spots=()), tmp_path / "scan.nii.gz")
    out = tmp_path / "out"
    assert main(["synthesize", "--implant", "4", "--scans", "2", str(tmp_path / "scan.nii.gz"), "-o", str(out)]) == 0
    assert "2 real scans with implants" in capsys.readouterr().out
    truths = [json.loads(path.read_text()) for path in sorted((out / "truth").glob("*.json"))]
    assert truths[0]["objects"] != truths[1]["objects"]
    for truth, path in zip(truths, sorted((out / "labels").glob("*.nii.gz")), strict=True):
        visible = {each["id"] for each in truth["objects"] if each["visible"]}
        assert set(np.unique(read_labels(path).array)) - {0} == visible
    assert read_volume(out / "images" / "scan_implants00.nii.gz").array.shape[0] == 40


def test_untouched_scans_are_negative_ones(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    scan = head((2.0, 2.0, 4.0), spots=())
    write_volume(scan, tmp_path / "scan.nii.gz")
    arguments = ["--implant", "0", "--scans", "1", str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path)]
    assert main(["synthesize", *arguments]) == 0
    assert "1 untouched scan, 0 visible microbleeds" in capsys.readouterr().out
    (entry,) = read_manifests([tmp_path / "manifest.csv"])
    assert (entry.scan_id, entry.role, entry.attributes["dataset"]) == ("scan_untouched00", "negative", "untouched")
    assert np.array_equal(read_volume(entry.image).array, scan.array)


def test_a_fresh_lesion_is_dark_marked_and_quick() -> None:
    rng = np.random.default_rng(0)
    image, classes = np.zeros((28, 80, 80), np.float32), np.zeros((28, 80, 80), np.uint8)
    marked, times = 0, []
    # Threads that wait for each other on a busy machine count as work.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(12):
        started = time.process_time()
        out, truth = with_fresh_lesion(rng, image, classes, classes == 0, (1.0, 0.5, 0.5))
        times.append(time.process_time() - started)
        marked += bool((truth == MICROBLEED).any())
        assert out.min() < -0.1
        assert np.array_equal(image, np.zeros_like(image))
    torch.set_num_threads(threads)
    assert marked >= 6
    assert np.median(times) < 0.06


def test_fresh_lesions_lie_in_tissue_only() -> None:
    rng = np.random.default_rng(0)
    image, classes = np.zeros((28, 80, 80), np.float32), np.zeros((28, 80, 80), np.uint8)
    tissue = np.zeros(image.shape, bool)
    assert np.array_equal(with_fresh_lesion(rng, image, classes, tissue, (1.0, 0.5, 0.5))[0], image)
    tissue[:, :, 60:], image[:, :, 70:] = True, -1.9
    for _ in range(8):
        out, _ = with_fresh_lesion(rng, image, classes, tissue, (1.0, 0.5, 0.5))
        assert 58 <= np.unravel_index(np.argmin(np.where(image < -1, 0, out)), out.shape)[2] < 72
