"""From a run to a model: weights, measured operating points, calibration, card; and a bundle that detection takes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from CMBNetLib.bundle import METADATA, MODEL_CARD, OperatingPoint, load_bundle
from CMBNetLib.bundle_weights import WEIGHTS, for_slices, restored, stored
from CMBNetLib.cli import main
from CMBNetLib.errors import BundleError, InputError
from CMBNetLib.network import AnisotropicUNet, NetworkSpec
from CMBNetLib.progress import Progress
from CMBNetTrainingLib.bundle_export import export_run
from CMBNetTrainingLib.bundle_writing import BundleText, Grading, write_bundle
from CMBNetTrainingLib.score_calibration import expected_calibration_error, fit_calibration
from CMBNetTrainingLib.trainer import config_of_run, train
from CMBNetTrainingLib.training_checkpoint import checkpoint_path, read_checkpoint, write_checkpoint
from CMBNetTrainingLib.training_config import PhaseConfig, ValidationConfig
from CMBNetTrainingLib.training_manifest import read_manifests
from training_phantoms import small_config, write_collection

SPEC = NetworkSpec(filters=(4, 8))
TEXT = BundleText("A model", "# card\n", "a licence\n")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred steps: enough to find the spots of the phantoms."""
    folder = tmp_path_factory.mktemp("export")
    manifest = write_collection(folder / "c", spots=8)
    config = small_config(
        folder / "run",
        manifests=(str(manifest),),
        phases=(PhaseConfig(steps=200, learning_rate=1e-2, warm_up=5),),
        validation=ValidationConfig(every=200, gallery=0, hard_negatives=False),
    )
    train(config, read_manifests([manifest]), Progress())
    return folder / "run"


def test_a_run_becomes_a_model_with_measured_points(run: Path, tmp_path: Path) -> None:
    licence = tmp_path / "LICENSE"
    licence.write_text("Do what you like.\n")
    arguments = ["export", str(run), "-o", str(tmp_path / "spots"), "--name", "Spots", "--license", str(licence)]
    assert main(arguments) == 0
    bundle = load_bundle(tmp_path / "spots")
    assert bundle.id == "spots"
    assert set(bundle.operating_points) == {"sensitive", "balanced", "specific"}
    sensitive = bundle.operating_points["sensitive"]
    assert sensitive.false_positives_per_scan <= 2
    assert sensitive.sensitivity > 0.5
    card = (bundle.folder / MODEL_CARD).read_text()
    assert card.startswith("# Spots")
    assert "Trained on 3 synthetic scans for 200 steps" in card
    assert f"| sensitive | {sensitive.threshold:.4f} |" in card
    assert (bundle.folder / "LICENSE").read_text() == "Do what you like.\n"
    metadata = json.loads((bundle.folder / METADATA).read_text())
    assert metadata["cmbnet"]["training_data"]["steps"] == 200
    assert metadata["cmbnet"]["network"]["filters"] == [4, 8, 8]


def test_a_run_of_an_earlier_version_was_told_no_places(run: Path, tmp_path: Path) -> None:
    assert config_of_run(run).network.places
    config = json.loads((run / "config.json").read_text())
    del config["network"]["places"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert not config_of_run(tmp_path).network.places


def test_the_card_tells_of_strata_and_of_further_scans(run: Path, tmp_path: Path) -> None:
    """No threshold is chosen by the further scans: they are measured at those of the validation."""
    # Their names are those of scans of another collection.
    further = [write_collection(tmp_path / name, train=0, validation=3, first=40) for name in ("further", "again")]
    bundle = export_run(run, tmp_path / "bundle", Progress(), checks=further)
    card = (bundle.folder / MODEL_CARD).read_text()
    assert "all of them synthetic" in card
    assert "| all | 2 | 16 |" in card
    assert "| phantom | 6 | 24 | balanced |" in card
    by_contrast = card[card.index("By contrast") :].split("\n\n")[1].splitlines()[2:]
    assert sum(int(line.split("|")[2]) for line in by_contrast) == 16
    alone = export_run(run, tmp_path / "alone", Progress())
    assert alone.operating_points == bundle.operating_points
    assert "phantom" not in (alone.folder / MODEL_CARD).read_text()


def test_without_calibration_the_weights_are_those_of_the_checkpoint(run: Path, tmp_path: Path) -> None:
    bundle = export_run(run, tmp_path / "bundle", Progress(), checkpoint="loss", calibrate=False)
    kept, _ = read_checkpoint(checkpoint_path(run, "loss"))
    found, wanted = load_file(bundle.folder / WEIGHTS), stored(kept)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], value) for key, value in wanted.items())


def test_another_run_is_exported_for_thick_slices(run: Path, tmp_path: Path) -> None:
    """The phantoms' slices are thick then, so the whole measurement is that of the other run's network."""
    alone = export_run(run, tmp_path / "alone", Progress(), calibrate=False)
    other = Path(shutil.copytree(run, tmp_path / "other"))
    path = checkpoint_path(other, "froc")
    tensors, header = read_checkpoint(path)
    tensors["head.weight"][4:8] *= -1
    write_checkpoint(path, tensors, header)
    begun_otherwise = json.loads((other / "config.json").read_text())
    begun_otherwise["network"]["first_probability"] = 0.01
    (other / "config.json").write_text(json.dumps(begun_otherwise))
    for least_mm, same in ((9.0, True), (1.0, False)):
        bundle = export_run(run, tmp_path / "both", Progress(), calibrate=False, thick=(other, least_mm))
        assert bundle.thick_slices_mm == least_mm
        assert (bundle.operating_points == alone.operating_points) == same
        card = (bundle.folder / MODEL_CARD).read_text()
        assert f"Scans with slices {least_mm:g} mm and more apart are searched by a second network" in card
    weights = restored(load_file(bundle.folder / WEIGHTS))
    assert for_slices(weights, thick=True).keys() == for_slices(weights, thick=False).keys() == tensors.keys()
    with pytest.raises(InputError, match=r"begins at 1 to 10 mm, not at 0\.5 mm"):
        export_run(run, tmp_path / "both", Progress(), thick=(other, 0.5))
    begun_otherwise["network"]["classes"] = 2
    (other / "config.json").write_text(json.dumps(begun_otherwise))
    with pytest.raises(InputError, match="is of another kind"):
        export_run(run, tmp_path / "both", Progress(), thick=(other, 3.5))


def test_a_model_that_finds_nothing_is_told(tmp_path: Path) -> None:
    manifest = write_collection(tmp_path / "c")
    config = small_config(
        tmp_path / "run",
        manifests=(str(manifest),),
        phases=(PhaseConfig(steps=1, learning_rate=1e-9),),
        validation=ValidationConfig(every=1, gallery=0, hard_negatives=False),
    )
    train(config, read_manifests([manifest]), Progress())
    progress = Progress()
    bundle = export_run(tmp_path / "run", tmp_path / "bundle", progress)
    assert not any(point.sensitivity for point in bundle.operating_points.values())
    assert [warning["code"] for warning in progress.warnings] == ["useless"]


def test_what_cannot_be_exported_is_told(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no training run"):
        export_run(tmp_path, tmp_path / "bundle", Progress())
    with pytest.raises(InputError, match=r"no checkpoint .*best_average_precision"):
        export_run(run, tmp_path / "bundle", Progress(), checkpoint="average_precision")
    with pytest.raises(InputError, match="Cannot read the licence"):
        export_run(run, tmp_path / "bundle", Progress(), license_file=tmp_path / "none")
    assert not (tmp_path / "bundle").exists()


def test_weights_of_another_network_leave_the_bundle_that_is_there(tmp_path: Path) -> None:
    grading = Grading(0.05, {"balanced": OperatingPoint(0.5, 0.0, 0.0, "not measured")})
    weights = AnisotropicUNet(SPEC).state_dict()
    first = write_bundle(tmp_path / "bundle", weights, SPEC, 1.0, grading, TEXT)
    other = AnisotropicUNet(NetworkSpec(filters=(4, 16))).state_dict()
    with pytest.raises(BundleError):
        write_bundle(tmp_path / "bundle", other, SPEC, 1.0, grading, TEXT)
    assert load_bundle(tmp_path / "bundle").metadata == first.metadata
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_calibration_lowers_the_error_of_overconfident_scores() -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(size=2000)
    true = rng.random(2000) < 1 / (1 + np.exp(-logit))
    scores = 1 / (1 + np.exp(-3 * logit - 1))
    fitted = fit_calibration(scores, true, {})
    assert fitted.temperature == pytest.approx(3, rel=0.25)
    after = 1 / (1 + np.exp(-(3 * logit + 1) / fitted.temperature - fitted.shift))
    assert expected_calibration_error(after, true) < 0.04 < expected_calibration_error(scores, true)


def test_calibration_finds_what_the_evidence_counts() -> None:
    rng = np.random.default_rng(0)
    logit, around = rng.normal(size=3000), rng.uniform(0, 2, 3000)
    true = rng.random(3000) < 1 / (1 + np.exp(-logit + 1.5 * around))
    fitted = fit_calibration(1 / (1 + np.exp(-logit)), true, {"unevenness": around, "thickness": -around / 2})
    assert fitted.evidence["unevenness"] - fitted.evidence["thickness"] / 2 == pytest.approx(-1.5, rel=0.2)
    # Where unevenness speaks for a microbleed, by chance, it counts nothing: it is not to be a reward.
    true = rng.random(3000) < 1 / (1 + np.exp(-logit - 1.5 * around))
    assert fit_calibration(1 / (1 + np.exp(-logit)), true, {"fluid": around}).evidence == {"fluid": 0.0}
