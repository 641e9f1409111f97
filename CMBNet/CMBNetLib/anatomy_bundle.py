"""The bundle of the anatomy network: the same folder layout and checks as a lesion model's, other metadata."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bundle import ANATOMY_MODEL, MOST_FILTERS, MOST_LEVELS, checked_metadata
from .bundle_weights import WEIGHTS, load_weights
from .errors import BundleError
from .resources import resource_path

if TYPE_CHECKING:
    from .network_anatomy import AnatomyUNet

INTENSITY_RULE = "head-mean"
VOXEL_RANGE_MM = (0.5, 4.0)
_KEYS = ("id", "task", "network", "intensity_rule", "measured", "sha256")


@dataclass(frozen=True)
class AnatomyBundle:
    """A checked anatomy bundle on disk. Make it with `load_anatomy_bundle`.

    Attributes
    ----------
    folder : Path
    metadata : dict
        Its whole ``configs/metadata.json``.
    """

    folder: Path
    metadata: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.metadata["cmbnet"]["id"])

    @property
    def version(self) -> str:
        return str(self.metadata["version"])

    def load_network(self) -> AnatomyUNet:
        """The network with its weights as float32, in evaluation mode; `BundleError` where they do not fit."""
        import torch

        from .network_anatomy import AnatomySpec, AnatomyUNet

        described = self.metadata["cmbnet"]["network"]
        network = AnatomyUNet(AnatomySpec(tuple(described["filters"]), tuple(described["voxel_mm"])))
        network.load_state_dict(load_weights(self.id, self.folder / WEIGHTS, network.state_dict()))
        network = network.eval()
        # Half as fast again as with the channels first.
        return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def load_anatomy_bundle(folder: Path | None = None) -> AnatomyBundle:
    """Read and check an anatomy bundle; the shipped one by default.

    Raises
    ------
    BundleError
        Names the bundle, what does not fit, and where.
    """
    folder = resource_path("Models") / ANATOMY_MODEL if folder is None else Path(folder)
    metadata = checked_metadata(folder, _KEYS)
    try:
        _check_values(metadata["cmbnet"])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BundleError(f"Model {folder.name}: its metadata do not describe an anatomy model ({error}).") from error
    return AnatomyBundle(folder, metadata)


@lru_cache(maxsize=1)
def anatomy_network() -> AnatomyUNet:
    """The network of the shipped bundle, loaded once; `BundleError` where it cannot be used."""
    return load_anatomy_bundle().load_network()


def _check_values(ours: dict[str, Any]) -> None:
    spec = ours["network"]
    if ours["task"] != "anatomy" or spec["architecture"] != "AnatomyUNet":
        raise ValueError(f"task '{ours['task']}', architecture '{spec['architecture']}'")
    if set(spec) != {"architecture", "filters", "voxel_mm"}:
        raise ValueError(f"network {spec}")
    filters = spec["filters"]
    if not 2 <= len(filters) <= MOST_LEVELS or not all(isinstance(n, int) and 1 <= n <= MOST_FILTERS for n in filters):
        raise ValueError(f"filters {filters}")
    low, high = VOXEL_RANGE_MM
    if len(spec["voxel_mm"]) != 3 or not all(low <= edge <= high for edge in spec["voxel_mm"]):
        raise ValueError(f"voxel_mm {spec['voxel_mm']} is not three edges of {low:g}-{high:g}")
    if ours["intensity_rule"] != INTENSITY_RULE:
        raise ValueError(f"unknown intensity rule '{ours['intensity_rule']}'")
