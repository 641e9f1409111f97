"""One scan of a data set, read, checked and cleaned: the image and its marks, each with its own id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from CMBNetLib.errors import InputError
from CMBNetLib.files import scan_stem
from CMBNetLib.nifti_header import not_numbers
from CMBNetLib.volume import Volume, from_sitk, read_labels, read_volume
from CMBNetLib.volume_checks import checked_scan

from .scan_cleaning import DOTS_GAP_MM, INSTANCE_GAP_MM, double_points, filled, repair_values, split_by_distance
from .source_scan import BINARY, DOTS, SourceError, SourcePoint, SourceScan

GAPS_MM = {BINARY: 0.0, "instances": INSTANCE_GAP_MM, DOTS: DOTS_GAP_MM}
# Corners of two grids that hold the same voxels; headers round to about this.
SAME_GRID_MM = 0.1
# More labels than any patient has microbleeds: an anatomical label map was taken for a mask of microbleeds.
MOST_MICROBLEEDS = 2000
LARGEST_SHARE = 0.01
POINT, MASK = "point", "mask"
Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Mark:
    """One microbleed as the source marks it, on the scan's grid.

    Attributes
    ----------
    source_id : str
        How the source names it.
    kind : str
        ``point``, ``mask`` or ``dots`` (a rough mark inside the lesion).
    center_ras : tuple of float
        Centre, RAS mm.
    window, mask
        Place and bool crop of a mask or dots; the mask is None for a point.
    """

    source_id: str
    kind: str
    center_ras: tuple[float, float, float]
    window: Window | None = None
    mask: np.ndarray | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedScan:
    """A scan with its marks and the sentences about everything that was done to them."""

    scan: Volume
    marks: tuple[Mark, ...]
    mimics: tuple[Mark, ...] = ()
    steps: tuple[dict[str, Any], ...] = ()
    n_in_source: int = 0


def load_scan(source: SourceScan) -> LoadedScan:
    """Read, check and clean one scan.

    Raises
    ------
    SourceError
        The image or label is missing or damaged, their grids differ, a mark lies outside of the image, or the label
        has values it should not have.
    """
    steps: list[dict[str, Any]] = [{"step": "note", "message": note} for note in source.notes]
    scan = _read_image(source, steps)
    marks, count = _marks(source, scan, steps)
    mimics = _point_marks(source.mimics, scan, "mimic")
    return LoadedScan(scan, tuple(marks), tuple(mimics), tuple(steps), count)


def _read_image(source: SourceScan, steps: list[dict[str, Any]]) -> Volume:
    if not source.image.exists():
        raise SourceError(f"The image {source.image.name} is missing.", "missing_image")
    try:
        scan = read_volume(source.image)
    except InputError as error:
        scan = _read_masked(source.image, error, steps)
    steps += [{"step": "image", "message": text} for text in scan.metadata.get("warnings", [])]
    stated = {
        "sequence": source.sequence,
        "field_strength_t": source.field_strength_t,
        "echo_time_ms": source.echo_time_ms,
    }
    known = {key: value for key, value in scan.metadata.items() if value is not None}
    metadata = {**{key: value for key, value in stated.items() if value is not None}, **known}
    if source.sequence is not None:  # The name of a file says less than the data set.
        metadata["sequence"] = source.sequence
    return replace(scan, metadata=metadata)


def _read_masked(path: Path, error: InputError, steps: list[dict[str, Any]]) -> Volume:
    """Read a scan whose outside was made NaN (VALDO), which the usual reader refuses for its many missing values."""
    import SimpleITK as sitk

    if "not numbers" not in str(error):
        raise SourceError(f"{path.name}: {error}", "damaged") from error
    raw = from_sitk(sitk.ReadImage(str(path), sitk.sitkFloat32), scan_stem(path))
    array = raw.array
    if path.name.lower().endswith((".nii", ".nii.gz")):  # ITK makes them 0, which inside would be dark spots
        array = np.where(not_numbers(path), np.float32(np.nan), array)
    array, count = repair_values(array)
    text = (
        f"{count['outside']} voxels outside were not numbers and became 0, {count['inside']} inside the median around."
    )
    steps.append({"step": "values", "message": text, **count})
    try:
        return checked_scan(raw.with_array(array))
    except InputError as again:
        raise SourceError(f"{path.name}: {again}", "damaged") from again


def _marks(source: SourceScan, scan: Volume, steps: list[dict[str, Any]]) -> tuple[list[Mark], int]:
    """Return the clean marks, and how many the source has."""
    if source.points is not None:
        marks = _point_marks(source.points, scan, "microbleed")
        return _without_doubles(marks, steps), len(marks)
    if source.label is None:
        raise SourceError(f"{source.scan_id} has neither a label file nor points.", "missing_label")
    marks = _label_marks(source, _label_on(scan, source.label), steps)
    return marks, len(marks)


def _point_marks(points: Sequence[SourcePoint], scan: Volume, what: str) -> list[Mark]:
    marks, outside = [], []
    for point in points:
        position = np.asarray([point.position], dtype=float)
        with np.errstate(over="ignore", invalid="ignore"):  # 1e308 in a table is outside, and told as that below
            ras = scan.ras_from_ijk(position) if point.in_voxels else position
            ijk = scan.ijk_from_ras(ras)[0]
        if not np.isfinite(ijk).all() or (ijk < -0.5).any() or (ijk >= np.asarray(scan.shape_ijk) - 0.5).any():
            outside.append(f"{point.source_id} at voxel ({', '.join(f'{value:.1f}' for value in ijk)})")
            continue
        x, y, z = (float(value) for value in ras[0])
        marks.append(Mark(point.source_id, POINT, (x, y, z), attributes=point.attributes))
    if outside:
        size = " x ".join(map(str, scan.shape_ijk))
        text = f"{what} outside of the image ({size} voxels): {'; '.join(outside)}. Is it the right scan, or flipped?"
        raise SourceError(f"{len(outside)} {text}", "outside")
    return marks


def _without_doubles(marks: list[Mark], steps: list[dict[str, Any]]) -> list[Mark]:
    centres = np.array([mark.center_ras for mark in marks]).reshape(-1, 3)
    doubles = double_points(centres)
    for index, kept in doubles.items():
        away = float(np.linalg.norm(centres[index] - centres[kept]))
        text = f"{marks[index].source_id} is {marks[kept].source_id} again ({away:.2f} mm away) and was dropped."
        steps.append({"step": "double", "message": text, "dropped": marks[index].source_id})
    return [mark for index, mark in enumerate(marks) if index not in doubles]


def _label_on(scan: Volume, path: Path) -> Volume:
    if not path.exists():
        raise SourceError(f"The label {path.name} is missing.", "missing_label")
    try:
        labels = read_labels(path)
    except InputError as error:
        raise SourceError(f"{path.name}: {error}", "damaged") from error
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in scan.shape_ijk])).reshape(3, -1).T.astype(float)
    apart = np.linalg.norm(scan.ras_from_ijk(corners) - labels.ras_from_ijk(corners), axis=1).max()
    if labels.shape_ijk != scan.shape_ijk or apart > SAME_GRID_MM:
        raise SourceError(
            f"{path.name} ({labels.shape_ijk} voxels of {np.round(labels.spacing_mm, 3)} mm) is not on the grid of the "
            f"image ({scan.shape_ijk} of {np.round(scan.spacing_mm, 3)} mm); they lie up to {apart:.1f} mm apart. "
            "Resample the label to the image, or check that the two belong together.",
            "grid",
        )
    return labels


def _label_marks(source: SourceScan, labels: Volume, steps: list[dict[str, Any]]) -> list[Mark]:
    values = [int(value) for value in np.unique(labels.array) if value != 0]
    _check_values(source, labels, values)
    if not values:
        steps.append({"step": "empty", "message": "The label is empty: a scan without microbleeds."})
    marks: list[Mark] = []
    # Values may be as large as 2**31, and find_objects returns a list up to the largest.
    numbered = np.searchsorted([0, *values], labels.array).astype(np.int32)
    for value, box in zip(values, ndimage.find_objects(numbered), strict=True):
        attributes = (source.label_attributes or {}).get(value, {})
        if attributes is None:
            steps.append(
                {"step": "other", "message": f"The value {value} is no microbleed by the table of the source."}
            )
            continue
        marks += _marks_of_value(source, labels, value, box, attributes, steps)
    return marks


def _marks_of_value(
    source: SourceScan, labels: Volume, value: int, box: Any, attributes: Mapping[str, Any], steps: list[dict[str, Any]]
) -> list[Mark]:
    gap = GAPS_MM[source.label_kind]
    pieces, count = split_by_distance(labels.array[box] == value, labels.spacing_mm, gap)
    if count > MOST_MICROBLEEDS:
        raise SourceError(f"The value {value} has {count} pieces; that is noise, not microbleeds.", "values")
    if count > 1 and source.label_kind != BINARY:
        steps.append(
            {"step": "split", "message": f"The value {value} holds {count} microbleeds over {gap:g} mm apart."}
        )
    marks = []
    for number, inner in enumerate(ndimage.find_objects(pieces), 1):
        name = f"value {value}" + (f" piece {number}" if count > 1 else "")
        window = _inside(box, inner)
        marks.append(_mask_mark(source, labels, name, window, pieces[inner] == number, attributes, steps))
    return marks


def _mask_mark(
    source: SourceScan, labels: Volume, name: str, window: Window, piece: np.ndarray, attributes: Mapping[str, Any],
    steps: list[dict[str, Any]],
) -> Mark:  # fmt: skip
    if source.label_kind == DOTS:
        return Mark(name, DOTS, center_of(labels, piece, window), window, piece, attributes)
    solid = filled(piece)
    gained = int(solid.sum() - piece.sum())
    if gained:
        steps.append({"step": "holes", "message": f"{name}: {gained} voxels of holes were filled."})
    return Mark(name, MASK, center_of(labels, solid, window), window, solid, attributes)


def _inside(box: Window, inner: Window) -> Window:
    k, j, i = (slice(b.start + n.start, b.start + n.stop) for b, n in zip(box, inner, strict=True))
    return k, j, i


def center_of(grid: Volume, mask: np.ndarray, window: Window) -> tuple[float, float, float]:
    """Return the centre of mass (RAS mm) of a bool crop of a volume's array."""
    kji = np.argwhere(mask).mean(axis=0) + [side.start for side in window]
    x, y, z = grid.ras_from_ijk(kji[None, ::-1])[0]
    return float(x), float(y), float(z)


def _check_values(source: SourceScan, labels: Volume, values: list[int]) -> None:
    name = source.label.name if source.label else source.scan_id
    if values and min(values) < 0:
        raise SourceError(f"{name} holds negative values ({min(values)}); labels start at 0.", "values")
    if source.label_kind == BINARY and len(values) > 1:
        shown = ", ".join(map(str, values[:8]))
        raise SourceError(f"{name} should hold 0 and one other value, but holds {shown}. Is it a mask?", "values")
    if len(values) > MOST_MICROBLEEDS:
        raise SourceError(f"{name} holds {len(values)} values; is it an anatomical label map?", "values")
    share = float(np.count_nonzero(labels.array)) / labels.array.size
    if share > LARGEST_SHARE:
        raise SourceError(
            f"{name} marks {share:.0%} of the image, more than microbleeds can fill. Is it inverted, or another mask?",
            "values",
        )
    unnamed = [
        value for value in values if source.label_attributes is not None and value not in source.label_attributes
    ]
    if unnamed:
        raise SourceError(f"{name} holds the values {unnamed}, which the table of the source does not name.", "values")
