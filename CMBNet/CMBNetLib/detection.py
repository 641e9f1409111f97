"""The pipeline from a scan to its candidates, and what it returns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .anatomy import BY_NETWORK, Anatomy, find_anatomy
from .anatomy_bundle import anatomy_network
from .bundle import Bundle
from .candidates import Candidate, Found, centers_and_sizes, find_candidates, to_scan_grid
from .errors import BundleError, InputError
from .evidence import fluid_of, regraded
from .inference import Execution, infer
from .location import locate
from .places import prepare_with
from .preparation import Prepared
from .progress import Progress
from .shape import measure_shapes
from .ventricles import less_likely, ventricle_interior
from .volume import Volume

if TYPE_CHECKING:
    from .network_anatomy import AnatomyUNet

DEFAULT_OPERATING_POINT = "balanced"
# Slices thicker than this hide small microbleeds; see the model card for the figures by thickness.
THICK_SLICE_MM = 3.0
# Share of the run at which each stage ends, from timings of thin and thick scans on two cores.
_ENDS = {"anatomy": 0.42, "prepare": 0.48, "network": 0.8, "candidates": 0.94, "measure": 0.97}


@dataclass(frozen=True)
class DetectionSettings:
    """What can be chosen for a run.

    Attributes
    ----------
    operating_point
        Named threshold of the bundle; not used when ``threshold`` is given.
    threshold
        Score from which a candidate is a microbleed, 0..1.
    device
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    InputError
        The threshold is outside 0..1.
    """

    operating_point: str = DEFAULT_OPERATING_POINT
    threshold: float | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise InputError(f"A threshold lies between 0 and 1, not {self.threshold:g}.")


@dataclass
class DetectionResult:
    """All a run found, on the scan's own grid.

    Attributes
    ----------
    scan : Volume
    candidates : list of Candidate
        All down to the floor threshold, by descending score.
    labels : Volume
        uint16, the candidates' ids.
    probability : Volume
        float32, of microbleed.
    operating_point : str or None
        None when a threshold was given.
    threshold : float
        Score from which a candidate is a microbleed.
    operating_points : dict
        Threshold and measured figures of each operating point of the model.
    floor_threshold : float
    model : dict
        ``id``, ``version``, ``sha256`` of the weights, ``status``; ``calibration_error`` where scores are calibrated.
    qc : list of dict
        ``{"code", "message"}`` of everything that is doubtful about the scan or the run.
    settings : dict
    timings_s : dict
        Seconds by stage.
    anatomy : Anatomy
    """

    scan: Volume
    candidates: list[Candidate]
    labels: Volume
    probability: Volume
    operating_point: str | None
    threshold: float
    operating_points: dict[str, dict[str, Any]]
    floor_threshold: float
    model: dict[str, Any]
    qc: list[dict[str, str]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    timings_s: dict[str, float] = field(default_factory=dict)
    anatomy: Anatomy | None = None

    @property
    def microbleeds(self) -> list[Candidate]:
        """Candidates at or above the threshold."""
        return [c for c in self.candidates if c.score >= self.threshold]


def detect(
    scan: Volume, bundle: Bundle, settings: DetectionSettings | None = None, progress: Progress | None = None
) -> DetectionResult:
    """Find the microbleeds of a scan.

    Parameters
    ----------
    scan
        Checked volume, as `volume.read_volume` gives it.
    bundle
        Model.
    progress
        Told stages and fractions, asked for cancellation.

    Raises
    ------
    InputError
        The scan cannot be used: no brain, phase image, unknown operating point.
    EnvironmentProblem
        No such device, or too little memory.
    Cancelled
    """
    return _Run(scan, bundle, settings or DetectionSettings(), progress or Progress()).result()


class _Run:
    """One run; each stage is a method."""

    def __init__(self, scan: Volume, bundle: Bundle, settings: DetectionSettings, progress: Progress) -> None:
        self.scan, self.bundle, self.settings, self.progress = scan, bundle, settings, progress
        self.timings: dict[str, float] = {}
        self.threshold = (
            bundle.threshold(settings.operating_point) if settings.threshold is None else settings.threshold
        )

    def result(self) -> DetectionResult:
        for text in self.scan.metadata.get("warnings", []):
            self.progress.warning("scan", text)
        self._warn_about_grid()
        self._warn_about_model()
        with self._stage("anatomy", "Finding the brain"):
            anatomy = find_anatomy(self.scan, self._anatomy_network())
            for flag in anatomy.flags:
                self.progress.warning(flag["code"], flag["message"])
            self._warn_about_places(anatomy)
        prepared, probability, execution = self._network(anatomy)
        with self._stage("candidates", "Collecting candidates"):
            inside = ventricle_interior(anatomy, probability)
            probability = probability.with_array(less_likely(probability.array, inside))
            floor = self.bundle.floor_threshold
            found = find_candidates(probability, prepared.brain, floor)
            found = regraded(found, prepared.image, fluid_of(anatomy), self.bundle.evidence, floor)
            labels, on_scan = to_scan_grid(found, probability, self.scan.grid)
        if found.n_too_large:
            self.progress.warning("too_large", f"{found.n_too_large} regions larger than 15 mm were set aside.")
        with self._stage("measure", "Measuring size and place"):
            candidates = self._candidates(found, self.scan.with_array(labels), anatomy)
        return self._collected(candidates, labels, on_scan, anatomy, execution)

    def _anatomy_network(self) -> AnatomyUNet | None:
        """The shipped anatomy network; without it the classical method takes over, and says so."""
        try:
            return anatomy_network()
        except BundleError as error:
            text = f"{error} The brain mask and the regions are approximate."
            self.progress.warning("anatomy_fallback", text)
            return None

    def _network(self, anatomy: Anatomy) -> tuple[Prepared, Volume, Execution]:
        with self._stage("prepare", "Preparing the scan"):
            prepared = prepare_with(
                self.scan, anatomy, pixel_mm=self.bundle.pixel_mm, thinnest_slice_mm=self.bundle.thinnest_slice_mm
            )
        start, end = _ENDS["prepare"], _ENDS["network"]
        with self._stage("network", "Looking for microbleeds"):
            classes, execution = infer(
                self.bundle.load_network(prepared.slice_mm), prepared, self.settings.device, self.progress,
                lambda done: self.progress.advance(start + (end - start) * done),
            )  # fmt: skip
        return prepared, prepared.image.with_array(classes[0]), execution

    def _candidates(self, found: Found, labels: Volume, anatomy: Anatomy) -> list[Candidate]:
        if not found.scores:
            return []
        centers, sizes = centers_and_sizes(labels.array, len(found.scores))
        ras = labels.ras_from_ijk(centers[:, ::-1])
        shapes, places = measure_shapes(labels, self.scan), locate(ras, anatomy)
        return [
            Candidate(n, round(score, 4), _point(ras[n - 1]), int(sizes[n - 1]), shapes.get(n), places[n - 1])
            for n, score in enumerate(found.scores, 1)
        ]

    def _collected(
        self,
        candidates: list[Candidate],
        labels: np.ndarray,
        probability: np.ndarray,
        anatomy: Anatomy,
        execution: Execution,
    ) -> DetectionResult:
        named = self.settings.threshold is None
        return DetectionResult(
            scan=self.scan,
            candidates=candidates,
            labels=self.scan.with_array(labels),
            probability=self.scan.with_array(probability),
            operating_point=self.settings.operating_point if named else None,
            threshold=self.threshold,
            operating_points={name: asdict(point) for name, point in self.bundle.operating_points.items()},
            floor_threshold=self.bundle.floor_threshold,
            model=self._model(),
            qc=list(self.progress.warnings),
            settings={
                **asdict(self.settings),
                "threshold": self.threshold,
                **asdict(execution),
                "anatomy": anatomy.method,
            },
            timings_s={name: round(seconds, 3) for name, seconds in self.timings.items()},
            anatomy=anatomy,
        )

    def _model(self) -> dict[str, Any]:
        bundle = self.bundle
        told = {
            "id": bundle.id, "version": bundle.version, "sha256": bundle.weights_sha256, "status": bundle.status
        }  # fmt: skip
        error = bundle.calibration_error
        return told if error is None else {**told, "calibration_error": error}

    def _warn_about_grid(self) -> None:
        thick = max(self.scan.spacing_mm)
        if thick > THICK_SLICE_MM:
            self.progress.warning(
                "thick_slices", f"The slices are {thick:.1f} mm apart; microbleeds smaller than that may be missed."
            )

    def _warn_about_places(self, anatomy: Anatomy) -> None:
        if self.bundle.is_told_places and anatomy.method != BY_NETWORK:
            self.progress.warning(
                "places_unknown",
                f"{self.bundle.name} could not be told what tissue is where; it misses more microbleeds then and takes "
                "more of other things for them than its figures say. Look at the candidates below the threshold too.",
            )

    def _warn_about_model(self) -> None:
        if self.bundle.is_scored_otherwise:
            self.progress.warning(
                "older_model",
                f"The operating points of {self.bundle.name} were measured with the scores of an earlier version; "
                "export it again from its run.",
            )

    @contextmanager
    def _stage(self, name: str, text: str) -> Iterator[None]:
        self.progress.check_cancelled()
        self.progress.stage(name, text)
        started = time.monotonic()
        yield
        self.timings[name] = time.monotonic() - started
        self.progress.advance(_ENDS[name])


def at_threshold(result: DetectionResult, threshold: float, operating_point: str | None = None) -> DetectionResult:
    """The same candidates judged at another threshold; the network does not run again."""
    return replace(result, threshold=threshold, operating_point=operating_point)


def _point(ras: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 3) for v in ras)
    return x, y, z
