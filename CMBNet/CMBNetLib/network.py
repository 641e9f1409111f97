"""The U-Net of SlicerCMBNet in plain torch: anisotropic, fast on a CPU, ignorant of any scan it did not see.

Two things set it apart from a textbook 3D U-Net. Pairs of in-plane pixels are stacked into channels before the first
convolution and unstacked after the last one, so that no resolution is lost while the costly first level works on a
quarter of the voxels. And how often it pools across slices follows from the slice spacing, so that deep voxels are
about cubes in millimetres whether slices are 1 mm or 6 mm apart; the weights are the same for all spacings.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = ("background", "microbleed", "mimic")
STACK = 2  # in-plane pixels stacked per axis


@dataclass(frozen=True)
class NetworkSpec:
    """What has to be known to build the network again; stored in the bundle's metadata."""

    filters: tuple[int, ...] = (24, 48, 80, 112)
    classes: int = len(CLASSES)
    pixel_mm: float = 0.5
    places: int = 0  # kinds of places the network is told beside the image; see `places`

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {"architecture": "AnisotropicUNet", **asdict(self), "filters": list(self.filters)}


def pooling_plan(levels: int, slice_mm: float, pixel_mm: float) -> list[tuple[int, int, int]]:
    """Pooling factors (k, j, i) from one level to the next, so that voxels tend towards cubes in mm."""
    plan, in_plane, across = [], pixel_mm * STACK, slice_mm
    for _ in range(levels - 1):
        factor = 2 if across <= 1.5 * in_plane else 1
        plan.append((factor, 2, 2))
        in_plane, across = in_plane * 2, across * factor
    return plan


class ConvPair(nn.Module):
    """Convolution, batch norm, ReLU, twice."""

    def __init__(self, inputs: int, outputs: int, kernels: Sequence[tuple[int, int, int]]):
        super().__init__()
        layers: list[nn.Module] = []
        for source, kernel in zip((inputs, outputs), kernels, strict=True):
            padding = tuple(size // 2 for size in kernel)
            layers.append(nn.Conv3d(source, outputs, kernel, padding=padding, bias=False))  # type: ignore[arg-type]
            layers += [nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class UpPair(ConvPair):
    """A pair on the way up: what was skipped, and the coarser level brought to its grid."""

    def forward(self, skipped: Tensor, coarse: Tensor) -> Tensor:  # type: ignore[override]
        finer = F.interpolate(coarse, size=skipped.shape[2:], mode="nearest")
        return self.layers(torch.cat([skipped, finer], dim=1))


CUBE, FLAT = (3, 3, 3), (1, 3, 3)


class AnisotropicUNet(nn.Module):
    """Logits (batch, classes, k, j, i) of normalised windows (batch, 1, k, j, i); j and i must be even.

    A network that is told places takes their map too, integers (batch, k, j, i) of `places.PLACES`; without it, all
    are unknown to it.
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        self.spec = spec
        f = spec.filters
        # The finest level sees the slices' neighbours once on the way down and once on the way up; more cost a third
        # of the run time.
        self.down = nn.ModuleList([ConvPair(STACK**2 + 1 + spec.places, f[0], (CUBE, FLAT))])
        self.up = nn.ModuleList([UpPair(f[0] + f[1], f[0], (FLAT, CUBE))])
        for level in range(1, len(f)):
            self.down.append(ConvPair(f[level - 1], f[level], (CUBE, CUBE)))
            if level < len(f) - 1:
                self.up.append(UpPair(f[level] + f[level + 1], f[level], (CUBE, CUBE)))
        self.head = nn.Conv3d(f[0], spec.classes * STACK**2, 1)

    def forward(self, x: Tensor, slice_mm: float, places: Tensor | None = None) -> Tensor:
        fine = self.finest(x, slice_mm, places)
        return self.logits(fine, self.coarser(fine, slice_mm))

    def finest(self, x: Tensor, slice_mm: float, places: Tensor | None = None) -> Tensor:
        """Features of the finest level on the way down, (b, filters[0], k, j / 2, i / 2)."""
        x = stack_pixels(x)
        spacing = torch.full_like(x[:, :1], slice_mm / 5.0)
        return self.down[0](torch.cat([x, spacing, *self._told(x, places)], dim=1))

    def _told(self, x: Tensor, places: Tensor | None) -> list[Tensor]:
        """One channel for each kind of place but the unknown, on the grid of the stacked pixels ``x``."""
        if not self.spec.places:
            return []
        if places is None:
            return [x.new_zeros((x.shape[0], self.spec.places, *x.shape[2:]))]
        kinds = torch.arange(1, self.spec.places + 1, device=x.device)[:, None, None, None]
        return [(places[:, None, :, ::STACK, ::STACK] == kinds).to(x.dtype)]

    def coarser(self, fine: Tensor, slice_mm: float) -> Tensor:
        """What all coarser levels make of the finest: features of the second finest level on the way up."""
        x, skips = fine, []
        for block, factors in zip(self.down[1:], self.plan(slice_mm), strict=True):
            x = block(F.max_pool3d(x, factors, ceil_mode=True))
            skips.append(x)
        for skipped, block in zip(skips[-2::-1], self.up[:0:-1], strict=True):
            x = block(skipped, x)
        return x

    def logits(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Logits on the grid of the image from the features of the two finest levels."""
        return unstack_pixels(self.head(self.up[0](fine, coarse)))

    def plan(self, slice_mm: float) -> list[tuple[int, int, int]]:
        """Pooling plan of this network for a slice spacing in mm."""
        return pooling_plan(len(self.spec.filters), slice_mm, self.spec.pixel_mm)

    def raster(self, slice_mm: float) -> tuple[int, int, int]:
        """Voxels (k, j, i) that become one of the deepest level."""
        k, j, i = (math.prod(factors) for factors in zip((1, STACK, STACK), *self.plan(slice_mm), strict=True))
        return k, j, i


def stack_pixels(x: Tensor) -> Tensor:
    """(b, c, k, j, i) -> (b, c * 4, k, j / 2, i / 2)."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, c, k, j // STACK, STACK, i // STACK, STACK)
    return x.permute(0, 1, 4, 6, 2, 3, 5).reshape(b, c * STACK**2, k, j // STACK, i // STACK)


def unstack_pixels(x: Tensor) -> Tensor:
    """Inverse of `stack_pixels`."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, c // STACK**2, STACK, STACK, k, j, i)
    return x.permute(0, 1, 4, 5, 2, 6, 3).reshape(b, c // STACK**2, k, j * STACK, i * STACK)


def folded(network: AnisotropicUNet) -> AnisotropicUNet:
    """A copy of the network for inference: batch norms folded into convolutions, pairs on the way up `Joined`.

    It gives the same, but for volumes that are no multiple of `AnisotropicUNet.raster`: their last voxels may differ.
    """
    network = copy.deepcopy(network).eval()
    for block in [*network.down, *network.up]:
        layers = list(block.layers)
        fused: list[nn.Module] = []
        for conv, norm, relu in zip(layers[0::3], layers[1::3], layers[2::3], strict=True):
            fused += [nn.utils.fusion.fuse_conv_bn_eval(conv, norm), relu]
        block.layers = nn.Sequential(*fused)
    network.up = nn.ModuleList([Joined(pair) for pair in network.up])
    return network


class Joined(nn.Module):
    """An `UpPair` without norms that convolves the coarser level on its own grid, a quarter of the work.

    Two finer voxels hold one coarser value, so a kernel of three sees but two coarser voxels along an axis. Which two,
    and with what weights, depends on the place of the finer voxel within the coarser one.
    """

    def __init__(self, pair: nn.Module):
        super().__init__()
        first, *rest = pair.layers  # type: ignore[misc]
        self.first, self.rest = first, nn.Sequential(*rest)

    def forward(self, skipped: Tensor, coarse: Tensor) -> Tensor:
        weight, own = self.first.weight, skipped.shape[1]
        out = F.conv3d(skipped, weight[:, :own], self.first.bias, padding=self.first.padding)
        steps = tuple(1 if n == m else 2 for n, m in zip(out.shape[2:], coarse.shape[2:], strict=True))
        parts: dict[tuple[int, ...], Tensor] = {}
        for place in product(*(range(step) for step in steps)):
            # Where the kernel is flat, both finer voxels see the same.
            seen = tuple(at if size > 1 else 0 for at, size in zip(place, weight.shape[2:], strict=True))
            if seen not in parts:
                parts[seen] = _convolved(coarse, weight[:, own:], seen, steps)
            every = [slice(None)] * 2 + [slice(at, None, step) for at, step in zip(place, steps, strict=True)]
            finer = out[tuple(every)]
            k, j, i = finer.shape[2:]
            finer += parts[seen][..., :k, :j, :i]
        return self.rest(out)


def _convolved(coarse: Tensor, kernel: Tensor, place: Sequence[int], steps: Sequence[int]) -> Tensor:
    """What a kernel of the finer grid gives at one place within each coarser voxel."""
    kept = [slice(None)] * coarse.ndim
    for axis, (at, step) in enumerate(zip(place, steps, strict=True), 2):
        if step == 2 and kernel.shape[axis] == 3:
            before, here, after = kernel.unbind(axis)
            kernel = torch.stack((before + here, after) if at else (before, here + after), axis)
            kept[axis] = slice(at, at + coarse.shape[axis])
    return F.conv3d(coarse, kernel, padding=[size // 2 for size in kernel.shape[2:]])[tuple(kept)]
