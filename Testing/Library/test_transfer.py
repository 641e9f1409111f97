"""Weights of other networks: copied, sliced, skipped, frozen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from CMBNetLib.errors import InputError
from CMBNetLib.network import AnisotropicUNet, NetworkSpec
from CMBNetLib.places import PLACES
from CMBNetTrainingLib.network_widening import can_widen, filters_of, widened
from CMBNetTrainingLib.training_model import freeze
from CMBNetTrainingLib.weight_transfer import read_weights, table, transferred

SMALL = NetworkSpec(filters=(4, 8))


def outcomes(rows: list) -> dict[str, str]:  # type: ignore[type-arg]
    return {row.name: row.outcome for row in rows}


def test_the_same_network_is_copied(tmp_path: Path) -> None:
    source, target = AnisotropicUNet(SMALL), AnisotropicUNet(SMALL)
    path = tmp_path / "w.safetensors"
    save_file({f"module.{k}": v.contiguous() for k, v in source.state_dict().items()}, path)
    tensors, rows = transferred(target.state_dict(), read_weights(str(path)))
    assert set(outcomes(rows).values()) == {"copied"}
    target.load_state_dict(tensors)
    assert torch.equal(target.head.weight, source.head.weight)


def test_classes_and_input_channels_are_sliced() -> None:
    source = AnisotropicUNet(NetworkSpec(filters=(4, 8), classes=5)).state_dict()
    source["down.0.layers.0.weight"] = torch.randn(4, 13, 3, 3, 3)
    target = AnisotropicUNet(NetworkSpec(filters=(4, 8), classes=2)).state_dict()
    tensors, rows = transferred(target, source, channels=(1,), classes=(0, 3))
    told = outcomes(rows)
    assert told["head.weight"] == told["head.bias"] == told["down.0.layers.0.weight"] == "sliced"
    assert torch.equal(tensors["head.weight"][4:], source["head.weight"][12:16])
    assert torch.equal(tensors["down.0.layers.0.weight"][:, :4], source["down.0.layers.0.weight"][:, 4:8])
    assert torch.equal(tensors["down.0.layers.0.weight"][:, 4], source["down.0.layers.0.weight"][:, 12])


def test_a_network_that_is_told_places_begins_as_one_that_is_not() -> None:
    torch.manual_seed(4)
    plain, told = AnisotropicUNet(SMALL).eval(), AnisotropicUNet(replace(SMALL, places=len(PLACES) - 1)).eval()
    tensors, rows = transferred(told.state_dict(), plain.state_dict())
    assert outcomes(rows)["down.0.layers.0.weight"] == "sliced"
    told.load_state_dict(tensors)
    image, places = torch.randn(2, 1, 4, 8, 8), torch.randint(0, len(PLACES), (2, 4, 8, 8))
    assert torch.allclose(told(image, 2.0, places), plain(image, 2.0), atol=1e-6)
    with torch.no_grad():
        told.down[0].layers[0].weight[:, -1] = 1.0
    assert not torch.allclose(told(image, 2.0, places), told(image, 2.0), atol=1e-3)
    # And back: what was learnt of places is left out, the slice spacing is not.
    tensors, _ = transferred(plain.state_dict(), told.state_dict())
    assert torch.equal(tensors["down.0.layers.0.weight"], plain.state_dict()["down.0.layers.0.weight"])


def test_what_does_not_fit_is_told() -> None:
    source = AnisotropicUNet(NetworkSpec(filters=(4, 16))).state_dict() | {"extra": torch.zeros(3)}
    _, rows = transferred(AnisotropicUNet(SMALL).state_dict(), source)
    told = outcomes(rows)
    assert told["down.1.layers.0.weight"] == "skipped"
    assert told["extra"] == "not used"
    assert "skipped" in table(rows)
    assert "16 x 4 x 3 x 3 x 3" in table(rows)


def test_a_widened_network_gives_what_the_narrow_one_gives() -> None:
    torch.manual_seed(3)
    narrow, wide = AnisotropicUNet(NetworkSpec(filters=(4, 6, 8))), AnisotropicUNet(NetworkSpec(filters=(7, 6, 20)))
    narrow.train()(torch.randn(2, 1, 8, 32, 32), 2.0)  # norms of their own
    source = narrow.state_dict()
    assert filters_of(source) == (4, 6, 8)
    wide.load_state_dict(widened(source, wide.spec.filters))
    image = torch.randn(1, 1, 8, 32, 32)
    with torch.inference_mode():
        before, after = narrow.eval()(image, 2.0), wide.eval()(image, 2.0)
    assert float((before - after).abs().max()) < 1e-4 * float(before.abs().max())
    copies = wide.up[0].layers[3].weight[:, 4:]
    assert not any(torch.equal(copies[:, n], wide.up[0].layers[3].weight[:, m]) for n in range(3) for m in range(4))


@pytest.mark.parametrize("filters", [(4, 8), (4, 8, 8), (3, 16)])
def test_only_wider_networks_of_the_same_depth_are_widened(filters: tuple[int, ...]) -> None:
    source = AnisotropicUNet(SMALL).state_dict()
    assert not can_widen(source, filters)
    assert can_widen(source, (4, 9))
    assert not can_widen({"elsewhere": torch.zeros(2)}, filters)


def test_pickles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"x")
    with pytest.raises(InputError, match="safetensors files only"):
        read_weights(str(tmp_path / "w.pt"))


def test_frozen_tensors_do_not_learn() -> None:
    network = AnisotropicUNet(SMALL)
    norms = freeze(network, ("down.*",))
    assert not any(p.requires_grad for p in network.down.parameters())
    assert all(p.requires_grad for p in network.up.parameters())
    assert len(norms) == 4
    with pytest.raises(InputError, match="no tensor of the network fits 'dwn"):
        freeze(network, ("dwn.*",))
    with pytest.raises(InputError, match="nothing to train"):
        freeze(network, ("*",))
