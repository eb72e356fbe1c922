"""The last layer of timm's networks, as the other families have it; builds no network."""

from __future__ import annotations

from torch import nn


def reset_head(network: nn.Module) -> None:
    """Draw the weights of the layer `classifier` as torch does for a layer of its inputs, in place.

    timm's EfficientNets and MobileNets follow TensorFlow's: uniform within 1 / sqrt(classes). Meant for a thousand
    classes, that gives a network of ten logits with a deviation of four, which a short training has to unlearn first.
    """
    head = network.get_submodule("classifier")
    assert isinstance(head, nn.Linear)
    head.reset_parameters()
