"""The folder of a collection: prepared scans, labels, records, pictures, and what is known about each scan's state."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from CMBNetLib.files import atomic_output
from CMBNetLib.volume import write_volume

from .collection_review import PICTURES_FOLDER, RECORDS, read_record
from .scan_curation import CuratedScan

WORK = ".work"
IMAGES, LABELS, BRAINS, PLACE_MAPS = "images", "labels", "brains", "places"
DONE, FAILED = "done", "failed"
# What an interrupted program leaves behind; see CMBNetLib.files.
_PARTIAL = ".cmbnet-*"


@dataclass(frozen=True)
class State:
    """How far a scan is.

    Attributes
    ----------
    key : str
        Hash of everything the result depends on; another key means that the scan has to be done again.
    status : str
        ``done`` or ``failed``.
    code, message : str
        Why it failed.
    """

    key: str
    status: str
    code: str = ""
    message: str = ""


class Collection:
    """A folder with ``images``, ``labels``, ``brains``, ``places``, ``records``, ``pictures`` and ``.work``.

    A scan is there when its state says so, which is written last: a program killed before that leaves a scan that will
    be done again, file by file with the same bytes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def work(self) -> Path:
        """Folder of states and of the running log; not part of the collection."""
        return self.folder / WORK

    def image(self, scan_id: str) -> Path:
        """Prepared scan."""
        return self.folder / IMAGES / f"{scan_id}.nii.gz"

    def label(self, scan_id: str) -> Path:
        """Microbleeds, one value each."""
        return self.folder / LABELS / f"{scan_id}.nii.gz"

    def brain(self, scan_id: str) -> Path:
        """Brain mask."""
        return self.folder / BRAINS / f"{scan_id}.nii.gz"

    def places(self, scan_id: str) -> Path:
        """Kinds of tissue (`CMBNetLib.places.PLACES`)."""
        return self.folder / PLACE_MAPS / f"{scan_id}.nii.gz"

    def record(self, scan_id: str) -> Path:
        """Everything done to the scan."""
        return self.folder / RECORDS / f"{scan_id}.json"

    def pictures(self, scan_id: str) -> Path:
        """Folder of the scan's pictures."""
        return self.folder / PICTURES_FOLDER / scan_id

    def begin(self) -> None:
        """Make the folders and remove what an interrupted program left."""
        for name in (IMAGES, LABELS, BRAINS, PLACE_MAPS, RECORDS, PICTURES_FOLDER, WORK):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Remove unfinished files; only while no other program works here."""
        for path in self.folder.rglob(_PARTIAL):
            path.unlink(missing_ok=True)

    def state(self, scan_id: str) -> State | None:
        """Return the state of a scan; None where nothing is known, or what is written cannot be read."""
        path = self._state_path(scan_id)
        try:
            state = State(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return state if state.status == FAILED or self._complete(scan_id) else None

    def states(self) -> dict[str, State]:
        """Return the states of all scans, by id."""
        ids = sorted(path.name.removesuffix(".state.json") for path in self.work.glob("*.state.json"))
        found = {scan_id: self.state(scan_id) for scan_id in ids}
        return {scan_id: state for scan_id, state in found.items() if state is not None}

    def records(self) -> list[dict[str, Any]]:
        """Return the records of all scans that are done, by id."""
        done = [scan_id for scan_id, state in self.states().items() if state.status == DONE]
        return [read_record(self.record(scan_id)) for scan_id in done]

    def write(self, scan_id: str, curated: CuratedScan, key: str) -> None:
        """Write everything of one scan, its state last."""
        self.remove(scan_id)
        write_volume(curated.prepared.image, self.image(scan_id), dtype=np.float32)
        write_volume(curated.labels, self.label(scan_id), dtype=np.uint16)
        prepared = curated.prepared
        write_volume(prepared.image.with_array(prepared.brain.astype(np.uint8)), self.brain(scan_id))
        assert prepared.places is not None  # curation finds the anatomy
        write_volume(prepared.image.with_array(prepared.places), self.places(scan_id))
        for name, png in curated.pictures.items():
            with atomic_output(self.pictures(scan_id) / name) as temporary:
                temporary.write_bytes(png)
        write_json(self.record(scan_id), curated.record)
        write_json(self._state_path(scan_id), asdict(State(key, DONE)))

    def fail(self, scan_id: str, key: str, code: str, message: str) -> None:
        """Remove what there is of a scan, and remember why it failed."""
        self.remove(scan_id)
        write_json(self._state_path(scan_id), asdict(State(key, FAILED, code, message)))

    def remove(self, scan_id: str) -> None:
        """Remove all files of a scan, its state first."""
        self._state_path(scan_id).unlink(missing_ok=True)
        for path in self._files(scan_id):
            path.unlink(missing_ok=True)
        if self.pictures(scan_id).is_dir():
            shutil.rmtree(self.pictures(scan_id))

    def _complete(self, scan_id: str) -> bool:
        return all(path.is_file() for path in self._files(scan_id))

    def _files(self, scan_id: str) -> list[Path]:
        """Those that every scan has, the record first."""
        kinds = (self.record, self.image, self.label, self.brain, self.places)
        return [kind(scan_id) for kind in kinds]

    def _state_path(self, scan_id: str) -> Path:
        return self.work / f"{scan_id}.state.json"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that is complete or not there."""
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False, default=_plain) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Write a text file that is complete or not there."""
    with atomic_output(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _plain(value: Any) -> Any:
    """Numbers of numpy as JSON; what else a spreadsheet held (dates) as text."""
    return value.item() if isinstance(value, np.generic) else str(value)
