"""Volumes: what is written is read back, in every format, orientation and voxel type, and on the right place."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

import scan_files as make
from CMBNetLib.errors import InputError
from CMBNetLib.volume import (
    Grid,
    Volume,
    from_sitk,
    read_labels,
    read_volume,
    resample_to,
    scan_stem,
    to_sitk,
    write_volume,
)

FLIPS = [(1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, 1)]


@pytest.fixture(scope="module")
def head() -> Volume:
    return Volume(make.head_array().astype(np.float32), make.oblique_affine(), "head")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("flips", FLIPS, ids=str)
def test_a_scan_is_the_same_after_writing_and_reading(tmp_path: Path, suffix: str, flips: tuple[int, int, int]) -> None:
    volume = Volume(make.head_array(), make.oblique_affine(flips=flips), "scan")
    back = read_volume(write_volume(volume, tmp_path / f"scan{suffix}"))
    assert back.array.dtype == np.float32
    assert back.metadata["warnings"] == []
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.ijk_to_ras, volume.ijk_to_ras, atol=2e-5)
    assert [path.name for path in tmp_path.iterdir()] == [f"scan{suffix}"]


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_every_voxel_type_is_read(tmp_path: Path, kind: str) -> None:
    array = (make.head_array() // 8).astype(kind)
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        path = write_volume(Volume(array, np.eye(4) * [1.2, 1.2, 3, 1]), tmp_path / f"{kind}{suffix}")
        np.testing.assert_array_equal(read_volume(path).array, array.astype(np.float32))


def test_geometry_is_that_of_an_independent_reader(tmp_path: Path) -> None:
    path = make.write_nifti(tmp_path / "scan.nii.gz", make.head_array(), make.oblique_affine(flips=(-1, 1, 1)))
    other = nibabel.load(path)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.ijk_to_ras, other.affine, atol=1e-5)
    np.testing.assert_array_equal(volume.array, np.asarray(other.dataobj).T)


def test_scaled_voxels_and_big_endian_files_are_read(tmp_path: Path) -> None:
    array, affine = make.head_array(), make.oblique_affine()
    scaled = nibabel.Nifti1Image(array.T * 0.37 + 5, affine)
    scaled.set_data_dtype(np.int16)
    scaled.to_filename(tmp_path / "scaled.nii.gz")
    np.testing.assert_allclose(read_volume(tmp_path / "scaled.nii.gz").array, array * 0.37 + 5, atol=0.02)
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nibabel.Nifti1Image(array.T, affine, header).to_filename(tmp_path / "big.nii")
    volume = read_volume(tmp_path / "big.nii")
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.ijk_to_ras, affine, atol=2e-5)


def test_a_pair_of_header_and_image_is_read_from_either_name(tmp_path: Path) -> None:
    make.write_nifti(tmp_path / "scan.img", make.head_array())
    for name in ("scan.img", "scan.hdr"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, make.head_array())


def test_one_frame_of_a_4d_file_is_taken(tmp_path: Path) -> None:
    frames = np.stack([make.head_array(seed) for seed in (1, 2, 3)])
    make.write_nifti(tmp_path / "four.nii.gz", frames)
    image = sitk.JoinSeries([to_sitk(Volume(frame, make.oblique_affine())) for frame in frames])
    sitk.WriteImage(image, tmp_path / "four.mha", useCompression=True)
    listed = sitk.Compose([to_sitk(Volume(frame, make.oblique_affine())) for frame in frames])
    sitk.WriteImage(listed, tmp_path / "four.nrrd")
    content = (tmp_path / "four.nrrd").read_bytes().replace(b"kinds: vector ", b"kinds: list ")
    (tmp_path / "four.nrrd").write_bytes(content)
    for name in ("four.nii.gz", "four.mha", "four.nrrd"):
        volume = read_volume(tmp_path / name, frame=1)
        np.testing.assert_array_equal(volume.array, frames[1])
        np.testing.assert_allclose(volume.ijk_to_ras, make.oblique_affine(), atol=2e-5)
        assert volume.metadata["frame"] == 1


def test_a_dicom_series_and_a_nifti_file_of_it_are_the_same_scan(tmp_path: Path) -> None:
    array, affine = make.head_array(), make.oblique_affine(flips=(-1, -1, 1))
    make.write_series(tmp_path / "series", array, affine)
    nifti = read_volume(make.write_nifti(tmp_path / "swi.nii.gz", array, affine))
    dicom = read_volume(tmp_path / "series")
    np.testing.assert_array_equal(dicom.array, nifti.array)
    np.testing.assert_allclose(dicom.ijk_to_ras, nifti.ijk_to_ras, atol=2e-5)
    assert dicom.name == "series"
    expected = {"modality": "MR", "sequence": "SWI", "field_strength_t": 3.0, "echo_time_ms": 20.0, "warnings": []}
    assert expected.items() <= dicom.metadata.items()
    assert dicom.metadata["series_uid"] == f"{make.UID_ROOT}1"


def test_dicom_is_ordered_and_placed_as_itk_does(tmp_path: Path) -> None:
    folder = make.write_series(tmp_path / "series")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    other = from_sitk(reader.Execute())
    volume = read_volume(folder)
    np.testing.assert_array_equal(volume.array, other.array)
    np.testing.assert_allclose(volume.ijk_to_ras, other.ijk_to_ras, atol=1e-5)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless], ids=lambda s: s.name)
def test_other_transfer_syntaxes_give_the_same_voxels(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    folder = make.write_series(tmp_path / "series")
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        if syntax == RLELossless:
            data.compress(RLELossless)
        elif syntax == ExplicitVRBigEndian:
            data.PixelData = np.frombuffer(data.PixelData, "<i2").astype(">i2").tobytes()
        data.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, data, little_endian=syntax != ExplicitVRBigEndian, implicit_vr=syntax.is_implicit_VR)
    np.testing.assert_array_equal(read_volume(folder).array, make.head_array())


@pytest.mark.parametrize("compressor", ["JPEG2000", "JPEG"])
def test_compressed_dicom_gives_the_same_voxels(tmp_path: Path, compressor: str) -> None:
    folder = make.write_series(tmp_path / "series")
    for path in folder.iterdir():
        make.compress(path, compressor)
    np.testing.assert_array_equal(read_volume(folder).array, make.head_array())


def test_an_enhanced_multi_frame_file_is_read_with_its_scaling(tmp_path: Path) -> None:
    array, affine = make.head_array(), make.oblique_affine(flips=(-1, -1, 1))
    make.save(make.enhanced_dataset(array, affine), tmp_path / "enhanced.dcm")
    for path in (tmp_path, tmp_path / "enhanced.dcm"):
        volume = read_volume(path)
        np.testing.assert_array_equal(volume.array, 2.0 * array)
        np.testing.assert_allclose(volume.ijk_to_ras, affine, atol=2e-5)
        assert volume.metadata["sequence"] == "SWI"
        assert volume.metadata["echo_time_ms"] == 24.0


def test_private_copies_of_positions_and_scaling_are_not_heeded(tmp_path: Path) -> None:
    array, affine = make.head_array(), make.oblique_affine()
    data = make.enhanced_dataset(array, affine)
    for groups in data.PerFrameFunctionalGroupsSequence:
        private = pydicom.Dataset()
        private.ImagePositionPatient, private.PixelSpacing = [0, 0, 0], [2, 2]
        private.RescaleSlope, private.RescaleIntercept, private.ComplexImageComponent = "5", "-900", "PHASE"
        groups.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", [private])
    make.save(data, tmp_path / "enhanced.dcm")
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, 2.0 * array)
    np.testing.assert_allclose(volume.ijk_to_ras, affine, atol=2e-5)


def test_the_series_of_one_of_its_files_is_read(tmp_path: Path) -> None:
    make.write_series(tmp_path, series=1)
    make.write_series(tmp_path, make.head_array(5), series=2, first_file=100)
    volume = read_volume(tmp_path / "IM0103.dcm")
    np.testing.assert_array_equal(volume.array, make.head_array(5))
    assert volume.name == "IM0103"


def test_real_dicom_and_nifti_of_one_scan_agree(shared_data: Path) -> None:
    dicom = read_volume(shared_data / "t2star_1p5T" / "dicom")
    nifti = read_volume(shared_data / "t2star_1p5T" / "t2starw.nii.gz")
    np.testing.assert_array_equal(dicom.array, nifti.array)
    np.testing.assert_allclose(dicom.ijk_to_ras, nifti.ijk_to_ras, atol=1e-5)
    assert dicom.fingerprint() == nifti.fingerprint()
    acquisition = {"sequence": "T2*", "field_strength_t": 1.5, "echo_time_ms": 18.9, "modality": "MR", "warnings": []}
    assert acquisition.items() <= dicom.metadata.items()
    assert acquisition.items() <= nifti.metadata.items()


def test_real_multi_echo_data_needs_a_frame_and_is_a_crop(shared_data: Path) -> None:
    path = shared_data / "gre_crop" / "Mag.nii"
    with pytest.raises(InputError, match="4D: 3 frames"):
        read_volume(path)
    with pytest.raises(InputError, match="19 x 19 x 20 mm, too little for a head"):
        read_volume(path, frame=1)


def test_points_go_to_ras_and_back(head: Volume) -> None:
    points = np.array([[0.0, 0.0, 0.0], [10.5, 20.25, 3.0], [99.0, 95.0, 11.0]])
    np.testing.assert_allclose(head.ijk_from_ras(head.ras_from_ijk(points)), points, atol=1e-9)
    image = to_sitk(head)
    lps = image.TransformContinuousIndexToPhysicalPoint([10.5, 20.25, 3.0])
    np.testing.assert_allclose(head.ras_from_ijk(points)[1], np.multiply(lps, [-1, -1, 1]), atol=1e-9)
    np.testing.assert_allclose(head.spacing_mm, make.SPACING_MM)
    assert head.voxel_volume_mm3 == pytest.approx(np.prod(make.SPACING_MM))


def test_fingerprint_depends_on_voxels_and_place_not_on_type(head: Volume) -> None:
    assert head.fingerprint() == head.with_array(head.array.astype(np.int16)).fingerprint()
    changed = head.array.copy()
    changed[3, 4, 5] += 1
    moved = head.ijk_to_ras.copy()
    moved[0, 3] += 0.01
    others = {head.with_array(changed).fingerprint(), Volume(head.array, moved).fingerprint()}
    assert len(others | {head.fingerprint()}) == 3


def test_resampling_keeps_places(head: Volume) -> None:
    """A smooth function of the place has the same values on any grid that covers it."""
    grid = Grid((60, 58, 10), make.oblique_affine((1.5, 1.6, 3.2), degrees=5.0))
    k, j, i = np.meshgrid(*(np.arange(n) for n in head.array.shape), indexing="ij")
    ras = head.ras_from_ijk(np.stack([i.ravel(), j.ravel(), k.ravel()], axis=1))
    plane = Volume((ras @ [0.5, -0.25, 1.0]).reshape(head.array.shape).astype(np.float32), head.ijk_to_ras)
    resampled = resample_to(plane, grid)
    k, j, i = np.meshgrid(*(np.arange(n) for n in resampled.array.shape), indexing="ij")
    ras = resampled.ras_from_ijk(np.stack([i.ravel(), j.ravel(), k.ravel()], axis=1))
    # Between the outer voxel centres and the outer faces the nearest value is repeated.
    inside = ((head.ijk_from_ras(ras) >= 0) & (head.ijk_from_ras(ras) <= np.subtract(head.shape_ijk, 1))).all(axis=1)
    assert inside.sum() > 1000
    np.testing.assert_allclose(resampled.array.ravel()[inside], ras[inside] @ [0.5, -0.25, 1.0], atol=1e-3)
    assert resampled.shape_ijk == grid.shape_ijk


def test_labels_survive_a_change_of_grid(head: Volume) -> None:
    labels = head.with_array((head.array > 300).astype(np.uint16) * 7)
    back = resample_to(labels, Grid((50, 48, 12), make.oblique_affine((2.2, 2.4, 3.0))), interpolation="nearest")
    assert back.array.dtype == np.uint16
    assert set(np.unique(back.array)) == {0, 7}


def test_label_files_keep_their_integers(tmp_path: Path, head: Volume) -> None:
    labels = (head.array > 300).astype(np.uint16) * 40000
    path = write_volume(head.with_array(labels), tmp_path / "labels.nii.gz")
    assert read_labels(path).array.dtype == np.uint16
    np.testing.assert_array_equal(read_labels(path).array, labels)
    floats = write_volume(head.with_array(labels.astype(np.float32)), tmp_path / "floats.nrrd")
    assert read_labels(floats).array.dtype == np.uint16
    np.testing.assert_array_equal(read_labels(floats).array, labels)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, head: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_volume(head, tmp_path / "scan.nii.gz")
    before = path.read_bytes()

    def broken(*_args: object, **_options: object) -> None:
        raise RuntimeError("no space")

    monkeypatch.setattr(sitk, "WriteImage", broken)
    with pytest.raises(InputError, match=r"no space\). Is the disk full"):
        write_volume(head.with_array(head.array * 2), path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["scan.nii.gz"]


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii"])
def test_a_file_that_a_full_disk_cut_short_replaces_nothing(
    tmp_path: Path, head: Volume, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = write_volume(head, tmp_path / name)
    before, write = path.read_bytes(), sitk.WriteImage

    def short(image: sitk.Image, where: str, **options: bool) -> None:
        write(image, where, **options)
        with open(where, "r+b") as stream:
            stream.truncate(len(before) // 2)

    monkeypatch.setattr(sitk, "WriteImage", short)
    with pytest.raises(InputError, match=r"it ended early\. Is the disk full"):
        write_volume(head, path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_a_name_that_cannot_be_written_is_refused(tmp_path: Path, head: Volume) -> None:
    with pytest.raises(InputError, match=r"choose a name that ends in \.nii"):
        write_volume(head, tmp_path / "scan.jpg")


@pytest.mark.parametrize(
    ("name", "stem"),
    [("sub-1_swi.nii.gz", "sub-1_swi"), ("a.b.NII", "a.b"), ("x.nrrd", "x"), ("scan", "scan"), (".nii.gz", ".nii.gz")],
)
def test_scan_stem(name: str, stem: str) -> None:
    assert scan_stem(name) == stem


def test_a_folder_gives_its_whole_name(tmp_path: Path) -> None:
    (tmp_path / "v1.0.dcm").mkdir()
    assert scan_stem(tmp_path / "v1.0.dcm") == "v1.0.dcm"
