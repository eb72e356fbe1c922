"""Weight averaging: what one takes and gives; one file each, found by the registry.

A builder maps a network in training and its own keyword-only parameters to an `Averaging`, which follows the network
from step to step and holds the weights that answer. It knows no optimizer and no loss.
"""

from __future__ import annotations

from typing import Protocol

from torch import nn

from benchmark.registry import Registry


class Averaging(Protocol):
    """Follows one network through its training."""

    answering: nn.Module
    """The network that predicts: the one in training, or a copy with averaged weights."""

    def update(self, share: float) -> None:
        """Take note of the weights after an optimizer step at the given share of the budget, in [0, 1]."""


AVERAGINGS: Registry[..., Averaging] = Registry("averaging", __name__)
