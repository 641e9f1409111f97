"""Scans as training reads them: prepared once, kept in a cache on disk, mapped into memory, cut into patches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from CMBNetLib.anatomy import find_anatomy
from CMBNetLib.anatomy_bundle import anatomy_network, load_anatomy_bundle
from CMBNetLib.errors import InputError
from CMBNetLib.evidence import fluid_of
from CMBNetLib.files import atomic_output
from CMBNetLib.grid import Grid
from CMBNetLib.places import FIRST_TISSUE, UNKNOWN, prepare_with
from CMBNetLib.preparation import Prepared, prepare
from CMBNetLib.progress import Progress
from CMBNetLib.ventricles import ventricle_interior
from CMBNetLib.volume import Volume, read_labels, read_volume, resample_to

from .training_manifest import ScanEntry
from .truth import BACKGROUND, IGNORE, MICROBLEED, MIMIC

# Places to centre patches on that are kept of one kind; more are not needed and cost memory.
MOST_CENTERS = 20_000
# What lies further than this from the brain (mm) is not judged: the detector never looks there.
REACH_MM = 3.0
ARRAYS = ("image", "brain", "ventricles", "tissue", "places", "lesions", "classes", "fluid")
KINDS = ("lesion", "mimic", "brain")
_GRID_TOLERANCE_MM = 1e-2


@dataclass(frozen=True, eq=False)
class TrainingScan:
    """A scan on the working grid.

    Attributes
    ----------
    entry : ScanEntry
    image : ndarray of float16, [k, j, i]
        Normalised, mapped from the disk.
    classes : ndarray of uint8
        0 background, 1 microbleed, 2 mimic, 255 not to be judged.
    lesions : ndarray of uint16
        One value for each microbleed, for validation.
    fluid : Volume
        Where no tissue is, on a grid of its own; see `CMBNetLib.evidence.fluid_of`.
    brain, ventricles, tissue : ndarray of uint8
        Masks; no ventricles where the brain mask came with the scan. Tissue is where microbleeds may be.
    places : ndarray of uint8
        Kinds of places (`CMBNetLib.places.PLACES`); unknown where only a brain mask came with the scan.
    centers : dict
        Kind -> (n, 3) voxels k, j, i; lesions have one list each in ``lesion_voxels``.
    lesion_voxels : list of ndarray
        (n, 3) voxels k, j, i of each microbleed.
    ijk_to_ras : ndarray
    """

    entry: ScanEntry
    image: np.ndarray
    classes: np.ndarray
    lesions: np.ndarray
    brain: np.ndarray
    ventricles: np.ndarray
    tissue: np.ndarray
    places: np.ndarray
    centers: dict[str, np.ndarray]
    lesion_voxels: list[np.ndarray]
    ijk_to_ras: np.ndarray
    fluid: Volume

    @property
    def slice_mm(self) -> float:
        """Slice spacing."""
        return float(np.linalg.norm(self.ijk_to_ras[:3, 2]))

    def prepared(self) -> Prepared:
        """The scan as inference takes it."""
        image = Volume(np.asarray(self.image, np.float32), self.ijk_to_ras, self.entry.scan_id)
        return Prepared(image, np.asarray(self.brain) > 0, np.asarray(self.places))


class ScanCache:
    """Prepared scans in a folder, one subfolder each.

    Parameters
    ----------
    folder
        Made where it is not there. A scan whose files or working grid changed is prepared again, and one whose brain
        another version of the anatomy model found.
    pixel_mm, thinnest_slice_mm
        Working grid.
    """

    def __init__(self, folder: Path, pixel_mm: float, thinnest_slice_mm: float) -> None:
        self.folder, self._pixel_mm, self._thinnest_mm = folder, pixel_mm, thinnest_slice_mm

    def fill(self, entries: Sequence[ScanEntry], progress: Progress) -> list[TrainingScan]:
        """Prepare what is not there yet and open all."""
        scans = []
        for entry in entries:
            progress.check_cancelled()
            if not self._is_current(entry):
                progress.stage("prepare", f"Preparing {entry.scan_id}")
                self._prepare(entry)
            scans.append(self._open(entry))
        return scans

    def _path(self, entry: ScanEntry, name: str) -> Path:
        return self.folder / entry.scan_id / name

    def _key(self, entry: ScanEntry) -> str:
        stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in entry.files]
        anatomy = "" if entry.brain else _anatomy_version()
        text = json.dumps([stamps, entry.prepared, self._pixel_mm, self._thinnest_mm, ARRAYS, anatomy])
        return hashlib.sha256(text.encode()).hexdigest()

    def _is_current(self, entry: ScanEntry) -> bool:
        try:
            return json.loads(self._path(entry, "info.json").read_text())["key"] == self._key(entry)
        except (OSError, ValueError, KeyError):
            return False

    def _prepare(self, entry: ScanEntry) -> None:
        info = self._path(entry, "info.json")
        info.unlink(missing_ok=True)
        image, fluid, arrays = on_working_grid(entry, self._pixel_mm, self._thinnest_mm)
        arrays |= {"image": image.array.astype(np.float16), "fluid": fluid.array}
        matrices = {"ijk_to_ras": image.ijk_to_ras.tolist(), "fluid_to_ras": fluid.ijk_to_ras.tolist()}
        for name, array in arrays.items():
            with atomic_output(self._path(entry, f"{name}.npy")) as temporary:
                np.save(temporary, array)
        with atomic_output(info) as temporary:
            temporary.write_text(json.dumps({"key": self._key(entry), **matrices}))

    def _open(self, entry: ScanEntry) -> TrainingScan:
        arrays = {name: np.load(self._path(entry, f"{name}.npy"), mmap_mode="r") for name in ARRAYS}
        info: dict[str, Any] = json.loads(self._path(entry, "info.json").read_text())
        classes, lesions = np.asarray(arrays["classes"]), np.asarray(arrays["lesions"])
        centers = {
            "lesion": np.argwhere(classes == MICROBLEED),
            "mimic": _thinned(np.argwhere(classes == MIMIC)),
            "brain": _thinned(np.argwhere(np.asarray(arrays["brain"]) > 0)),
        }
        return TrainingScan(
            entry, arrays["image"], arrays["classes"], arrays["lesions"], arrays["brain"], arrays["ventricles"],
            arrays["tissue"], arrays["places"], centers, voxels_by_label(lesions), np.asarray(info["ijk_to_ras"]),
            Volume(arrays["fluid"], np.asarray(info["fluid_to_ras"]), entry.scan_id),
        )  # fmt: skip


@lru_cache(maxsize=1)
def _anatomy_version() -> str:
    return load_anatomy_bundle().version


def on_working_grid(
    entry: ScanEntry, pixel_mm: float, thinnest_slice_mm: float
) -> tuple[Volume, Volume, dict[str, np.ndarray]]:
    """A scan on the working grid, where in it no tissue is, and the other arrays of `TrainingScan` by name.

    Raises
    ------
    InputError
        A file cannot be used, label and image lie on different grids, or a prepared image has another pixel.
    """
    scan = read_volume(entry.image, whole=entry.brain is None)
    prepared, fluid, ventricles = _prepared(entry, scan, pixel_mm, thinnest_slice_mm)
    grid = prepared.image.grid
    lesions = _labels_on(entry, entry.label, scan, grid)
    classes = _labels_on(entry, entry.classes, scan, grid).astype(np.uint8)
    classes[lesions > 0] = MICROBLEED
    classes[(lesions == 0) & (classes == MICROBLEED)] = BACKGROUND
    reach = ndimage.distance_transform_edt(~prepared.brain, sampling=prepared.image.spacing_mm[::-1])
    classes[(reach > REACH_MM) & (classes != MICROBLEED)] = IGNORE
    places = prepared.places
    if entry.places is not None:
        places = _labels_on(entry, entry.places, scan, grid).astype(np.uint8)
    if places is None:
        places = np.full(prepared.brain.shape, UNKNOWN, np.uint8)
    tissue = prepared.brain & ~ventricles & ((places >= FIRST_TISSUE) | (places == UNKNOWN))
    masks = {"brain": prepared.brain, "ventricles": ventricles, "tissue": tissue}
    return (
        prepared.image,
        fluid,
        {
            **{name: mask.astype(np.uint8) for name, mask in masks.items()},
            "places": places,
            "lesions": lesions,
            "classes": classes,
        },
    )


def _prepared(
    entry: ScanEntry, scan: Volume, pixel_mm: float, thinnest_slice_mm: float
) -> tuple[Prepared, Volume, np.ndarray]:
    """The scan as inference takes it, by the brain mask that came with it or as detection finds it; fluid, ventricles.

    Fluid is all that is outside of a mask that came with the scan.
    """
    brain = read_labels(entry.brain) if entry.brain else None
    if entry.prepared and brain is not None:
        _check_pixel(entry, scan, pixel_mm)
        prepared, inside = Prepared(scan, brain.array > 0), None
    elif brain is not None:
        prepared, inside = prepare(scan, brain, pixel_mm=pixel_mm, thinnest_slice_mm=thinnest_slice_mm), None
    else:
        anatomy = find_anatomy(scan, anatomy_network())
        prepared = prepare_with(scan, anatomy, pixel_mm=pixel_mm, thinnest_slice_mm=thinnest_slice_mm)
        inside = ventricle_interior(anatomy, prepared.image)
    fluid = fluid_of(anatomy) if brain is None else brain.with_array((brain.array == 0).astype(np.uint8))
    return prepared, fluid, np.zeros(prepared.brain.shape, bool) if inside is None else inside


def voxels_by_label(labels: np.ndarray) -> list[np.ndarray]:
    """(n, 3) voxels k, j, i of each value above 0."""
    where = np.argwhere(labels > 0)
    values = labels[tuple(where.T)]
    order = np.argsort(values, kind="stable")
    edges = np.flatnonzero(np.diff(values[order])) + 1
    return np.split(where[order], edges) if len(where) else []


def _labels_on(entry: ScanEntry, path: Path | None, scan: Volume, grid: Grid) -> np.ndarray:
    """Label values on the working grid by nearest neighbour; a value that falls between voxels keeps its centre."""
    i, j, k = grid.shape_ijk
    if path is None:
        return np.zeros((k, j, i), np.uint16)
    labels = read_labels(path)
    _check_grid(entry, path, scan, labels)
    if labels.array.shape == (k, j, i) and np.allclose(labels.ijk_to_ras, grid.ijk_to_ras, atol=1e-6):
        return labels.array.astype(np.uint16)
    out = resample_to(labels, grid, interpolation="nearest").array.astype(np.uint16)
    for value in np.setdiff1d(np.unique(labels.array), np.append(np.unique(out), 0)):
        center = labels.ras_from_ijk(np.argwhere(labels.array == value)[:, ::-1]).mean(0)
        ijk = np.rint(center @ np.linalg.inv(grid.ijk_to_ras)[:3, :3].T + np.linalg.inv(grid.ijk_to_ras)[:3, 3])
        place = ijk[::-1].astype(int)
        if np.all(place >= 0) and np.all(place < out.shape):
            out[tuple(place)] = value
    return out


def _check_grid(entry: ScanEntry, path: Path, scan: Volume, labels: Volume) -> None:
    same = labels.array.shape == scan.array.shape
    if not same or np.abs(labels.ijk_to_ras - scan.ijk_to_ras).max() > _GRID_TOLERANCE_MM:
        raise InputError(
            f"{entry.scan_id}: {path.name} ({_grid_text(labels)}) does not lie on the grid of {entry.image.name} "
            f"({_grid_text(scan)}). Let `cmbnet curate` bring them together."
        )


def _check_pixel(entry: ScanEntry, scan: Volume, pixel_mm: float) -> None:
    if abs(scan.spacing_mm[0] - pixel_mm) > 0.01 * pixel_mm:
        raise InputError(
            f"{entry.scan_id} was curated with pixels of {scan.spacing_mm[0]:.3g} mm, the network works on "
            f"{pixel_mm:g} mm. Curate with --pixel-mm {pixel_mm:g}, or set network.pixel_mm."
        )


def _grid_text(volume: Volume) -> str:
    size = " x ".join(str(n) for n in volume.shape_ijk)
    return f"{size} voxels of {' x '.join(f'{edge:.3g}' for edge in volume.spacing_mm)} mm"


def _thinned(voxels: np.ndarray) -> np.ndarray:
    # A copy: a view would keep all voxels of every scan in memory.
    return voxels[:: max(1, -(-len(voxels) // MOST_CENTERS))].copy()
