"""Hiding a square of the image; knows nothing of what follows it."""

from __future__ import annotations

import dataclasses

import torch
from optuna.distributions import IntDistribution
from torch import Tensor

from benchmark.augmentations import AUGMENTATIONS, Augmentation, Batch


@AUGMENTATIONS.register(
    "cutout",
    space={"pixels": IntDistribution(4, 16, step=2)},
    reference="DeVries and Taylor 2017, arXiv:1708.04552, section 3.2",
    order=50,
    on_uint8=True,
)
def cutout(*, pixels: int = 8) -> Augmentation:
    """Fill a square of `pixels` x `pixels` with the training set's mean colour.

    Its centre is uniform over the image, so that it may reach over the border and then hides less, as in the paper. A
    side is at most half of the image's shorter one, so that something of a small image is left.
    """

    def apply(batch: Batch) -> Batch:
        images = batch.images
        count, _, height, width = images.shape
        side = min(pixels, min(height, width) // 2)
        places = torch.rand(2, count, 1, generator=batch.generator, device=images.device)
        rows = _hidden(places[0], height, side)[:, None, :, None]
        columns = _hidden(places[1], width, side)[:, None, None, :]
        fill = batch.fill if images.is_floating_point() else (batch.fill * 255).round()
        filled = torch.where(rows & columns, fill.to(images.dtype)[None, :, None, None], images)
        return dataclasses.replace(batch, images=filled.contiguous(memory_format=torch.channels_last))

    return apply


def _hidden(place: Tensor, size: int, pixels: int) -> Tensor:
    """Positions of an axis, bool (B, size), within `pixels` of which the middle one is `place` (B, 1) x size."""
    first = (place * size).long() - pixels // 2
    positions = torch.arange(size, device=place.device)
    return (positions >= first) & (positions < first + pixels)
