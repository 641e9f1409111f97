"""From a training run to a bundle with measured operating points and a model card."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from CMBNetLib.bundle import (
    DEFAULT_MODEL,
    LICENSE,
    METADATA,
    MODEL_CARD,
    WEIGHTS,
    Bundle,
    OperatingPoint,
    load_bundle,
    sha256_of,
)
from CMBNetLib.detection import DetectionSettings, detect
from CMBNetLib.network import CLASSES, NetworkSpec
from CMBNetLib.preparation import PIXEL_MM, THINNEST_SLICE_MM
from CMBNetLib.volume import read_volume
from CMBNetTrainingLib.preview_card import model_card
from CMBNetTrainingLib.preview_measure import Measured, choose_points, measure_folder

FLOOR_THRESHOLD = 0.05
VERSION = "0.1.0"
UNMEASURED = {"balanced": OperatingPoint(0.5, 0.0, 0.0, "not measured yet")}


def write_bundle(
    folder: Path,
    weights: Path,
    points: dict[str, OperatingPoint],
    card: str,
    license_text: str,
    training: dict[str, Any],
) -> Bundle:
    """Write a bundle folder; ``weights`` is a float16 safetensors file. What was in the folder is replaced."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bundle-") as temporary:
        made = Path(temporary) / folder.name
        for name in (METADATA, WEIGHTS, MODEL_CARD):
            (made / name).parent.mkdir(parents=True)
        shutil.copyfile(weights, made / WEIGHTS)
        (made / MODEL_CARD).write_text(card, encoding="utf-8")
        (made / LICENSE).write_text(license_text, encoding="utf-8")
        hashes = {name: sha256_of(made / name) for name in (WEIGHTS, MODEL_CARD, LICENSE)}
        metadata = _metadata(folder.name, points, hashes, training)
        (made / METADATA).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
        load_bundle(made).load_network()
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    return load_bundle(folder)


def half_weights(run: Path, path: Path) -> None:
    """Write the moving average of a run's weights as float16 safetensors."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(run / "last.safetensors")
    average = {k.removeprefix("average."): v for k, v in tensors.items() if k.startswith("average.")}
    half = {k: v.to(torch.float16) if v.is_floating_point() else v for k, v in average.items()}
    save_file({k: v.contiguous() for k, v in half.items()}, path)


def _metadata(
    model: str, points: dict[str, OperatingPoint], hashes: dict[str, str], training: dict[str, Any]
) -> dict[str, Any]:
    import torch

    channels = {str(n): name for n, name in enumerate(CLASSES)}
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": 1,
        "spatial_shape": ["*", "2*n", "2*n"],
    }
    return {
        "version": VERSION,
        "changelog": {VERSION: "first model, trained on synthetic scans only"},
        "pytorch_version": str(torch.__version__).split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": "0.4"},
        "name": "CMBNet preview",
        "task": "Detection and segmentation of cerebral microbleeds on T2*-weighted and SWI MRI",
        "description": "Anisotropic 3D U-Net, trained on physically simulated scans. Preview: not for clinical use.",
        "authors": "SlicerCMBNet maintainers",
        "copyright": "SlicerCMBNet contributors, Apache-2.0",
        "data_source": "Scans simulated from public anatomical label maps; no patient scan was used in training",
        "intended_use": "Research. Not a medical device.",
        "network_data_format": {
            "inputs": {"image": {**image, "dtype": "float32", "value_range": [-2, 3], "is_patch_data": True}},
            "outputs": {
                "pred": {**image, "type": "probabilities", "num_channels": len(CLASSES), "channel_def": channels}
            },
        },
        "cmbnet": {
            "id": model,
            "status": "preview",
            "network": NetworkSpec().to_dict(),
            "working_grid": {"pixel_mm": PIXEL_MM, "thinnest_slice_mm": THINNEST_SLICE_MM},
            "intensity_rule": "brain-median",
            "floor_threshold": FLOOR_THRESHOLD,
            "operating_points": {name: asdict(point) for name, point in points.items()},
            "training_data": training,
            "sha256": hashes,
        },
    }


def real_false_positives(bundle: Bundle, scan: Path, thresholds: Sequence[float]) -> list[int]:
    """Number of microbleeds reported in a scan that has none, at each threshold."""
    scores = [c.score for c in detect(read_volume(scan), bundle, DetectionSettings(threshold=0.5)).candidates]
    return [sum(score >= threshold for score in scores) for threshold in thresholds]


def build(run: Path, validation: Path, real: Path | None, folder: Path, license_file: Path, label_maps: int) -> Bundle:
    """Export, measure on ``validation`` (and the microbleed-free ``real`` scan), write the final bundle."""
    progress = json.loads((run / "progress.json").read_text())
    training = {
        "label_maps": label_maps,
        "real_scans": 0,
        "steps": progress["step"],
        "core_minutes": round(2 * progress["elapsed_s"] / 60),
        "simulated": True,
    }
    license_text = license_file.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        weights = Path(temporary) / "model.safetensors"
        half_weights(run, weights)
        draft = write_bundle(Path(temporary) / folder.name, weights, UNMEASURED, "draft\n", license_text, training)
        scans: list[Measured] = []
        for scan in measure_folder(draft, validation):
            scans.append(scan)
            print(scan.name, f"{len(scan.hits)} microbleeds", f"{len(scan.false_scores)} false candidates", flush=True)
        points = choose_points(scans, f"{len(scans)} synthetic scans of 4 heads not used in training")
        on_real = real_false_positives(draft, real, [p.threshold for p in points.values()]) if real else None
        card = model_card(points, scans, on_real, training)
        print(card)
        return write_bundle(folder, weights, points, card, license_text, training)


def main() -> None:
    """Command line: `python -m CMBNetTrainingLib.preview_bundle RUN VALIDATION BUNDLE --real SCAN`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("validation", type=Path)
    parser.add_argument("bundle", type=Path, help=f"folder to write, for example Resources/Models/{DEFAULT_MODEL}")
    parser.add_argument("--real", type=Path, help="a real scan without microbleeds, for its false positives")
    parser.add_argument("--license", type=Path, default=Path("LICENSE"))
    args = parser.parse_args()
    args.bundle.parent.mkdir(parents=True, exist_ok=True)
    build(args.run, args.validation, args.real, args.bundle, args.license, 12)


if __name__ == "__main__":
    main()
