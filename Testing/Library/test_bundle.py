"""A bundle that was changed, damaged or made for something else is refused by name; so is an unsafe zip."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from CMBNetLib.bundle import (
    DEFAULT_MODEL,
    LICENSE,
    METADATA,
    MODEL_CARD,
    Bundle,
    find_bundle,
    load_bundle,
    sha256_of,
)
from CMBNetLib.bundle_import import import_bundle
from CMBNetLib.bundle_weights import STEP, WEIGHTS, for_slices, restored, stored, with_thick
from CMBNetLib.errors import BundleError, InputError
from CMBNetLib.resources import resource_path, user_models_dir

MOST_WEIGHT_BYTES = 4_000_000
MOST_PARAMETERS = 2_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped bundle to spoil."""
    return Path(shutil.copytree(resource_path("Models") / DEFAULT_MODEL, tmp_path / "made" / DEFAULT_MODEL))


def change(folder: Path, edit: Callable[[dict], object]) -> None:
    path = folder / METADATA
    metadata = json.loads(path.read_text())
    edit(metadata)
    path.write_text(json.dumps(metadata))


def change_weights(folder: Path, edit: Callable[[dict], object]) -> None:
    """Other tensors, with a hash that fits them."""
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS)
    change(folder, lambda m: m["cmbnet"]["sha256"].update({WEIGHTS: sha256_of(folder / WEIGHTS)}))


def zipped(folder: Path, path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as out:
        for name in (METADATA, WEIGHTS, MODEL_CARD, LICENSE):
            out.write(folder / name, prefix + name)
    return path


def test_the_shipped_bundle_is_small_intact_and_measured() -> None:
    bundle = find_bundle()
    assert (bundle.folder / WEIGHTS).stat().st_size <= MOST_WEIGHT_BYTES
    network = bundle.load_network()
    assert sum(p.numel() for p in network.parameters()) <= MOST_PARAMETERS
    assert {v.dtype for v in load_file(bundle.folder / WEIGHTS).values()} <= {torch.int8, torch.float16, torch.int64}
    assert set(bundle.operating_points) == {"sensitive", "balanced", "specific"}
    points = [bundle.operating_points[name] for name in ("sensitive", "balanced", "specific")]
    assert points[0].threshold <= points[1].threshold <= points[2].threshold
    assert points[0].sensitivity >= points[1].sensitivity >= points[2].sensitivity > 0
    for point in points:
        assert "synthetic" in point.measured_on
        assert f"{point.sensitivity:.2f}" in bundle.model_card
    assert "not a medical device" in bundle.model_card


def test_kernels_are_kept_to_half_a_step_of_their_largest_weight() -> None:
    kernels = torch.randn(6, 5, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    kernels[1] *= 1e-4
    kernels[2] = 0
    weights = {"a.weight": kernels, "a.bias": torch.tensor([0.25]), "seen": torch.tensor(7)}
    kept = stored(weights)
    assert kept["a.weight"].dtype == torch.int8
    assert kept["a.weight" + STEP].shape == (6,)
    back = restored(kept)
    assert back.keys() == weights.keys()
    largest = kernels.abs().flatten(1).amax(1)
    error = (back["a.weight"] - kernels).abs().flatten(1).amax(1)
    assert bool((error <= 0.51 * largest / 127 + 1e-7).all())
    assert bool((error[[0, 1, 3]] > 0).all())
    assert (back["a.bias"].item(), back["seen"].item()) == (0.25, 7)
    halves = {name: tensor.half() for name, tensor in weights.items() if name != "seen"}
    assert torch.equal(restored(halves)["a.weight"], halves["a.weight"].float())  # bundles before 0.10.0


def with_two_networks(folder: Path, least_mm: float) -> Bundle:
    """The bundle with a second network, whose last layer knows background only."""
    first = for_slices(restored(load_file(folder / WEIGHTS)), thick=False)
    second = {name: tensor.clone() for name, tensor in first.items()}
    second["head.weight"].zero_()
    save_file(stored(with_thick(first, second)), folder / WEIGHTS)
    digest = sha256_of(folder / WEIGHTS)
    change(folder, lambda m: m["cmbnet"]["sha256"].update({WEIGHTS: digest}))
    change(folder, lambda m: m["cmbnet"].update(thick_slices_mm=least_mm))
    return load_bundle(folder)


def test_thick_slices_get_the_network_that_is_for_them(folder: Path) -> None:
    bundle = with_two_networks(folder, 3.5)
    assert bundle.thick_slices_mm == 3.5
    for slice_mm, is_thick in ((0.8, False), (3.4, False), (3.5, True), (6.0, True)):
        assert bool(bundle.load_network(slice_mm).head.weight.any()) != is_thick


def test_a_missing_tensor_of_either_network_is_told(folder: Path) -> None:
    with_two_networks(folder, 3.5)
    change_weights(folder, lambda t: t.pop("thick.head.bias"))
    with pytest.raises(BundleError, match=r"lacks 1 tensors, the first is 'thick\.head\.bias'"):
        load_bundle(folder).load_network(1.0)


@pytest.mark.parametrize("name", [METADATA, WEIGHTS, MODEL_CARD, LICENSE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{DEFAULT_MODEL} is not complete: {name} is missing"):
        load_bundle(folder)


@pytest.mark.parametrize("name", [WEIGHTS, MODEL_CARD, LICENSE])
def test_one_changed_byte_is_noticed(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=f"{name} is not the file the bundle was made with"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: m.pop("cmbnet"), "no section 'cmbnet'"),
        (lambda m: m["cmbnet"].pop("floor_threshold"), "lacks floor_threshold"),
        (lambda m: m.pop("version"), "lacks version"),
        (lambda m: m["cmbnet"].update(id="other"), "calls itself 'other'"),
        (lambda m: m["cmbnet"]["network"].update(architecture="Pickle"), "unknown architecture 'Pickle'"),
        (lambda m: m["cmbnet"]["network"].update(filters=[10**9] * 4), "filters"),
        (lambda m: m["cmbnet"]["network"].update(filters=[8] * 99), "filters"),
        (lambda m: m["cmbnet"]["network"].update(pixel_mm=0.7), "different pixels"),
        (lambda m: m["cmbnet"]["network"].update(places=5), "5 kinds of places; this version knows 9"),
        (lambda m: m["cmbnet"]["working_grid"].update(thinnest_slice_mm=0.001), "thinnest_slice_mm 0.001 is outside"),
        (lambda m: m["cmbnet"].update(thick_slices_mm=99), "thick_slices_mm 99 is outside 1-10"),
        (lambda m: m["cmbnet"].update(thick_slices_mm=0), "thick_slices_mm 0 is outside 1-10"),
        (lambda m: m["cmbnet"].update(intensity_rule="z-score"), "unknown intensity rule"),
        (lambda m: m["cmbnet"].update(floor_threshold=1.5), "floor threshold 1.5"),
        (lambda m: m["cmbnet"]["operating_points"].pop("balanced"), "no operating point 'balanced'"),
        (lambda m: m["cmbnet"]["operating_points"]["balanced"].update(threshold=0), "threshold 0 of 'balanced'"),
        (lambda m: m["cmbnet"]["operating_points"]["balanced"].update(surprise=1), "surprise"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(folder: Path, edit: Callable[[dict], object], words: str) -> None:
    change(folder, edit)
    with pytest.raises(BundleError, match=words) as caught:
        load_bundle(folder)
    assert DEFAULT_MODEL in str(caught.value)


def test_metadata_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / METADATA).write_text("{")
    with pytest.raises(BundleError, match=f"{METADATA} cannot be read"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda t: t.pop("head.bias"), "lacks 1 tensors, the first is 'head.bias'"),
        (lambda t: t.update(extra=torch.zeros(1)), "1 unknown tensors, the first is 'extra'"),
        (lambda t: t.update({"head.bias": torch.zeros(1)}), r"tensor 'head.bias' is \(1,\), the network needs \(12,\)"),
        (lambda t: t["head.bias"].fill_(float("nan")), "not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(folder: Path, edit: Callable[[dict], object], words: str) -> None:
    change_weights(folder, edit)
    with pytest.raises(BundleError, match=words):
        load_bundle(folder).load_network()


def test_weights_that_are_a_pickle_are_refused(folder: Path) -> None:
    torch.save({"head.bias": torch.zeros(12)}, folder / WEIGHTS)
    change(folder, lambda m: m["cmbnet"]["sha256"].update({WEIGHTS: sha256_of(folder / WEIGHTS)}))
    with pytest.raises(BundleError, match="no safetensors file"):
        load_bundle(folder).load_network()


def test_an_operating_point_the_bundle_lacks_is_named_with_those_it_has(folder: Path) -> None:
    with pytest.raises(InputError, match="no operating point 'best'; choose one of sensitive, balanced, specific"):
        load_bundle(folder).threshold("best")


def test_a_model_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(BundleError, match=f"There is no model 'nobody'. Installed: .*{DEFAULT_MODEL}"):
        find_bundle("nobody")


# --- import ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("prefix", ["", "some_folder/"])
def test_a_zip_is_imported_and_found(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    other = folder.rename(folder.parent / "other")
    change(other, lambda m: m["cmbnet"].update(id="other"))
    bundle = import_bundle(zipped(other, tmp_path / "a.zip", prefix))
    assert bundle.folder == user_models_dir() / "other"
    assert find_bundle("other").weights_sha256 == bundle.weights_sha256
    assert sorted(p.name for p in user_models_dir().iterdir()) == ["other"]
    with pytest.raises(BundleError, match="imported already"):
        import_bundle(zipped(other, tmp_path / "a.zip"))


def refused(archive: Path, tmp_path: Path, words: str) -> None:
    """The import ends with these words and leaves nothing."""
    with pytest.raises(BundleError, match=words):
        import_bundle(archive, tmp_path / "models")
    assert not list((tmp_path / "models").glob("**/*"))
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "C:\\evil", "..\\evil"])
def test_a_zip_that_points_outside_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    path = zipped(folder, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as out:
        out.writestr(name, "x")
    refused(path, tmp_path, "points outside the bundle")


def test_a_zip_with_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "a.zip")
    link = zipfile.ZipInfo("docs/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as out:
        out.writestr(link, "/etc/passwd")
    refused(path, tmp_path, "is a link")


def test_a_zip_bomb_is_refused(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as out:
        out.writestr("docs/zeros", bytes(30_000_000))
    refused(path, tmp_path, "unpacks to 29 MB")


def test_a_zip_of_many_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        for number in range(100):
            out.writestr(f"f{number}", "")
    refused(tmp_path / "a.zip", tmp_path, "holds 100 files")


@pytest.mark.parametrize("model", ["../up", "a/b", ".hidden", ""])
def test_a_zip_whose_model_has_no_plain_name_is_refused(folder: Path, tmp_path: Path, model: str) -> None:
    change(folder, lambda m: m["cmbnet"].update(id=model))
    refused(zipped(folder, tmp_path / "a.zip"), tmp_path, "is not a plain name")


def test_a_zip_with_changed_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1] + b"\0")
    refused(zipped(folder, tmp_path / "a.zip"), tmp_path, "not the file the bundle was made with")


def test_what_is_no_zip_or_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip at all")
    refused(tmp_path / "a.zip", tmp_path, "not a zip file")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as out:
        out.writestr("readme.txt", "hello")
    refused(tmp_path / "b.zip", tmp_path, "holds no bundle")
    refused(tmp_path / "none.zip", tmp_path, "Cannot import")


def test_a_cut_zip_is_refused(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "a.zip")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, tmp_path, "not a zip file")
