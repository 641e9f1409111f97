"""One detection as the scene keeps it: what the detector said, and the voxels of every candidate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from CMBNetLib.burden import Burden, burden_text
from CMBNetLib.candidates import Candidate
from CMBNetLib.counts import summary_text
from CMBNetLib.detection_file import SHAPE_FIELDS, read_detection
from CMBNetLib.errors import InputError
from CMBNetLib.grid import transform_points
from CMBNetLib.location import Location
from CMBNetLib.shape import LesionShape
from CMBNetLib.volume import read_labels

SCHEMA = "cmbnet-scene-detection"


@dataclass(frozen=True, eq=False)
class DetectionRecord:
    """A detection with all its candidates.

    Attributes
    ----------
    document : dict
        Content of the detection file.
    voxels : dict
        Candidate id -> voxels, (N, 3) int in the order i, j, k of the detector's grid; without the candidates
        that have none.
    ijk_to_node : array
        4x4, voxel -> mm in the coordinates of the result nodes. They are RAS unless the results lie under the
        scan's transform.
    """

    document: Mapping[str, Any]
    voxels: Mapping[int, np.ndarray]
    ijk_to_node: np.ndarray

    @cached_property
    def candidates(self) -> list[Candidate]:
        """All candidates by descending score."""
        return [_candidate(entry) for entry in self.document["candidates"]]

    @property
    def threshold(self) -> float:
        """Score from which candidates were microbleeds in the run."""
        return float(self.document["settings"]["threshold"])

    @property
    def floor_threshold(self) -> float:
        """Lowest score of a candidate that was kept."""
        return float(self.document["floor_threshold"])

    @property
    def operating_points(self) -> dict[str, float]:
        """Named thresholds of the model."""
        return {name: float(point["threshold"]) for name, point in self.document["operating_points"].items()}

    @property
    def remarks(self) -> list[str]:
        """The likely number of microbleeds where scores are calibrated, and what the checks of the scan found."""
        likely = [burden_text(Burden(**self.document["burden"]))] if "burden" in self.document else []
        return likely + [str(entry["message"]) for entry in self.document["qc"]]

    def count(self, threshold: float) -> int:
        """Number of microbleeds at a threshold; they are the candidates 1 to this number."""
        return sum(float(entry["score"]) >= threshold for entry in self.document["candidates"])

    def summary(self, threshold: float) -> str:
        """``3 microbleeds: 2 lobar, 1 deep``."""
        return summary_text(self.candidates, threshold)

    def center(self, candidate: Candidate) -> np.ndarray:
        """Centre of a candidate in the coordinates of the result nodes, (3,) mm."""
        ras_to_ijk = np.linalg.inv(np.array(self.document["scan"]["ijk_to_ras"]))
        return transform_points(self.ijk_to_node @ ras_to_ijk, np.array([candidate.center_ras]))[0]

    def bounds_ijk(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Lowest and highest (i, j, k) of all candidates together; None where there is none."""
        if not self.voxels:
            return None
        everything = np.concatenate(list(self.voxels.values()))
        return everything.min(axis=0), everything.max(axis=0)

    def placed(self, ijk_to_node: np.ndarray) -> DetectionRecord:
        """The same detection for result nodes with another voxel-to-mm matrix."""
        return replace(self, ijk_to_node=np.array(ijk_to_node, dtype=float))

    def to_text(self) -> str:
        """JSON of all of it; voxels as runs ``[i, j, k, length along i, ...]``."""
        runs = {str(number): _runs(voxels) for number, voxels in self.voxels.items()}
        content = {"schema": SCHEMA, "detection": self.document, "ijk_to_node": self.ijk_to_node.tolist(), "runs": runs}
        return json.dumps(content)

    @classmethod
    def from_text(cls, text: str) -> DetectionRecord:
        """Read what `to_text` wrote.

        Raises
        ------
        InputError
            The text is something else, or damaged.
        """
        try:
            content = json.loads(text)
            if content["schema"] != SCHEMA:
                raise ValueError(f"schema {content['schema']!r}")
            voxels = {int(number): _from_runs(runs) for number, runs in content["runs"].items()}
            return cls(content["detection"], voxels, np.array(content["ijk_to_node"], dtype=float))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"The text node holds no detection of this module ({error}). Run it again.") from error


def read_record(path: str | Path) -> DetectionRecord:
    """Read a detection file and the label map of all candidates beside it.

    Raises
    ------
    InputError
        One of the two is missing or damaged, or they do not belong together.
    """
    path = Path(path)
    document = read_detection(path)
    labels = read_labels(path.parent / document["files"]["candidates"])
    shape = tuple(document["scan"]["shape_ijk"])
    if labels.shape_ijk != shape:
        raise InputError(f"The label map of {path.name} has {labels.shape_ijk} voxels, the scan {shape}.")
    voxels = _voxels(labels.array)
    # A candidate thinner than the scan's voxels may have none of them.
    expected = {entry["id"] for entry in document["candidates"] if entry["n_voxels"]}
    if set(voxels) != expected:
        raise InputError(f"The label map of {path.name} and its candidates do not belong together.")
    return DetectionRecord(document, voxels, np.array(document["scan"]["ijk_to_ras"], dtype=float))


def _voxels(labels: np.ndarray) -> dict[int, np.ndarray]:
    """Label -> voxels (N, 3) in i, j, k, of an array [k, j, i]."""
    filled = np.flatnonzero(labels)
    values = labels.reshape(-1)[filled]
    order = np.argsort(values, kind="stable")
    voxels = np.stack(np.unravel_index(filled[order], labels.shape)[::-1], axis=1)
    numbers, starts = np.unique(values[order], return_index=True)
    return {int(n): part for n, part in zip(numbers, np.split(voxels, starts[1:]), strict=True)}


def _runs(voxels: np.ndarray) -> list[list[int]]:
    """Runs of voxels along i as [i, j, k, length]."""
    voxels = voxels[np.lexsort(voxels.T)]
    steps = np.any(np.diff(voxels, axis=0) != (1, 0, 0), axis=1)
    starts = np.concatenate([[0], np.flatnonzero(steps) + 1]).astype(int)
    lengths = np.diff(np.append(starts, len(voxels)))
    return np.column_stack([voxels[starts], lengths]).tolist()


def _from_runs(runs: list[list[int]]) -> np.ndarray:
    parts = [np.column_stack([np.arange(i, i + n), np.full(n, j), np.full(n, k)]) for i, j, k, n in runs]
    return np.concatenate(parts)


def _candidate(entry: Mapping[str, Any]) -> Candidate:
    shape = None if entry["volume_mm3"] is None else LesionShape(**{name: entry[name] for name in SHAPE_FIELDS})
    return Candidate(
        id=int(entry["id"]),
        score=float(entry["score"]),
        center_ras=tuple(float(value) for value in entry["center_ras"]),
        n_voxels=int(entry["n_voxels"]),
        shape=shape,
        location=_location(entry),
    )


def _location(entry: Mapping[str, Any]) -> Location | None:
    if entry["zone"] is None:
        return None
    confidence = entry.get("location_confidence")
    return Location(entry["zone"], entry["region"], entry["side"], 0.0 if confidence is None else confidence,
                    entry.get("structure") or "outside")  # fmt: skip
