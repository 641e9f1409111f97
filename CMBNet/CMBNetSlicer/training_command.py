"""The command lines of simulation, training, preview and export."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from CMBNetLib.errors import InputError

CONFIG, LAST = "config.json", "checkpoints/last.safetensors"


@dataclass(frozen=True)
class TrainingRun:
    """What a user chooses in the panel.

    Attributes
    ----------
    run : str
        Folder.
    manifest, preset, config : str
        Scans; a ready configuration by name, or a file instead, which may name its own scans.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    workers : int
        Processes that make patches.
    """

    run: str
    manifest: str = ""
    preset: str = "default"
    config: str = ""
    device: str = "auto"
    workers: int = 1

    @property
    def has_begun(self) -> bool:
        """Whether the folder holds a run."""
        return bool(self.run) and (Path(self.run) / CONFIG).is_file()

    @property
    def can_export(self) -> bool:
        """Whether the run has a checkpoint."""
        return self.has_begun and (Path(self.run) / LAST).is_file()

    def reason_not_to_run(self) -> str:
        """A sentence about what is missing; empty when it can run."""
        if not self.run:
            return "Choose a folder for the run."
        if self.has_begun:
            return ""
        if self.config and not Path(self.config).is_file():
            return "The configuration does not exist."
        if self.manifest and not Path(self.manifest).is_file():
            return "The manifest does not exist."
        return "" if self.manifest or self.config else "Choose the manifest of a collection."

    def train_arguments(self) -> tuple[str, ...]:
        """The arguments of ``cmbnet`` for a new run, or for one that goes on as it was started."""
        return ("train", *self._configuration(), "-o", self.run, *self._machine())

    def preview_arguments(self) -> tuple[str, ...]:
        """The arguments that write pictures and volumes of the first patches."""
        folder = str(Path(self.run) / "preview")
        return ("train", *self._configuration(), "-o", self.run, *self._machine(), "--preview", folder)

    def simulate_arguments(self, label_maps: Sequence[Path]) -> tuple[str, ...]:
        """The arguments that simulate scans as the preset has them; one label map of five is for validation.

        Raises
        ------
        InputError
            There are fewer than two label maps, or no folder to put the scans beside.
        """
        from CMBNetTrainingLib.training_presets import PRESETS

        if len(label_maps) < 2:
            raise InputError("Two label maps at least are needed (.nii or .nii.gz): one for training, one to validate.")
        if not self.run:
            raise InputError("Choose a folder for the run first; the scans go into its folder `synthetic`.")
        chosen = PRESETS[self.preset].synthesis
        settings = {
            "--scans": chosen.scans_per_map, "--microbleeds": chosen.microbleeds, "--pixel-mm": chosen.pixel_mm,
            "--fine-mm": chosen.fine_mm, "--validation-maps": max(1, len(label_maps) // 5),
            "--workers": max(1, self.workers),
        }  # fmt: skip
        pairs = [text for name, value in settings.items() for text in (name, f"{value:g}")]
        slices = ("--slice-mm", *(f"{edge:g}" for edge in chosen.slice_mm))
        folder = str(Path(self.run) / "synthetic")
        return ("synthesize", *map(str, label_maps), "-o", folder, *pairs, *slices)

    def export_arguments(self, folder: Path, name: str, checkpoint: str, thick: str = "") -> tuple[str, ...]:
        """The arguments that make a model in ``folder``, with the network of the run ``thick`` for thick slices."""
        other = ("--thick", thick) if thick else ()
        return ("export", self.run, "-o", str(folder), "--name", name, "--checkpoint", checkpoint, *other)

    def _configuration(self) -> tuple[str, ...]:
        if self.has_begun:
            return (str(Path(self.run) / CONFIG),)
        manifest = ("--manifest", self.manifest) if self.manifest else ()
        return (self.config or self.preset, *manifest)

    def _machine(self) -> tuple[str, ...]:
        return ("--device", self.device, "--workers", str(self.workers))


def model_id(name: str) -> str:
    """A folder name for a model: ``My model 2`` becomes ``my-model-2``."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
