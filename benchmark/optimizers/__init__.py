"""Optimizers: what one takes and gives; one file each, found by the registry.

A builder maps a model and its own keyword-only parameters to torch optimizers that together hold every trainable
parameter exactly once. Learning rates are peak rates for a loss averaged over the batch; the trainer multiplies them by
the schedule, group by group.
"""

from __future__ import annotations

from typing import Protocol

from torch import nn
from torch.optim import Optimizer

from benchmark.registry import Registry


class OptimizerBuilder(Protocol):
    """Makes the optimizers of one model; the keyword-only parameters differ by method."""

    def __call__(self, model: nn.Module, /, **params: object) -> tuple[Optimizer, ...]:
        """Optimizers over all trainable parameters of the model."""


OPTIMIZERS: Registry[..., tuple[Optimizer, ...]] = Registry("optimizer", __name__)


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that receive gradients, in the model's order."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
