"""What a run writes for people: CSV, event files for TensorBoard, curves."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from CMBNetLib.errors import InputError
from CMBNetLib.files import atomic_output
from CMBNetTrainingLib.tensorboard_events import EventFile

STEPS = ("step", "phase", "phase_step", "loss", "learning_rate", "seconds", "wait_share", "patches_per_s")
VALIDATIONS = (
    "step", "phase", "scans", "lesions", "loss", "froc", "average_precision", "best_f1", "threshold",
    "sensitivity_at_1", "sensitivity_at_2",
)  # fmt: skip
_TEXT = ("phase",)
_FIGURES = {"froc": "FROC, mean sensitivity", "best_f1": "best F1", "sensitivity_at_2": "sensitivity at 2 false/scan"}


class TrainingLog:
    """``log.csv``, ``validation.csv``, ``events/`` and ``curves.png`` in a run's folder.

    Parameters
    ----------
    last_step, last_validation
        Rows beyond these steps are removed: a killed run logs what the resumed one does again.
    """

    def __init__(self, folder: Path, last_step: int, last_validation: int) -> None:
        self.folder = folder
        for name, columns, last in (
            ("log.csv", STEPS, last_step), ("validation.csv", VALIDATIONS, last_validation)
        ):  # fmt: skip
            kept = [row for row in read_log(folder / name) if float(row["step"]) <= last]
            with atomic_output(folder / name) as temporary:
                temporary.write_text(_csv(columns, kept, header=True), encoding="utf-8", newline="\n")
        self._events = EventFile(folder / "events")

    def step(self, row: Mapping[str, Any]) -> None:
        """Append a row about the steps since the one before; `InputError` where the disk is full."""
        self._write("log.csv", STEPS, row, "train")

    def validation(self, row: Mapping[str, Any]) -> None:
        """Append a row about a validation and draw the curves."""
        self._write("validation.csv", VALIDATIONS, row, "validation")
        self.draw()

    def draw(self) -> None:
        """Write ``curves.png``."""
        picture = curves(read_log(self.folder / "log.csv"), read_log(self.folder / "validation.csv"))
        with atomic_output(self.folder / "curves.png") as temporary:
            temporary.write_bytes(picture)

    def _write(self, name: str, columns: tuple[str, ...], row: Mapping[str, Any], group: str) -> None:
        numbers = {key: row[key] for key in columns if key in row and key not in (*_TEXT, "step")}
        try:
            with (self.folder / name).open("a", encoding="utf-8", newline="") as stream:
                stream.write(_csv(columns, [row], header=False))
            self._events.scalars(int(row["step"]), {f"{group}/{key}": float(value) for key, value in numbers.items()})
        except OSError as error:
            raise InputError(
                f"Cannot write the log of the run in {self.folder}: {error.strerror or error}. The checkpoints are as "
                "they were; make room, then the same command goes on."
            ) from error


def read_log(path: Path) -> list[dict[str, str]]:
    """Rows of a log; a torn last line, as a kill may leave it, is left out."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        return [row for row in reader if None not in row.values() and row["step"]]


def curves(steps: list[dict[str, str]], validations: list[dict[str, str]]) -> bytes:
    """PNG: loss of training and validation, and lesion-level figures, against steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(*_columns(steps, "loss"), color="#0072B2", linewidth=1.2, label="training")
    left.plot(*_columns(validations, "loss"), "o-", color="#D55E00", markersize=4, label="validation")
    left.set(xlabel="step", ylabel="loss", ylim=(0, None))
    for (name, title), colour in zip(_FIGURES.items(), ("#0072B2", "#D55E00", "#009E73"), strict=True):
        right.plot(*_columns(validations, name), "o-", color=colour, markersize=4, linewidth=1.2, label=title)
    right.set(xlabel="step", ylabel="validation scans", ylim=(0, 1.02))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.has_data():
            axes.legend(fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _columns(rows: list[dict[str, str]], name: str) -> tuple[list[float], list[float]]:
    pairs = [(float(row["step"]), float(row[name])) for row in rows if row.get(name)]
    return [p[0] for p in pairs], [p[1] for p in pairs]


def _csv(columns: tuple[str, ...], rows: list[Any], *, header: bool) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore", restval="")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
