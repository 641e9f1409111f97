"""The anatomy network: a small U-Net that names the tissue of every 2 mm voxel of a head, and its side."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .anatomy_tissues import TISSUES

BLOCK = 2  # voxels stacked into channels, per axis


@dataclass(frozen=True)
class AnatomySpec:
    """What has to be known to build the network again; stored in the bundle's metadata."""

    filters: tuple[int, ...] = (56, 64, 96, 128)
    voxel_mm: float = 2.0

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {"architecture": "AnatomyUNet", **asdict(self), "filters": list(self.filters)}


class AnatomyUNet(nn.Module):
    """Logits (b, 15, k, j, i) of normalised volumes (b, 1, k, j, i): 14 tissues, then right against left.

    Cubes of 2 x 2 x 2 voxels are stacked into channels before the first convolution and unstacked after the last one:
    the grid of the costly first level is 4 mm, the output is 2 mm. Edges must be even. Norms are those of the volume at
    hand: contrasts differ so much that averages over many of them fit none.
    """

    def __init__(self, spec: AnatomySpec):
        super().__init__()
        self.spec = spec
        f = spec.filters
        inputs = (BLOCK**3, *f[:-1])
        # One convolution where voxels are many, two where they are few.
        counts = [2 if n else 1 for n in range(len(f))]
        self.down = nn.ModuleList(_convs(i, o, c) for i, o, c in zip(inputs, f, counts, strict=True))
        self.widen = nn.ModuleList(nn.Conv3d(f[n + 1], f[n], 1) for n in range(len(f) - 1))
        self.up = nn.ModuleList(_convs(f[n], f[n], 1 if n else 2) for n in range(len(f) - 1))
        self.head = nn.Conv3d(f[0] + BLOCK**3, (len(TISSUES) + 1) * BLOCK**3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return unstack_cubes(self.head(self.features(x)))

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: (b, filters + 8, k / 2, j / 2, i / 2)."""
        stacked = x = stack_cubes(x)
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2, ceil_mode=True) if level else x)
            skips.append(x)
        for level in range(len(self.up) - 1, -1, -1):
            x = F.interpolate(self.widen[level](x), scale_factor=2, mode="nearest")
            k, j, i = skips[level].shape[2:]
            x = self.up[level](x[:, :, :k, :j, :i] + skips[level])
        return torch.cat([x, stacked], dim=1)


def _convs(inputs: int, outputs: int, count: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n in range(count):
        layers.append(nn.Conv3d(outputs if n else inputs, outputs, 3, padding=1, bias=False))
        layers += [OwnNorm(outputs, affine=True), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class OwnNorm(nn.InstanceNorm3d):
    """Instance norm; of a single volume by way of batch norm, which leaves its memory in order."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            return super().forward(x)
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


def stack_cubes(x: Tensor) -> Tensor:
    """(b, c, k, j, i) -> (b, 8 * c, k / 2, j / 2, i / 2); the place within the cube is the slower channel index."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, c, k // 2, 2, j // 2, 2, i // 2, 2).permute(0, 3, 5, 7, 1, 2, 4, 6)
    return x.reshape(b, 8 * c, k // 2, j // 2, i // 2)


def unstack_cubes(x: Tensor) -> Tensor:
    """Inverse of `stack_cubes`."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, 2, 2, 2, c // 8, k, j, i).permute(0, 4, 5, 1, 6, 2, 7, 3)
    return x.reshape(b, c // 8, 2 * k, 2 * j, 2 * i)
