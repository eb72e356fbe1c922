"""Augmentations: what one takes and gives; one file each, found by the registry.

A builder maps its keyword-only parameters to a function Batch -> Batch that runs on the batch's device, draws an own
parameter for every sample from the batch's generator, and synchronises nothing with the host. Tags: `order`, the
position in the pipeline (lower first); `on_uint8`, whether it also takes and keeps uint8 images, which is four times
cheaper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.registry import Registry


@dataclass(frozen=True, eq=False)
class Batch:
    """Images and soft targets on one device, with what an augmentation may need to know.

    images: (B, C, H, W) in channels_last memory, uint8 in 0..255 or float in [0, 1].
    targets: float (B, K), rows sum to 1.
    indices: int64 (B,), row numbers in the training set.
    epoch: passes over the data finished so far, from 0.
    fill: float (C,) in [0, 1], the training set's channel means.
    generator: on the images' device.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    epoch: int
    fill: Tensor
    generator: torch.Generator


Augmentation = Callable[[Batch], Batch]

AUGMENTATIONS: Registry[..., Augmentation] = Registry("augmentation", __name__)
