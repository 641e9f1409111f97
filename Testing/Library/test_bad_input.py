"""Bad scans end in one sentence that says what was found, and in exit code 2; small faults are repaired and told."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

import bad_series  # noqa: F401  (enters its cases)
import scan_files as make
from bad_scans import BAD_SCANS
from CMBNetLib.errors import InputError
from CMBNetLib.volume import Volume, read_labels, read_volume, write_volume

# Each start of the program costs seconds, so a few cases of each kind go through it.
THROUGH_THE_PROGRAM = ("no such file", "truncated compressed NIfTI", "absurd size", "4D", "several series", "CT series")


@pytest.mark.parametrize("name", BAD_SCANS)
def test_a_bad_scan_is_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    words, maker = BAD_SCANS[name]
    path = maker(tmp_path)
    with pytest.raises(InputError) as caught:
        read_volume(path)
    message = str(caught.value)
    assert re.search(words, message, re.MULTILINE), message
    assert caught.value.exit_code == 2
    assert len(message) < 700
    assert "Traceback" not in message


@pytest.mark.parametrize("name", THROUGH_THE_PROGRAM)
def test_the_program_ends_with_the_sentence_and_exit_code_2(tmp_path: Path, name: str, repository: Path) -> None:
    words, maker = BAD_SCANS[name]
    (tmp_path / "in").mkdir()
    path, output = maker(tmp_path / "in"), tmp_path / "out"
    command = [sys.executable, "-m", "CMBNetLib", "detect", str(path), "-o", str(output), "--json-events"]
    done = subprocess.run(command, cwd=repository / "CMBNet", capture_output=True, text=True, timeout=120)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 2, done.stderr
    assert events[-1]["event"] == "error"
    assert events[-1]["kind"] == "InputError"
    assert events[-1]["exit_code"] == 2
    assert re.search(words, events[-1]["message"], re.MULTILINE)
    assert "Traceback" not in done.stderr
    assert not output.exists() or list(output.iterdir()) == []


def head_file(folder: Path, array: np.ndarray, name: str = "scan.nii.gz") -> Path:
    return make.write_nifti(folder / name, array)


def test_a_few_bad_voxels_are_repaired_and_told(tmp_path: Path) -> None:
    array = make.head_array().astype(np.float32)
    expected = array.copy()  # ITK's NIfTI reader hides the first three, so they are counted apart
    for index, value in ((100, np.nan), (5000, np.inf), (70_000, -np.inf), (90_000, 3e38)):
        array.reshape(-1)[index] = value
        expected.reshape(-1)[index] = 0
    volume = read_volume(head_file(tmp_path, array))
    np.testing.assert_array_equal(volume.array, expected)
    assert volume.metadata["warnings"] == [
        "Voxels that were not numbers and were set to 0: 3 (0.00%).",
        "Voxels that were not numbers and were set to 0: 1 (0.00%).",
    ]


def test_what_looks_like_phase_or_labels_is_told(tmp_path: Path) -> None:
    phase = ((make.head_array().astype(int) * 37) % 8192 - 4096).astype(np.int16)
    (warning,) = read_volume(head_file(tmp_path, phase)).metadata["warnings"]
    assert "negative; a phase image" in warning
    (warning,) = read_volume(head_file(tmp_path, make.head_array() // 100)).metadata["warnings"]
    assert "it may be a label map" in warning


@pytest.mark.parametrize(
    ("name", "words"),
    [("sub-1_part-phase_swi.nii", "says that it is a phase image"), ("mIP_swi.nii", "minimum intensity projection")],
)
def test_a_name_that_speaks_against_the_scan_is_told(tmp_path: Path, name: str, words: str) -> None:
    (warning,) = read_volume(head_file(tmp_path, make.head_array(), name)).metadata["warnings"]
    assert words in warning


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("sub-1_swi.nii", "SWI"), ("SWAN_3T.nii", "SWI"), ("sub-2_T2starw.nii", "T2*"), ("ax_gre.nii", "T2*"),
        ("scan.nii", None), ("degree.nii", None), ("swimmer.nii", None),
    ],
)  # fmt: skip
def test_the_sequence_is_taken_from_the_name(tmp_path: Path, name: str, sequence: str | None) -> None:
    volume = read_volume(head_file(tmp_path, make.head_array(), name))
    assert volume.metadata["sequence"] == sequence
    assert volume.metadata["warnings"] == []


def test_the_sidecar_tells_the_acquisition(tmp_path: Path) -> None:
    fields = {"EchoTime": 0.0225, "MagneticFieldStrength": 3, "SeriesDescription": "ax T2* GRE", "Modality": "MR"}
    (tmp_path / "scan.json").write_text(json.dumps(fields))
    metadata = read_volume(head_file(tmp_path, make.head_array())).metadata
    assert {
        "sequence": "T2*",
        "field_strength_t": 3.0,
        "echo_time_ms": 22.5,
        "warnings": [],
    }.items() <= metadata.items()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"SeriesDescription": "FILT_PHA: Ax SWAN"}, "phase image"),
        ({"SeriesDescription": "mIP_Images(SW)"}, "minimum intensity projection"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MINIP"]}, "minimum intensity projection"),
    ],
)
def test_a_sidecar_that_speaks_against_the_scan_is_told(tmp_path: Path, fields: dict[str, object], words: str) -> None:
    (tmp_path / "scan.json").write_text(json.dumps(fields), encoding="utf-8-sig")
    warnings = read_volume(head_file(tmp_path, make.head_array())).metadata["warnings"]
    assert [words in warning for warning in warnings] == [True]


def test_the_phase_of_the_encoding_is_no_phase_image(tmp_path: Path) -> None:
    fields = {"SeriesDescription": "AX SWI phase AP", "ImageType": ["ORIGINAL", "PRIMARY", "M", "SWI"]}
    (tmp_path / "scan.json").write_text(json.dumps(fields))
    assert read_volume(head_file(tmp_path, make.head_array())).metadata["warnings"] == []
    make.write_series(tmp_path / "series", SeriesDescription="AX SWI phase AP")
    assert read_volume(tmp_path / "series").metadata["warnings"] == []


def test_a_broken_sidecar_is_told_and_ignored(tmp_path: Path) -> None:
    (tmp_path / "scan.json").write_text("{")
    volume = read_volume(head_file(tmp_path, make.head_array()))
    assert volume.metadata["warnings"] == ["scan.json beside the scan is no JSON file and was ignored."]


def test_a_scan_without_orientation_is_read_and_told(tmp_path: Path) -> None:
    path = make.write_nifti(tmp_path / "scan.nii", make.head_array(), np.diag([1.1, 1.2, 3.0, 1.0]))
    volume = read_volume(make.patch(path, 252, struct.pack("<2h", 0, 0)))
    assert volume.metadata["warnings"] == [
        "The header does not say how the scan lies in space: left and right may be swapped."
    ]


@pytest.mark.parametrize("space", ["scanner-xyz", "3D-right-handed"])
def test_an_nrrd_file_in_no_anatomical_space_is_told(tmp_path: Path, space: str) -> None:
    path = write_volume(Volume(make.head_array(), make.oblique_affine()), tmp_path / "scan.nrrd")
    assert read_volume(path).metadata["warnings"] == []
    path.write_bytes(path.read_bytes().replace(b"left-posterior-superior", space.encode(), 1))
    (warning,) = read_volume(path).metadata["warnings"]
    assert "left and right may be swapped" in warning


def test_two_places_in_one_header_are_told(tmp_path: Path) -> None:
    path = make.write_nifti(tmp_path / "scan.nii", make.head_array())
    volume = read_volume(make.patch(path, 268, struct.pack("<3f", 0.0, 0.0, 0.0)))
    (warning,) = volume.metadata["warnings"]
    assert "places the scan in two ways, up to 81 mm apart" in warning
    np.testing.assert_allclose(volume.ijk_to_ras, make.oblique_affine(), atol=2e-5)


def test_a_frame_that_is_not_there_is_refused_with_the_range(tmp_path: Path) -> None:
    path = make.write_nifti(tmp_path / "four.nii", np.stack([make.head_array()] * 3))
    for frame in (3, -1):
        with pytest.raises(InputError, match=f"has no frame {frame}: it has the frames 0 to 2"):
            read_volume(path, frame=frame)
    series = make.write_series(tmp_path / "series")
    with pytest.raises(InputError, match="has no frame 1: it has the frames 0 to 0"):
        read_volume(series, frame=1)


def test_one_series_or_frame_of_a_folder_is_picked(tmp_path: Path) -> None:
    make.write_series(tmp_path / "a", series=1)
    make.write_series(tmp_path / "b" / "c", make.head_array(1), series=2)
    make.write_series(tmp_path / "b" / "c", make.head_array(2), series=2, first_file=50, EchoTime=40.0)
    volume = read_volume(tmp_path, series=f"{make.UID_ROOT}2", frame=1)
    np.testing.assert_array_equal(volume.array, make.head_array(2))
    assert (volume.metadata["echo_time_ms"], volume.metadata["frame"]) == (40.0, 1)
    with pytest.raises(InputError, match=r"has no series 9\.9\. It has:\n  .*\.1  'ax swi 3d', MR, 12 slices\n  .*24"):
        read_volume(tmp_path, series="9.9")


def test_what_is_no_slice_of_the_scan_is_left_out(tmp_path: Path) -> None:
    make.write_series(tmp_path, series=1)
    make.write_series(tmp_path, make.head_array()[:3], series=2, first_file=50, SeriesDescription="localizer")
    make.save(make.empty_dataset("1.2.840.10008.5.1.4.1.1.88.22", f"{make.UID_ROOT}9.1"), tmp_path / "report.dcm")
    (tmp_path / "notes.txt").write_text("seen by nobody")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 200)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, make.head_array())
    assert volume.metadata["warnings"] == [
        "1 other series of fewer than 10 slices (localizers) in the folder was left out."
    ]


def test_an_unreadable_file_of_another_series_does_not_stand_in_the_way(tmp_path: Path) -> None:
    make.write_series(tmp_path)
    make.inverted_copy(tmp_path / "IM0001.dcm", tmp_path / "z.dcm", SeriesInstanceUID=f"{make.UID_ROOT}99")
    with pytest.raises(InputError, match=r"z\.dcm is a colour .*take --series UID:\n  \S+\.1  'ax swi 3d', MR, 12"):
        read_volume(tmp_path)
    volume = read_volume(tmp_path, series=f"{make.UID_ROOT}1")
    np.testing.assert_array_equal(volume.array, make.head_array())
    (warning,) = volume.metadata["warnings"]
    assert "1 file of other series cannot be read; the first: z.dcm is a colour" in warning


@pytest.mark.parametrize("content", [b"", b"no slice" * 30])
def test_files_that_were_cut_short_are_told(tmp_path: Path, content: bytes) -> None:
    make.write_series(tmp_path)
    (tmp_path / "IM0001.dcm").write_bytes(content)
    volume = read_volume(tmp_path)
    assert len(volume.array) == 11
    (warning,) = volume.metadata["warnings"]
    assert "1 file in the folder was empty or no DICOM and left out, the first is IM0001.dcm" in warning


def test_slices_of_one_uid_are_no_copies(tmp_path: Path) -> None:
    make.write_series(tmp_path, SOPInstanceUID=f"{make.UID_ROOT}5")
    np.testing.assert_array_equal(read_volume(tmp_path).array, make.head_array())


def test_the_directory_of_a_disc_is_no_image(tmp_path: Path) -> None:
    make.write_series(tmp_path)
    directory = make.empty_dataset("1.2.840.10008.1.3.10", f"{make.UID_ROOT}9.2")
    del directory.SOPClassUID
    make.save(directory, tmp_path / "dicomdir")
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, make.head_array())
    assert volume.metadata["warnings"] == []


def test_localizers_inside_the_series_are_left_out(tmp_path: Path) -> None:
    make.write_series(tmp_path)
    make.write_series(tmp_path, make.head_array(1)[:3], make.oblique_affine(degrees=80.0), first_file=50)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, make.head_array())
    assert volume.metadata["warnings"] == ["3 slices of another orientation or size in the series were left out."]


def test_copies_of_slices_are_used_once(tmp_path: Path) -> None:
    make.write_series(tmp_path)
    for number in (3, 4):
        (tmp_path / f"copy{number}.dcm").write_bytes((tmp_path / f"IM{number:04d}.dcm").read_bytes())
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, make.head_array())
    assert "2 slices were there twice" in volume.metadata["warnings"][0]


def test_rescaling_is_applied_slice_by_slice(tmp_path: Path) -> None:
    make.write_series(tmp_path)
    for number in range(1, 13):
        path = tmp_path / f"IM{number:04d}.dcm"
        data = pydicom.dcmread(path)
        data.RescaleSlope, data.RescaleIntercept = str(number), "5"
        make.save(data, path)
    slopes = 12 - np.arange(12)[:, None, None]
    np.testing.assert_array_equal(read_volume(tmp_path).array, make.head_array() * slopes + 5)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_bad_label_maps_are_refused(tmp_path: Path, suffix: str) -> None:
    grid = Volume(np.zeros((4, 5, 6), np.float32), np.eye(4))
    for value, words in ((0.5, "holds fractions"), (np.nan, "whole numbers"), (-2.0, "labels start at 0")):
        array = grid.array.copy()
        array[1, 2, 3] = value
        with pytest.raises(InputError, match=words):
            read_labels(write_volume(grid.with_array(array), tmp_path / f"labels{suffix}"))
    path = tmp_path / f"four{suffix}"
    sitk.WriteImage(sitk.JoinSeries([sitk.Image(5, 6, 4, sitk.sitkUInt8)] * 2), path)
    with pytest.raises(InputError, match="holds 2 volumes; a label map is one 3D volume"):
        read_labels(path)
    with pytest.raises(InputError, match="No such file"):
        read_labels(tmp_path / f"none{suffix}")
