"""What a training will see: its first patches as they are cut, and what each augmentation preset makes of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from CMBNetLib.errors import InputError
from CMBNetLib.files import atomic_output
from CMBNetLib.progress import Progress
from CMBNetLib.volume import Volume, write_volume
from CMBNetTrainingLib.augmentation import Augmentation
from CMBNetTrainingLib.collection_splits import TRAIN
from CMBNetTrainingLib.patches import Draw, PatchPlan, patch_size, sampling_of
from CMBNetTrainingLib.training_config import TrainingConfig
from CMBNetTrainingLib.training_data import PatchMaker
from CMBNetTrainingLib.training_manifest import ScanEntry
from CMBNetTrainingLib.training_scans import ScanCache
from CMBNetTrainingLib.truth import MICROBLEED

SHOWN = ("default", "seed")
# Changes shown of each preset: many are rare, and one picture would show none of them.
TIMES = 2
PATCHES = 6
PICTURE = "preview.png"


@dataclass(frozen=True, eq=False)
class Shown:
    """A patch and what was made of it: name -> image and classes, [k, j, i]."""

    title: str
    spacing_mm: tuple[float, float, float]
    variants: dict[str, tuple[np.ndarray, np.ndarray]]


def preview_patches(
    config: TrainingConfig, entries: Sequence[ScanEntry], folder: Path, progress: Progress
) -> tuple[Path, list[dict[str, Any]]]:
    """Write ``preview.png`` and, for slice views, NIfTI files of each patch.

    Returns
    -------
    path, list of dict
        The picture, and of each patch its ``title``, ``classes`` and files by variant (``plain``, ``default 1`` ...).
    """
    network = config.network
    train = [entry for entry in entries if entry.split == TRAIN]
    if not train:
        raise InputError("No scan of the manifests has the split 'train', so there is no patch to show.")
    cache = ScanCache(Path(config.run) / "cache", network.pixel_mm, network.thinnest_slice_mm)
    scans = cache.fill(train, progress)
    sampling = sampling_of(config.sampling)
    plan = PatchPlan(scans, config.phases[0], network, sampling, 1, (config.seed, 0))
    maker = PatchMaker(scans, sampling, "none", network.classes, config.sampling.fresh_lesions)
    cube = sampling.pixels == sampling.slices
    changes = {name: Augmentation(name, cube=cube) for name in SHOWN}
    shown = []
    for number in range(PATCHES):
        progress.check_cancelled()
        batch = plan[number]
        draw, scan = batch.draws[0], scans[batch.draws[0].scan]
        size = patch_size(sampling, scan.slice_mm, batch.thick)
        spacing = (network.pixel_mm, network.pixel_mm, scan.slice_mm * batch.thick)
        shown.append(_shown(maker, changes, draw, size, batch.thick, spacing))
    with atomic_output(folder / PICTURE) as temporary:
        temporary.write_bytes(_picture(shown))
    return folder / PICTURE, [_written(folder, number, patch) for number, patch in enumerate(shown, 1)]


def _shown(
    maker: PatchMaker,
    changes: dict[str, Augmentation],
    draw: Draw,
    size: tuple[int, int, int],
    thick: int,
    spacing_mm: tuple[float, float, float],
) -> Shown:
    image, classes, places = (tensor.numpy() for tensor in maker.patch(draw, size, thick))
    variants = {"plain": (image, classes)}
    for name, change in changes.items():
        for time in range(TIMES):
            changed = change(image, classes, places, draw.seed + time)
            variants[f"{name} {time + 1}"] = (changed[0].numpy(), changed[1].numpy())
    return Shown(f"{maker.scans[draw.scan].entry.scan_id}, {draw.kind}", spacing_mm, variants)


def _written(folder: Path, number: int, patch: Shown) -> dict[str, Any]:
    matrix = np.diag([*patch.spacing_mm, 1.0])
    files = {}
    for name, (image, classes) in patch.variants.items():
        stem = folder / f"patch_{number:02d}_{name.replace(' ', '_')}"
        files[name] = {"image": f"{stem}.nii.gz", "classes": f"{stem}_classes.nii.gz"}
        volume = Volume(image.astype(np.float32), matrix, name)
        write_volume(volume, Path(files[name]["image"]), dtype=np.float32)
        write_volume(volume.with_array(classes), Path(files[name]["classes"]))
    return {"title": patch.title, "files": files}


def _picture(shown: Sequence[Shown]) -> bytes:
    """PNG: one row a patch, one column a variant, the slice with most of a microbleed, which is outlined."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(shown[0].variants)
    figure = Figure(figsize=(1.9 * len(names), 2.0 * len(shown)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(shown), len(names), squeeze=False)
    for row, patch in enumerate(shown):
        for column, name in enumerate(names):
            axes = grid[row, column]
            _draw(axes, *patch.variants[name])
            if row == 0:
                axes.set_title(name, fontsize=9)
        grid[row, 0].set_ylabel(patch.title, fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw(axes: Any, image: np.ndarray, classes: np.ndarray) -> None:
    lesion = classes == MICROBLEED
    k = int(lesion.sum((1, 2)).argmax()) if lesion.any() else len(image) // 2
    axes.imshow(image[k], cmap="gray", vmin=-2, vmax=1.5, origin="lower", interpolation="nearest")
    if lesion[k].any():
        axes.contour(lesion[k], levels=[0.5], colors="#E69F00", linewidths=0.8)
    axes.set(xticks=[], yticks=[])
