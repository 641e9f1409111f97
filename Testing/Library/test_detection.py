"""The whole pipeline on a phantom head: finds its spots however the scan lies; says zero when there is none."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from CMBNetLib.bundle import find_bundle
from CMBNetLib.detection import DetectionResult, DetectionSettings, at_threshold, detect
from CMBNetLib.errors import Cancelled, InputError
from CMBNetLib.progress import Progress
from CMBNetLib.volume import Volume
from head_phantom import SPOTS_RAS, head

SPACING = (0.9, 0.9, 3.0)


@lru_cache(maxsize=1)
def phantom() -> Volume:
    return head(SPACING)


@lru_cache(maxsize=1)
def found() -> DetectionResult:
    return detect(phantom(), find_bundle())


def distances(result: DetectionResult) -> list[float]:
    """Of each spot to the nearest microbleed, in mm."""
    centers = np.array([c.center_ras for c in result.microbleeds]).reshape(-1, 3)
    return [float(np.linalg.norm(centers - spot, axis=1).min()) for spot in SPOTS_RAS] if len(centers) else []


def flipped(volume: Volume) -> Volume:
    """The same scan stored from the other end along every axis."""
    matrix = volume.ijk_to_ras.copy()
    last = np.array(volume.array.shape[::-1]) - 1
    matrix[:3, 3] = (matrix @ [*last, 1.0])[:3]
    matrix[:3, :3] *= -1
    return Volume(volume.array[::-1, ::-1, ::-1].copy(), matrix, volume.name, volume.metadata)


def transposed(volume: Volume) -> Volume:
    """The same scan with its axes in another order."""
    matrix = volume.ijk_to_ras[:, [2, 0, 1, 3]]
    return Volume(volume.array.transpose(1, 2, 0).copy(), matrix, volume.name, volume.metadata)


def test_the_spots_of_a_phantom_are_found_and_nothing_else() -> None:
    result = found()
    assert max(distances(result)) < 1.5
    assert len(result.microbleeds) == len(SPOTS_RAS)
    assert [c.id for c in result.candidates] == list(range(1, len(result.candidates) + 1))
    scores = [c.score for c in result.candidates]
    assert scores == sorted(scores, reverse=True)
    for candidate in result.microbleeds:
        assert candidate.shape is not None
        assert 2.5 < candidate.shape.equivalent_diameter_mm < 7
        assert candidate.location is not None
        assert candidate.location.side == ("right" if candidate.center_ras[0] > 0 else "left")


def test_results_lie_on_the_grid_of_the_scan() -> None:
    result = found()
    assert result.labels.array.shape == result.probability.array.shape == phantom().array.shape
    assert result.labels.array.dtype == np.uint16
    np.testing.assert_array_equal(result.labels.ijk_to_ras, phantom().ijk_to_ras)
    assert set(np.unique(result.labels.array)) == {0, *(c.id for c in result.candidates)}
    for c in result.candidates:
        assert c.n_voxels == np.sum(result.labels.array == c.id)
        k, j, i = np.rint(phantom().ijk_from_ras(np.array([c.center_ras]))[0][::-1]).astype(int)
        assert result.labels.array[max(k - 1, 0) : k + 2, j - 2 : j + 3, i - 2 : i + 3].max() > 0


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(flipped, id="stored from the other end"),
        pytest.param(transposed, id="other order of axes"),
        pytest.param(lambda v: v.with_array(v.array * np.float32(1e-3)), id="other unit"),
        pytest.param(lambda v: v.with_array(v.array * np.float32(1e4)), id="large values"),
    ],
)
def test_how_a_scan_is_stored_changes_nothing(other) -> None:  # type: ignore[no-untyped-def]
    result = detect(other(phantom()), find_bundle())
    assert len(result.microbleeds) == len(found().microbleeds)
    assert max(distances(result)) < 1.5
    for a, b in zip(result.microbleeds, found().microbleeds, strict=True):
        assert a.score == pytest.approx(b.score, abs=0.02)


def test_an_oblique_scan_gives_the_same_places() -> None:
    result = detect(head(SPACING, turn_deg=20.0), find_bundle())
    assert max(distances(result)) < 2.0
    assert len(result.microbleeds) == len(SPOTS_RAS)


def test_a_head_without_spots_has_no_microbleed() -> None:
    result = detect(head(SPACING, spots=()), find_bundle())
    assert result.microbleeds == []
    assert result.labels.array.max() == len(result.candidates)


def test_another_threshold_needs_no_second_run() -> None:
    result = found()
    everything = at_threshold(result, result.floor_threshold, None)
    assert everything.microbleeds == result.candidates
    assert at_threshold(result, 1.0).microbleeds == [c for c in result.candidates if c.score >= 1]
    assert everything.labels is result.labels


def test_the_run_is_described() -> None:
    result = found()
    assert result.operating_point == "balanced"
    assert result.threshold == result.operating_points["balanced"]["threshold"]
    assert set(result.timings_s) == {"anatomy", "prepare", "network", "candidates", "measure"}
    assert result.settings["device"] == "cpu"
    assert result.model["status"] == "preview"
    chosen = detect(head(SPACING, spots=()), find_bundle(), DetectionSettings(threshold=0.4))
    assert (chosen.operating_point, chosen.threshold) == (None, 0.4)


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_outside_0_to_1_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        DetectionSettings(threshold=threshold)


def test_an_operating_point_that_is_unknown_is_refused_before_the_work_starts() -> None:
    with pytest.raises(InputError, match="no operating point 'best'"):
        detect(phantom(), find_bundle(), DetectionSettings(operating_point="best"), StopAtOnce())


class StopAtOnce(Progress):
    """Cancelled before the first stage."""

    def __init__(self) -> None:
        super().__init__()
        self.cancel()


def test_a_cancelled_run_stops_at_the_next_stage() -> None:
    with pytest.raises(Cancelled):
        detect(phantom(), find_bundle(), progress=StopAtOnce())


def test_a_model_whose_thresholds_are_of_an_earlier_version_is_told() -> None:
    bundle, progress = find_bundle(), StopAtOnce()
    newer = ("evidence", "unevenness_cost")
    ours = {key: value for key, value in bundle.metadata["cmbnet"].items() if key not in newer}
    older = replace(bundle, metadata={**bundle.metadata, "cmbnet": ours})
    with pytest.raises(Cancelled):
        detect(phantom(), older, progress=progress)
    assert [warning["code"] for warning in progress.warnings] == ["older_model"]
