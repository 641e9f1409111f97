"""The anatomy network: a small U-Net that names the tissue of every voxel of a head (1 x 1 x 2 mm), and its side."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .anatomy_tissues import TISSUES

# Voxels stacked into channels: a square of 2 x 2 in the plane of axial slices.
SQUARE = 4
# Voxels above this share of the 99th percentile count as head.
HEAD_SHARE = 0.1
BRIGHTEST = 4.0
# Every so many voxels along each axis are looked at for the percentile.
STRIDE = 4


@dataclass(frozen=True)
class AnatomySpec:
    """What has to be known to build the network again; stored in the bundle's metadata."""

    filters: tuple[int, ...] = (40, 56, 80, 96, 88)
    voxel_mm: tuple[float, float, float] = (1.0, 1.0, 2.0)  # i, j, k

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        plain = {"filters": list(self.filters), "voxel_mm": list(self.voxel_mm)}
        return {"architecture": "AnatomyUNet", **plain}


class AnatomyUNet(nn.Module):
    """Logits (b, 15, k, j, i) of normalised volumes (b, 1, k, j, i): 14 tissues, then right against left.

    Squares of 2 x 2 voxels in the plane are stacked into channels before the first convolution and unstacked after the
    last one: the grid of the costly first level is 2 mm, the output is 1 mm in the plane. j and i must be even. Norms
    are those of the volume at hand: contrasts differ so much that averages over many of them fit none.
    """

    def __init__(self, spec: AnatomySpec):
        super().__init__()
        self.spec = spec
        f = spec.filters
        inputs = (SQUARE, *f[:-1])
        # One convolution where voxels are many, two where they are few.
        counts = [2 if n else 1 for n in range(len(f))]
        self.down = nn.ModuleList(_convs(i, o, c) for i, o, c in zip(inputs, f, counts, strict=True))
        self.widen = nn.ModuleList(nn.Conv3d(f[n + 1], f[n], 1) for n in range(len(f) - 1))
        self.up = nn.ModuleList(_convs(f[n], f[n], 1 if n else 2) for n in range(len(f) - 1))
        self.head = nn.Conv3d(f[0] + SQUARE, (len(TISSUES) + 1) * SQUARE, 1)

    def forward(self, x: Tensor) -> Tensor:
        return unstack_squares(self.head(self.features(x)))

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: (b, filters + 4, k, j / 2, i / 2)."""
        # The same order in memory everywhere: joining two orders below takes ten times as long.
        stacked = x = stack_squares(x).contiguous(memory_format=torch.channels_last_3d)
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2, ceil_mode=True) if level else x)
            skips.append(x)
        for level in range(len(self.up) - 1, -1, -1):
            x = F.interpolate(self.widen[level](x), scale_factor=2, mode="nearest")
            k, j, i = skips[level].shape[2:]
            x = self.up[level](x[:, :, :k, :j, :i] + skips[level])
        return torch.cat([x, stacked.to(x.dtype)], dim=1)


def _convs(inputs: int, outputs: int, count: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n in range(count):
        layers.append(nn.Conv3d(outputs if n else inputs, outputs, 3, padding=1, bias=False))
        layers += [OwnNorm(outputs, affine=True), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class OwnNorm(nn.InstanceNorm3d):
    """Instance norm that leaves the memory of its input in order, channels last or not, and so keeps it fast."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) == 1:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        full = x.float()
        variance, mean = torch.var_mean(full, (2, 3, 4), correction=0, keepdim=True)
        scale = self.weight[:, None, None, None] * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias[:, None, None, None] - mean * scale, full, scale).to(x.dtype)


def stack_squares(x: Tensor) -> Tensor:
    """(b, c, k, j, i) -> (b, 4 * c, k, j / 2, i / 2); the place within the square is the slower channel index."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, c, k, j // 2, 2, i // 2, 2).permute(0, 4, 6, 1, 2, 3, 5)
    return x.reshape(b, SQUARE * c, k, j // 2, i // 2)


def unstack_squares(x: Tensor) -> Tensor:
    """Inverse of `stack_squares`."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, 2, 2, c // SQUARE, k, j, i).permute(0, 3, 4, 5, 1, 6, 2)
    return x.reshape(b, c // SQUARE, k, 2 * j, 2 * i)


def anatomy_intensities(image: Tensor) -> Tensor:
    """Magnitude (k, j, i) relative to the mean of the head, minus one: -1 is black; clipped to [-1, 3], float32."""
    image = image.float().clamp_min(0)
    some = image[::STRIDE, ::STRIDE, ::STRIDE].flatten()
    top = some.kthvalue(max(1, round(0.99 * some.numel()))).values
    head = image > HEAD_SHARE * top
    # Nothing bright: the mean is that of no voxel, and all is black. No value is asked for, which a GPU would wait for.
    mean = (image * head).sum() / head.sum().clamp_min(1)
    return torch.where(mean > 0, image / mean.clamp_min(1e-30), 0).clamp_max(BRIGHTEST) - 1
