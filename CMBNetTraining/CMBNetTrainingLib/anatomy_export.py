"""From a run of the anatomy training to a bundle with measured figures, model card, log and curve."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from CMBNetLib import __version__
from CMBNetLib.anatomy import find_anatomy
from CMBNetLib.anatomy_bundle import INTENSITY_RULE, AnatomyBundle, load_anatomy_bundle
from CMBNetLib.anatomy_tissues import TISSUES
from CMBNetLib.bundle import LICENSE, METADATA, MODEL_CARD, sha256_of
from CMBNetLib.bundle_weights import WEIGHTS
from CMBNetLib.files import atomic_output
from CMBNetTrainingLib.anatomy_card import model_card
from CMBNetTrainingLib.anatomy_measure import AnatomyScore, measure
from CMBNetTrainingLib.anatomy_scans import read_scans
from CMBNetTrainingLib.anatomy_training import read_run


def half_weights(run: Path, path: Path) -> None:
    """Write the moving average of a run's weights as float16 safetensors."""
    half = {k: v.to(torch.float16) if v.is_floating_point() else v for k, v in read_run(run)[0].items()}
    save_file({k: v.contiguous() for k, v in half.items()}, path)


def write_bundle(
    folder: Path,
    weights: Path,
    network: dict[str, Any],
    card: str,
    license_text: str,
    measured: dict[str, Any],
    training: dict[str, Any],
) -> AnatomyBundle:
    """Write a bundle folder and check it; ``network`` is `AnatomySpec.to_dict`. What was in the folder is replaced."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bundle-") as temporary:
        made = Path(temporary) / folder.name
        for name in (METADATA, WEIGHTS, MODEL_CARD):
            (made / name).parent.mkdir(parents=True)
        shutil.copyfile(weights, made / WEIGHTS)
        (made / MODEL_CARD).write_text(card, encoding="utf-8")
        (made / LICENSE).write_text(license_text, encoding="utf-8")
        hashes = {name: sha256_of(made / name) for name in (WEIGHTS, MODEL_CARD, LICENSE)}
        metadata = _metadata(folder.name, network, measured, training, hashes)
        (made / METADATA).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
        load_anatomy_bundle(made).load_network()
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    return load_anatomy_bundle(folder)


def _metadata(
    model: str, network: dict[str, Any], measured: dict[str, Any], training: dict[str, Any], hashes: dict[str, str]
) -> dict[str, Any]:
    image = {"type": "image", "format": "magnitude", "modality": "MR", "spatial_shape": ["n", "2*n", "2*n"]}
    channels = {str(n): name for n, name in enumerate([*TISSUES, "right against left (logit)"])}
    return {
        "version": __version__,
        "changelog": {__version__: "trained on samples made of label maps only"},
        "pytorch_version": str(torch.__version__).split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": "0.4"},
        "name": "CMBNet anatomy",
        "task": "Brain mask, tissues and side on T2*-weighted and SWI MRI of any orientation and slice thickness",
        "description": "Small 3D U-Net on voxels of 1 x 1 x 2 mm, trained on random and physical contrasts.",
        "authors": "SlicerCMBNet maintainers",
        "copyright": "SlicerCMBNet contributors, Apache-2.0",
        "data_source": "Images simulated from public anatomical label maps; no patient scan was used in training",
        "intended_use": "Research. Not a medical device.",
        "network_data_format": {
            "inputs": {"image": {**image, "num_channels": 1, "dtype": "float32", "value_range": [-1, 3]}},
            "outputs": {"pred": {**image, "type": "logits", "num_channels": len(channels), "channel_def": channels}},
        },
        "cmbnet": {
            "id": model,
            "task": "anatomy",
            "network": network,
            "intensity_rule": INTENSITY_RULE,
            "measured": measured,
            "training_data": training,
            "sha256": hashes,
        },
    }


def measure_network(bundle: AnatomyBundle, scans: Path) -> list[AnatomyScore]:
    """Scores of the network, with the classical method where it is not believed."""
    network = bundle.load_network()
    return [measure(scan, lambda volume: find_anatomy(volume, network)) for scan in read_scans(scans)]


def measure_classical(scans: Path) -> list[AnatomyScore]:
    """Scores of the classical mask with the atlas; what was measured once is kept beside the scans."""
    kept = scans / "classical.json"
    if not kept.exists():
        scores = [asdict(measure(scan, find_anatomy)) for scan in read_scans(scans)]
        with atomic_output(kept) as path:
            path.write_text(json.dumps(scores, indent=1))
    return [AnatomyScore(**score) for score in json.loads(kept.read_text())]


def summary(scores: Sequence[AnatomyScore]) -> dict[str, Any]:
    """Means over scans, for the metadata."""
    return {
        "scans": len(scores),
        "on": "simulated scans of four heads not used in training",
        "brain_dice": round(float(np.mean([s.brain_dice for s in scores])), 4),
        "mean_region_dice": round(float(np.mean([s.mean_region_dice for s in scores])), 4),
        "zone_right": round(float(np.mean([s.zone_right for s in scores])), 4),
        "side_right": round(float(np.mean([s.side_right for s in scores])), 4),
        "seconds_a_scan": round(float(np.mean([s.seconds for s in scores])), 2),
    }


def build(run: Path, scans: Path, folder: Path, license_file: Path, docs: Path | None) -> AnatomyBundle:
    """Export a run, measure it on the simulated ``scans``, write the bundle, and log and curve into ``docs``."""
    config = json.loads((run / "config.json").read_text())
    rows = read_log(run)
    training = {"label_maps": config["label_maps"], "real_scans": 0, "steps": int(rows[-1]["step"]),
                "steps_before": config["steps_before"], "device": config["device"],
                "minutes": round(float(rows[-1]["elapsed_s"]) / 60), "simulated": True,
                "share": f"{float(rows[-1]['elapsed_s']) / (60 * config['minutes']):.0%}"}  # fmt: skip
    license_text = license_file.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        weights = Path(temporary) / "model.safetensors"
        half_weights(run, weights)
        draft = write_bundle(
            Path(temporary) / folder.name, weights, config["network"], "draft\n", license_text, {}, training
        )
        ours, classical = measure_network(draft, scans), measure_classical(scans)
        card = model_card(ours, classical, training)
        print(card)
        bundle = write_bundle(folder, weights, config["network"], card, license_text, summary(ours), training)
    (run / "scores.json").write_text(json.dumps({"network": [asdict(s) for s in ours],
                                                 "classical": [asdict(s) for s in classical]}, indent=1))  # fmt: skip
    if docs is not None:
        docs.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run / "log.csv", docs / "anatomy_training.csv")
        shutil.copyfile(run / "config.json", docs / "anatomy_training.json")
        draw_curve(rows, docs / "anatomy_training.png")
    return bundle


def read_log(run: Path) -> list[dict[str, str]]:
    """Rows of ``log.csv``."""
    with (run / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def draw_curve(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Loss and validation Dice over steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3), dpi=80)
    left.plot([int(r["step"]) for r in rows], [float(r["loss"]) for r in rows], color="#3465a4", linewidth=1)
    left.set(xlabel="step", ylabel="training loss")
    judged = [r for r in rows if r["brain_dice"]]
    for key, label in (("brain_dice", "brain"), ("mean_tissue_dice", "mean tissue"), ("side_right", "side right")):
        right.plot([int(r["step"]) for r in judged], [float(r[key]) for r in judged], marker=".", label=label)
    right.set(xlabel="step", ylabel="validation patches", ylim=(0, 1))
    right.legend(frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
