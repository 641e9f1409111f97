"""Writing a bundle: weights, metadata with hashes, model card, licence, checked as a reader will check them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from CMBNetLib import __version__
from CMBNetLib.bundle import LICENSE, METADATA, MODEL_CARD, Bundle, OperatingPoint, load_bundle, sha256_of
from CMBNetLib.bundle_weights import WEIGHTS, stored
from CMBNetLib.network import CLASSES, NetworkSpec


@dataclass(frozen=True)
class BundleText:
    """What a bundle says about itself."""

    name: str
    card: str
    license: str
    version: str = __version__
    change: str = "first model"
    description: str = "Anisotropic 3D U-Net for cerebral microbleeds. For research use, not a medical device."
    data_source: str = ""
    status: str = "preview"
    training: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)  # by file name, beside the card that shows them


@dataclass(frozen=True)
class Grading:
    """How candidates are graded: lowest score that is kept, operating points, weights of the evidence.

    ``calibration_error`` is that of the scores, None where they are not calibrated.
    """

    floor: float
    points: Mapping[str, OperatingPoint]
    evidence: Mapping[str, float] = field(default_factory=dict)
    calibration_error: float | None = None


def write_bundle(
    folder: Path,
    weights: Mapping[str, Tensor],
    spec: NetworkSpec,
    thinnest_slice_mm: float,
    grading: Grading,
    text: BundleText,
    thick_slices_mm: float | None = None,
) -> Bundle:
    """Write a bundle folder. What was in the folder is replaced at the end.

    Parameters
    ----------
    folder
        Its name is the model's id.
    weights
        Tensors of the network, and of one for thick slices as `bundle_weights.with_thick` puts them together.
    thick_slices_mm
        Slice spacing from which on that one is used.

    Raises
    ------
    BundleError
        The weights do not fit the network, or a value is outside of what a bundle may say.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bundle-") as temporary:
        made = Path(temporary) / folder.name
        for name in (METADATA, WEIGHTS, MODEL_CARD):
            (made / name).parent.mkdir(parents=True)
        save_file(stored(weights), made / WEIGHTS)
        (made / MODEL_CARD).write_text(text.card, encoding="utf-8")
        for name, png in text.pictures.items():
            (made / MODEL_CARD).with_name(name).write_bytes(png)
        (made / LICENSE).write_text(text.license, encoding="utf-8")
        ours = {
            "id": folder.name,
            "status": text.status,
            "network": spec.to_dict(),
            "working_grid": {"pixel_mm": spec.pixel_mm, "thinnest_slice_mm": thinnest_slice_mm},
            "thick_slices_mm": thick_slices_mm,
            "intensity_rule": "brain-median",
            "floor_threshold": grading.floor,
            "evidence": dict(grading.evidence),
            "calibration_error": grading.calibration_error,
            "operating_points": {name: asdict(point) for name, point in grading.points.items()},
            "training_data": dict(text.training),
            "sha256": {name: sha256_of(made / name) for name in (WEIGHTS, MODEL_CARD, LICENSE)},
        }
        metadata = {**_described(spec, text), "cmbnet": ours}
        (made / METADATA).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
        load_bundle(made).load_network()
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    return load_bundle(folder)


def _described(spec: NetworkSpec, text: BundleText) -> dict[str, Any]:
    """The keys every MONAI bundle has."""
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": 1,
        "spatial_shape": ["*", "2*n", "2*n"],
    }
    channels = {str(n): name for n, name in enumerate(CLASSES[: spec.classes])}
    outputs = {**image, "type": "probabilities", "num_channels": spec.classes, "channel_def": channels}
    return {
        "version": text.version,
        "changelog": {text.version: text.change},
        "pytorch_version": str(torch.__version__).split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": "0.4"},
        "name": text.name,
        "task": "Detection and segmentation of cerebral microbleeds on T2*-weighted and SWI MRI",
        "description": text.description,
        "authors": "SlicerCMBNet maintainers",
        "copyright": "SlicerCMBNet contributors, Apache-2.0",
        "data_source": text.data_source,
        "intended_use": "Research. Not a medical device.",
        "network_data_format": {
            "inputs": {"image": {**image, "dtype": "float32", "value_range": [-2, 3], "is_patch_data": True}},
            "outputs": {"pred": outputs},
        },
    }
