"""A bundle: a model with all it needs, in the folder layout of MONAI bundles, checked before it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bundle_weights import WEIGHTS, for_slices, load_weights, with_thick
from .errors import BundleError, InputError
from .places import PLACES
from .resources import resource_path, user_models_dir

if TYPE_CHECKING:
    from .network import AnisotropicUNet

METADATA = "configs/metadata.json"
MODEL_CARD = "docs/README.md"
LICENSE = "LICENSE"
FILES = (METADATA, WEIGHTS, MODEL_CARD, LICENSE)
DEFAULT_MODEL = "cmbnet-preview"
# Lies beside the lesion models but is none; see `anatomy_bundle`.
ANATOMY_MODEL = "cmbnet-anatomy"
# Bounds on what a metadata file may ask us to build, far above any sensible network.
MOST_LEVELS, MOST_FILTERS = 6, 512
MOST_EVIDENCE = 100.0
# What may count for or against a candidate beside its peak; `evidence` measures it.
EVIDENCE = (UNEVENNESS, FLUID, THICKNESS) = ("unevenness", "fluid", "thickness")
# Working grids that windows and training of this network family make sense for.
PIXEL_RANGE_MM, SLICE_RANGE_MM = (0.2, 1.5), (0.3, 3.0)
# Where a network for thick slices may begin.
THICK_RANGE_MM = (1.0, 10.0)
_KEYS = ("id", "status", "network", "working_grid", "intensity_rule", "floor_threshold", "operating_points", "sha256")


@dataclass(frozen=True)
class OperatingPoint:
    """A named score threshold and how it did where it was measured.

    Attributes
    ----------
    threshold
        Candidates with this score or more are microbleeds.
    sensitivity
        Share of the reference microbleeds found there, 0..1.
    false_positives_per_scan
        Mean over all scans it was measured on.
    measured_on
        What those scans were.
    """

    threshold: float
    sensitivity: float
    false_positives_per_scan: float
    measured_on: str


@dataclass(frozen=True)
class Bundle:
    """A checked bundle on disk. Make it with `load_bundle`.

    Attributes
    ----------
    folder
        Where it lies.
    metadata
        Its whole ``configs/metadata.json``.
    operating_points
        Named thresholds, by name.
    """

    folder: Path
    metadata: dict[str, Any]
    operating_points: dict[str, OperatingPoint]

    @property
    def id(self) -> str:
        return str(self.metadata["cmbnet"]["id"])

    @property
    def name(self) -> str:
        return str(self.metadata["name"])

    @property
    def version(self) -> str:
        return str(self.metadata["version"])

    @property
    def status(self) -> str:
        """``preview`` or ``release``."""
        return str(self.metadata["cmbnet"]["status"])

    @property
    def weights_sha256(self) -> str:
        return str(self.metadata["cmbnet"]["sha256"][WEIGHTS])

    @property
    def pixel_mm(self) -> float:
        """In-plane voxel edge of the working grid."""
        return float(self.metadata["cmbnet"]["working_grid"]["pixel_mm"])

    @property
    def thinnest_slice_mm(self) -> float:
        """Thinner slices are averaged to this spacing; thicker ones are kept."""
        return float(self.metadata["cmbnet"]["working_grid"]["thinnest_slice_mm"])

    @property
    def is_told_places(self) -> bool:
        """Whether its network is told the kind of tissue of every voxel; see `places`."""
        return bool(self.metadata["cmbnet"]["network"].get("places", 0))

    @property
    def thick_slices_mm(self) -> float | None:
        """Slice spacing from which on its network for thick slices is used; None where it has one network."""
        least = self.metadata["cmbnet"].get("thick_slices_mm")
        return None if least is None else float(least)

    @property
    def floor_threshold(self) -> float:
        """Lowest score of a candidate that is kept."""
        return float(self.metadata["cmbnet"]["floor_threshold"])

    @property
    def evidence(self) -> dict[str, float]:
        """What one unit of each kind of evidence adds to the log-odds of a candidate; see `evidence`."""
        return _evidence(self.metadata["cmbnet"])

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error of the scores where it was measured; None where they are not calibrated."""
        error = self.metadata["cmbnet"].get("calibration_error")
        return None if error is None else float(error)

    @property
    def is_scored_otherwise(self) -> bool:
        """Whether its thresholds were measured by a version before 0.3.0, which scored candidates by their mean."""
        return not {"evidence", "unevenness_cost"} & set(self.metadata["cmbnet"])

    @property
    def model_card(self) -> str:
        """Text of the model card."""
        return (self.folder / MODEL_CARD).read_text(encoding="utf-8")

    def threshold(self, operating_point: str) -> float:
        """Threshold of a named operating point; `InputError` for one the bundle does not have."""
        if operating_point not in self.operating_points:
            known = ", ".join(self.operating_points)
            raise InputError(f"Model {self.id} has no operating point '{operating_point}'; choose one of {known}.")
        return self.operating_points[operating_point].threshold

    def load_network(self, slice_mm: float = 0.0) -> AnisotropicUNet:
        """Build the network for scans with slices so far apart and load its weights as float32, in evaluation mode.

        Raises
        ------
        BundleError
            A tensor is missing, too many, of another shape or not finite; those of the other network count too.
        """
        from .network import AnisotropicUNet, NetworkSpec

        described = {k: v for k, v in self.metadata["cmbnet"]["network"].items() if k != "architecture"}
        network = AnisotropicUNet(NetworkSpec(**{**described, "filters": tuple(described["filters"])}))
        least, expected = self.thick_slices_mm, network.state_dict()
        if least is not None:
            expected = with_thick(expected, expected)
        weights = load_weights(self.id, self.folder / WEIGHTS, expected)
        network.load_state_dict(for_slices(weights, least is not None and slice_mm >= least))
        return network.eval()


def load_bundle(folder: Path) -> Bundle:
    """Read and check a bundle folder: files, keys, hashes, values.

    Raises
    ------
    BundleError
        Names the bundle, what does not fit, and where.
    """
    folder = Path(folder)
    metadata = checked_metadata(folder, _KEYS)
    ours = metadata["cmbnet"]
    try:
        _check_values(ours)
        points = {name: OperatingPoint(**point) for name, point in ours["operating_points"].items()}
        _check_points(points)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BundleError(f"Model {folder.name}: {METADATA} does not describe a usable model ({error}).") from error
    return Bundle(folder, metadata, points)


def checked_metadata(folder: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Metadata of a complete bundle whose files are those it was made with and whose section has all ``keys``.

    Raises
    ------
    BundleError
        A file is missing or another one, the metadata cannot be read, a key is missing.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise BundleError(f"Model {folder.name} is not complete: {name} is missing in {folder}.")
    metadata = _read_metadata(folder, keys)
    for name in FILES[1:]:
        if metadata["cmbnet"]["sha256"].get(name) != sha256_of(folder / name):
            raise BundleError(f"Model {folder.name}: {name} is not the file the bundle was made with. Import it again.")
    return metadata


def find_bundle(model: str | None = None) -> Bundle:
    """The bundle called ``model`` (an id, or the path of a folder); the default one for None.

    Raises
    ------
    BundleError
        There is none, or it is refused.
    """
    model = model or DEFAULT_MODEL
    for folder in bundle_folders():
        if folder.name == model:
            return load_bundle(folder)
    if (Path(model) / METADATA).is_file():
        return load_bundle(Path(model))
    known = ", ".join(sorted(folder.name for folder in bundle_folders())) or "none"
    raise BundleError(f"There is no model '{model}'. Installed: {known}. Import one with: cmbnet model import FILE.zip")


def bundle_folders() -> Iterator[Path]:
    """Folders of the shipped lesion models, then of those the user imported; they may still be refused."""
    for root in (resource_path("Models"), user_models_dir()):
        if root.is_dir():
            found = sorted(path.parent.parent for path in root.glob(f"*/{METADATA}"))
            yield from (folder for folder in found if folder.name != ANATOMY_MODEL)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _read_metadata(folder: Path, keys: Sequence[str]) -> dict[str, Any]:
    try:
        metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BundleError(f"Model {folder.name}: {METADATA} cannot be read ({error}).") from error
    ours = metadata.get("cmbnet") if isinstance(metadata, dict) else None
    if not isinstance(ours, dict):
        raise BundleError(f"Model {folder.name}: {METADATA} has no section 'cmbnet', so it is not a model for CMBNet.")
    missing = [key for key in ("name", "version") if key not in metadata] + [k for k in keys if k not in ours]
    if missing:
        raise BundleError(f"Model {folder.name}: {METADATA} lacks {', '.join(missing)}.")
    if ours["id"] != folder.name:
        raise BundleError(f"Model {folder.name} calls itself '{ours['id']}'; folder and id have to agree.")
    return metadata


def _check_values(ours: dict[str, Any]) -> None:
    spec, grid = ours["network"], ours["working_grid"]
    if spec["architecture"] != "AnisotropicUNet":
        raise ValueError(f"unknown architecture '{spec['architecture']}'")
    keys = {"architecture", "filters", "classes", "pixel_mm"}
    if not keys <= set(spec) <= keys | {"places"} or not 2 <= int(spec["classes"]) <= 8:
        raise ValueError(f"network {spec}")
    if spec.get("places", 0) not in (0, len(PLACES) - 1):
        raise ValueError(f"{spec['places']} kinds of places; this version knows {len(PLACES) - 1}")
    filters = spec["filters"]
    if not 2 <= len(filters) <= MOST_LEVELS or not all(isinstance(n, int) and 1 <= n <= MOST_FILTERS for n in filters):
        raise ValueError(f"filters {filters}")
    if spec["pixel_mm"] != grid["pixel_mm"]:
        raise ValueError("the network and the working grid have different pixels")
    for key, (low, high) in (("pixel_mm", PIXEL_RANGE_MM), ("thinnest_slice_mm", SLICE_RANGE_MM)):
        if not low <= float(grid[key]) <= high:
            raise ValueError(f"{key} {grid[key]} is outside {low}-{high}")
    if ours["intensity_rule"] != "brain-median":
        raise ValueError(f"unknown intensity rule '{ours['intensity_rule']}'")
    if not 0 < float(ours["floor_threshold"]) < 1:
        raise ValueError(f"floor threshold {ours['floor_threshold']}")
    (low, high), least = THICK_RANGE_MM, ours.get("thick_slices_mm")
    if least is not None and not low <= float(least) <= high:
        raise ValueError(f"thick_slices_mm {least} is outside {low:g}-{high:g}")
    for name, weight in _evidence(ours).items():
        if name not in EVIDENCE or not abs(weight) <= MOST_EVIDENCE:
            raise ValueError(f"evidence '{name}' {weight}")
    if not 0 <= float(ours.get("calibration_error") or 0.0) <= 1:
        raise ValueError(f"calibration error {ours['calibration_error']}")


def _evidence(ours: dict[str, Any]) -> dict[str, float]:
    """Models of the versions 0.3 and 0.4 know of uneven surroundings only, and say what they cost."""
    if "evidence" in ours:
        return {str(name): float(weight) for name, weight in ours["evidence"].items()}
    return {UNEVENNESS: -float(ours.get("unevenness_cost", 0.0))}


def _check_points(points: dict[str, OperatingPoint]) -> None:
    if "balanced" not in points:
        raise ValueError("no operating point 'balanced'")
    for name, point in points.items():
        if not 0 < float(point.threshold) <= 1:
            raise ValueError(f"threshold {point.threshold} of '{name}'")
