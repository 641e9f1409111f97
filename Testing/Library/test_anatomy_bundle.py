"""The anatomy bundle is checked before it is used, is no lesion model, and a damaged one is replaced and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from CMBNetLib.anatomy_bundle import load_anatomy_bundle
from CMBNetLib.bundle import METADATA, WEIGHTS, bundle_folders, find_bundle, sha256_of
from CMBNetLib.detection import detect
from CMBNetLib.errors import BundleError
from CMBNetLib.network_anatomy import AnatomySpec, AnatomyUNet
from CMBNetTrainingLib.anatomy_export import half_weights, write_bundle
from head_phantom import head

NETWORK = AnatomySpec().to_dict()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with untrained weights."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    tensors = {f"average.{k}": v.contiguous() for k, v in AnatomyUNet(AnatomySpec()).state_dict().items()}
    save_file(tensors, tmp_path / "last.safetensors", metadata={"step": "1"})
    half_weights(tmp_path, tmp_path / "half.safetensors")
    write_bundle(tmp_path / "cmbnet-anatomy", tmp_path / "half.safetensors", NETWORK, "card\n", "licence\n", {}, {})
    return tmp_path / "cmbnet-anatomy"


def change(folder: Path, **values: object) -> None:
    metadata = json.loads((folder / METADATA).read_text())
    metadata["cmbnet"].update(values)
    (folder / METADATA).write_text(json.dumps(metadata))


def test_a_written_bundle_gives_its_network_back(folder: Path) -> None:
    network = load_anatomy_bundle(folder).load_network()
    torch.manual_seed(0)
    made = AnatomyUNet(AnatomySpec()).state_dict()
    for key, tensor in network.state_dict().items():
        assert torch.allclose(tensor.float(), made[key].float(), atol=1e-3), key
    assert not network.training


def test_other_weights_are_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"something else")
    with pytest.raises(BundleError, match="is not the file the bundle was made with"):
        load_anatomy_bundle(folder)
    change(folder, sha256={**load_sha(folder), WEIGHTS: sha256_of(folder / WEIGHTS)})
    with pytest.raises(BundleError, match="no safetensors file"):
        load_anatomy_bundle(folder).load_network()


def load_sha(folder: Path) -> dict[str, str]:
    return json.loads((folder / METADATA).read_text())["cmbnet"]["sha256"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"task": "lesions"}, "task 'lesions'"),
        ({"intensity_rule": "z-score"}, "unknown intensity rule"),
        ({"network": {"architecture": "AnatomyUNet", "filters": [24, 9999], "voxel_mm": [1, 1, 2]}}, "filters"),
        ({"network": {"architecture": "AnatomyUNet", "filters": [24, 48], "voxel_mm": [1, 1, 0.1]}}, "voxel_mm"),
        # As bundles before 0.9.0 had it.
        ({"network": {"architecture": "AnatomyUNet", "filters": [24, 48], "voxel_mm": 2.0}}, "anatomy model"),
        ({"network": {"architecture": "ResNet"}}, "architecture 'ResNet'"),
    ],
)
def test_metadata_that_describe_no_anatomy_model_are_refused(
    folder: Path, values: dict[str, object], told: str
) -> None:
    change(folder, **values)
    with pytest.raises(BundleError, match=told):
        load_anatomy_bundle(folder)


def test_weights_of_another_size_are_refused_by_name(folder: Path) -> None:
    change(folder, network=AnatomySpec(filters=(40, 56, 80, 64, 88)).to_dict())
    with pytest.raises(BundleError, match=r"tensor 'down\.3"):
        load_anatomy_bundle(folder).load_network()


def test_it_is_not_offered_as_a_lesion_model() -> None:
    assert "cmbnet-anatomy" not in [path.name for path in bundle_folders()]
    with pytest.raises(BundleError, match="no model 'cmbnet-anatomy'"):
        find_bundle("cmbnet-anatomy")


def test_a_damaged_anatomy_bundle_is_told_and_detection_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise BundleError("Model cmbnet-anatomy is not complete.")

    monkeypatch.setattr("CMBNetLib.detection.anatomy_network", refuse)
    result = detect(head((1.2, 1.2, 4.0), spots=()), find_bundle())
    assert [flag["code"] for flag in result.qc if flag["code"].startswith("anatomy")] == ["anatomy_fallback"]
    assert result.settings["anatomy"] == "classical mask, affine atlas"
    (told,) = [flag["message"] for flag in result.qc if flag["code"] == "places_unknown"]
    assert told.startswith("cmbnet-preview could not be told what tissue is where")
