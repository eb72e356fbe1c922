"""Depthwise convolutions whose kernels are there at once, on a GPU; knows no budget."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SIDES = (3, 5)
"""Of filters that torch has kernels of its own for."""


class _AtOnce(nn.Conv2d):
    """Computed by torch's own kernels, which take the default memory format alone."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        # A bank of depth 1, or images of one pixel, lie in both formats: only a copy tells torch which one is meant.
        weight = weight.clone(memory_format=torch.contiguous_format)
        output: Tensor = super()._conv_forward(input.clone(memory_format=torch.contiguous_format), weight, bias)
        return output.contiguous(memory_format=torch.channels_last)


def start_at_once(model: nn.Module) -> bool:
    """Have the depthwise convolutions of a model in channels_last computed by torch's own kernels; whether it has any.

    cuDNN's are faster once it has chosen and loaded them, which takes it many seconds for every size of batch.
    """
    found = [module for module in model.modules() if type(module) is nn.Conv2d and _is_depthwise(module)]
    for module in found:
        # Parameters, their names and what a copy of the model does stay as they are.
        module.__class__ = _AtOnce
    return bool(found)


def _is_depthwise(module: nn.Conv2d) -> bool:
    height, width = module.kernel_size
    return module.groups == module.in_channels > 1 and height == width and height in _SIDES
