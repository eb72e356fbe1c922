"""Weight averaging: what one takes and gives; one file each, found by the registry.

A builder maps a network in training and its own keyword-only parameters to an `Averaging`, which follows the network
from step to step and holds the weights that answer. It knows no optimizer and no loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from benchmark.registry import Registry


class Averaging(Protocol):
    """Follows one network through its training."""

    answering: nn.Module
    """The network that predicts: the one in training, or a copy with averaged weights."""

    def update(self, share: float) -> None:
        """Take note of the weights after an optimizer step at the given share of the budget, in [0, 1]."""

    def state_dict(self) -> dict[str, Any]:
        """What it holds beside the network in training: tensors, numbers and dicts of them."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what another one of the same kind held."""


def float_pairs(model: nn.Module, copied: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The weights and float buffers of a network and those of its copy, in the same order."""
    pairs = zip(model.state_dict().values(), copied.state_dict().values(), strict=True)
    floats = [(one, other) for one, other in pairs if one.is_floating_point()]
    return [one for one, _ in floats], [other for _, other in floats]


AVERAGINGS: Registry[..., Averaging] = Registry("averaging", __name__)
