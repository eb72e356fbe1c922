"""Optimizers: what one takes and gives; one file each, found by the registry.

A builder maps a model and its own keyword-only parameters to torch optimizers that together hold every trainable
parameter exactly once. Learning rates are peak rates for a loss averaged over the batch; the trainer multiplies them by
the schedule, group by group.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from benchmark.registry import Registry

OPTIMIZERS: Registry[..., tuple[Optimizer, ...]] = Registry("optimizer", __name__)


def decayed_and_bare(model: nn.Module, decayed: Mapping[str, float], bare: Mapping[str, float]) -> list[dict[str, Any]]:
    """Parameter groups: weights with the options `decayed`; biases and norm parameters with `bare` and no weight decay.

    A group without parameters is left out.
    """
    weights = [parameter for parameter in trainable(model) if parameter.ndim > 1]
    vectors = [parameter for parameter in trainable(model) if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, **decayed},
        {"params": vectors, **bare, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that receive gradients, in the model's order."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
