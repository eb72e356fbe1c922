"""Architectures: what a builder takes and gives; one file per family, found by the registry.

A builder maps (image_shape, num_classes) and its own keyword-only parameters to a module that takes images as float
(B, C, H, W), normalised per channel, and returns logits (B, K), with fresh weights from torch's global generator. It
works for any image size of at least 8 pixels and any number of channels and classes. Its tag `recipe` holds the
expert's training settings for the family's default trial, by full parameter name ("optimizer", "sgd.lr", "batch_size",
...). Its tag `any_size` says that one network takes images of several sizes, at least 8 pixels a side, so that they may
grow during training. Its tag `width` names the parameter, a whole number, with whose square its cost per image grows.
Its tag `imports` names the packages that it imports when it is first built, so that workers can have them before. Its
tag `captured` is False where a GPU cannot replay its passes: it waits for the device in them, or takes another way with
each batch.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from benchmark.registry import Registry


@runtime_checkable
class DataInitialised(Protocol):
    """A network with weights that are computed from training images before the first step."""

    @staticmethod
    def statistics_of(images: Tensor) -> Tensor:
        """What those weights depend on, of normalised training images, float (B, C, H, W).

        It knows nothing of the network, and is asked once for many of them.
        """

    def initialise_from(self, statistics: Tensor) -> None:
        """Set those weights."""


ARCHITECTURES: Registry[..., nn.Module] = Registry("architecture", __name__)
