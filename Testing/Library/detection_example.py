"""A small made-up head with dark dots and the result of a detection in it, for tests of exports and pictures."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from CMBNetLib.anatomy import Anatomy
from CMBNetLib.candidates import Candidate
from CMBNetLib.detection import DetectionResult
from CMBNetLib.location import locate, region_code
from CMBNetLib.shape import measure_shapes
from CMBNetLib.volume import Volume

BRAIN_RADII_MM = np.array([64.0, 80.0, 52.0])
TISSUE, AIR, LESION = 300.0, 10.0, 60.0
OPERATING_POINTS = {
    "sensitive": {
        "threshold": 0.2,
        "sensitivity": 0.9,
        "false_positives_per_scan": 2.5,
        "measured_on": "40 synthetic scans",
    },
    "balanced": {
        "threshold": 0.5,
        "sensitivity": 0.8,
        "false_positives_per_scan": 0.7,
        "measured_on": "40 synthetic scans",
    },
}
# Straight (LPS order of voxels), and one that is oblique and stored sagittal with flipped axes.
STRAIGHT = np.diag([-1.0, -1.0, 1.0])


def head_grid(spacing_mm: tuple[float, float, float] = (1.5, 1.5, 3.0), direction: np.ndarray = STRAIGHT) -> Volume:
    """An empty scan around RAS 0 that holds the head, voxel axes along the columns of `direction`."""
    half = np.abs(direction.T) @ (BRAIN_RADII_MM + 12)
    shape = np.ceil(2 * half / spacing_mm).astype(int)
    matrix = np.eye(4)
    matrix[:3, :3] = direction * spacing_mm
    matrix[:3, 3] = -matrix[:3, :3] @ ((shape - 1) / 2)
    metadata = {"sequence": "SWI", "field_strength_t": 3.0, "echo_time_ms": 20.0, "path": "/data/sub-1_swi.nii.gz"}
    return Volume(np.zeros(shape[::-1], np.float32), matrix, "sub-1_swi", metadata)


def ras_grid(volume: Volume) -> np.ndarray:
    """RAS mm of every voxel, [k, j, i, 3]."""
    kji = np.stack(np.meshgrid(*(np.arange(n) for n in volume.array.shape), indexing="ij"), axis=-1)
    return volume.ras_from_ijk(kji[..., ::-1].reshape(-1, 3)).reshape(*volume.array.shape, 3)


def example_anatomy(grid: Volume) -> Anatomy:
    """Brain: an ellipsoid of cortex with a thalamus in the middle and a cerebellum below and behind."""
    ras = ras_grid(grid)
    brain = ((ras / BRAIN_RADII_MM) ** 2).sum(axis=-1) < 1
    codes = np.zeros(brain.shape, np.uint8)
    low = (ras[..., 2] < -20) & (ras[..., 1] < -10)
    deep = np.linalg.norm(ras, axis=-1) < 20
    for side, half in (("left", ras[..., 0] < 0), ("right", ras[..., 0] >= 0)):
        codes[brain & half] = region_code("cortex", side)
        codes[brain & half & low] = region_code("cerebellum", side)
        codes[brain & half & deep] = region_code("thalamus", side)
    return Anatomy(grid.with_array(brain.astype(np.uint8)), grid.with_array(codes), "example")


def spread_centres(number: int, seed: int = 7) -> np.ndarray:
    """Points within the brain, RAS mm, (number, 3), at least 8 mm apart."""
    rng = np.random.default_rng(seed)
    points: list[np.ndarray] = []
    while len(points) < number:
        point = rng.uniform(-1, 1, 3) * BRAIN_RADII_MM
        apart = all(np.linalg.norm(point - other) > 8 for other in points)
        if apart and ((point / (BRAIN_RADII_MM - 8)) ** 2).sum() < 1:
            points.append(point)
    return np.asarray(points).reshape(-1, 3)


def example_result(
    centres_ras: np.ndarray | None = None,
    scores: list[float] | None = None,
    *,
    grid: Volume | None = None,
    with_anatomy: bool = True,
    threshold: float = 0.5,
    diameter_mm: float = 6.0,
) -> DetectionResult:
    """Result with one candidate at each centre; without arguments lobar, deep and cerebellar ones and one below .5."""
    if centres_ras is None:
        centres_ras = np.array([[40.0, 30.0, 20.0], [-8.0, 3.0, 0.0], [-25.0, -40.0, -26.0], [30.0, -30.0, 20.0]])
        scores = [0.93, 0.81, 0.6, 0.31]
    scores = scores if scores is not None else np.linspace(0.99, 0.51, len(centres_ras)).round(3).tolist()
    grid = head_grid() if grid is None else grid
    anatomy = example_anatomy(grid)
    scan, labels = _drawn(grid, anatomy, centres_ras, diameter_mm)
    shapes = measure_shapes(labels, scan)
    places = locate(centres_ras, anatomy)
    sizes = np.bincount(labels.array.ravel(), minlength=len(scores) + 1)
    candidates = [
        Candidate(n + 1, scores[n], tuple(map(float, centres_ras[n])), int(sizes[n + 1]), shapes.get(n + 1), places[n])
        for n in range(len(scores))
    ]
    if not with_anatomy:
        candidates = [Candidate(c.id, c.score, c.center_ras, c.n_voxels, c.shape) for c in candidates]
    return DetectionResult(
        scan=scan,
        candidates=candidates,
        labels=labels,
        probability=scan.with_array((labels.array > 0).astype(np.float32) * 0.9),
        operating_point="balanced" if threshold == 0.5 else None,
        threshold=threshold,
        operating_points={name: dict(point) for name, point in OPERATING_POINTS.items()},
        floor_threshold=0.05,
        model={"id": "cmbnet-preview", "version": "0.1.0", "sha256": "ab" * 32, "status": "preview"},
        qc=[{"code": "thick_slices", "message": "The slices are 3.0 mm apart; smaller microbleeds may be missed."}],
        settings={"operating_point": "balanced", "threshold": threshold, "device": "cpu", "precision": "float32"},
        timings_s={"anatomy": 1.25, "network": 8.5},
        anatomy=anatomy if with_anatomy else None,
    )


def region_map(regions: Volume) -> SimpleNamespace:
    """What `locate` reads of an anatomy."""
    return SimpleNamespace(regions=regions)


def _drawn(grid: Volume, anatomy: Anatomy, centres: np.ndarray, diameter: float) -> tuple[Volume, Volume]:
    """Scan with tissue, noise and dark dots, and the label map of the dots."""
    ras = ras_grid(grid)
    rng = np.random.default_rng(0)
    image = np.where(anatomy.brain.array > 0, TISSUE, AIR) + rng.normal(0, 5, grid.array.shape)
    labels = np.zeros(grid.array.shape, np.uint16)
    for number, centre in enumerate(centres):
        dot = np.linalg.norm(ras - centre, axis=-1) <= diameter / 2
        labels[dot] = number + 1
    image[labels > 0] = LESION
    return grid.with_array(image.astype(np.float32)), grid.with_array(labels)
