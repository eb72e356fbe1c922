"""Jitter of brightness, contrast and saturation; knows nothing of what follows it."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor

from benchmark.augmentations import AUGMENTATIONS, Augmentation, Batch

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in perceived brightness (ITU-R BT.601)."""


@AUGMENTATIONS.register(
    "color",
    space={
        "brightness": FloatDistribution(0.0, 0.4),
        "contrast": FloatDistribution(0.0, 0.4),
        "saturation": FloatDistribution(0.0, 0.4),
    },
    reference="Howard 2013, arXiv:1312.5402, section 2.2",
    order=40,
    on_uint8=False,
)
def color(*, brightness: float = 0.14, contrast: float = 0.13, saturation: float = 0.1) -> Augmentation:
    """Scale each image's brightness, its contrast about its mean grey and its saturation about its grey pixels.

    Each by an own factor, uniform in [1 - x, 1 + x]; values are clipped to [0, 1] once, at the end. Images that do not
    have three channels have no saturation.
    """

    def apply(batch: Batch) -> Batch:
        images = batch.images
        noise = torch.rand(3, len(images), 1, 1, 1, generator=batch.generator, device=images.device)
        spreads = (brightness, contrast, saturation)
        light, range_, vividness = (
            (1 + spread * (2 * one - 1)).to(images.dtype) for spread, one in zip(spreads, noise, strict=True)
        )
        grey = _grey(images)
        # The three steps are linear, and saturation keeps the mean grey, so that one expression does them all.
        mean = grey.mean((2, 3), keepdim=True)
        kept = light * range_
        offset = light * (1 - range_) * mean
        if images.shape[1] == len(_LUMA):
            offset = offset + kept * (1 - vividness) * grey
            kept = kept * vividness
        return dataclasses.replace(batch, images=torch.addcmul(offset, images, kept).clamp_(0, 1))

    return apply


def _grey(images: Tensor) -> Tensor:
    """Brightness of every pixel, (B, 1, H, W): weighted as eyes do for three channels, else the mean."""
    channels = images.shape[1]
    if channels != len(_LUMA):
        return images.mean(1, keepdim=True)
    return F.conv2d(images, _luma_filter(images.device, images.dtype))


@lru_cache
def _luma_filter(device: torch.device, dtype: torch.dtype) -> Tensor:
    """The weights as a filter (1, 3, 1, 1), kept: copying them to a GPU makes the host wait for it."""
    return torch.tensor(_LUMA, device=device, dtype=dtype)[None, :, None, None]
