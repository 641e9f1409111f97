"""Random changes of a patch: what other scanners, protocols and heads would have made of it.

Spatial transforms and noise are MONAI's; those of a magnitude image (whose zero is a true zero) are here. Intensities
are normalised: 0 is the brain's median, -2 is black.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.transforms import (
    Compose,
    OneOf,
    Rand3DElasticd,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    Randomizable,
    RandRotate90d,
    Transform,
)

from CMBNetLib.places import UNKNOWN
from CMBNetTrainingLib.patches import BLACK
from CMBNetTrainingLib.truth import IGNORE, MICROBLEED

KEYS = ("image", "classes", "places")
MODES = ("bilinear", "nearest", "nearest")
# In use places come from the anatomy network, in training from label maps: what these say is moved about by so much
# (mm), alike within so many mm, and is not told at all in this share of the patches. In whole simulated scans the
# anatomy network of 0.9.0 names 80 % of the brain's voxels as the label map does (cortex 74, white matter 86, fluid
# 63); a map moved about so has 81 % (74, 83, 58).
MISPLACED_MM, MISPLACED_ALIKE_MM, UNTOLD_SHARE = 1.75, 6.0, 0.1


class Sometimes(Randomizable, Transform):
    """Apply a transform with a probability; what is random inside it hangs on the same seed."""

    def __init__(self, transform: Any, probability: float) -> None:
        self.transform, self.probability = transform, probability

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> Sometimes:
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed=int(self.R.randint(2**31)))
        return self

    def __call__(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.transform(data) if self.R.random_sample() < self.probability else data


class OnMagnitude(Randomizable, Transform):
    """Base of changes of the magnitude (1 is the brain's median) with a probability."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        out = dict(data)
        if self.R.random_sample() < self.probability:
            magnitude = torch.clamp(data["image"] / 2 + 1, min=0)
            out["image"] = torch.clamp(2 * (self.change(magnitude) - 1), BLACK, 3.0)
        return out

    def change(self, magnitude: torch.Tensor) -> torch.Tensor:
        """The changed magnitude, (1, k, j, i)."""
        raise NotImplementedError("a transform says what it changes")


class GainGamma(OnMagnitude):
    """Another contrast between tissues and lesion: gain and a power of the magnitude."""

    def change(self, magnitude: torch.Tensor) -> torch.Tensor:
        return float(self.R.uniform(0.85, 1.15)) * magnitude ** float(self.R.uniform(0.75, 1.3))


class CoilBias(OnMagnitude):
    """A smooth factor of up to about +-25 % across the patch."""

    def change(self, magnitude: torch.Tensor) -> torch.Tensor:
        coarse = torch.from_numpy(np.exp(self.R.normal(0, 0.12, (1, 1, 2, 3, 3))).astype(np.float32))
        return magnitude * F.interpolate(coarse, size=magnitude.shape[1:], mode="trilinear", align_corners=True)[0]


class RicianNoise(OnMagnitude):
    """Noise of both channels, added before the magnitude is taken, so that black stays above zero."""

    def change(self, magnitude: torch.Tensor) -> torch.Tensor:
        sigma = float(self.R.uniform(0.01, 0.06))
        real, imaginary = (self._normal(magnitude) * sigma for _ in range(2))
        return torch.sqrt((magnitude + real) ** 2 + imaginary**2)

    def _normal(self, like: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.R.standard_normal(tuple(like.shape)).astype(np.float32))


class Blur(OnMagnitude):
    """A coarser in-plane resolution: Gaussian of 0.3 to 0.9 pixels."""

    def change(self, magnitude: torch.Tensor) -> torch.Tensor:
        sigma = float(self.R.uniform(0.3, 0.9))
        kernel = torch.exp(-0.5 * (torch.arange(-3.0, 4.0) / sigma) ** 2)
        kernel /= kernel.sum()
        planes = magnitude.permute(1, 0, 2, 3)
        planes = F.conv2d(F.pad(planes, (0, 0, 3, 3), mode="replicate"), kernel[None, None, :, None])
        planes = F.conv2d(F.pad(planes, (3, 3, 0, 0), mode="replicate"), kernel[None, None, None, :])
        return planes.permute(1, 0, 2, 3)


class SaltAndPepper(Randomizable, Transform):
    """The seed's: up to 15 % of the voxels become black or white."""

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        image = data["image"].clone()
        chance = self.R.random_sample(tuple(image.shape))
        share = self.R.uniform(0, 0.15)
        image[torch.from_numpy(chance < share / 2)] = image.min()
        image[torch.from_numpy(chance > 1 - share / 2)] = image.max()
        return {**data, "image": image}


class Inversion(Randomizable, Transform):
    """The seed's: contrast turned round. It teaches bright microbleeds, which no magnitude scan has."""

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {**data, "image": data["image"].max() + data["image"].min() - data["image"]}


class Augmentation:
    """A preset: ``default``, ``seed`` or ``none``.

    Parameters
    ----------
    cube
        Patches have the same size along all axes, so that they may be turned about any.
    """

    def __init__(self, preset: str, *, cube: bool = False) -> None:
        self._transform = {"default": _default, "seed": lambda: _seed(cube), "none": lambda: Compose([])}[preset]()

    def __call__(
        self, image: np.ndarray, classes: np.ndarray, places: np.ndarray, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Image (float32), classes and places (uint8), [k, j, i], changed as ``seed`` says."""
        arrays = zip(KEYS, (image, classes, places), strict=True)
        data = {key: torch.from_numpy(np.array(array, np.float32))[None] for key, array in arrays}
        self._transform.set_random_state(seed=seed)
        out = self._transform(data)
        plain = {key: torch.as_tensor(np.ascontiguousarray(out[key]))[0] for key in KEYS}
        return plain["image"].float(), plain["classes"].round().to(torch.uint8), plain["places"].round().to(torch.uint8)


def misplaced(rng: np.random.Generator, places: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """A map of places [k, j, i] with its borders moved as an anatomy network might have drawn them, or all unknown."""
    if rng.random() < UNTOLD_SHARE:
        return np.full_like(places, UNKNOWN)
    coarse = [max(2, round(n * step / MISPLACED_ALIKE_MM)) for n, step in zip(places.shape, spacing_mm, strict=True)]
    moves = torch.from_numpy(rng.normal(0, MISPLACED_MM, (1, 3, *coarse)).astype(np.float32))
    moves = F.interpolate(moves, size=places.shape, mode="trilinear", align_corners=True)[0]
    index = []
    for axis, (move, step) in enumerate(zip(moves.numpy(), spacing_mm, strict=True)):
        own = np.arange(places.shape[axis]).reshape([-1 if n == axis else 1 for n in range(3)])
        index.append(np.clip(np.rint(own + move / step).astype(np.intp), 0, places.shape[axis] - 1))
    return places[tuple(index)]


def thickened(
    image: np.ndarray, classes: np.ndarray, places: np.ndarray, factor: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A patch re-sliced: `factor` slices averaged to one, whose place is that of the middle one.

    A voxel is a microbleed when half of its slices are; with fewer it is not judged, because whether it can still be
    seen depends on its contrast.
    """
    if factor == 1:
        return image, classes, places
    slices = image.shape[0] // factor
    mean = image[: slices * factor].reshape(slices, factor, *image.shape[1:]).mean(1)
    groups = classes[: slices * factor].reshape(slices, factor, *classes.shape[1:])
    share = (groups == MICROBLEED).mean(1)
    others = np.where(groups == MICROBLEED, 0, groups).max(1)
    judged = np.where(share >= 0.5, MICROBLEED, np.where(share > 0, IGNORE, others)).astype(np.uint8)
    return mean, judged, places[factor // 2 : slices * factor : factor]


def _default() -> Compose:
    """Flips and small bends; then what a scanner might have done. Heavy geometry was harmful for others (-0.127)."""
    affine = RandAffined(
        KEYS, prob=1.0, rotate_range=(np.pi / 12, 0, 0), scale_range=(0, 0.08, 0.08), mode=MODES, padding_mode="border"
    )
    elastic = Rand3DElasticd(KEYS, (4, 6), (20, 60), prob=1.0, mode=MODES, padding_mode="border")
    flips = [RandFlipd(KEYS, prob=0.5, spatial_axis=axis) for axis in range(3)]
    turn = RandRotate90d(KEYS, prob=0.5, max_k=1, spatial_axes=(1, 2))
    bend = Sometimes(OneOf([affine, elastic], weights=(0.8, 0.2)), 0.15)
    return Compose([*flips, turn, bend, GainGamma(1.0), CoilBias(0.2), Blur(0.15), RicianNoise(0.25)])


def _seed(cube: bool) -> Compose:
    """MicrobleedNet's: spatial 0.4, intensity 0.6, blur 0.25; there on the whole volume, here on the patch."""
    planes = [(0, 1), (0, 2), (1, 2)] if cube else [(1, 2)]
    turns = OneOf([RandRotate90d(KEYS, prob=1.0, spatial_axes=plane) for plane in planes])
    affine = RandAffined(
        KEYS, prob=0.6, scale_range=0.05, rotate_range=0.2, shear_range=0.01, mode=MODES, padding_mode="border"
    )
    elastic = Rand3DElasticd(KEYS, (4, 6), (50, 150), prob=0.3, mode=MODES, padding_mode="border")
    intensity: list[Any] = [
        RandGaussianNoised("image", prob=0.25, std=0.5),
        RandAdjustContrastd("image", prob=0.5, gamma=(0.5, 2.0)),
        Sometimes(SaltAndPepper(), 0.25),
        Sometimes(Inversion(), 0.25),
    ]
    blur = RandGaussianSmoothd("image", prob=0.25, sigma_x=(0.5, 2.5), sigma_y=(0.5, 2.5), sigma_z=(0.5, 2.5))
    return Compose([Sometimes(Compose([turns, affine, elastic]), 0.4), Sometimes(Compose(intensity), 0.6), blur])
