"""What a detection adds to a real MRML scene, and what is still there after saving and loading it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk

from CMBNetLib.errors import InputError
from CMBNetSlicer.detection_node import DetectionNode, detections_of, show_only
from CMBNetSlicer.detection_record import DetectionRecord, read_record
from CMBNetSlicer.job_input import write_job_input
from CMBNetSlicer.microbleed_segmentation import CANDIDATE_TAG, SCORE_TAG, segment_id
from CMBNetSlicer.slice_jump import jump_to

LOBAR = "SCT^40146001^Cerebral cortex"


@pytest.fixture
def a_detection(a_scan, run_detector, tmp_path: Path) -> DetectionNode:
    record, job_input = run_detector(a_scan, tmp_path)
    return DetectionNode.create(record, a_scan, follows_transform=job_input.follows_transform)


def mask_of(detection: DetectionNode, number: int) -> np.ndarray:
    """The segment of a candidate on the scan's grid, array [k, j, i]."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(detection.segmentation, segment_id(number), detection.scan)


def expected_mask(detection: DetectionNode, number: int) -> np.ndarray:
    mask = np.zeros_like(slicer.util.arrayFromVolume(detection.scan), dtype=np.uint8)
    i, j, k = detection.record.voxels[number].T
    mask[k, j, i] = 1
    return mask


def move(scan, matrix: np.ndarray):
    """Put the scan under a linear transform."""
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    scan.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def test_each_microbleed_is_a_segment_on_exactly_its_voxels(a_detection: DetectionNode) -> None:
    segmentation = a_detection.segmentation.GetSegmentation()
    assert list(segmentation.GetSegmentIDs()) == ["CMBNet_1", "CMBNet_2", "CMBNet_3"]
    for number in (1, 2, 3):
        np.testing.assert_array_equal(mask_of(a_detection, number), expected_mask(a_detection, number))
    assert segmentation.GetNumberOfLayers() == 1


def test_a_segment_carries_score_candidate_and_codes(a_detection: DetectionNode) -> None:
    segment = a_detection.segmentation.GetSegmentation().GetSegment("CMBNet_1")
    tags = {}
    for name in (SCORE_TAG, CANDIDATE_TAG, slicer.vtkSegment.GetTerminologyEntryTagName()):
        value = vtk.reference("")
        assert segment.GetTag(name, value)
        tags[name] = str(value)
    assert float(tags[SCORE_TAG]) == pytest.approx(0.97)
    assert tags[CANDIDATE_TAG] == "1"
    category, kind, _modifier, _list, region, side = tags["TerminologyEntry"].split("~")[1:]
    assert kind == "SCT^50960005^Hemorrhage"
    assert category == "SCT^49755003^Morphologically Altered Structure"
    assert region == LOBAR
    assert side == "SCT^7771000^Left"


def test_points_lie_on_the_candidates_and_those_below_the_threshold_are_hidden(a_detection: DetectionNode) -> None:
    points = a_detection.points
    assert points.GetNumberOfControlPoints() == 5
    assert [points.GetNthControlPointVisibility(index) for index in range(5)] == [True, True, True, False, False]
    assert points.GetLocked()
    for index, candidate in enumerate(a_detection.record.candidates):
        np.testing.assert_allclose(points.GetNthControlPointPositionWorld(index), candidate.center_ras, atol=1e-3)


def test_the_table_holds_all_candidates(a_detection: DetectionNode) -> None:
    frame = slicer.util.dataframeFromTable(a_detection.table)
    assert frame["id"].tolist() == [1, 2, 3, 4, 5]
    assert frame["microbleed"].tolist() == ["yes", "yes", "yes", "no", "no"]
    assert frame["score"].tolist() == pytest.approx([0.97, 0.85, 0.62, 0.4, 0.1])
    assert frame["region"].tolist()[:2] == ["cortex", "thalamus"]


@pytest.mark.parametrize(("threshold", "count"), [(0.0, 5), (0.05, 5), (0.4, 4), (0.41, 3), (0.97, 1), (1.0, 0)])
def test_the_threshold_decides_what_is_a_microbleed(a_detection: DetectionNode, threshold: float, count: int) -> None:
    a_detection.set_threshold(threshold)
    ids = list(a_detection.segmentation.GetSegmentation().GetSegmentIDs())
    assert ids == [segment_id(number) for number in range(1, count + 1)]
    visible = [a_detection.points.GetNthControlPointVisibility(index) for index in range(5)]
    assert visible == [True] * count + [False] * (5 - count)
    assert slicer.util.dataframeFromTable(a_detection.table)["microbleed"].tolist().count("yes") == count
    for number in range(1, count + 1):
        np.testing.assert_array_equal(mask_of(a_detection, number), expected_mask(a_detection, number))


def test_segments_that_come_back_have_their_voxels_again(a_detection: DetectionNode) -> None:
    for threshold in (0.9, 0.05, 1.0, 0.3, 0.5):
        a_detection.set_threshold(threshold)
    for number in (1, 2, 3):
        np.testing.assert_array_equal(mask_of(a_detection, number), expected_mask(a_detection, number))


def test_a_segment_the_user_drew_stays_and_is_not_overwritten(a_detection: DetectionNode) -> None:
    node, scan = a_detection.segmentation, a_detection.scan
    own = node.GetSegmentation().AddEmptySegment("own", "Mine")
    drawn = expected_mask(a_detection, 4)  # where a candidate below the threshold lies
    slicer.util.updateSegmentBinaryLabelmapFromArray(drawn, node, own, scan)
    a_detection.set_threshold(0.3)
    np.testing.assert_array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(node, own, scan), drawn)
    np.testing.assert_array_equal(mask_of(a_detection, 4), drawn)
    a_detection.set_threshold(0.99)
    assert list(node.GetSegmentation().GetSegmentIDs()) == ["own"]
    np.testing.assert_array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(node, own, scan), drawn)


def test_results_under_a_linear_transform_lie_on_the_scan_and_move_along(a_scan, run_detector, tmp_path: Path) -> None:
    turn, rigid = np.deg2rad(20.0), np.eye(4)
    rigid[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    rigid[:3, 3] = (5, -9, 4)
    transform = move(a_scan, rigid)
    record, job_input = run_detector(a_scan, tmp_path)
    detection = DetectionNode.create(record, a_scan, follows_transform=job_input.follows_transform)
    ijk_to_ras = np.array(record.document["scan"]["ijk_to_ras"])
    own = vtk.vtkMatrix4x4()
    a_scan.GetIJKToRASMatrix(own)
    # NIfTI keeps the matrix with single precision.
    np.testing.assert_allclose(ijk_to_ras, rigid @ slicer.util.arrayFromVTKMatrix(own), atol=1e-4)
    center = record.candidates[0].center_ras
    np.testing.assert_allclose(detection.position(1), center, atol=1e-3)
    np.testing.assert_array_equal(mask_of(detection, 1), expected_mask(detection, 1))
    transform.SetMatrixTransformToParent(vtk.vtkMatrix4x4())
    np.testing.assert_allclose(detection.position(1), (np.linalg.inv(rigid) @ [*center, 1])[:3], atol=1e-3)


def test_a_warped_scan_is_resampled_and_its_results_lie_in_the_world(a_scan, run_detector, tmp_path: Path) -> None:
    shear = np.eye(4)
    shear[0, 1] = 0.2
    move(a_scan, shear)
    record, job_input = run_detector(a_scan, tmp_path)
    assert not job_input.follows_transform
    detection = DetectionNode.create(record, a_scan, follows_transform=job_input.follows_transform)
    assert detection.segmentation.GetTransformNodeID() is None
    np.testing.assert_allclose(detection.position(2), record.candidates[1].center_ras, atol=1e-3)


def test_a_voxel_of_the_warped_file_holds_what_lies_there_in_the_world(a_scan, run_detector, tmp_path: Path) -> None:
    import SimpleITK as sitk

    shear = np.eye(4)
    shear[0, 1] = 0.2
    array = slicer.util.arrayFromVolume(a_scan)
    array[:] = 0.0
    array[4:8, 18:23, 20:27] = 100.0
    move(a_scan, shear)
    _record, job_input = run_detector(a_scan, tmp_path)
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(job_input.path)))
    k, j, i = np.argwhere(image > 50).mean(axis=0)
    own = vtk.vtkMatrix4x4()
    a_scan.GetIJKToRASMatrix(own)
    expected = shear @ slicer.util.arrayFromVTKMatrix(own) @ [23.0, 20.0, 5.5, 1.0]
    np.testing.assert_allclose((job_input.ijk_to_node @ [i, j, k, 1.0])[:3], expected[:3], atol=0.3)


def test_a_scene_comes_back_with_all_of_it(a_detection: DetectionNode, tmp_path: Path) -> None:
    a_detection.set_threshold(0.3)
    masks = {number: expected_mask(a_detection, number) for number in range(1, 6)}
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    slicer.mrmlScene.Clear(False)
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    scan = slicer.util.getNode("Visit 1")
    (again,) = detections_of(scan)
    assert again.threshold == pytest.approx(0.3)
    assert again.n_microbleeds == 4
    for number in (1, 2, 3, 4):
        np.testing.assert_array_equal(mask_of(again, number), masks[number])
    value = vtk.reference("")
    assert again.segmentation.GetSegmentation().GetSegment("CMBNet_2").GetTag(SCORE_TAG, value)
    assert float(str(value)) == pytest.approx(0.85)
    assert [again.points.GetNthControlPointVisibility(index) for index in range(5)] == [True] * 4 + [False]
    again.set_threshold(0.9)
    again.set_threshold(0.05)
    for number in range(1, 6):
        np.testing.assert_array_equal(mask_of(again, number), masks[number])


def test_only_one_detection_of_a_scan_is_shown(a_detection: DetectionNode, a_scan) -> None:
    other = DetectionNode.create(a_detection.record, a_scan, follows_transform=True)
    show_only(other)
    assert not a_detection.segmentation.GetDisplayNode().GetVisibility()
    assert not a_detection.points.GetDisplayNode().GetVisibility()
    assert other.segmentation.GetDisplayNode().GetVisibility()
    assert {d.node.GetName() for d in detections_of(a_scan)} == {"Visit 1 detection", "Visit 1 detection_1"}


def test_a_jump_gives_every_view_the_same_field_of_view(a_detection: DetectionNode) -> None:
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    node.SetDimensions(300, 600, 1)
    position = a_detection.position(3)
    jump_to(slicer.mrmlScene, position, 50.0)
    np.testing.assert_allclose(node.GetFieldOfView()[:2], (50.0, 100.0))
    centre = slicer.util.arrayFromVTKMatrix(node.GetXYToRAS()) @ [150.0, 300.0, 0.0, 1.0]
    np.testing.assert_allclose(centre[:3], position, atol=1e-3)
    node.SetDimensions(400, 400, 1)


def test_text_of_another_kind_is_refused_by_name() -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    with pytest.raises(InputError, match="holds no detection"):
        DetectionNode(node)
    with pytest.raises(InputError, match="holds no detection of this module"):
        DetectionRecord.from_text('{"schema": "something else"}')
    with pytest.raises(InputError, match="Run it again"):
        DetectionRecord.from_text("{")


def test_a_label_map_of_another_run_is_refused(a_scan, run_detector, tmp_path: Path) -> None:
    import SimpleITK as sitk

    run_detector(a_scan, tmp_path)
    labels = tmp_path / "results" / "Visit_1_candidates.nii.gz"
    image = sitk.ReadImage(str(labels))
    array = sitk.GetArrayFromImage(image)
    array[array == 3] = 0
    changed = sitk.GetImageFromArray(array)
    changed.CopyInformation(image)
    sitk.WriteImage(changed, str(labels))
    with pytest.raises(InputError, match="do not belong together"):
        read_record(tmp_path / "results" / "Visit_1_detection.json")


def test_a_volume_of_colours_is_refused(run_detector, tmp_path: Path) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Photo")
    image = vtk.vtkImageData()
    image.SetDimensions(4, 4, 4)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    node.SetAndObserveImageData(image)
    with pytest.raises(InputError, match="3 values a voxel"):
        run_detector(node, tmp_path)


def test_three_hundred_candidates_follow_the_threshold_without_delay() -> None:
    scan = slicer.util.addVolumeFromArray(np.zeros((60, 200, 200), np.int16), name="Many")
    detection = DetectionNode.create(many_candidates(300), scan, follows_transform=True)
    assert fastest_s(detection, 0.0) < 3.0
    assert detection.segmentation.GetSegmentation().GetNumberOfSegments() == 300
    detection.set_threshold(0.5)
    assert fastest_s(detection, 0.51) < 0.25


def fastest_s(detection: DetectionNode, threshold: float) -> float:
    """Seconds that a change to the threshold takes, the best of three: other work slows some down."""
    before, seconds = detection.threshold, []
    for _attempt in range(3):
        detection.set_threshold(before)
        start = time.perf_counter()
        detection.set_threshold(threshold)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def many_candidates(count: int) -> DetectionRecord:
    """Candidates of 8 voxels each with scores from 1 to 0, on a grid of 200 x 200 x 60 voxels."""
    rng = np.random.default_rng(1)
    cells = rng.permutation(20 * 20 * 6)[:count]
    cube = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    corners = np.stack(np.unravel_index(cells, (20, 20, 6)), axis=1) * 10 + 3
    voxels = {number: corner + cube for number, corner in enumerate(corners, start=1)}
    shape = dict.fromkeys(("volume_mm3", "equivalent_diameter_mm", "max_diameter_mm"), 2.0)
    shape |= dict.fromkeys(("elongation", "flatness", "sphericity", "contrast"), 0.5)
    entries = [
        {"id": n, "score": 1.0 - n / (count + 1), "center_ras": corner.tolist(), "n_voxels": 8, "zone": "lobar",
         "region": "cortex", "side": "left", **shape}
        for n, corner in enumerate(corners, start=1)
    ]  # fmt: skip
    document = {"candidates": entries, "settings": {"threshold": 0.5}, "floor_threshold": 0.0, "qc": [],
                "operating_points": {}, "scan": {"ijk_to_ras": np.eye(4).tolist()}}  # fmt: skip
    return DetectionRecord(document, voxels, np.eye(4))


def test_names_beyond_ascii_become_plain_file_names_that_differ(tmp_path: Path) -> None:
    names = []
    for name in ("Schädel SWI", "患者一", "患者二", "plain"):
        node = slicer.util.addVolumeFromArray(np.zeros((3, 4, 5), np.int16), name=name)
        names.append(write_job_input(node, tmp_path).path.name)
    assert all(name.isascii() for name in names)
    assert len(set(names)) == 4
    assert names[0].startswith("Sch_del_SWI_")
    assert names[3] == "plain.nii"
