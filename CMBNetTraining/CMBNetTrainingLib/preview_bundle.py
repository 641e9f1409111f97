"""From a training run to a bundle with measured operating points and a model card."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from CMBNetLib.bundle import DEFAULT_MODEL, Bundle, OperatingPoint
from CMBNetLib.detection import DetectionSettings, detect
from CMBNetLib.network import NetworkSpec
from CMBNetLib.preparation import THINNEST_SLICE_MM
from CMBNetLib.volume import read_volume
from CMBNetTrainingLib.bundle_writing import BundleText, write_bundle
from CMBNetTrainingLib.preview_card import model_card
from CMBNetTrainingLib.preview_measure import Measured, choose_points, measure_folder

FLOOR_THRESHOLD = 0.05
UNMEASURED = {"balanced": OperatingPoint(0.5, 0.0, 0.0, "not measured yet")}


def averaged_weights(run: Path) -> dict[str, Tensor]:
    """The moving average of a run's weights."""
    tensors = load_file(run / "last.safetensors")
    return {k.removeprefix("average."): v for k, v in tensors.items() if k.startswith("average.")}


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
    weights = averaged_weights(run)

    def written(place: Path, points: dict[str, OperatingPoint], card: str) -> Bundle:
        text = BundleText(
            "CMBNet preview",
            card,
            license_file.read_text(encoding="utf-8"),
            change="first model, trained on synthetic scans only",
            description="Anisotropic 3D U-Net, trained on physically simulated scans. Preview: not for clinical use.",
            data_source="Scans simulated from public anatomical label maps; no patient scan was used in training",
            training=training,
        )
        return write_bundle(place, weights, NetworkSpec(), THINNEST_SLICE_MM, FLOOR_THRESHOLD, points, text)

    with tempfile.TemporaryDirectory() as temporary:
        draft = written(Path(temporary) / folder.name, UNMEASURED, "draft\n")
        scans: list[Measured] = []
        for scan in measure_folder(draft, validation):
            scans.append(scan)
            print(scan.name, f"{len(scan.hits)} microbleeds", f"{len(scan.false_scores)} false candidates", flush=True)
        points = choose_points(scans, f"{len(scans)} synthetic scans of 4 heads not used in training")
        on_real = real_false_positives(draft, real, [p.threshold for p in points.values()]) if real else None
    card = model_card(points, scans, on_real, training)
    print(card)
    return written(folder, points, card)


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
