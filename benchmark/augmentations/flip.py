"""Horizontal mirroring; knows nothing of what follows it."""

from __future__ import annotations

import dataclasses

import torch
from optuna.distributions import CategoricalDistribution
from torch import Tensor

from benchmark.augmentations import AUGMENTATIONS, Augmentation, Batch

# Odd 64-bit constants of splitmix64 (Steele et al. 2014), as signed integers.
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64


@AUGMENTATIONS.register(
    "flip",
    space={"mode": CategoricalDistribution(("alternating", "random"))},
    reference="Jordan 2024, arXiv:2404.00498, section 3.6 (alternating)",
    order=10,
    on_uint8=True,
)
def flip(*, mode: str = "alternating") -> Augmentation:
    """Mirror half of the images. "random": every image by a coin toss in every epoch.

    "alternating": a fixed pseudo-random half of the training set in even epochs, exactly the other half in odd ones, so
    that two epochs in a row show both views of every image that is in both: an epoch is of whole batches, and leaves
    out the rows that would fill none.
    """
    choose = {"alternating": _alternating, "random": _random}[mode]

    def apply(batch: Batch) -> Batch:
        mirrored = choose(batch)[:, None, None, None]
        return dataclasses.replace(batch, images=torch.where(mirrored, batch.images.flip(3), batch.images))

    return apply


def _alternating(batch: Batch) -> Tensor:
    """Which images to mirror, bool (B,): one bit of the hashed row number, inverted in odd epochs."""
    mixed = batch.indices * _MIX_1
    mixed = (mixed ^ (mixed >> 27)) * _MIX_2
    return ((mixed >> 40) + batch.epoch) % 2 == 0


def _random(batch: Batch) -> Tensor:
    count = len(batch.images)
    return torch.rand(count, generator=batch.generator, device=batch.images.device) < 0.5
